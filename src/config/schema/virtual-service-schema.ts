// VirtualService (networking.istio.io): how requests and connections to hosts are routed. Fields and meanings are Istio's
// (networking/v1alpha3/virtual_service.proto), the words ours; readers: config/virtual-service*.ts.
import { limits } from '../limits.ts';
import { destination } from './destination-schema.ts';
import {
  choice,
  decimal,
  duration,
  flag,
  integer,
  list,
  map,
  object,
  port,
  regex,
  text,
  textMap,
  texts,
} from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';
import { httpFault } from './http-fault-schema.ts';
import { httpRetries } from './http-retries-schema.ts';
import { stringMatch } from './string-match-schema.ts';

const HOST = '^(\\*|(\\*\\.)?[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?)$';
export const WEIGHT = { min: 0, max: 4_294_967_295 };
const PERCENT = { min: 0, max: 100 };

const gateways = (description: string): FieldSchema => texts(`${description} The word mesh stands for all sidecars.`);
const percentage = (description: string): FieldSchema =>
  object(description, { value: decimal('0 to 100; fractions count.', PERCENT) });

export function virtualServiceSpec(): FieldSchema {
  return object(
    'Rules for the requests and connections that go to some hosts: the first rule that matches decides.',
    {
      hosts: texts(
        'The hosts that the rules are for: services of the mesh, other names, or wildcards like *.example.com.',
        { minItems: 1 },
        { pattern: HOST },
      ),
      gateways: gateways('Who follows the rules; by default the sidecars of the mesh.'),
      http: list('Rules for HTTP requests, in the order in which they are tried.', httpRule(), {
        maxItems: limits.rulesMax,
      }),
      tls: list(
        'Rules for TLS connections that are passed through, by the name in the client hello.',
        streamRule('tls'),
        {
          maxItems: limits.rulesMax,
        },
      ),
      tcp: list('Rules for TCP connections.', streamRule('tcp'), { maxItems: limits.rulesMax }),
      exportTo: texts(
        'Namespaces whose sidecars follow the rules: their names, . for its own, * for all (the default).',
      ),
    },
    { required: ['hosts'], atLeastOne: [['http', 'tls', 'tcp']] },
  );
}

function httpRule(): FieldSchema {
  const withRedirect = ['rewrite', 'fault', 'timeout', 'retries', 'mirror'];
  return object(
    'One rule: when a request matches, where it goes and what happens to it on the way.',
    {
      name: text('A name for the rule: it stands in logs, in metrics, and policies can point to it.'),
      match: list(
        'What the request must be like; one of these is enough. Without them every request matches.',
        httpMatch(),
        {
          maxItems: limits.matchesMax,
        },
      ),
      route: list('Where the request goes, by weight.', weighted(), { minItems: 1, maxItems: limits.destinationsMax }),
      redirect: redirect(),
      directResponse: directResponse(),
      delegate: object('Another VirtualService that has the rules. Not supported yet: the rule is not accepted.', {
        name: text('The name of the VirtualService.'),
        namespace: text('Its namespace; by default that of this one.'),
      }),
      rewrite: object(
        'What of the request is replaced before it is sent.',
        {
          uri: text('The path, or, where a prefix matched, what takes the place of the prefix.'),
          authority: text('The Host header.'),
          uriRegexRewrite: object('Replaces a part of the path that an expression finds.', {
            match: regex('What of the path is found, in RE2 syntax.'),
            rewrite: text('What stands in its place; \\1 is the first group.'),
          }),
        },
        { atMostOne: [['uri', 'uriRegexRewrite']] },
      ),
      timeout: duration(
        'How long the whole request may take, retries included; 0s, the default, is no limit.',
        'zeroable',
      ),
      retries: httpRetries('How often and when a failed attempt is repeated.'),
      fault: httpFault(),
      mirror: destination('A service that gets a copy of the request; its answer is thrown away.'),
      mirrorPercentage: percentage('How many of the requests are copied; all of them by default.'),
      mirrorPercent: decimal('Use mirrorPercentage.', PERCENT),
      mirror_percent: decimal('Use mirrorPercentage.', PERCENT),
      mirrors: list(
        'Several services that get copies.',
        object(
          'One of them.',
          {
            destination: destination('Where the copy goes.'),
            percentage: percentage('How many of the requests; 100 by default.'),
          },
          { required: ['destination'] },
        ),
        { maxItems: limits.destinationsMax },
      ),
      corsPolicy: corsPolicy(),
      headers: headers('Headers to change for all destinations of the rule.'),
    },
    {
      atMostOne: [
        ['route', 'redirect', 'directResponse', 'delegate'],
        ['mirror', 'mirrors'],
        ...withRedirect.map((name) => ['redirect', name]),
      ],
      atLeastOne: [['route', 'redirect', 'directResponse', 'delegate']],
    },
  );
}

function httpMatch(): FieldSchema {
  const named = 'by their names; each must match. An empty match asks only that it is there.';
  return object('All fields that are there must match.', {
    name: text('A name for the match, for logs.'),
    uri: stringMatch('The path, without the query.'),
    scheme: stringMatch('http or https.'),
    method: stringMatch('The method, such as GET.'),
    authority: stringMatch('The Host header.'),
    headers: map(
      `Headers ${named} Claims of a checked token are written @request.auth.claims.NAME.`,
      stringMatch('Its value.'),
    ),
    withoutHeaders: map('Headers that must not match.', stringMatch('The value that it must not have.')),
    queryParams: map(`Parameters of the query ${named}`, stringMatch('Its value.')),
    ignoreUriCase: flag('Upper and lower case are the same in uri, where it is exact or a prefix.'),
    port: port('The port that the request was sent to.'),
    sourceLabels: textMap('Labels that the calling workload must have.'),
    sourceNamespace: text('The namespace of the calling workload.'),
    gateways: gateways('Who follows this match; those of the VirtualService by default.'),
    statPrefix: text('A name under which Envoys count what matched.'),
  });
}

function weighted(): FieldSchema {
  return object(
    'One destination.',
    {
      destination: destination('The service.'),
      weight: integer(
        'Its part of the requests, in proportion to the weights of the others; a single one needs none.',
        WEIGHT,
      ),
      headers: headers('Headers to change on the way to this destination only.'),
    },
    { required: ['destination'] },
  );
}

function headers(description: string): FieldSchema {
  return object(description, { request: edits('request'), response: edits('response') });
}

function edits(which: string): FieldSchema {
  return object(`Changes to the headers of the ${which}.`, {
    set: textMap('Headers that get this value, whatever they had.'),
    add: textMap('Values that are added to what is there.'),
    remove: texts('Headers that are taken off.'),
  });
}

function redirect(): FieldSchema {
  return object(
    'The sidecar answers with a redirect; what is not written stays as in the request.',
    {
      uri: text('The path to go to.'),
      prefixRewrite: text('What takes the place of the prefix that matched. Not supported yet, and of no effect.'),
      authority: text('The host to go to.'),
      port: port('The port to go to.'),
      derivePort: choice('Where the port comes from when none is written.', [
        'FROM_PROTOCOL_DEFAULT',
        'FROM_REQUEST_PORT',
      ]),
      scheme: choice('The scheme to go to.', ['http', 'https']),
      redirectCode: { ...integer('The status; 301 by default.'), enum: [301, 302, 303, 307, 308] },
    },
    { atMostOne: [['port', 'derivePort']] },
  );
}

function directResponse(): FieldSchema {
  return object(
    'The sidecar answers by itself.',
    {
      status: integer('The status.', { min: 200, max: 599 }),
      body: object(
        'What is answered; nothing by default.',
        { string: text('As text.'), bytes: text('In base64.') },
        { atMostOne: [['string', 'bytes']] },
      ),
    },
    { required: ['status'] },
  );
}

function corsPolicy(): FieldSchema {
  return object('What browsers are told about pages of other origins.', {
    allowOrigins: list('Origins that may ask; one of these must match.', stringMatch('One of them.')),
    allowOrigin: texts('Use allowOrigins.'),
    allowMethods: texts('Methods that they may use.'),
    allowHeaders: texts('Headers that they may send.'),
    exposeHeaders: texts('Headers that scripts may read.'),
    maxAge: duration('How long a browser may remember the answer; whole seconds count.'),
    allowCredentials: flag('Cookies and the like may be sent.'),
    unmatchedPreflights: choice('What becomes of preflights of other origins: FORWARD to the app, or IGNORE.', [
      'UNSPECIFIED',
      'FORWARD',
      'IGNORE',
    ]),
  });
}

function streamRule(kind: 'tls' | 'tcp'): FieldSchema {
  const isTls = kind === 'tls';
  const match = streamMatch(isTls);
  const route = list(
    'Where the connection goes, by weight.',
    object(
      'One destination.',
      {
        destination: destination('The service.'),
        weight: integer('Its part of the connections, in proportion to the weights of the others.', WEIGHT),
      },
      { required: ['destination'] },
    ),
    { minItems: 1, maxItems: limits.destinationsMax },
  );
  return object(
    'One rule: which connections, and where they go.',
    {
      match: list('What the connection must be like; one of these is enough.', match, {
        maxItems: limits.matchesMax,
        ...(isTls ? { minItems: 1 } : {}),
      }),
      route,
    },
    { required: isTls ? ['match', 'route'] : ['route'] },
  );
}

function streamMatch(isTls: boolean): FieldSchema {
  const common = {
    destinationSubnets: texts('Addresses, or ranges like 10.1.0.0/16, that the app connected to.'),
    port: port('The port that the app connected to.'),
    sourceLabels: textMap('Labels that the calling workload must have.'),
    sourceNamespace: text('The namespace of the calling workload.'),
    gateways: gateways('Who follows this match; those of the VirtualService by default.'),
  };
  if (!isTls)
    return object('All fields that are there must match.', {
      ...common,
      sourceSubnet: text('The range of the caller. Not supported yet, and of no effect.'),
    });
  const names = texts(
    'Names in the client hello, or wildcards like *.example.com.',
    { minItems: 1 },
    { pattern: '^(\\*|(\\*\\.)?[-A-Za-z0-9_.]+)$' },
  );
  return object('All fields that are there must match.', { sniHosts: names, ...common }, { required: ['sniHosts'] });
}

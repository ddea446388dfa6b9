// Resources that are broken in one place each, with the path of that place as Kubernetes names it. Both the readers of
// src/config and the definitions at an API server must refuse every one of them.
import { parse } from 'yaml';

export interface BrokenResource {
  readonly kind: string;
  readonly title: string;
  /** Where the API server finds the fault. */
  readonly path: string;
  readonly value: Readonly<Record<string, unknown>>;
  /** Only a rule in CEL finds it, which editors do not know. */
  readonly isByRule: boolean;
}

/** `rule`: only a rule in CEL finds it. */
type Row = readonly [title: string, path: string, spec: string, by?: 'rule'];

const RULE = 'hosts: [a], http: [{ route: [{ destination: { host: a } }]';

const VIRTUAL_SERVICE: readonly Row[] = [
  ['no hosts', 'spec.hosts', '{ http: [{ route: [{ destination: { host: a } }] }] }'],
  ['a list of no hosts', 'spec.hosts', '{ hosts: [], http: [{ route: [{ destination: { host: a } }] }] }'],
  ['a host with a blank', 'spec.hosts[0]', '{ hosts: ["a b"], http: [{ route: [{ destination: { host: a } }] }] }'],
  ['hosts as a text', 'spec.hosts', '{ hosts: a, http: [{ route: [{ destination: { host: a } }] }] }'],
  ['no rules', 'spec', '{ hosts: [a] }'],
  ['a rule that does nothing', 'spec.http[0]', '{ hosts: [a], http: [{ timeout: 1s }] }'],
  ['a route and a redirect', 'spec.http[0]', `{ ${RULE}, redirect: { uri: / } }] }`],
  [
    'a redirect with retries',
    'spec.http[0]',
    '{ hosts: [a], http: [{ redirect: { uri: / }, retries: { attempts: 1 } }] }',
  ],
  [
    'a weight as a text',
    'spec.http[0].route[0].weight',
    '{ hosts: [a], http: [{ route: [{ destination: { host: a }, weight: "90" }] }] }',
  ],
  [
    'a weight below 0',
    'spec.http[0].route[0].weight',
    '{ hosts: [a], http: [{ route: [{ destination: { host: a }, weight: -1 }] }] }',
  ],
  [
    'a destination without a host',
    'spec.http[0].route[0].destination.host',
    '{ hosts: [a], http: [{ route: [{ destination: { subset: v1 } }] }] }',
  ],
  [
    'port 70000',
    'spec.http[0].route[0].destination.port.number',
    '{ hosts: [a], http: [{ route: [{ destination: { host: a, port: { number: 70000 } } }] }] }',
  ],
  ['a timeout without a unit', 'spec.http[0].timeout', `{ ${RULE}, timeout: "5" }] }`],
  ['a timeout as a number', 'spec.http[0].timeout', `{ ${RULE}, timeout: 0 }] }`],
  ['a timeout of less than 1ms', 'spec.http[0].timeout', `{ ${RULE}, timeout: 10us }] }`, 'rule'],
  ['a back-off of 0s', 'spec.http[0].retries.backoff', `{ ${RULE}, retries: { attempts: 1, backoff: 0s } }] }`, 'rule'],
  ['a match by two ways', 'spec.http[0].match[0].uri', `{ ${RULE}, match: [{ uri: { exact: /a, prefix: /a } }] }] }`],
  ['a match as a text', 'spec.http[0].match[0].uri', `{ ${RULE}, match: [{ uri: /a }] }] }`],
  [
    'an abort without a status',
    'spec.http[0].fault.abort',
    `{ ${RULE}, fault: { abort: { percentage: { value: 1 } } } }] }`,
  ],
  [
    'a share of 101 percent',
    'spec.http[0].mirrorPercentage.value',
    `{ ${RULE}, mirror: { host: b }, mirrorPercentage: { value: 101 } }] }`,
  ],
  [
    'a status of no redirect',
    'spec.http[0].redirect.redirectCode',
    '{ hosts: [a], http: [{ redirect: { redirectCode: 200 } }] }',
  ],
  [
    'an unknown choice',
    'spec.http[0].corsPolicy.unmatchedPreflights',
    `{ ${RULE}, corsPolicy: { unmatchedPreflights: DROP } }] }`,
  ],
  [
    'a header value as a number',
    'spec.http[0].headers.request.set.x-a',
    `{ ${RULE}, headers: { request: { set: { x-a: 1 } } } }] }`,
  ],
  [
    'a tls rule without a match',
    'spec.tls[0].match',
    '{ hosts: [a], tls: [{ route: [{ destination: { host: a } }] }] }',
  ],
];

const TABLES: readonly (readonly [kind: string, apiVersion: string, rows: readonly Row[]])[] = [
  ['VirtualService', 'networking.istio.io/v1', VIRTUAL_SERVICE],
];

export function brokenResources(): readonly BrokenResource[] {
  return TABLES.flatMap(([kind, apiVersion, rows]) =>
    rows.map(([title, path, text, by]) => {
      const spec: unknown = parse(text);
      return {
        kind,
        title,
        path,
        value: { apiVersion, kind, metadata: { name: 'broken' }, spec },
        isByRule: by === 'rule',
      };
    }),
  );
}

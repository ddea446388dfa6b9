// MeshConfig: settings of the whole mesh, as a document in files, or in the key `mesh` of the ConfigMap `istio`; there is no
// definition of it. Fields and meanings are Istio's (mesh/v1alpha1/config.proto), the words ours; what is not here is not
// read, and Istio has much of it, so that unknown fields are no faults. Readers: config/mesh-config.ts and
// config/external-authorization.ts.
import { NORMALIZATIONS } from '../mesh-config.ts';
import { connectionPool } from './connection-pool-schema.ts';
import {
  choice,
  decimal,
  duration,
  flag,
  integer,
  list,
  map,
  object,
  open,
  port,
  text,
  textMap,
  texts,
} from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';
import { httpRetries } from './http-retries-schema.ts';
import { localitySetting } from './load-balancer-schema.ts';
import { outlierDetection } from './outlier-schema.ts';
import { outboundTrafficPolicy } from './sidecar-schema.ts';
import { customTag } from './telemetry-schema.ts';

const NOT_YET = 'Not supported yet, and of no effect.';
const BODY_BYTES_MAX = 16 * 1024 * 1024;

export function meshConfigSpec(): FieldSchema {
  return object(
    'Settings of the whole mesh.',
    {
      rootNamespace: text('The namespace whose policies are for the whole mesh; istio-system by default.'),
      trustDomain: text('Of the identities that the mesh gives; cluster.local by default.'),
      trustDomainAliases: texts('Further trust domains whose identities count as ours.'),
      extensionProviders: list('Services that are asked or told, by name.', provider()),
      defaultProviders: object('Which of them are used where no Telemetry says it.', {
        tracing: texts('For traces.'),
        accessLogging: texts('For access logs.'),
        metrics: texts(`For metrics. ${NOT_YET}`),
      }),
      accessLogFile: text('Where access logs go, such as /dev/stdout; without it there are none.'),
      accessLogFormat: text('Their format, as Envoy has it.'),
      accessLogEncoding: choice('How they are written; TEXT by default.', ['TEXT', 'JSON']),
      enableTracing: flag('Requests are traced; true by default.'),
      defaultConfig: object(
        'Settings of single sidecars.',
        {
          tracing: object('Traces.', {
            sampling: decimal('How many requests that begin here are traced, in percent; 1 by default.', {
              min: 0,
              max: 100,
            }),
            customTags: map('Tags of spans, by name.', customTag('Where the value comes from.')),
          }),
        },
        { isOpen: true },
      ),
      outboundTrafficPolicy: outboundTrafficPolicy('What becomes of captured connections to unknown places.'),
      protocolDetectionTimeout: duration('How long a connection may keep to itself what it speaks; 5s by default.'),
      connectTimeout: duration('How long a connection may take to be made; 10s by default.', 'positive'),
      defaultTrafficPolicy: object('What holds for hosts without a DestinationRule.', {
        connectionPool: connectionPool('Limits of connections and requests.'),
        outlierDetection: outlierDetection('When an instance that fails is left out.'),
      }),
      defaultHttpRetryPolicy: httpRetries('Retries of rules that have none of their own.'),
      defaultInboundHttpRetryPolicy: httpRetries('Retries of sidecars to their own apps.'),
      localityLbSetting: localitySetting('Which localities take the requests.'),
      enableAutoMtls: flag('Sidecars use mutual TLS to whoever can, where no rule says otherwise; true by default.'),
      meshMTLS: object('Mutual TLS among sidecars.', {
        minProtocolVersion: choice('The oldest version; TLS 1.2 by default.', ['TLS_AUTO', 'TLSV1_2', 'TLSV1_3']),
        ecdhCurves: texts(NOT_YET),
        cipherSuites: texts(NOT_YET),
      }),
      pathNormalization: object('How paths are brought into one form before rules see them.', {
        normalization: choice('BASE by default.', NORMALIZATIONS),
      }),
      discoverySelectors: list(NOT_YET, open('One of them.')),
      defaultServiceExportTo: texts(NOT_YET),
    },
    { isOpen: true },
  );
}

function provider(): FieldSchema {
  const names = ['opentelemetry', 'envoyFileAccessLog', 'envoyExtAuthzHttp', 'envoyExtAuthzGrpc'];
  return object(
    'One provider: its name, and one of what it may be.',
    {
      name: text('Its name, for policies.'),
      opentelemetry: object(
        'Traces by OTLP over gRPC.',
        {
          service: text('The host.'),
          port: port('Its port.'),
          maxTagLength: integer('Longer values of tags are cut.', { min: 1 }),
        },
        { required: ['service', 'port'], isOpen: true },
      ),
      envoyFileAccessLog: object('Access logs in a file.', {
        path: text('The file; /dev/stdout by default.'),
        logFormat: object(
          'The format.',
          { text: text('As text.'), labels: textMap('As JSON, field by field.') },
          { atMostOne: [['text', 'labels']] },
        ),
      }),
      envoyExtAuthzHttp: object(
        'A service that decides, asked by HTTP.',
        { ...asked(), ...askedByHttp() },
        {
          required: ['service', 'port'],
          atMostOne: [['includeRequestHeadersInCheck', 'includeHeadersInCheck']],
        },
      ),
      envoyExtAuthzGrpc: object('A service that decides, asked by gRPC.', asked(), { required: ['service', 'port'] }),
    },
    { required: ['name'], atMostOne: [names], isOpen: true },
  );
}

function asked(): Readonly<Record<string, FieldSchema>> {
  return {
    service: text('The host, or NAMESPACE/HOST.'),
    port: port('Its port.'),
    timeout: duration('How long it may take; 600s by default.', 'positive'),
    failOpen: flag('Requests pass when it cannot be asked.'),
    statusOnError: text('The status when it cannot be asked, in quotes; 403 by default.'),
    clearRouteCache: flag('The route is chosen anew after its answer.'),
    includeRequestBodyInCheck: object('It sees the body.', {
      maxRequestBytes: integer('So much of it; 1024 by default.', { min: 1, max: BODY_BYTES_MAX }),
      allowPartialMessage: flag('Of a longer one it sees the beginning; else the request is refused.'),
      packAsBytes: flag('As bytes, and not as text.'),
    }),
  };
}

function askedByHttp(): Readonly<Record<string, FieldSchema>> {
  const names = 'Names, PREFIX* or *SUFFIX.';
  return {
    pathPrefix: text('What stands in front of the path.'),
    includeRequestHeadersInCheck: texts(`Headers of the request that it sees. ${names}`),
    includeHeadersInCheck: texts('Use includeRequestHeadersInCheck.'),
    includeAdditionalHeadersInCheck: textMap('Headers that it sees beside them.'),
    headersToUpstreamOnAllow: texts(`Headers of its answer that the app gets. ${names}`),
    headersToDownstreamOnAllow: texts(`Headers of its answer that the caller gets when it allows. ${names}`),
    headersToDownstreamOnDeny: texts(`Headers of its answer that the caller gets when it denies. ${names}`),
  };
}

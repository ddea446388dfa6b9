// Sidecar (networking.istio.io): what the sidecars of a namespace, or of some workloads, need to know. Fields and meanings
// are Istio's (networking/v1alpha3/sidecar.proto), the words ours; reader: config/sidecar-scope.ts.
import { connectionPool } from './connection-pool-schema.ts';
import { choice, list, object, open, port, text, texts } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';
import { workloadSelector } from './selector-schema.ts';

const HOST = '^(\\*|\\.|~|[-a-z0-9]+)/.+$';
const NOT_YET = 'Not supported yet, and of no effect.';

export function sidecarSpec(): FieldSchema {
  return object('What sidecars know of the mesh, and what bounds the connections to the apps behind them.', {
    workloadSelector: workloadSelector('The workloads that it is for; all of the namespace by default.'),
    ingress: list(
      'Ports of the app.',
      object(
        'One port.',
        {
          port: listenerPort('The port of the app.', ['number']),
          bind: text(`The address that is listened at. ${NOT_YET}`),
          captureMode: captureMode(),
          defaultEndpoint: text(`Where the app listens. ${NOT_YET}`),
          tls: open(`TLS of the port. ${NOT_YET}`),
          connectionPool: connectionPool('Limits of the connections to this port.'),
        },
        { required: ['port'] },
      ),
    ),
    egress: list(
      'What the app may call.',
      object('One set of hosts.', {
        hosts: texts(
          'NAMESPACE/HOST, with . for the own namespace and * for any: ./*, */db.example.com.',
          {},
          { pattern: HOST },
        ),
        port: listenerPort(`A port of its own for these hosts. ${NOT_YET}`, []),
        bind: text(`The address that is listened at. ${NOT_YET}`),
        captureMode: captureMode(),
      }),
    ),
    inboundConnectionPool: connectionPool('Limits of the connections to the app, for all of its ports.'),
    outboundTrafficPolicy: outboundTrafficPolicy('What becomes of captured connections to unknown places.'),
  });
}

/** Also of MeshConfig. */
export function outboundTrafficPolicy(description: string): FieldSchema {
  return object(description, {
    mode: choice('ALLOW_ANY passes them on, REGISTRY_ONLY does not.', ['REGISTRY_ONLY', 'ALLOW_ANY']),
    egressProxy: open(`A destination that takes them. ${NOT_YET}`),
  });
}

function captureMode(): FieldSchema {
  return choice(`How connections are captured. ${NOT_YET}`, ['DEFAULT', 'IPTABLES', 'NONE']);
}

function listenerPort(description: string, required: readonly string[]): FieldSchema {
  return object(
    description,
    {
      number: port('Its number.'),
      protocol: text('Its protocol.'),
      name: text('Its name.'),
      targetPort: port('Not used.'),
    },
    required.length === 0 ? {} : { required },
  );
}

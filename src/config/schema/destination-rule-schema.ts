// DestinationRule (networking.istio.io): the subsets of a host, and how its instances are called. Fields and meanings are
// Istio's (networking/v1alpha3/destination_rule.proto), the words ours; reader: config/destination-rule.ts.
import { SUBSET_NAME_PATTERN } from '../destination-rule.ts';
import { limits } from '../limits.ts';
import { connectionPool } from './connection-pool-schema.ts';
import { portSelector } from './destination-schema.ts';
import { choice, flag, list, object, port, text, textMap, texts } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';
import { loadBalancer } from './load-balancer-schema.ts';
import { outlierDetection } from './outlier-schema.ts';
import { retryBudget } from './retry-budget-schema.ts';
import { workloadSelector } from './selector-schema.ts';

const FILES = ['clientCertificate', 'privateKey', 'caCertificates', 'caCrl'];

export function destinationRuleSpec(): FieldSchema {
  const subset = object(
    'One of them.',
    {
      name: text('Its name, for destinations.', { pattern: SUBSET_NAME_PATTERN }),
      labels: textMap('Labels that its instances have.'),
      trafficPolicy: trafficPolicy('What holds for it, section by section in the place of what holds for the host.'),
    },
    { required: ['name'] },
  );
  return object(
    'How the instances of a host are called, after routing has chosen the host.',
    {
      host: text(
        'A service of the mesh, or a wildcard like *.example.com. A short name is one of the namespace of the rule.',
      ),
      trafficPolicy: trafficPolicy('What holds for all of the host.'),
      subsets: list('Parts of the instances, such as versions.', subset, {
        mapKeys: ['name'],
        maxItems: limits.subsetsMax,
      }),
      exportTo: texts(
        'Namespaces whose sidecars follow the rule: their names, . for its own, * for all (the default).',
      ),
      workloadSelector: workloadSelector(
        'Callers of its namespace that follow the rule; all by default.',
        'matchLabels',
      ),
    },
    { required: ['host'] },
  );
}

function trafficPolicy(description: string): FieldSchema {
  return object(description, {
    ...sections(),
    portLevelSettings: list(
      'What holds for single ports, section by section in the place of the rest.',
      object(
        'One port.',
        { port: { ...portSelector('The port.'), required: ['number'] }, ...sections() },
        { required: ['port'] },
      ),
      { maxItems: limits.portSettingsMax },
    ),
    retryBudget: retryBudget(),
    proxyProtocol: object('Each connection begins with a PROXY header.', {
      version: choice('Its version; V1 by default.', ['V1', 'V2']),
    }),
    tunnel: object('Connections go through a tunnel of another host. Not supported yet, and of no effect.', {
      protocol: text('CONNECT or POST.'),
      targetHost: text('Where the tunnel leads.'),
      targetPort: port('And to which port.'),
    }),
  });
}

function sections(): Readonly<Record<string, FieldSchema>> {
  return {
    loadBalancer: loadBalancer('How an instance is chosen.'),
    connectionPool: connectionPool('Limits of connections and requests; each caller counts for itself.'),
    outlierDetection: outlierDetection('When an instance that fails is left out.'),
    tls: clientTls(),
  };
}

function clientTls(): FieldSchema {
  const hasFiles = FILES.map((name) => `has(self.${name})`).join(' || ');
  const secret = `has(self.credentialName) && size(self.credentialName) > 0`;
  return object(
    'Whether and how connections are encrypted. Without it sidecars use mutual TLS among each other.',
    {
      mode: choice(
        'DISABLE is plaintext, SIMPLE is TLS, MUTUAL with own certificates, ISTIO_MUTUAL with those of the mesh.',
        ['DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL'],
      ),
      clientCertificate: text('The path of a PEM file with the certificate to show.'),
      privateKey: text('The path of a PEM file with its key.'),
      caCertificates: text('The path of a PEM file with the authorities of the server.'),
      caCrl: text('The path of a PEM file with revoked certificates.'),
      credentialName: text('A Secret of the namespace of the caller, in the place of files.'),
      subjectAltNames: texts('Names of which the certificate of the server must have one.'),
      sni: text('The name that is asked for.'),
      insecureSkipVerify: flag('The certificate of the server is not verified.'),
    },
    {
      rules: [
        {
          rule: `!(${isMode('MUTUAL')}) || (${secret}) || (has(self.clientCertificate) && has(self.privateKey))`,
          message: 'MUTUAL needs clientCertificate and privateKey, or credentialName',
        },
        { rule: `!((${secret}) && (${hasFiles}))`, message: 'credentialName takes the place of files' },
        {
          rule: `!(${isMode('ISTIO_MUTUAL')} && ((${secret}) || ${hasFiles}))`,
          message: 'ISTIO_MUTUAL uses the identity of the mesh: certificates cannot be named',
        },
      ],
    },
  );
}

function isMode(name: string): string {
  return `has(self.mode) && self.mode == '${name}'`;
}

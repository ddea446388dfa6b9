// ServiceEntry and WorkloadEntry (networking.istio.io): services and instances that Kubernetes does not know. Fields and
// meanings are Istio's (networking/v1alpha3/service_entry.proto), the words ours; reader: config/service-entry.ts.
import { limits } from '../limits.ts';
import { choice, integer, list, map, object, port, text, textMap, texts } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';
import { workloadSelector } from './selector-schema.ts';

export function serviceEntrySpec(): FieldSchema {
  return object(
    'A service that is not one of Kubernetes: inside of the mesh or outside of it.',
    {
      hosts: texts(
        'Its names; wildcards like *.example.com, but not * alone.',
        { minItems: 1 },
        { pattern: '^([^*].*|\\*.+)?$' },
      ),
      addresses: texts('Its addresses, or ranges like 10.1.0.0/16, for what is not HTTP.'),
      ports: list('Its ports.', servicePort(), {
        mapKeys: ['name'],
        maxItems: limits.servicePortsMax,
        rules: [
          {
            rule: 'self.all(one, self.exists_one(other, one.number == other.number))',
            message: 'each port needs its own number',
          },
        ],
      }),
      location: choice('Whether it is a part of the mesh; MESH_EXTERNAL by default.', [
        'MESH_EXTERNAL',
        'MESH_INTERNAL',
      ]),
      resolution: choice(
        'How its instances are found: where the app connects to (NONE, the default), as written, or by DNS.',
        ['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS'],
      ),
      endpoints: list('Its instances.', workloadEntrySpec('One instance.')),
      workloadSelector: workloadSelector('Its instances are the pods and WorkloadEntries with these labels.'),
      exportTo: texts('Namespaces whose sidecars know it: their names, . for its own, * for all (the default).'),
      subjectAltNames: texts('Names of which the certificates of its instances must have one.'),
    },
    {
      required: ['hosts'],
      atMostOne: [['endpoints', 'workloadSelector']],
      rules: [
        {
          rule: `!has(self.endpoints) || size(self.endpoints) == 0 || (has(self.resolution) && self.resolution != 'NONE')`,
          message: 'resolution NONE allows no endpoints',
        },
      ],
    },
  );
}

function servicePort(): FieldSchema {
  return object(
    'One port.',
    {
      number: port('Its number.'),
      name: text('Its name.'),
      protocol: text('HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP, TLS or the like; TCP by default.'),
      targetPort: port('The port of the instances; the same by default.'),
    },
    { required: ['number', 'name'] },
  );
}

export function workloadEntrySpec(description: string): FieldSchema {
  return object(description, {
    address: text('An address, a DNS name, or unix:///PATH.'),
    ports: map('Ports of the instance, by the names of the service’s ports.', port('The number of the port.')),
    labels: textMap('Labels, for subsets and selectors.'),
    network: text('The network that it is in. Not supported yet, and of no effect.'),
    locality: text('Where it is: REGION/ZONE/SUBZONE.'),
    weight: integer('Its part of the requests, in proportion to the others; 1 by default.', { min: 0, max: 1_000_000 }),
    serviceAccount: text('The service account that it runs as.'),
  });
}

// Every kind that users write and that we define: the table from which CustomResourceDefinitions, the schemas for editors
// and the command `outrigger schema` are made. Kinds of the Gateway API are not here: they are used as upstream has them.
import type { Column, KindSchema } from './kind-schema.ts';
import { virtualServiceSpec } from './virtual-service-schema.ts';

const NETWORKING_VERSIONS = ['v1', 'v1beta1', 'v1alpha3'];
const NETWORKING = ['istio-io', 'networking-istio-io', 'outrigger-io'];

export function kindSchemas(): readonly KindSchema[] {
  return [...networkingKinds()];
}

function networkingKinds(): readonly KindSchema[] {
  const common = { group: 'networking.istio.io', versions: NETWORKING_VERSIONS, categories: NETWORKING };
  return [
    {
      ...common,
      kind: 'VirtualService',
      plural: 'virtualservices',
      shortNames: ['vs'],
      columns: [
        column('Gateways', '.spec.gateways', 'Who follows the rules.'),
        column('Hosts', '.spec.hosts', 'The hosts that the rules are for.'),
      ],
      description: 'Where requests and connections to some hosts go, and what happens to them on the way.',
      spec: virtualServiceSpec(),
    },
  ];
}

function column(name: string, path: string, description: string): Column {
  return { name, path, description };
}

// Every kind that users write and that we define: the table from which CustomResourceDefinitions, the schemas for editors
// and the command `outrigger schema` are made. Kinds of the Gateway API are not here: they are used as upstream has them.
// Names, versions and categories of Istio's kinds are Istio's, so that either set of definitions serves the same objects.
import { authorizationPolicySpec } from './authorization-policy-schema.ts';
import { destinationRuleSpec } from './destination-rule-schema.ts';
import { envoyFilterSpec } from './envoy-filter-schema.ts';
import { extensionSpec } from './extension-schema.ts';
import type { Column, KindSchema } from './kind-schema.ts';
import { OWN_GROUP, servedVersions } from '../served-versions.ts';
import { peerAuthenticationSpec } from './peer-authentication-schema.ts';
import { rateLimitPolicySpec } from './rate-limit-policy-schema.ts';
import { requestAuthenticationSpec } from './request-authentication-schema.ts';
import { resiliencePolicySpec } from './resilience-policy-schema.ts';
import { serviceEntrySpec, workloadEntrySpec } from './service-entry-schema.ts';
import { sidecarSpec } from './sidecar-schema.ts';
import { telemetrySpec } from './telemetry-schema.ts';
import { virtualServiceSpec } from './virtual-service-schema.ts';

const NETWORKING = {
  group: 'networking.istio.io',
  categories: ['istio-io', 'networking-istio-io', 'outrigger-io'],
};
const SECURITY = {
  group: 'security.istio.io',
  categories: ['istio-io', 'security-istio-io', 'outrigger-io'],
};
const TELEMETRY = {
  group: 'telemetry.istio.io',
  categories: ['istio-io', 'telemetry-istio-io', 'outrigger-io'],
};
const OWN = { group: OWN_GROUP, categories: ['outrigger-io'] };

export function kindSchemas(): readonly KindSchema[] {
  const kinds = [...routingKinds(), ...registryKinds(), ...securityKinds(), ...ownKinds()];
  return kinds.map((kind) => ({ ...kind, versions: servedVersions(kind.kind, kind.group) }));
}

/** All but the versions, which the readers know, too. */
type Kind = Omit<KindSchema, 'versions'>;

function routingKinds(): readonly Kind[] {
  return [
    {
      ...NETWORKING,
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
    {
      ...NETWORKING,
      kind: 'DestinationRule',
      plural: 'destinationrules',
      shortNames: ['dr'],
      columns: [column('Host', '.spec.host', 'The host that the rule is for.')],
      description: 'The subsets of a host, and how its instances are called.',
      spec: destinationRuleSpec(),
    },
    {
      ...NETWORKING,
      kind: 'Sidecar',
      plural: 'sidecars',
      shortNames: [],
      columns: [
        column('Selector', '.spec.workloadSelector.labels', 'The workloads that it is for.'),
        column('Egress', '.spec.egress[*].hosts', 'What the first set of hosts is.'),
      ],
      description: 'What the sidecars of a namespace, or of some workloads, know of the mesh.',
      spec: sidecarSpec(),
    },
    {
      ...NETWORKING,
      kind: 'EnvoyFilter',
      plural: 'envoyfilters',
      shortNames: [],
      columns: [column('Priority', '.spec.priority', 'Lower numbers are applied first.', 'integer')],
      description: 'Patches of the HTTP filters of sidecars.',
      spec: envoyFilterSpec(),
    },
    {
      ...TELEMETRY,
      kind: 'Telemetry',
      plural: 'telemetries',
      shortNames: ['telemetry'],
      columns: [column('Selector', '.spec.selector.matchLabels', 'The workloads that it is for.')],
      description: 'What sidecars tell: traces and access logs.',
      spec: telemetrySpec(),
    },
  ];
}

function registryKinds(): readonly Kind[] {
  return [
    {
      ...NETWORKING,
      kind: 'ServiceEntry',
      plural: 'serviceentries',
      shortNames: ['se'],
      columns: [
        column('Hosts', '.spec.hosts', 'Its names.'),
        column('Location', '.spec.location', 'Whether it is a part of the mesh.'),
        column('Resolution', '.spec.resolution', 'How its instances are found.'),
      ],
      description: 'A service that is not one of Kubernetes.',
      spec: serviceEntrySpec(),
    },
    {
      ...NETWORKING,
      kind: 'WorkloadEntry',
      plural: 'workloadentries',
      shortNames: ['we'],
      columns: [column('Address', '.spec.address', 'Where it is reached.')],
      description: 'An instance that is not a pod.',
      spec: workloadEntrySpec('One instance of services that select it.'),
    },
  ];
}

function securityKinds(): readonly Kind[] {
  return [
    {
      ...SECURITY,
      kind: 'AuthorizationPolicy',
      plural: 'authorizationpolicies',
      shortNames: ['ap'],
      columns: [column('Action', '.spec.action', 'What becomes of what it matches; ALLOW when nothing is shown.')],
      description: 'Who may do what.',
      spec: authorizationPolicySpec(),
    },
    {
      ...SECURITY,
      kind: 'RequestAuthentication',
      plural: 'requestauthentications',
      shortNames: ['ra'],
      columns: [column('Issuer', '.spec.jwtRules[*].issuer', 'Who makes the tokens of its first rule.')],
      description: 'Whose tokens are good.',
      spec: requestAuthenticationSpec(),
    },
    {
      ...SECURITY,
      kind: 'PeerAuthentication',
      plural: 'peerauthentications',
      shortNames: ['pa'],
      columns: [column('Mode', '.spec.mtls.mode', 'Whether plaintext is taken.')],
      description: 'Whether workloads take plaintext.',
      spec: peerAuthenticationSpec(),
    },
  ];
}

function ownKinds(): readonly Kind[] {
  return [
    {
      ...OWN,
      kind: 'ResiliencePolicy',
      plural: 'resiliencepolicies',
      shortNames: ['rsp'],
      columns: [
        column('Target', '.spec.targetRefs[0].kind', 'The kind of its first target.'),
        column('Name', '.spec.targetRefs[0].name', 'The name of its first target.'),
      ],
      description: 'How services are kept up, and how routes get around failures.',
      spec: resiliencePolicySpec(),
    },
    {
      ...OWN,
      kind: 'RateLimitPolicy',
      plural: 'ratelimitpolicies',
      shortNames: ['rlp'],
      columns: [
        column('Target', '.spec.targetRefs[0].name', 'Its first service.'),
        column('Requests', '.spec.limits[0].requests', 'Of its first limit.', 'integer'),
        column('Per', '.spec.limits[0].per', 'Of its first limit; 1s when nothing is shown.'),
      ],
      description: 'How many requests the instances of a service take.',
      spec: rateLimitPolicySpec(),
    },
    {
      ...OWN,
      kind: 'Extension',
      plural: 'extensions',
      shortNames: ['ext'],
      columns: [
        column('Module', '.spec.module', 'What sidecars run.'),
        column('Direction', '.spec.direction', 'Inbound when nothing is shown.'),
        column('On-Failure', '.spec.failurePolicy', 'FailClosed when nothing is shown.'),
      ],
      description: 'A module that sidecars run for each request.',
      spec: extensionSpec(),
    },
  ];
}

function column(name: string, path: string, description: string, type: 'string' | 'integer' = 'string'): Column {
  return { name, path, description, type };
}

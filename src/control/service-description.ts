// What holds for a service, and which rule says so: for those who call it from a namespace (routes, how to send), and for each
// kind of instance behind it (who gets in, what is asked of them). It asks the very functions that translate, so what is told
// is what sidecars have. For people; nothing depends on it.
import { formatPlace } from '../base/problem.ts';
import type { Resource } from '../config/resource.ts';
import { nearest } from '../config/spelling.ts';
import { isHttp, type MeshEndpoint, type MeshPort, type MeshService } from './mesh-service.ts';
import { Scope } from './scope.ts';
import type { Snapshot } from './snapshot.ts';
import { policiesOf } from './workload-policies.ts';

export interface HeldRule {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** Where it is written. */
  readonly place: string;
  /** What it does here, in a few words. */
  readonly does: string;
}

export interface DescribedPort {
  readonly number: number;
  readonly name: string;
  readonly protocol: string;
  readonly instances: number;
  /** Of the instances: those with a sidecar that takes mutual TLS. */
  readonly meshed: number;
  /** Who decides where its requests go; empty: nobody, they go to all instances. */
  readonly routes: readonly HeldRule[];
}

/** Instances with the same labels. */
export interface DescribedInstances {
  readonly workloads: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly accounts: readonly string[];
  /** By port of the instance: PERMISSIVE, STRICT or DISABLE. */
  readonly mutualTls: Readonly<Record<string, string>>;
  readonly rules: readonly HeldRule[];
}

export interface ServiceDescription {
  readonly host: string;
  readonly namespace: string;
  readonly kind: string;
  readonly resolution: string;
  /** Empty: nobody wrote it down, it joined. */
  readonly place: string;
  readonly from: string;
  /** It is exported to `from`, and no Sidecar hides it. */
  readonly isSeen: boolean;
  readonly ports: readonly DescribedPort[];
  /** How callers send: the DestinationRule, and what is for the service by name. */
  readonly sending: readonly HeldRule[];
  readonly instances: readonly DescribedInstances[];
}

/** `name`: a host, `name.namespace`, or a name in `from`. A text says that there is none, and what may be meant. */
export function describeService(snapshot: Snapshot, name: string, from: string): ServiceDescription | string {
  const scope = new Scope(snapshot, { namespace: from, labels: new Map(), mode: 'redirect' });
  const host = scope.fullHost(name, from);
  const service = snapshot.services.get(host);
  if (service === undefined) {
    const guess = likelyHost(name, host, snapshot);
    return `there is no service ${host}${guess === null ? '' : `; did you mean ${guess}?`}`;
  }
  return {
    host,
    namespace: service.namespace,
    kind: service.kind,
    resolution: service.resolution,
    place: service.source === null ? '' : formatPlace(service.source.place),
    from,
    isSeen: scope.service(host) !== null,
    ports: service.ports.map((port) => portOf(service, port, scope)),
    sending: sendingTo(service, scope),
    instances: instancesOf(service, snapshot),
  };
}

/** Of the same name elsewhere, or spelled nearly so. */
function likelyHost(name: string, host: string, { services }: Snapshot): string | null {
  const elsewhere = [...services.values()].find((known) => known.name === name);
  if (elsewhere !== undefined) return elsewhere.host;
  const short = new Map([...services.values()].map((known) => [`${known.name}.${known.namespace}`, known.host]));
  const spelled = nearest(name, [...short.keys()]);
  return (spelled === null ? null : short.get(spelled)) ?? nearest(host, [...services.keys()]);
}

function portOf(service: MeshService, port: MeshPort, scope: Scope): DescribedPort {
  const endpoints = service.endpoints.get(port.number) ?? [];
  return {
    number: port.number,
    name: port.name,
    protocol: port.isGuessed ? `${port.protocol} (by its first bytes)` : port.protocol,
    instances: endpoints.length,
    meshed: endpoints.filter(({ isMeshed }) => isMeshed).length,
    routes: routesOf(service, port, scope),
  };
}

/** As requests are routed: HTTPRoutes replace a VirtualService. */
function routesOf(service: MeshService, port: MeshPort, scope: Scope): readonly HeldRule[] {
  const attached = scope.httpRoutesFor(service, port);
  if (attached.length > 0) return attached.map((route) => held(route, countOf(route.spec.rules.length, 'rule')));
  const rule = scope.virtualServiceFor(service.host);
  if (rule === null) return [];
  const { http, tcp, tls } = rule.spec;
  const parts = [
    [isHttp(port.protocol) ? http.length : 0, 'HTTP rule'],
    [isHttp(port.protocol) ? 0 : tcp.length, 'TCP rule'],
    [isHttp(port.protocol) ? 0 : tls.length, 'TLS rule'],
  ] as const;
  const told = parts.flatMap(([count, word]) => (count === 0 ? [] : [countOf(count, word)]));
  return told.length === 0 ? [] : [held(rule, told.join(', '))];
}

function sendingTo(service: MeshService, scope: Scope): readonly HeldRule[] {
  const { snapshot } = scope;
  const rule = scope.ruleFor(service.host);
  const subsets = rule?.spec.subsets.map(({ name }) => name) ?? [];
  const kind = service.kind === 'entry' ? 'ServiceEntry' : 'Service';
  const named = service.kind === 'entry' ? service.meta.name : service.name;
  const policies = snapshot.resilience.policies.filter(
    ({ meta, spec }) =>
      meta.namespace === service.namespace &&
      spec.targets.some((target) => target.kind === kind && target.name === named),
  );
  return [
    ...(rule === null ? [] : [held(rule, subsets.length === 0 ? 'how to send' : `subsets ${subsets.join(', ')}`)]),
    ...policies.map((policy) => held(policy, policy.spec.sections.map((section) => section.kind).join(', '))),
  ];
}

function instancesOf(service: MeshService, snapshot: Snapshot): readonly DescribedInstances[] {
  const groups = new Map<string, MeshEndpoint[]>();
  for (const endpoint of [...service.endpoints.values()].flat()) {
    const key = `${endpoint.namespace} ${JSON.stringify([...endpoint.labels].toSorted(byName))}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [endpoint]);
    else group.push(endpoint);
  }
  return [...groups.values()].flatMap((endpoints) => {
    const [first] = endpoints;
    return first === undefined ? [] : [instancesLike(first, endpoints, { service, snapshot })];
  });
}

function instancesLike(
  { namespace, labels }: MeshEndpoint,
  endpoints: readonly MeshEndpoint[],
  { service, snapshot }: { readonly service: MeshService; readonly snapshot: Snapshot },
): DescribedInstances {
  const { authorizationPolicies, requestAuthentications, rateLimits, peerAuthentications, mesh } = snapshot;
  const node = { namespace, labels };
  const scope = { rootNamespace: mesh.rootNamespace, services: new Set([service.name]) };
  const ports = [...new Set(endpoints.map(({ port }) => port))].toSorted((left, right) => left - right);
  const limits = rateLimits.filter(
    ({ meta, spec }) =>
      meta.namespace === namespace &&
      (spec.targets.length === 0
        ? [...(spec.labels ?? [])].every(([name, value]) => labels.get(name) === value)
        : spec.targets.some(({ kind, name }) => kind === 'Service' && name === service.name)),
  );
  return {
    workloads: [...new Set(endpoints.map((endpoint) => endpoint.workload))].toSorted(),
    labels: Object.fromEntries([...labels].toSorted(byName)),
    accounts: [...new Set(endpoints.map(({ serviceAccount }) => serviceAccount))].filter(Boolean).toSorted(),
    mutualTls: Object.fromEntries(ports.map((port) => [String(port), peerAuthentications.modeOf(node, port)])),
    rules: [
      ...policiesOf(requestAuthentications, node, scope).map(({ policy, level }) =>
        held(policy, `tokens of ${policy.spec.rules.map(({ issuer }) => issuer).join(', ')}, for the ${level}`),
      ),
      ...policiesOf(authorizationPolicies, node, scope).map(({ policy, level }) =>
        held(policy, `${policy.spec.action}, for the ${level}`),
      ),
      ...limits.map((policy) => held(policy, 'limits requests')),
    ],
  };
}

function held({ kind, meta, source }: Pick<Resource, 'kind' | 'meta' | 'source'>, does: string): HeldRule {
  return { kind, namespace: meta.namespace, name: meta.name, place: formatPlace(source.place), does };
}

function countOf(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}

function byName([left]: readonly [string, string], [right]: readonly [string, string]): number {
  return left < right ? -1 : Number(left > right);
}

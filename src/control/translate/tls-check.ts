// DestinationRules whose `tls` does not fit what the servers take by their PeerAuthentications: calls that nobody will
// answer. They are warnings: the rule is in force, and the servers refuse. Where instances are known, those that have a
// sidecar decide; where none are, the labels that the Service chooses its pods by.
import { warning, type Problem } from '../../base/problem.ts';
import type { ClientTls, TrafficPolicy } from '../../config/destination-rule.ts';
import type { MtlsMode } from '../../config/peer-authentication.ts';
import type { DestinationRule } from '../../config/resource.ts';
import type { MeshEndpoint, MeshPort, MeshService } from '../mesh-service.ts';
import { selects, takesMtls } from '../mesh-service.ts';
import { ANY_PORT, type Chosen } from '../peer-authentications.ts';
import type { Scope } from '../scope.ts';
import type { Snapshot } from '../snapshot.ts';

/** One `tls` of a rule. */
export interface Written {
  readonly path: string;
  readonly tls: ClientTls;
  /** Null: all ports but those that have their own. */
  readonly port: number | null;
  readonly others: ReadonlySet<number>;
  /** Of the subset; empty: all instances. */
  readonly labels: ReadonlyMap<string, string>;
}

export function checkTls(rule: DestinationRule, scope: Scope): readonly Problem[] {
  const all = writtenIn(rule);
  if (all.length === 0) return [];
  const services = servicesOf(rule, scope).filter(({ host }) => scope.ruleFor(host) === rule);
  return all.flatMap((written) => {
    const [first] = services.flatMap((service) => faultsOf(written, service, scope.snapshot));
    if (first === undefined) return [];
    const remedy =
      written.tls.mode === 'ISTIO_MUTUAL'
        ? 'remove tls, or let the server take mutual TLS'
        : 'write ISTIO_MUTUAL, or remove tls';
    const path = `${written.path}.tls.mode`;
    return [warning(path, first, remedy, rule.source.locate(path))];
  });
}

function servicesOf({ spec, meta }: DestinationRule, scope: Scope): readonly MeshService[] {
  const host = scope.fullHost(spec.host, meta.namespace);
  if (host.startsWith('*')) return [...scope.services.values()].filter((one) => one.host.endsWith(host.slice(1)));
  const service = scope.service(host);
  return service === null ? [] : [service];
}

/** Every `tls` of a rule. */
export function writtenIn({ spec }: DestinationRule): readonly Written[] {
  return [
    ...ofPolicy(spec.policy, 'spec.trafficPolicy', new Map()),
    ...spec.subsets.flatMap(({ policy, labels }, index) =>
      ofPolicy(policy, `spec.subsets[${index}].trafficPolicy`, labels),
    ),
  ];
}

function ofPolicy(policy: TrafficPolicy | null, path: string, labels: ReadonlyMap<string, string>): readonly Written[] {
  if (policy === null) return [];
  const ofPorts = [...policy.ports].flatMap(([port, { tls }], index) =>
    tls === null ? [] : [{ path: `${path}.portLevelSettings[${index}]`, tls, port, others: new Set<number>(), labels }],
  );
  const { tls } = policy;
  // A port's own settings do not inherit.
  const others = new Set(policy.ports.keys());
  return tls === null ? ofPorts : [{ path, tls, port: null, others, labels }, ...ofPorts];
}

function faultsOf(written: Written, service: MeshService, snapshot: Snapshot): readonly string[] {
  const { tls, port: only, others, labels } = written;
  return service.ports
    .filter(({ number }) => (only === null ? !others.has(number) : number === only))
    .flatMap((port) => {
      const modes = modesOf(service, port, labels, snapshot);
      const to = `${service.host}:${port.number}`;
      if (tls.mode === 'ISTIO_MUTUAL')
        return modes.includes('DISABLE') ? [`${to} takes no mutual TLS by its PeerAuthentication`] : [];
      return modes.includes('STRICT')
        ? [`${to} takes only mutual TLS of the mesh by its PeerAuthentication, and refuses ${tls.mode}`]
        : [];
    });
}

function modesOf(
  service: MeshService,
  port: MeshPort,
  labels: ReadonlyMap<string, string>,
  snapshot: Snapshot,
): readonly MtlsMode[] {
  const { peerAuthentications: authentications } = snapshot;
  const endpoints = (service.endpoints.get(port.number) ?? []).filter((endpoint) => selects(labels, endpoint.labels));
  if (endpoints.length > 0)
    return endpoints
      .filter((endpoint) => takesMtls(endpoint.labels))
      .map((endpoint) => authentications.modeOf(endpoint, workloadPort(endpoint, snapshot)));
  if (service.kind !== 'service' || service.selector.size === 0) return [];
  const chosen: Chosen = { namespace: service.namespace, labels: new Map([...service.selector, ...labels]) };
  // Which port of the pods it would be is not known, so one that differs leaves it open.
  const modes = [ANY_PORT, ...authentications.portsOf(chosen)].map((each) => authentications.modeOf(chosen, each));
  return new Set(modes).size === 1 ? modes : [];
}

/** In explicit mode others reach the sidecar at a port of its own. */
function workloadPort({ address, port }: MeshEndpoint, { workloads }: Snapshot): number {
  const apps = workloads.filter(({ ip }) => ip === address).flatMap((node) => node.apps);
  return apps.find((app) => app.inboundPort === port)?.port ?? port;
}

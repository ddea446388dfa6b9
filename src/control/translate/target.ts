// Where a rule sends a request: a host, subset and port become the name of a cluster. A target that does
// not exist keeps its name, so the request is answered with NC, and a Problem says why.
import { unresolved, type Problem } from '../../base/problem.ts';
import type { Destination } from '../../config/virtual-service-destination.ts';
import type { Source } from '../../config/meta.ts';
import type { VirtualService } from '../../config/resource.ts';
import { nearest } from '../../config/spelling.ts';
import { clusterName } from '../mesh-service.ts';
import type { MeshService } from '../mesh-service.ts';
import type { Scope } from '../scope.ts';
import type { EffectivePolicy } from '../../config/destination-rule.ts';
import { policyFor } from './traffic-policy.ts';

export interface Target {
  readonly cluster: string;
  readonly host: string;
  readonly port: number;
  readonly policy: EffectivePolicy | null;
}

export interface TargetRequest {
  readonly destination: Destination;
  /** The namespace of the rule. */
  readonly namespace: string;
  /** The port of the host that the rule is translated for: a destination without a port takes it. */
  readonly listenedPort: number;
  readonly scope: Scope;
}

export function targetOf({ destination, namespace, listenedPort, scope }: TargetRequest): Target {
  const host = scope.fullHost(destination.host, namespace);
  const service = scope.snapshot.services.get(host) ?? null;
  const port = destination.port === 0 ? portOf(service, listenedPort) : destination.port;
  return {
    cluster: clusterName('outbound', port, destination.subset, host),
    host,
    port,
    policy: policyFor(scope, host, destination.subset, port),
  };
}

/** The only port of a service, else the one that the request was sent to (Istio's getDestinationCluster). */
function portOf(service: MeshService | null, listenedPort: number): number {
  const [only] = service?.ports ?? [];
  return service !== null && service.ports.length === 1 && only !== undefined ? only.number : listenedPort;
}

/** What is wrong with a destination, as warnings at its place. */
export function checkDestination(
  destination: Destination,
  namespace: string,
  scope: Scope,
  at: { readonly source: Source; readonly path: string },
): readonly Problem[] {
  const warn = (field: string, message: string, remedy: string): Problem => {
    const path = `${at.path}.${field}`;
    return unresolved({ severity: 'warning', path, message, remedy, place: at.source.locate(path) });
  };
  if (destination.host === '') return [];
  const host = scope.fullHost(destination.host, namespace);
  const service = scope.snapshot.services.get(host);
  if (service === undefined) {
    const guess = nearest(destination.host, namesFor(namespace, scope));
    return [
      warn(
        'host',
        `no service is named ${host}; requests that go there are answered with 503`,
        guess === null ? 'add a Service or a ServiceEntry for it' : `did you mean ${guess}?`,
      ),
    ];
  }
  const problems: Problem[] = [];
  if (destination.port !== 0 && !service.ports.some((port) => port.number === destination.port))
    problems.push(
      warn(
        'port',
        `${host} has no port ${destination.port}`,
        `write one of ${service.ports.map((port) => port.number).join(', ')}`,
      ),
    );
  if (destination.subset !== '') {
    const subsets = scope.ruleFor(host)?.spec.subsets ?? [];
    if (!subsets.some((subset) => subset.name === destination.subset)) {
      const guess = nearest(
        destination.subset,
        subsets.map((subset) => subset.name),
      );
      const remedy = guess === null ? 'add it to a DestinationRule for the host' : `did you mean ${guess}?`;
      problems.push(
        warn(
          'subset',
          `no DestinationRule defines the subset ${destination.subset} of ${host}; requests that go there are answered with 503`,
          remedy,
        ),
      );
    }
  }
  return problems;
}

/** Hosts of a VirtualService that no service has: the rule waits for nothing, or for a name that is spelled differently. */
export function checkHosts(rule: VirtualService, scope: Scope): readonly Problem[] {
  const { hosts, gateways } = rule.spec;
  if (gateways.length > 0 && !gateways.includes('mesh')) return [];
  const problems: Problem[] = [];
  for (const [index, host] of hosts.entries()) {
    const full = scope.fullHost(host, rule.meta.namespace);
    if (full.includes('*') || scope.snapshot.services.has(full)) continue;
    const path = `spec.hosts[${index}]`;
    const guess = nearest(host, namesFor(rule.meta.namespace, scope));
    problems.push({
      severity: 'warning',
      path,
      message: `no service is named ${full}; the rules hold for requests to that name on port 80 only`,
      remedy: guess === null ? 'add a Service or a ServiceEntry for it' : `did you mean ${guess}?`,
      place: rule.source.locate(path),
    });
  }
  return problems;
}

/** How rules of a namespace may name each service. */
function namesFor(namespace: string, scope: Scope): readonly string[] {
  return [...scope.snapshot.services.values()].map((known) =>
    known.kind !== 'entry' && known.namespace === namespace ? known.name : known.host,
  );
}

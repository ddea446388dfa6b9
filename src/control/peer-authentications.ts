// Whether a port of a workload takes mutual TLS, plaintext or both: what the narrowest PeerAuthentication says that
// says anything, of one level the oldest. Without any it is both.
// Source: Istio security/v1beta1 PeerAuthentication, pilot ComposePeerAuthentication.
import type { Problem } from '../base/problem.ts';
import type { MtlsMode } from '../config/peer-authentication.ts';
import type { PeerAuthentication } from '../config/resource.ts';
import type { MeshNode } from './mesh-node.ts';
import { selects } from './mesh-service.ts';

/** Of ports that nobody declared. */
export const ANY_PORT = 0;

/** What a workload is chosen by. */
export type Chosen = Pick<MeshNode, 'namespace' | 'labels'>;

export class PeerAuthentications {
  readonly problems: readonly Problem[];
  readonly #mesh: PeerAuthentication | null;
  readonly #namespaces = new Map<string, PeerAuthentication>();
  /** By namespace, oldest first. */
  readonly #selecting = new Map<string, PeerAuthentication[]>();

  /** `policies`: oldest first. */
  constructor(policies: readonly PeerAuthentication[], rootNamespace: string) {
    const problems: Problem[] = [];
    let mesh: PeerAuthentication | null = null;
    for (const policy of policies) {
      const { namespace } = policy.meta;
      const isSelecting = policy.spec.selector.labels !== null;
      if (isSelecting && namespace === rootNamespace) {
        problems.push(
          problemOf(
            policy,
            'spec.selector',
            'has no effect in the root namespace',
            'move it to the namespace of the workloads',
          ),
        );
      } else if (isSelecting) {
        const known = this.#selecting.get(namespace);
        if (known === undefined) this.#selecting.set(namespace, [policy]);
        else {
          const rival = known.find(({ spec }) => isSame(spec.selector.labels, policy.spec.selector.labels));
          if (rival !== undefined) problems.push(losesTo(policy, rival));
          known.push(policy);
        }
      } else {
        const rival = namespace === rootNamespace ? mesh : (this.#namespaces.get(namespace) ?? null);
        if (rival !== null) problems.push(losesTo(policy, rival));
        else if (namespace === rootNamespace) mesh = policy;
        else this.#namespaces.set(namespace, policy);
      }
    }
    this.#mesh = mesh;
    this.problems = problems;
  }

  /** `port`: of the workload itself; ANY_PORT: of ports that nobody declared. */
  modeOf({ namespace, labels }: Chosen, port: number): MtlsMode {
    const own = this.#own({ namespace, labels });
    return (
      own?.spec.ports.get(port) ??
      own?.spec.mode ??
      this.#namespaces.get(namespace)?.spec.mode ??
      this.#mesh?.spec.mode ??
      'PERMISSIVE'
    );
  }

  /** The ports of a workload that have a mode of their own. */
  portsOf(workload: Chosen): readonly number[] {
    return [...(this.#own(workload)?.spec.ports.keys() ?? [])];
  }

  #own({ namespace, labels }: Chosen): PeerAuthentication | undefined {
    return this.#selecting.get(namespace)?.find(({ spec }) => selects(spec.selector.labels ?? new Map(), labels));
  }
}

function losesTo(policy: PeerAuthentication, rival: PeerAuthentication): Problem {
  const text = `the older PeerAuthentication ${rival.meta.namespace}/${rival.meta.name} says it for the same workloads; this one has no effect`;
  return problemOf(policy, '', text, 'join the two');
}

function problemOf({ source }: PeerAuthentication, path: string, message: string, remedy: string): Problem {
  return { severity: 'warning', path, message, remedy, place: source.locate(path) };
}

function isSame(left: ReadonlyMap<string, string> | null, right: ReadonlyMap<string, string> | null): boolean {
  if (left === null || right === null || left.size !== right.size) return false;
  return [...left].every(([name, value]) => right.get(name) === value);
}

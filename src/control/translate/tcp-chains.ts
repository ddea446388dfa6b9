// Where captured TCP connections to one port of a service go: the `tcp` or `tls` rules of its VirtualService as
// conditions on the address that the app chose and the name that it says in TLS, in the order of the rules.
//
//   port speaks TLS ──► tls rules, else its host as the name, or any when it has an address of its own
//   port speaks TCP ──► tcp rules, else any
import type { TcpDestination, TcpMatch, TcpRule } from '../../config/virtual-service-tcp.ts';
import type { VirtualService } from '../../config/resource.ts';
import { clusterName, selects } from '../mesh-service.ts';
import type { MeshPort, MeshService } from '../mesh-service.ts';
import type { MeshNode } from '../mesh-node.ts';
import type { Scope } from '../scope.ts';
import { targetOf } from './target.ts';
import type { Target } from './target.ts';
import { policyFor } from './traffic-policy.ts';

export interface TcpShare {
  readonly cluster: string;
  readonly weight: number;
}

export interface TcpChain {
  /** Names in the TLS client hello; empty is any connection. */
  readonly serverNames: readonly string[];
  /** `address/length`; empty is any address. */
  readonly ranges: readonly string[];
  readonly shares: readonly TcpShare[];
  /** Of the first destination's policy; null is the default. */
  readonly idleTimeoutMs: number | null;
}

export interface ChainContext {
  readonly scope: Scope;
  readonly node: Pick<MeshNode, 'namespace' | 'labels'>;
  /** The listener has an address that only this service has. */
  readonly isOwnAddress: boolean;
}

export function tcpChains(service: MeshService, port: MeshPort, context: ChainContext): readonly TcpChain[] {
  const rule = context.scope.virtualServiceFor(service.host);
  const ranges = context.isOwnAddress ? [] : service.ranges;
  const chains = rule === null ? [] : ruleChains(rule, { ...context, port, ranges });
  if (port.isTls && chains.length > 0) return chains;
  if (chains.some((chain) => chain.serverNames.length === 0 && chain.ranges.join() === ranges.join())) return chains;
  const shares = [{ cluster: clusterName('outbound', port.number, '', service.host), weight: 1 }];
  const serverNames = port.isTls && !context.isOwnAddress ? [service.host.toLowerCase()] : [];
  const policy = policyFor(context.scope, service.host, '', port.number);
  const idleTimeoutMs = policy?.connectionPool?.tcpIdleTimeoutMs ?? null;
  return [...chains, { serverNames, ranges, shares, idleTimeoutMs }];
}

interface RuleContext extends ChainContext {
  readonly port: MeshPort;
  readonly ranges: readonly string[];
}

function ruleChains(service: VirtualService, context: RuleContext): readonly TcpChain[] {
  const { port, ranges, scope } = context;
  const rules: readonly TcpRule[] = port.isTls ? service.spec.tls : service.spec.tcp;
  const chains: TcpChain[] = [];
  for (const rule of rules) {
    const { shares, idleTimeoutMs } = wayOf(rule.route, service, { scope, port });
    if (rule.matches.length === 0) return [...chains, { serverNames: [], ranges, shares, idleTimeoutMs }];
    for (const match of rule.matches) {
      if (!isForUs(match, context)) continue;
      const chosen = match.ranges.length > 0 ? match.ranges : ranges;
      // `*` is every name, and Envoy has no name for that.
      const serverNames = match.serverNames.includes('*') ? [] : match.serverNames;
      chains.push({ serverNames, ranges: chosen, shares, idleTimeoutMs });
    }
  }
  return chains;
}

function isForUs(match: TcpMatch, { node, port }: RuleContext): boolean {
  if (match.port !== 0 && match.port !== port.number) return false;
  if (match.gateways.length > 0 && !match.gateways.includes('mesh')) return false;
  if (match.sourceNamespace !== '' && match.sourceNamespace !== node.namespace) return false;
  return selects(match.sourceLabels, node.labels);
}

function wayOf(
  route: readonly TcpDestination[],
  service: VirtualService,
  { scope, port }: { readonly scope: Scope; readonly port: MeshPort },
): Pick<TcpChain, 'shares' | 'idleTimeoutMs'> {
  const target = ({ destination }: TcpDestination): Target =>
    targetOf({ destination, namespace: service.meta.namespace, listenedPort: port.number, scope });
  const [first] = route;
  const idleTimeoutMs = first === undefined ? null : (target(first).policy?.connectionPool?.tcpIdleTimeoutMs ?? null);
  if (route.length === 1 && first !== undefined)
    return { shares: [{ cluster: target(first).cluster, weight: 1 }], idleTimeoutMs };
  const weighted = route.filter((entry) => entry.weight > 0);
  return { shares: weighted.map((entry) => ({ cluster: target(entry).cluster, weight: entry.weight })), idleTimeoutMs };
}

// Compiles what a listener does with a connection before a protocol is served: listener filters, their time
// and the match of filter chains. Nothing is compiled for a listener whose only chain takes everything and
// that has no filter: its connections go straight there.
import { error, warning } from '../base/problem.ts';
import { compileAccessLog } from '../observe/access-log.ts';
import { EMPTY } from '../plan/plan.ts';
import { ProxyProtocolConfig_Version } from '../xds/gen/envoy/config/core/v3/proxy_protocol_pb.js';
import type {
  ListenerFilter as ListenerFilterProto,
  ListenerFilterChainMatchPredicate,
} from '../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import type { Listener } from '../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { HttpInspectorSchema } from '../xds/gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js';
import { OriginalDstSchema } from '../xds/gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.js';
import { ProxyProtocolSchema } from '../xds/gen/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.js';
import { TlsInspectorSchema } from '../xds/gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js';
import { typeNameOf, unpack } from '../xds/unpack.ts';
import type { ArrivalPlan, ListenerFilter, PortPredicate } from './arrival/arrival-plan.ts';
import { FilterChainMatch, type ChainRule } from './arrival/filter-chain-match.ts';
import { isEveryConnection, needsHello } from './compile-chain-match.ts';
import { durationMs } from './compile-duration.ts';
import { join, type CompileScope } from './compile-listener.ts';
import type { FilterChain } from './listener-config.ts';

const FILTERS_TIMEOUT_MS = 15_000;
/** Long enough for a client of the same cluster to have spoken, short enough that nobody notices. */
const DETECTION_GRACE_MS = 100;
/** Runtime key: milliseconds; below 0 a silent client is waited for until the filters' time is over. */
const GRACE_KEY = 'outrigger.protocol_detection_grace_ms';

export interface MatchedChain {
  readonly chain: FilterChain;
  readonly rule: ChainRule;
  readonly path: string;
}

export interface ArrivalParts {
  readonly chains: readonly MatchedChain[];
  readonly defaultChain: FilterChain | null;
}

/** Null: every connection goes to the one chain at once. */
export function compileArrival(
  listener: Listener,
  { chains, defaultChain }: ArrivalParts,
  scope: CompileScope,
): ArrivalPlan<FilterChain> | null {
  const { env, context } = scope;
  const filters = compileFilters(listener, scope);
  if (chains.some(({ rule }) => needsHello(rule)) && !filters.some(({ kind }) => kind === 'tls-inspector')) {
    const text = 'filter chains ask for what only a TLS inspector finds: one is added';
    env.problems.push(warning(join(scope.path, 'listener_filters'), text));
    filters.push({ kind: 'tls-inspector', isSkipped: null });
  }
  const match = compileMatch(chains, scope);
  const isPlain = chains.every(({ rule }) => isEveryConnection(rule));
  const log = compileAccessLog(listener.accessLog, env, join(scope.path, 'access_log'), context.logFiles);
  if (filters.length === 0 && isPlain) return null;
  return Object.freeze({
    filters,
    timeoutMs: durationMs(listener.listenerFiltersTimeout, FILTERS_TIMEOUT_MS),
    continuesOnTimeout: listener.continueOnListenerFiltersTimeout,
    match,
    defaultChain,
    graceMs: env.runtimeNumber(GRACE_KEY, DETECTION_GRACE_MS),
    tally: context.stats.arrival,
    onEnd: log?.onEnd ?? EMPTY,
  });
}

function compileMatch(chains: readonly MatchedChain[], { env }: CompileScope): FilterChainMatch<FilterChain> {
  const match = new FilterChainMatch<FilterChain>();
  for (const { chain, rule, path } of chains) {
    const clash = match.add(rule, chain);
    if (clash === null) continue;
    const other = chains.find((candidate) => candidate.chain === clash);
    const text = `takes connections that ${other?.path ?? 'another chain'} takes`;
    env.problems.push(error(join(path, 'filter_chain_match'), text, 'make one of them more specific, or remove it'));
  }
  return match;
}

function compileFilters(listener: Listener, scope: CompileScope): ListenerFilter[] {
  const filters = listener.listenerFilters.flatMap((filter, index) => {
    const compiled = compileFilter(filter, { ...scope, path: join(scope.path, `listener_filters[${index}]`) });
    return compiled === null ? [] : [compiled];
  });
  const isRestored = filters.some(({ kind }) => kind === 'original-dst');
  if (listener.useOriginalDst === true && !isRestored) {
    filters.unshift({ kind: 'original-dst', isSkipped: null });
  }
  return filters;
}

function compileFilter(filter: ListenerFilterProto, scope: CompileScope): ListenerFilter | null {
  const { env, path } = scope;
  const any = filter.configType.case === 'typedConfig' ? filter.configType.value : null;
  const isSkipped = compilePredicate(filter.filterDisabled);
  // Filters of Envoy's own names may stand without a configuration.
  const type = any === null ? BY_NAME.get(filter.name) : typeNameOf(any);
  switch (type) {
    case OriginalDstSchema.typeName:
      return { kind: 'original-dst', isSkipped };
    case TlsInspectorSchema.typeName:
      return { kind: 'tls-inspector', isSkipped };
    case HttpInspectorSchema.typeName:
      return { kind: 'http-inspector', isSkipped };
    case ProxyProtocolSchema.typeName: {
      const config = any === null ? null : unpack(any, ProxyProtocolSchema);
      return {
        kind: 'proxy-protocol',
        isSkipped,
        allowsAbsent: config?.allowRequestsWithoutProxyProtocol ?? false,
        refusedVersions:
          config?.disallowedVersions.map((one) => (one === ProxyProtocolConfig_Version.V1 ? 1 : 2)) ?? [],
      };
    }
    default: {
      const what = type ?? JSON.stringify(filter.name);
      env.problems.push(error(path, `${what} is not a listener filter that is supported`, 'remove it'));
      return null;
    }
  }
}

const BY_NAME: ReadonlyMap<string, string> = new Map([
  ['envoy.filters.listener.original_dst', OriginalDstSchema.typeName],
  ['envoy.filters.listener.tls_inspector', TlsInspectorSchema.typeName],
  ['envoy.filters.listener.http_inspector', HttpInspectorSchema.typeName],
  ['envoy.filters.listener.proxy_protocol', ProxyProtocolSchema.typeName],
]);

function compilePredicate(predicate: ListenerFilterChainMatchPredicate | undefined): PortPredicate | null {
  const rule = predicate?.rule;
  switch (rule?.case) {
    case 'anyMatch':
      return () => true;
    case 'destinationPortRange': {
      const { start, end } = rule.value;
      return (port) => port >= start && port < end;
    }
    case 'notMatch': {
      const one = compilePredicate(rule.value) ?? never;
      return (port) => !one(port);
    }
    case 'orMatch': {
      const all = rule.value.rules.map((one) => compilePredicate(one) ?? never);
      return (port) => all.some((one) => one(port));
    }
    case 'andMatch': {
      const all = rule.value.rules.map((one) => compilePredicate(one) ?? never);
      return (port) => all.every((one) => one(port));
    }
    default:
      return null;
  }
}

function never(): boolean {
  return false;
}

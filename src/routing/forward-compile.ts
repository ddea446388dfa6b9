// Compiles a RouteAction into the steps of its route: timeouts, where to, mirrors, and the rewrites.
// Source: Envoy RouteAction and WeightedCluster.
import { assertNever } from '../base/assert.ts';
import type { JsonObject } from '@bufbuild/protobuf';
import { error, warning, type Problem } from '../base/problem.ts';
import { UNKNOWN, internHeader } from '../http/header-name.ts';
import { headerSource } from '../plan/header-source.ts';
import { EMPTY, type CompileEnv, type Origin, type Step } from '../plan/plan.ts';
import { step } from '../plan/step.ts';
import { wireText } from '../plan/wire-text.ts';
import { RoutingPriority } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import {
  RouteAction_ClusterNotFoundResponseCode as NotFoundCode,
  type RouteAction,
  type WeightedCluster,
  type WeightedCluster_ClusterWeight as ClusterWeight,
} from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import {
  runCluster,
  runClusterHeader,
  runGrpcLimit,
  runHighPriority,
  runGrpcTimeout,
  runRequire,
  runTellLimit,
  runSplit,
  runSplitHost,
  runTimes,
  type ForwardByHeader,
  type NotFound,
  type Split,
  type SplitTarget,
} from './forward.ts';
import type { HashPolicies } from './hash-policy.ts';
import { editSplitRequest, type HeaderEdits, type ResponseEdits } from '../plan/header-edits.ts';
import { subsetSteps } from './subset-steps.ts';
import { compileHeaderEdits } from '../plan/header-edits-compile.ts';
import { addStickyCookie } from './sticky-split.ts';
import { compileStickySplit } from './sticky-split-compile.ts';

/** Envoy RouteAction.timeout. */
export const ROUTE_TIMEOUT_MS = 15_000;
const WEIGHT_SUM_MAX = 4_294_967_295;

export interface ForwardContext {
  readonly env: CompileEnv;
  readonly origin: Origin;
  /** Response edits of the levels around the cluster, in their order. */
  readonly response: readonly HeaderEdits[];
  /** True: what has no live cluster is answered after the filters, not by the choice itself. */
  readonly isDeferred: boolean;
  /** The route's hash policies; null when it hashes nothing. */
  readonly hash: HashPolicies | null;
  /** The route's metadata of our own (`outrigger`). */
  readonly own: JsonObject | undefined;
}

/** The steps that choose the cluster; a weighted cluster's own edits come with them. */
export interface ForwardParts {
  readonly choose: readonly Step[];
  /** Answers what has no live cluster where the choice did not. */
  readonly require: readonly Step[];
  readonly splitRequest: readonly Step[];
  readonly onResponse: readonly Step[];
  readonly edits: ResponseEdits;
}

const NOTHING: ForwardParts = {
  choose: EMPTY,
  require: EMPTY,
  splitRequest: EMPTY,
  onResponse: EMPTY,
  edits: { bySplit: [], levels: [] },
};

export function compileForward(action: RouteAction, context: ForwardContext, path: string): ForwardParts {
  const { env, origin } = context;
  const { clusterSpecifier: specifier } = action;
  const edits: ResponseEdits = { bySplit: [], levels: context.response };
  const status = notFoundStatusOf(action.clusterNotFoundResponseCode, env.problems, path);
  const { isDeferred } = context;
  const notFound: NotFound = { status, edits, isDeferred };
  const require = isDeferred
    ? [step('require-cluster', origin, runRequire, { status, edits, isDeferred: false })]
    : EMPTY;
  const times = [...timeSteps(action, context, path), ...prioritySteps(action, origin)];
  const subset = subsetSteps(action, origin);
  switch (specifier.case) {
    case 'cluster': {
      if (specifier.value === '') return refuse(env, `${path}.cluster`, 'must not be empty');
      const to = env.clusterRef(specifier.value);
      return {
        ...NOTHING,
        edits,
        require,
        choose: [...times, step('cluster', origin, runCluster, { to, notFound }), ...subset],
      };
    }
    case 'clusterHeader': {
      if (specifier.value === '') return refuse(env, `${path}.cluster_header`, 'must not be empty');
      return {
        ...NOTHING,
        edits,
        require,
        choose: [
          ...times,
          step('cluster-by-header', origin, runClusterHeader, byHeader(specifier.value, notFound, env)),
          ...subset,
        ],
      };
    }
    case 'weightedClusters': {
      const parts = compileSplit(specifier.value, { ...context, status }, `${path}.weighted_clusters`);
      return { ...parts, require, choose: [...times, ...parts.choose, ...subset] };
    }
    case 'clusterSpecifierPlugin':
    case 'inlineClusterSpecifierPlugin':
      return refuse(env, path, 'cluster specifier plugins are not supported');
    case undefined:
      return refuse(env, path, 'names no cluster');
    default:
      return assertNever(specifier);
  }
}

function refuse(env: CompileEnv, path: string, message: string): ForwardParts {
  env.problems.push(error(path, message, 'set cluster, cluster_header or weighted_clusters'));
  return NOTHING;
}

function byHeader(name: string, notFound: NotFound, env: CompileEnv): ForwardByHeader {
  return { source: headerSource(name), clusterRef: env.clusterRef, known: new Map(), notFound };
}

function notFoundStatusOf(code: NotFoundCode, problems: Problem[], path: string): number {
  switch (code) {
    case NotFoundCode.SERVICE_UNAVAILABLE:
      return 503;
    case NotFoundCode.NOT_FOUND:
      return 404;
    case NotFoundCode.INTERNAL_SERVER_ERROR:
      return 500;
    default:
      problems.push(error(`${path}.cluster_not_found_response_code`, `has no meaning for ${String(code)}`));
      return 503;
  }
}

function timeSteps(action: RouteAction, context: ForwardContext, path: string): readonly Step[] {
  const { problems } = context.env;
  const timeoutMs = durationMs(action.timeout, problems, `${path}.timeout`) ?? ROUTE_TIMEOUT_MS;
  const idleTimeoutMs = durationMs(action.idleTimeout, problems, `${path}.idle_timeout`) ?? -1;
  const { maxStreamDuration } = action;
  if (maxStreamDuration === undefined) {
    const times = step('timeout', context.origin, runTimes, { timeoutMs, idleTimeoutMs, maxStreamDurationMs: -1 });
    const maxMs = durationMs(action.maxGrpcTimeout, problems, `${path}.max_grpc_timeout`);
    if (maxMs === null) return [times];
    const offsetMs = durationMs(action.grpcTimeoutOffset, problems, `${path}.grpc_timeout_offset`) ?? 0;
    return [times, step('grpc-timeout', context.origin, runGrpcTimeout, { maxMs, offsetMs })];
  }
  const { grpcTimeoutHeaderMax, grpcTimeoutHeaderOffset } = maxStreamDuration;
  const grpcAt = `${path}.max_stream_duration.grpc_timeout_header`;
  const maxMs = durationMs(grpcTimeoutHeaderMax, problems, `${grpcAt}_max`);
  const offsetMs = durationMs(grpcTimeoutHeaderOffset, problems, `${grpcAt}_offset`) ?? 0;
  const at = `${path}.max_stream_duration.max_stream_duration`;
  const maxStreamDurationMs = durationMs(maxStreamDuration.maxStreamDuration, problems, at) ?? -1;
  if (action.timeout !== undefined) {
    problems.push(warning(`${path}.timeout`, 'has no effect beside max_stream_duration', 'keep one of them'));
  }
  // Envoy's router arms no route timeout, neither the default nor one that is written, for such a route.
  const times = step('timeout', context.origin, runTimes, { timeoutMs: 0, idleTimeoutMs, maxStreamDurationMs });
  const tell = step('tell-grpc-timeout', context.origin, runTellLimit, null);
  if (maxMs === null) return [times, tell];
  return [times, step('grpc-timeout', context.origin, runGrpcLimit, { maxMs, offsetMs }), tell];
}

/** RouteAction.priority: HIGH counts against limits of its own (CircuitBreakers.Thresholds.priority). */
function prioritySteps({ priority }: RouteAction, origin: Origin): readonly Step[] {
  return priority === RoutingPriority.HIGH ? [step('priority-high', origin, runHighPriority, null)] : EMPTY;
}

interface DurationLike {
  readonly seconds: bigint;
  readonly nanos: number;
}

/** Whole milliseconds, rounded down; a duration above zero is at least one. Null when absent. */
function durationMs(duration: DurationLike | undefined, problems: Problem[], path: string): number | null {
  if (duration === undefined) return null;
  if (duration.seconds < 0n || duration.nanos < 0) {
    problems.push(error(path, 'must not be negative', 'use 0s for no timeout'));
    return null;
  }
  const ms = Number(duration.seconds) * 1000 + Math.floor(duration.nanos / 1e6);
  return ms === 0 && duration.nanos > 0 ? 1 : ms;
}

interface SplitContext extends ForwardContext {
  readonly status: number;
}

function compileSplit(config: WeightedCluster, context: SplitContext, path: string): ForwardParts {
  const { env, origin, status } = context;
  const targets: SplitTarget[] = [];
  const requestEdits: (HeaderEdits | null)[] = [];
  const responseEdits: (HeaderEdits | null)[] = [];
  const edits: ResponseEdits = { bySplit: responseEdits, levels: context.response };
  const notFound: NotFound = { status, edits, isDeferred: context.isDeferred };
  for (const [i, entry] of config.clusters.entries()) {
    const at = `${path}.clusters[${i}]`;
    targets.push(compileTarget(entry, config.runtimeKeyPrefix, { env, notFound }, at));
    requestEdits.push(compileHeaderEdits(entry, 'request', env.problems, at));
    responseEdits.push(compileHeaderEdits(entry, 'response', env.problems, at));
  }
  const totalWeight = checkWeights(config, targets, env.problems, path);
  const { randomValueSpecifier: value } = config;
  const header = value.case === 'headerName' ? value.value : '';
  const names = config.clusters.map(({ name, clusterHeader }) => name || clusterHeader);
  const sticky = compileStickySplit(context.own, names, env, path);
  const onResponse =
    sticky !== null && sticky.cookie !== '' ? [step('sticky-cookie', origin, addStickyCookie, sticky)] : EMPTY;
  const usesHash = value.case === 'useHashPolicy' && value.value;
  const split: Split = {
    targets,
    totalWeight,
    hasRuntimeKeys: config.runtimeKeyPrefix !== '',
    valueHeader: header === '' ? UNKNOWN : internHeader(header),
    hash: usesHash ? context.hash : null,
    sticky,
    weights: new Float64Array(targets.length),
    random: env.random,
    runtimeNumber: env.runtimeNumber,
    notFound,
  };
  const splitRequest: Step[] = [];
  if (requestEdits.some((edits) => edits !== null)) {
    splitRequest.push(step('edit-split-request', origin, editSplitRequest, { bySplit: requestEdits }));
  }
  if (targets.some((target) => target.host !== ''))
    splitRequest.push(step('rewrite-split-host', origin, runSplitHost, split));
  return { choose: [step('split', origin, runSplit, split)], require: EMPTY, splitRequest, onResponse, edits };
}

function compileTarget(
  entry: ClusterWeight,
  runtimeKeyPrefix: string,
  context: { readonly env: CompileEnv; readonly notFound: NotFound },
  path: string,
): SplitTarget {
  const { env, notFound } = context;
  if ((entry.name === '') === (entry.clusterHeader === '')) {
    env.problems.push(error(path, 'needs exactly one of name and cluster_header', 'name the cluster'));
  }
  if (entry.weight === undefined)
    env.problems.push(error(`${path}.weight`, 'is required', 'give a weight; 0 sends nothing there'));
  const host =
    entry.hostRewriteSpecifier.case === 'hostRewriteLiteral' ? wireText(entry.hostRewriteSpecifier.value) : '';
  return {
    to: entry.name === '' ? null : env.clusterRef(entry.name),
    byHeader: entry.clusterHeader === '' ? null : byHeader(entry.clusterHeader, notFound, env),
    weight: entry.weight ?? 0,
    runtimeKey: runtimeKeyPrefix === '' ? '' : `${runtimeKeyPrefix}.${entry.name}`,
    host,
  };
}

function checkWeights(
  config: WeightedCluster,
  targets: readonly SplitTarget[],
  problems: Problem[],
  path: string,
): number {
  let total = 0;
  for (const target of targets) total += target.weight;
  if (targets.length === 0) problems.push(error(`${path}.clusters`, 'must not be empty', 'list at least one cluster'));
  else if (total === 0)
    problems.push(error(path, 'the sum of weights must be greater than 0', 'give a weight to at least one cluster'));
  else if (total > WEIGHT_SUM_MAX)
    problems.push(error(path, `the sum of weights is above ${WEIGHT_SUM_MAX}`, 'use smaller weights'));
  if (config.totalWeight !== undefined && config.totalWeight > 0 && config.totalWeight !== total) {
    problems.push(
      error(
        `${path}.total_weight`,
        `is ${config.totalWeight}, the sum of weights is ${total}`,
        'leave total_weight out',
      ),
    );
  }
  return total;
}

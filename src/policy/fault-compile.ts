// Compiles Envoy's HTTPFault, as a filter of a connection manager and as settings of a route, into the steps of
// fault.ts. The faults under way are counted by filter, whatever settings they came from. What is not there:
// response_rate_limit (refused) and filter_metadata (a warning), both named in unsupported-fields.ts.
import type { Any } from '@bufbuild/protobuf/wkt';
import { error } from '../base/problem.ts';
import { compileHeaderMatch } from '../plan/header-match.ts';
import type { FilterScope, HttpFilter } from '../plan/http-filter.ts';
import type { CompileEnv, PlanPart, Step } from '../plan/plan.ts';
import { step } from '../plan/step.ts';
import type { FaultDelay as FaultDelayProto } from '../xds/gen/envoy/extensions/filters/common/fault/v3/fault_pb.js';
import {
  HTTPFaultSchema,
  type FaultAbort as FaultAbortProto,
  type HTTPFault,
} from '../xds/gen/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import {
  FractionalPercent_DenominatorType as Denominator,
  type FractionalPercent,
} from '../xds/gen/envoy/type/v3/percent_pb.js';
import { unpack } from '../xds/unpack.ts';
import {
  FAULT_STATS,
  endFault,
  runAbort,
  runDelay,
  type FaultAbort,
  type FaultDelay,
  type FaultSettings,
  type FaultShare,
  type FaultState,
} from './fault.ts';

const NAME = 'fault';
const CLUSTER_LABEL = 'envoy_fault_downstream_cluster';

/** As a CompileHttpFilter: Envoy's filter, before the router. */
export function compileFault(config: Any, scope: FilterScope): HttpFilter | null {
  return compileFaultFilter(config, scope, faultPart);
}

/** The filter whose settings `make` turns into steps, and what its routes may say. */
export function compileFaultFilter(
  config: Any,
  scope: FilterScope,
  make: (settings: FaultSettings, name: string) => PlanPart,
): HttpFilter | null {
  const message = unpack(config, HTTPFaultSchema);
  if (message === null) {
    scope.env.problems.push(error(scope.path, 'is no HTTPFault', 'write its fields'));
    return null;
  }
  const { env, clock, bit } = scope;
  const state: FaultState = Object.freeze({
    tally: scope.tally(NAME, FAULT_STATS),
    tallyOf: (value: string) => scope.tally(NAME, FAULT_STATS, { label: CLUSTER_LABEL, value }),
    budget: scope.limits.budget(`fault ${scope.statPrefix}`),
    clock,
    random: env.random,
    runtimeNumber: env.runtimeNumber,
    bit,
    toJSON: () => ({}),
  });
  const partOf = (fault: HTTPFault, own: CompileEnv, path: string): PlanPart | null => {
    const settings = compileFaultSettings(fault, state, own, path);
    return settings === null ? null : make(settings, scope.name);
  };
  const part = partOf(message, env, scope.path);
  if (part === null) return null;
  return {
    part,
    withSettings: (any, own, path) => {
      const fault = unpack(any, HTTPFaultSchema);
      return fault === null ? null : partOf(fault, own, path);
    },
  };
}

function faultPart(settings: FaultSettings, name: string): PlanPart {
  const onRequest: Step[] = [];
  if (settings.delay !== null) onRequest.push(step('fault-delay', name, runDelay, settings));
  if (settings.abort !== null) onRequest.push(step('fault-abort', name, runAbort, settings));
  if (onRequest.length === 0) return {};
  return { onRequest, onEnd: [step('fault', name, endFault, settings.state)] };
}

/** Null after reporting why the settings are refused. */
export function compileFaultSettings(
  config: HTTPFault,
  state: FaultState,
  env: CompileEnv,
  path: string,
): FaultSettings | null {
  const { problems } = env;
  const before = problems.length;
  const delay = config.delay === undefined ? null : compileDelay(config.delay, env, `${path}.delay`);
  const abort = config.abort === undefined ? null : compileAbort(config.abort, env, `${path}.abort`);
  const headers = config.headers.map((matcher, i) => compileHeaderMatch(matcher, problems, `${path}.headers[${i}]`));
  if (problems.slice(before).some(({ severity }) => severity === 'error')) return null;
  return {
    state,
    delay,
    abort,
    cluster: config.upstreamCluster,
    headers: headers.filter((predicate) => predicate !== null),
    nodes: config.downstreamNodes.length === 0 ? null : new Set(config.downstreamNodes),
    activeMax: config.maxActiveFaults ?? Number.POSITIVE_INFINITY,
    keys: {
      delayPercent: config.delayPercentRuntime || 'fault.http.delay.fixed_delay_percent',
      delayMs: config.delayDurationRuntime || 'fault.http.delay.fixed_duration_ms',
      abortPercent: config.abortPercentRuntime || 'fault.http.abort.abort_percent',
      abortStatus: config.abortHttpStatusRuntime || 'fault.http.abort.http_status',
      abortGrpcStatus: config.abortGrpcStatusRuntime || 'fault.http.abort.grpc_status',
      activeMax: config.maxActiveFaultsRuntime || 'fault.http.max_active_faults',
    },
    countsByCluster: !config.disableDownstreamClusterStats,
  };
}

function compileDelay(config: FaultDelayProto, env: CompileEnv, path: string): FaultDelay | null {
  const share = shareOf(config.percentage);
  switch (config.faultDelaySecifier.case) {
    case 'fixedDelay': {
      const { seconds, nanos } = config.faultDelaySecifier.value;
      const fixedMs = Math.floor(Number(seconds) * 1000 + nanos / 1e6);
      if (Number(seconds) * 1e9 + nanos > 0) return fixedMs === 0 ? null : { fixedMs, share };
      env.problems.push(error(`${path}.fixed_delay`, 'must be above 0', 'leave delay out'));
      return null;
    }
    case 'headerDelay':
      return { fixedMs: 0, share };
    default:
      env.problems.push(error(path, 'says no delay', 'write fixed_delay or header_delay'));
      return null;
  }
}

function compileAbort(config: FaultAbortProto, env: CompileEnv, path: string): FaultAbort | null {
  const share = shareOf(config.percentage);
  const { errorType } = config;
  switch (errorType.case) {
    case 'httpStatus':
      if (errorType.value >= 200 && errorType.value < 600) {
        return { status: errorType.value, grpcStatus: -1, isByHeader: false, share };
      }
      env.problems.push(error(`${path}.http_status`, `${errorType.value} is no status`, 'write 200 to 599'));
      return null;
    case 'grpcStatus':
      return { status: 0, grpcStatus: errorType.value, isByHeader: false, share };
    case 'headerAbort':
      return { status: 0, grpcStatus: -1, isByHeader: true, share };
    default:
      env.problems.push(error(path, 'says no status', 'write http_status, grpc_status or header_abort'));
      return null;
  }
}

/** No percentage is none at all, as in Envoy. */
function shareOf(percent: FractionalPercent | undefined): FaultShare {
  const numerator = percent?.numerator ?? 0;
  switch (percent?.denominator) {
    case Denominator.TEN_THOUSAND:
      return { numerator, denominator: 10_000 };
    case Denominator.MILLION:
      return { numerator, denominator: 1_000_000 };
    default:
      return { numerator, denominator: 100 };
  }
}

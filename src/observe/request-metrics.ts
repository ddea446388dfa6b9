import type { CompileEnv, PlanPart } from '../plan/plan.ts';
import type { NodeIdentity } from './node-identity.ts';
import type { Registry } from './registry.ts';

export interface MetricsOptions {
  readonly registry: Registry;
  readonly node: NodeIdentity;
  /** `destination` on inbound listeners, `source` on all others. */
  readonly reporter: 'source' | 'destination';
  /** HttpConnectionManager.stat_prefix, for `http.PREFIX.downstream_rq_*`; empty for none. */
  readonly statPrefix: string;
}

export function compileMetrics(options: MetricsOptions, env: CompileEnv): PlanPart {
  return options === null || env === null ? {} : {};
}

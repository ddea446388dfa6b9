// Compiles Envoy's SlowStartConfig, which round robin and least request share in their two spellings.
import type { Duration } from '@bufbuild/protobuf/wkt';
import { error } from '../base/problem.ts';
import type { CompileEnv } from '../plan/plan.ts';
import { durationMs } from './duration.ts';
import type { SlowStart } from './warming.ts';

export interface SlowStartFields {
  readonly slowStartWindow?: Duration | undefined;
  readonly aggression?: { readonly defaultValue: number; readonly runtimeKey: string } | undefined;
  readonly minWeightPercent?: { readonly value: number } | undefined;
}

const SHARE_MIN = 0.1;

/** Null without a window: then there is no slow start. */
export function compileSlowStart(config: SlowStartFields | undefined, env: CompileEnv, path: string): SlowStart | null {
  if (config === undefined) return null;
  const at = `${path}.slow_start_config`;
  const { slowStartWindow: window, aggression, minWeightPercent } = config;
  const windowMs = durationMs(window, { absentMs: 0, aboveMs: null }, env, `${at}.slow_start_window`);
  const wanted = aggression === undefined ? 1 : env.runtimeNumber(aggression.runtimeKey, aggression.defaultValue);
  if (wanted <= 0) {
    env.problems.push(error(`${at}.aggression`, `${wanted} is not more than 0`, 'write 1.0 for a linear rise'));
  }
  const percent = minWeightPercent?.value ?? SHARE_MIN * 100;
  if (percent < 0 || percent > 100) {
    env.problems.push(error(`${at}.min_weight_percent`, `${percent} is not a percentage`, 'write 0 to 100'));
  }
  if (windowMs <= 0 || wanted <= 0) return null;
  return Object.freeze({ windowMs, aggression: wanted, shareMin: Math.min(Math.max(percent, 0), 100) / 100 });
}

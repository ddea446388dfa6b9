// Protobuf durations as milliseconds, checked against the bounds that Envoy's validation rules give.
// Whoever asks says what an absent field means.
import { error } from '../base/problem.ts';
import type { CompileEnv } from '../plan/plan.ts';
import type { Duration } from '@bufbuild/protobuf/wkt';

/** Node's timers overflow above this; a longer delay is as good as this one (24.8 days). */
const DELAY_MS_MAX = 2_147_483_647;

export interface DurationRule {
  /** The value when the field is absent. */
  readonly absentMs: number;
  /** The duration must be greater than this; null: at least 0. */
  readonly aboveMs: number | null;
}

/** Milliseconds with a fraction; the absent value, with a Problem, when the duration breaks its rule. */
export function durationMs(duration: Duration | undefined, rule: DurationRule, env: CompileEnv, path: string): number {
  if (duration === undefined) return rule.absentMs;
  const milliseconds = Number(duration.seconds) * 1000 + duration.nanos / 1_000_000;
  const isTooShort = rule.aboveMs === null ? milliseconds < 0 : milliseconds <= rule.aboveMs;
  if (isTooShort) {
    const bound = rule.aboveMs === null ? 'at least 0s' : `more than ${rule.aboveMs / 1000}s`;
    env.problems.push(error(path, `a duration of ${milliseconds / 1000}s is too short`, `write ${bound}`));
    return rule.absentMs;
  }
  return Math.min(milliseconds, DELAY_MS_MAX);
}

// @hot
// A share of requests for which a filter does something, by number or by a runtime key that may say another percentage.
// A number is drawn for each question, as Envoy does.
// Source: Envoy RuntimeFractionalPercent.
import { error } from '../base/problem.ts';
import type { CompileEnv } from '../plan/plan.ts';
import { shareOf } from '../plan/fraction.ts';
import type { RuntimeFractionalPercent } from '../xds/gen/envoy/config/core/v3/base_pb.js';

export interface Chance {
  /** In [0, 1]. */
  readonly share: number;
  /** Empty: none. */
  readonly key: string;
}

interface Dice {
  readonly random: () => number;
  readonly runtimeNumber: (key: string, fallback: number) => number;
}

export function hits({ share, key }: Chance, dice: Dice): boolean {
  const now = key === '' ? share : dice.runtimeNumber(key, share * 100) / 100;
  return now >= 1 || (now > 0 && dice.random() < now);
}

/** Of a field that may be absent: `fallback` then. Config time. */
export function compileChance(
  config: RuntimeFractionalPercent | undefined,
  fallback: number,
  env: CompileEnv,
  path: string,
): Chance {
  if (config === undefined) return { share: fallback, key: '' };
  if (config.defaultValue === undefined) {
    env.problems.push(error(`${path}.default_value`, 'is required', 'for example { numerator: 100 }'));
    return { share: fallback, key: config.runtimeKey };
  }
  return { share: Math.min(1, shareOf(config.defaultValue)), key: config.runtimeKey };
}

// A runtime fraction: the share of requests for which something holds. One number is drawn per
// request and serves every fraction and split of it, so that several fractions in a row nest as they
// do in Envoy (30 % then 50 % leaves the second route 20 % of all). Fractions use other digits of
// that number than splits do, so that a split behind a fraction is not skewed by it.
// Source: Envoy RuntimeFractionalPercent.
import { error } from '../base/problem.ts';
import type { Exchange } from './exchange.ts';
import type { CompileEnv } from './plan.ts';
import type { RuntimeFractionalPercent } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import { FractionalPercent_DenominatorType, type FractionalPercent } from '../xds/gen/envoy/type/v3/percent_pb.js';

const FRACTION_DIGITS = 1_048_573;

/** Null after reporting why the fraction is refused. */
export function compileFraction(
  config: RuntimeFractionalPercent,
  env: CompileEnv,
  path: string,
): ((x: Exchange) => boolean) | null {
  if (config.defaultValue === undefined) {
    env.problems.push(
      error(`${path}.default_value`, 'is required', 'for example { numerator: 50, denominator: HUNDRED }'),
    );
    return null;
  }
  const { random, runtimeNumber } = env;
  const share = shareOf(config.defaultValue);
  const key = config.runtimeKey;
  if (key === '') return (x) => fractionPoint(x, random) < share;
  return (x) => {
    const percent = runtimeNumber(key, -1);
    return fractionPoint(x, random) < (percent < 0 ? share : percent / 100);
  };
}

/** The share in [0, 1] that a fraction stands for now: the runtime's percentage, or its default. */
export function currentShare(config: RuntimeFractionalPercent, env: CompileEnv): number {
  const percent = config.runtimeKey === '' ? -1 : env.runtimeNumber(config.runtimeKey, -1);
  const share = config.defaultValue === undefined ? 0 : shareOf(config.defaultValue);
  return Math.min(1, percent < 0 ? share : percent / 100);
}

export function shareOf(percent: FractionalPercent): number {
  switch (percent.denominator) {
    case FractionalPercent_DenominatorType.TEN_THOUSAND:
      return percent.numerator / 10_000;
    case FractionalPercent_DenominatorType.MILLION:
      return percent.numerator / 1_000_000;
    default:
      return percent.numerator / 100;
  }
}

/** The number of this request in [0, 1), drawn on first use. */
export function splitPoint(x: Exchange, random: () => number): number {
  if (x.splitPoint < 0) x.splitPoint = random();
  return x.splitPoint;
}

function fractionPoint(x: Exchange, random: () => number): number {
  const point = splitPoint(x, random) * FRACTION_DIGITS;
  return point - Math.floor(point);
}

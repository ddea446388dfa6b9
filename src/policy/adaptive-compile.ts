// Compiles Envoy's AdaptiveConcurrency filter into the steps of adaptive-concurrency.ts. It has no settings by route.
import type { Any, Duration } from '@bufbuild/protobuf/wkt';
import { error } from '../base/problem.ts';
import type { FilterScope, HttpFilter } from '../plan/http-filter.ts';
import { step } from '../plan/step.ts';
import {
  AdaptiveConcurrencySchema,
  type GradientControllerConfig,
} from '../xds/gen/envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency_pb.js';
import { unpack } from '../xds/unpack.ts';
import { ADAPTIVE_STATS, endAdaptive, runAdaptive, type AdaptiveSettings } from './adaptive-concurrency.ts';
import { GradientController, type GradientSettings } from './gradient-controller.ts';

const STAT_NAME = 'adaptive_concurrency.gradient_controller';

/** As a CompileHttpFilter. */
export function compileAdaptive(config: Any, scope: FilterScope): HttpFilter | null {
  const { env, path, name, clock, bit } = scope;
  const message = unpack(config, AdaptiveConcurrencySchema);
  if (message === null) {
    env.problems.push(error(path, 'is no AdaptiveConcurrency', 'write its fields'));
    return null;
  }
  const { enabled, concurrencyControllerConfig: controller, concurrencyLimitExceededStatus } = message;
  if (controller.value === undefined) {
    env.problems.push(error(path, 'has no controller', 'write gradient_controller_config'));
    return null;
  }
  const gradient = compileGradient(controller.value, scope, `${path}.gradient_controller_config`);
  if (gradient === null) return null;
  const settings: AdaptiveSettings = {
    controller: new GradientController(gradient, clock, env.random),
    tally: scope.tally(STAT_NAME, ADAPTIVE_STATS),
    runtimeNumber: env.runtimeNumber,
    bit,
    enabledKey: enabled?.runtimeKey ?? '',
    isEnabled: enabled?.defaultValue ?? true,
    // Envoy: below 400 it is no refusal.
    status:
      Math.max(concurrencyLimitExceededStatus?.code ?? 0, 0) >= 400
        ? Number(concurrencyLimitExceededStatus?.code)
        : 503,
  };
  return {
    part: {
      onRequest: [step('adaptive-concurrency', name, runAdaptive, settings)],
      onEnd: [step('adaptive-concurrency', name, endAdaptive, settings)],
    },
    withSettings: () => null,
  };
}

/** Null after reporting what is wrong. */
export function compileGradient(
  config: GradientControllerConfig,
  { env }: FilterScope,
  path: string,
): GradientSettings | null {
  const before = env.problems.length;
  const limits = config.concurrencyLimitParams;
  const minimum = config.minRttCalcParams;
  const time = (duration: Duration | undefined, at: string, absentMs: number): number => {
    if (duration === undefined) return absentMs;
    const ms = Number(duration.seconds) * 1000 + duration.nanos / 1e6;
    if (!(ms > 0)) env.problems.push(error(`${path}.${at}`, `${ms} ms is too short`, 'write more than 0s'));
    return ms;
  };
  const percent = (value: number | undefined, at: string, absent: number): number => {
    if (value === undefined || (value >= 0 && value <= 100)) return (value ?? absent) / 100;
    env.problems.push(error(`${path}.${at}`, `${value} is not a percentage`, 'write a value from 0 to 100'));
    return absent / 100;
  };
  if (limits?.concurrencyUpdateInterval === undefined) {
    const at = `${path}.concurrency_limit_params.concurrency_update_interval`;
    env.problems.push(error(at, 'must be set', 'write 0.1s or the like'));
  }
  const learnMs = time(minimum?.interval, 'min_rtt_calc_params.interval', 0);
  const fixedMinimumMs = time(minimum?.fixedValue, 'min_rtt_calc_params.fixed_value', 0);
  if (learnMs === 0 && fixedMinimumMs === 0) {
    env.problems.push(error(`${path}.min_rtt_calc_params`, 'has no interval', 'write interval: 60s, or fixed_value'));
  }
  const settings: GradientSettings = {
    percentile: percent(config.sampleAggregatePercentile?.value, 'sample_aggregate_percentile', 50),
    limitMax: limits?.maxConcurrencyLimit ?? 1000,
    limitMin: minimum?.minConcurrency ?? 3,
    updateMs: time(limits?.concurrencyUpdateInterval, 'concurrency_limit_params.concurrency_update_interval', 100),
    learnMs: fixedMinimumMs > 0 ? 0 : learnMs,
    fixedMinimumMs,
    learnRequests: minimum?.requestCount ?? 50,
    jitter: percent(minimum?.jitter?.value, 'min_rtt_calc_params.jitter', 15),
    buffer: percent(minimum?.buffer?.value, 'min_rtt_calc_params.buffer', 25),
  };
  for (const [value, at] of [
    [settings.limitMax, 'concurrency_limit_params.max_concurrency_limit'],
    [settings.limitMin, 'min_rtt_calc_params.min_concurrency'],
    [settings.learnRequests, 'min_rtt_calc_params.request_count'],
  ] as const) {
    if (value === 0) env.problems.push(error(`${path}.${at}`, 'must be above 0', 'write 1 or more'));
  }
  return env.problems.slice(before).some(({ severity }) => severity === 'error') ? null : settings;
}

// Compiles Envoy's AdmissionControl filter into the steps of admission-control.ts. It has no settings by route.
import type { Any, Duration } from '@bufbuild/protobuf/wkt';
import { error } from '../base/problem.ts';
import type { FilterScope, HttpFilter } from '../plan/http-filter.ts';
import { step } from '../plan/step.ts';
import {
  AdmissionControlSchema,
  type AdmissionControl,
  type AdmissionControl_SuccessCriteria as SuccessCriteria,
} from '../xds/gen/envoy/extensions/filters/http/admission_control/v3/admission_control_pb.js';
import { unpack } from '../xds/unpack.ts';
import {
  ADMISSION_STATS,
  endAdmission,
  runAdmission,
  type AdmissionSettings,
  type RuntimeValue,
} from './admission-control.ts';
import { SamplingWindow } from './sampling-window.ts';

const WINDOW_MS = 30_000;
const SUCCESS_THRESHOLD = 95;
const REJECTION_MAX = 80;
/** Envoy refuses a lower `sr_threshold`. */
const THRESHOLD_MIN = 1;
const STATUSES = 1000;
const GRPC_STATUSES = 17;
/** Envoy's: what is the caller's own fault, or nobody's. */
const GRPC_SUCCESSES = [0, 1, 2, 3, 5, 6, 7, 9, 11, 12, 16];

/** As a CompileHttpFilter. */
export function compileAdmission(config: Any, scope: FilterScope): HttpFilter | null {
  const { env, path, name } = scope;
  const message = unpack(config, AdmissionControlSchema);
  if (message === null) {
    env.problems.push(error(path, 'is no AdmissionControl', 'write its fields'));
    return null;
  }
  const before = env.problems.length;
  const settings = compileSettings(message, scope);
  if (env.problems.slice(before).some(({ severity }) => severity === 'error')) return null;
  return {
    part: {
      onRequest: [step('admission-control', name, runAdmission, settings)],
      onEnd: [step('admission-control', name, endAdmission, settings)],
    },
    withSettings: () => null,
  };
}

function compileSettings(config: AdmissionControl, scope: FilterScope): AdmissionSettings {
  const { env, path, clock, bit } = scope;
  const criteria = config.evaluationCriteria.value;
  if (criteria === undefined) {
    env.problems.push(error(path, 'says not what a success is', 'write success_criteria: {}'));
  }
  const percent = (field: string, value: RuntimeValue, least = 0): RuntimeValue => {
    if (value.value >= least && value.value <= 100) return value;
    const what = value.value >= 0 && value.value <= 100 ? 'too low a' : 'not a';
    const remedy = `write a value from ${least} to 100`;
    env.problems.push(error(`${path}.${field}`, `${value.value} is ${what} percentage`, remedy));
    return value;
  };
  const { enabled, aggression, srThreshold, rpsThreshold, maxRejectionProbability } = config;
  return {
    window: new SamplingWindow(clock, windowMs(config.samplingWindow, scope)),
    tally: scope.tally('admission_control', ADMISSION_STATS),
    random: env.random,
    runtimeNumber: env.runtimeNumber,
    bit,
    enabled: { key: enabled?.runtimeKey ?? '', value: Number(enabled?.defaultValue ?? true) },
    aggression: { key: aggression?.runtimeKey ?? '', value: aggression?.defaultValue ?? 1 },
    successThreshold: percent(
      'sr_threshold',
      { key: srThreshold?.runtimeKey ?? '', value: srThreshold?.defaultValue?.value ?? SUCCESS_THRESHOLD },
      THRESHOLD_MIN,
    ),
    rateThreshold: { key: rpsThreshold?.runtimeKey ?? '', value: rpsThreshold?.defaultValue ?? 0 },
    rejectionMax: percent('max_rejection_probability', {
      key: maxRejectionProbability?.runtimeKey ?? '',
      value: maxRejectionProbability?.defaultValue?.value ?? REJECTION_MAX,
    }),
    isSuccess: httpSuccesses(criteria, scope),
    isGrpcSuccess: grpcSuccesses(criteria, scope),
  };
}

function windowMs(window: Duration | undefined, { env, path }: FilterScope): number {
  if (window === undefined) return WINDOW_MS;
  const ms = Number(window.seconds) * 1000 + window.nanos / 1e6;
  if (ms >= 1000) return ms;
  env.problems.push(error(`${path}.sampling_window`, `${ms} ms is too short`, 'write 1s or more'));
  return WINDOW_MS;
}

/** By status: below 500 where nothing is said. */
function httpSuccesses(criteria: SuccessCriteria | undefined, { env, path }: FilterScope): Uint8Array {
  const ranges = criteria?.httpCriteria?.httpSuccessStatus ?? [];
  if (criteria?.httpCriteria !== undefined && ranges.length === 0) {
    const at = `${path}.success_criteria.http_criteria.http_success_status`;
    env.problems.push(error(at, 'lists nothing', 'list ranges of statuses, or leave http_criteria out'));
  }
  const successes = new Uint8Array(STATUSES);
  if (ranges.length === 0) return successes.fill(1, 100, 500);
  for (const [index, { start, end }] of ranges.entries()) {
    if (start >= 100 && end <= 600 && start <= end) successes.fill(1, start, end);
    else {
      const at = `${path}.success_criteria.http_criteria.http_success_status[${index}]`;
      env.problems.push(error(at, `${start} to ${end} is no range of statuses`, 'write 100 to 600, the end excluded'));
    }
  }
  return successes;
}

function grpcSuccesses(criteria: SuccessCriteria | undefined, { env, path }: FilterScope): Uint8Array {
  const written = criteria?.grpcCriteria?.grpcSuccessStatus ?? [];
  if (criteria?.grpcCriteria !== undefined && written.length === 0) {
    const at = `${path}.success_criteria.grpc_criteria.grpc_success_status`;
    env.problems.push(error(at, 'lists nothing', 'list statuses, or leave grpc_criteria out'));
  }
  const successes = new Uint8Array(GRPC_STATUSES);
  for (const status of written.length === 0 ? GRPC_SUCCESSES : written) {
    if (status < GRPC_STATUSES) successes[status] = 1;
    else {
      const at = `${path}.success_criteria.grpc_criteria.grpc_success_status`;
      env.problems.push(error(at, `${status} is no gRPC status`, 'write 0 to 16'));
    }
  }
  return successes;
}

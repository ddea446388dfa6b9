// Compiles peak EWMA from a TypedStruct that says what Envoy's own extension of the name says (PeakEwma, in
// contrib builds): other proxies, which do not know it, take the next policy of the list.
//
//   {type_url: …peak_ewma.v3alpha.PeakEwma, value: {decay_time: 10s, default_rtt: 0.03s, penalty_value: 5000}}
//
// Source: extensions.load_balancing_policies.peak_ewma.v3alpha. penalty_value is in milliseconds.
import { toJson, type JsonObject, type JsonValue } from '@bufbuild/protobuf';
import { StructSchema, type Any } from '@bufbuild/protobuf/wkt';
import { error } from '../base/problem.ts';
import type { CompileEnv } from '../plan/plan.ts';
import { TypedStructSchema as OldTypedStructSchema } from '../xds/gen/udpa/type/v1/typed_struct_pb.js';
import { TypedStructSchema } from '../xds/gen/xds/type/v3/typed_struct_pb.js';
import { unpack } from '../xds/unpack.ts';
import type { Balancing } from './cluster-settings.ts';

const PEAK_EWMA_TYPE = 'envoy.extensions.load_balancing_policies.peak_ewma.v3alpha.PeakEwma';

const DECAY_MS = 10_000;
const DEFAULT_LATENCY_MS = 30;
const PENALTY_MS = 5000;

export function isPeakEwma(any: Any): boolean {
  return fieldsOf(any) !== null;
}

/** Null when `any` is something else. */
export function compilePeakEwma(any: Any, env: CompileEnv, path: string): Balancing | null {
  const value = fieldsOf(any);
  if (value === null) return null;
  const read = (field: string, absentMs: number, parse: (text: JsonValue) => number): number => {
    const given = value[field];
    if (given === undefined || given === null) return absentMs;
    const ms = parse(given);
    if (ms > 0) return ms;
    env.problems.push(error(`${path}.value.${field}`, `${JSON.stringify(given)} is not more than 0`, 'leave it out'));
    return absentMs;
  };
  return Object.freeze({
    kind: 'peak-ewma',
    decayMs: read('decay_time', DECAY_MS, secondsAsMs),
    defaultLatencyMs: read('default_rtt', DEFAULT_LATENCY_MS, secondsAsMs),
    penaltyMs: read('penalty_value', PENALTY_MS, Number),
  });
}

/** A bootstrap's TypedStruct has become a Struct, with its type in `@type`. */
function fieldsOf(any: Any): JsonObject | null {
  const struct = unpack(any, TypedStructSchema) ?? unpack(any, OldTypedStructSchema);
  if (struct !== null) return isName(struct.typeUrl) ? (struct.value ?? {}) : null;
  const kept = unpack(any, StructSchema);
  const value = kept === null ? null : toJson(StructSchema, kept);
  return value !== null && isName(value['@type']) ? value : null;
}

function isName(url: JsonValue | undefined): boolean {
  return typeof url === 'string' && url.slice(url.lastIndexOf('/') + 1) === PEAK_EWMA_TYPE;
}

/** A duration as JSON spells it (`0.03s`); NaN when it is none. */
function secondsAsMs(text: JsonValue): number {
  return typeof text === 'string' && text.endsWith('s') ? Number(text.slice(0, -1)) * 1000 : Number.NaN;
}

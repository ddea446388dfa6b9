// Numbers from the static layers of `layered_runtime`, by dotted key. Later layers win over earlier
// ones (Envoy LayeredRuntime.layers); a fractional percent counts as its numerator over its
// denominator in percent. Text that is not a number is not kept: nothing here reads text.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import type { LayeredRuntime } from '../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';

export function readRuntime(config: LayeredRuntime | undefined): ReadonlyMap<string, number> {
  const values = new Map<string, number>();
  for (const layer of config?.layers ?? []) {
    if (layer.layerSpecifier.case === 'staticLayer') addAll(layer.layerSpecifier.value, '', values);
  }
  return values;
}

function addAll(json: JsonObject, prefix: string, values: Map<string, number>): void {
  for (const [key, value] of Object.entries(json)) addOne(value, prefix === '' ? key : `${prefix}.${key}`, values);
}

function addOne(value: JsonValue, key: string, values: Map<string, number>): void {
  if (typeof value === 'number') values.set(key, value);
  else if (typeof value === 'boolean') values.set(key, value ? 1 : 0);
  else if (typeof value === 'string') {
    if (value.trim() !== '' && Number.isFinite(Number(value))) values.set(key, Number(value));
  } else if (value !== null && !Array.isArray(value)) {
    const percent = percentOf(value);
    if (percent === null) addAll(value, key, values);
    else values.set(key, percent);
  }
}

const DENOMINATORS: Readonly<Record<string, number>> = { HUNDRED: 100, TEN_THOUSAND: 10_000, MILLION: 1_000_000 };

function percentOf(json: JsonObject): number | null {
  const { numerator, denominator = 'HUNDRED' } = json;
  if (typeof numerator !== 'number') return null;
  const whole = typeof denominator === 'string' ? DENOMINATORS[denominator] : undefined;
  return whole === undefined ? null : (numerator / whole) * 100;
}

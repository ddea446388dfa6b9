// @hot
// What a request is counted under: a route's `rate_limits` make descriptors of it, lists of keys with values. Each list
// (a DescriptorRule) is compiled once; filled, its keys and values stand in a scratch list that the next one overwrites, so that
// a limit can look its bucket up without an object for each request. An action that finds nothing makes no descriptor,
// unless it may be left out (`skip_if_absent`).
// Source: Envoy config.route.v3.RateLimit.
import type { JsonValue } from '@bufbuild/protobuf';
import type { Exchange } from '../plan/exchange.ts';

/** An entry that is left out of its descriptor. */
export const LEFT_OUT = '\0left out';

export interface DescriptorEntry {
  readonly key: string;
  /** The value, LEFT_OUT, or null: there is no descriptor. */
  readonly read: (x: Exchange) => string | null;
}

/** One RateLimit of a route or virtual host. */
export interface DescriptorRule {
  readonly entries: readonly DescriptorEntry[];
  readonly stage: number;
  /** Empty: none. */
  readonly disableKey: string;
  /** The limit that the rate limit service is asked to apply; null: none is configured. */
  readonly override: ((x: Exchange) => LimitOverride | null) | null;
}

export interface LimitOverride {
  readonly requestsPerUnit: number;
  /** Number of envoy.type.v3.RateLimitUnit. */
  readonly unit: number;
}

/** A descriptor as it was filled last; good until the next one is. */
export class FilledDescriptor {
  readonly keys: string[] = [];
  readonly values: string[] = [];
  count = 0;

  /** False when there is no descriptor for this request. */
  fill(x: Exchange, entries: readonly DescriptorEntry[]): boolean {
    this.count = 0;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i] as DescriptorEntry;
      const value = entry.read(x);
      if (value === null) return false;
      if (value === LEFT_OUT) continue;
      this.keys[this.count] = entry.key;
      this.values[this.count] = value;
      this.count++;
    }
    return true;
  }

  /** All of it as one text, equal for equal descriptors. */
  text(): string {
    let text = '';
    for (let i = 0; i < this.count; i++) text += entryText(this.keys[i] as string, this.values[i] as string);
    return text;
  }
}

/** With lengths, so that no value can pass for two entries. */
export function entryText(key: string, value: string): string {
  return key.length + ':' + key + value.length + ':' + value;
}

const UNITS: readonly string[] = ['UNKNOWN', 'SECOND', 'MINUTE', 'HOUR', 'DAY', 'MONTH', 'YEAR'];

/** A limit as dynamic metadata gives it: `{ requests_per_unit: 10, unit: SECOND }`; null when it is none. */
export function readOverride(value: JsonValue | undefined): LimitOverride | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const { requests_per_unit: requests, unit } = value;
  if (typeof requests !== 'number' || !(requests >= 0) || typeof unit !== 'string') return null;
  const number = UNITS.indexOf(unit);
  return number < 0 ? null : { requestsPerUnit: Math.floor(requests), unit: number };
}

// Every refusal is counted, and logged with its reason; whoever asks a thousand times a second does not fill the disk:
// each reason has so many lines a minute, and the first line after a silence says how many were left out.
import type { Clock } from '../../base/clock.ts';
import type { Log, LogFields } from '../../base/log.ts';
import { REFUSAL_REASONS, type Refusal, type RefusalReason } from './refusal.ts';

/** `xds`: configuration, `ca`: certificates. */
export const REFUSERS = ['xds', 'ca'] as const;
export type Refuser = (typeof REFUSERS)[number];

const LINES_A_MINUTE = 60;
const MINUTE_MS = 60_000;
const TEXT_CHARACTERS_MAX = 256;

interface Written {
  sinceMs: number;
  lines: number;
  omitted: number;
}

export class RefusalBook {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #counts = new Map<string, number>();
  readonly #written = new Map<string, Written>();

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
    for (const refuser of REFUSERS)
      for (const reason of REFUSAL_REASONS) if (canHave(refuser, reason)) this.#counts.set(nameOf(refuser, reason), 0);
  }

  note(refuser: Refuser, { reason, details }: Refusal, fields: LogFields = {}): void {
    const name = nameOf(refuser, reason);
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    const omitted = this.#mayWrite(name);
    if (omitted === null) return;
    const more = omitted === 0 ? {} : { omitted };
    this.#log.warning(refuser === 'ca' ? 'certificate refused' : 'caller refused', {
      reason,
      details: cut(details),
      ...Object.fromEntries(
        Object.entries(fields).map(([key, value]) => [key, typeof value === 'string' ? cut(value) : value]),
      ),
      ...more,
    });
  }

  /** Prometheus series by name and label, with the values so far; those that never happened are there with 0. */
  counters(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  count(refuser: Refuser): number {
    let sum = 0;
    for (const [name, value] of this.#counts) if (name.startsWith(`outrigger_${refuser}_`)) sum += value;
    return sum;
  }

  /** How many lines were left out since the last one; null: this one is left out as well. */
  #mayWrite(name: string): number | null {
    const nowMs = this.#clock.now();
    const written = this.#written.get(name) ?? { sinceMs: nowMs, lines: 0, omitted: 0 };
    this.#written.set(name, written);
    if (nowMs - written.sinceMs >= MINUTE_MS) {
      written.sinceMs = nowMs;
      written.lines = 0;
    }
    if (written.lines >= LINES_A_MINUTE) {
      written.omitted += 1;
      return null;
    }
    written.lines += 1;
    const { omitted } = written;
    written.omitted = 0;
    return omitted;
  }
}

function nameOf(refuser: Refuser, reason: RefusalReason): string {
  return `outrigger_${refuser}_refused_total{reason="${reason}"}`;
}

function canHave(refuser: Refuser, reason: RefusalReason): boolean {
  if (['csr', 'csr_identity', 'signing'].includes(reason)) return refuser === 'ca';
  if (['namespace', 'service_account', 'pod', 'secret_namespace', 'secret_identity'].includes(reason))
    return refuser === 'xds';
  return true;
}

/** What comes from a caller may be as long as it likes, and hold what a terminal would obey. */
function cut(text: string): string {
  return text.slice(0, TEXT_CHARACTERS_MAX).replaceAll(/\p{Cc}/gu, '?');
}

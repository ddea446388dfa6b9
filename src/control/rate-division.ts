// Divides a rate limit among the instances that enforce it, by what each is asked for, and keeps one promise: the parts that
// are in force never add up to more than the limit. A part that shrinks is told first and counts as it was until its
// holder says that it has heard; only what is free then goes to others. An instance that is gone keeps its part for a
// while, because it may still serve. It knows nothing of streams and reads no clock but what it is given.
//
//   granted < held   told to shrink, not heard yet: `held` counts
//   granted > held   told to grow: `granted` counts

export interface Share {
  readonly member: string;
  readonly group: string;
  /** In [0, 1]. */
  readonly fraction: number;
}

/** What a member says. */
export interface Report {
  /** Requests since it said so last, and how long that was. */
  readonly asked: number;
  readonly seconds: number;
  /** The part that it has in force. */
  readonly held: number;
}

export interface RateDivisionOptions {
  /** Requests per second of a limit; null: there is none of this name. */
  readonly rateOf: (group: string) => number | null;
  /** Tells a member its part. */
  readonly tell: (share: Share) => void;
  /** How long a part is kept for who is gone. */
  readonly graceMs: number;
}

interface Member {
  /** Requests per second, smoothed. */
  demand: number;
  held: number;
  granted: number;
  /** When it left; null: it is there. */
  goneMs: number | null;
}

/** Over so many seconds demand is smoothed, however often it is reported. */
const SMOOTH_SECONDS = 0.4;
const MOMENT_SECONDS = 0.001;
/** More than the demand, so that an instance that gets more has it already. */
const HEADROOM = 1.1;
/** Of the limit, for all instances together, asked or not: the first request of a quiet one is served. */
const FLOOR = 0.03;
/** A part that would change by less stays, unless others need what it gives up: of the limit, and of the part. */
const STEP = 0.004;
const STEP_OF_PART = 0.1;
/** So many are served as soon as they come or give something up; more wait for the next turn, since each costs all. */
const PROMPT_MAX = 16;
/** Less than that is nothing. */
const LEAST = 1e-6;

export class RateDivision {
  readonly #options: RateDivisionOptions;
  readonly #groups = new Map<string, Map<string, Member>>();

  constructor(options: RateDivisionOptions) {
    this.#options = options;
  }

  report(group: string, member: string, { asked, seconds, held }: Report): void {
    if (this.#options.rateOf(group) === null) return;
    const members = this.#groups.get(group) ?? new Map<string, Member>();
    this.#groups.set(group, members);
    const known = members.get(member);
    if (known === undefined) {
      members.set(member, { demand: 0, held, granted: held, goneMs: null });
      if (members.size <= PROMPT_MAX) this.#divide(group, members);
      return;
    }
    const demand = asked / Math.max(MOMENT_SECONDS, seconds);
    known.demand += (demand - known.demand) * (1 - Math.exp(-seconds / SMOOTH_SECONDS));
    known.goneMs = null;
    const hasGivenUp = held < known.held;
    known.held = held;
    // What it gave up may be given now; what it asks for waits for the next turn.
    if (hasGivenUp && members.size <= PROMPT_MAX) this.#divide(group, members);
  }

  leave(member: string, nowMs: number): void {
    for (const members of this.#groups.values()) {
      const known = members.get(member);
      if (known !== undefined) known.goneMs = nowMs;
    }
  }

  /** To be called twice a second. */
  turn(nowMs: number): void {
    for (const [group, members] of this.#groups) {
      for (const [id, { goneMs }] of members) {
        if (goneMs !== null && nowMs - goneMs >= this.#options.graceMs) members.delete(id);
      }
      if (members.size === 0 || this.#options.rateOf(group) === null) this.#groups.delete(group);
      else this.#divide(group, members);
    }
  }

  /** The parts that count now; for tests and for who wants to look. */
  inForce(group: string): number {
    let sum = 0;
    for (const member of this.#groups.get(group)?.values() ?? []) sum += Math.max(member.held, member.granted);
    return sum;
  }

  #divide(group: string, members: ReadonlyMap<string, Member>): void {
    const rate = this.#options.rateOf(group) ?? 0;
    if (rate <= 0) return;
    const present = [...members].filter(([, { goneMs }]) => goneMs === null);
    const kept = [...members.values()].reduce((sum, one) => sum + (one.goneMs === null ? 0 : partOf(one)), 0);
    const targets = targetsOf(
      present.map(([, { demand }]) => demand / rate),
      Math.max(0, 1 - kept),
    );
    const wanted: readonly Wanted[] = present.map(([id, member], i) => ({ id, member, target: targets[i] ?? 0 }));
    this.#shrink(group, members, wanted);
    let free = 1 - [...members.values()].reduce((sum, one) => sum + partOf(one), 0);
    for (const { id, member, target } of wanted) {
      const leastGrown = member.granted + stepOf(member, target);
      if (target <= leastGrown) continue;
      const fraction = Math.min(target, partOf(member) + Math.max(0, free));
      if (fraction <= leastGrown) continue;
      free -= fraction - partOf(member);
      this.#grant(group, id, member, fraction);
    }
  }

  /** Who has much more than it should gives it up, and so do others, the largest excess first, as far as somebody needs it. */
  #shrink(group: string, members: ReadonlyMap<string, Member>, wanted: readonly Wanted[]): void {
    let need = -1;
    for (const member of members.values()) need += member.granted;
    for (const { member, target } of wanted)
      if (target > member.granted + stepOf(member, target)) need += target - member.granted;
    const excesses = wanted
      .map((one) => ({ ...one, excess: one.member.granted - one.target }))
      .filter(({ excess }) => excess > LEAST)
      .toSorted((one, other) => other.excess - one.excess);
    for (const { id, member, target, excess } of excesses) {
      if (need <= LEAST && excess <= stepOf(member, target) && target > 0) continue;
      need -= excess;
      this.#grant(group, id, member, target);
    }
  }

  #grant(group: string, member: string, known: Member, fraction: number): void {
    known.granted = fraction;
    this.#options.tell({ member, group, fraction });
  }
}

interface Wanted {
  readonly id: string;
  readonly member: Member;
  readonly target: number;
}

function stepOf({ granted }: Member, target: number): number {
  return Math.min(STEP, STEP_OF_PART * Math.max(granted, target));
}

function partOf({ held, granted }: Member): number {
  return Math.max(held, granted);
}

/**
 * Parts of `total` for demands in the same unit: who asks for little gets it with some room; what is left is for
 * those who ask for more, alike; and what nobody asks for is for all, alike.
 */
export function targetsOf(demands: readonly number[], total: number): readonly number[] {
  const count = demands.length;
  const floor = (FLOOR * total) / Math.max(1, count);
  const wants = demands.map((demand) => demand * HEADROOM + floor);
  const sum = wants.reduce((left, right) => left + right, 0);
  if (sum <= total) return wants.map((want) => want + (total - sum) / count);
  let [left, open] = [total, count];
  const targets = new Array<number>(count).fill(0);
  for (const [index, want] of [...wants.entries()].toSorted(([, one], [, other]) => one - other)) {
    const part = Math.min(want, left / open);
    targets[index] = part;
    left -= part;
    open--;
  }
  return targets;
}

// @hot
// One coarse timer wheel for every deadline of the data plane, instead of a timer per request.
// A WheelTimer is an object that its owner keeps and arms again and again: arming and disarming
// is a splice in a doubly linked list. A timer fires within one tick after its deadline, never
// before it. The wheel's own interval runs only while something is armed, and never keeps the
// process alive.
//
//   slot 0   slot 1   …   slot 255        a timer due in more than one turn stays in its slot
//     │        │             │            and is looked at again each time the hand comes by
//   t ⇄ t    (empty)         t
import type { Clock } from './clock.ts';

const SLOTS = 256;
const MASK = SLOTS - 1;

export class WheelTimer {
  readonly fire: () => void;
  /** In the wheel's clock; meaningless while not armed. */
  deadlineMs = 0;
  next: WheelTimer | null = null;
  previous: WheelTimer | null = null;
  slot = -1;

  constructor(fire: () => void) {
    this.fire = fire;
  }

  get isArmed(): boolean {
    return this.slot !== -1;
  }
}

export class TimerWheel {
  readonly tickMs: number;
  readonly #clock: Clock;
  readonly #slots: (WheelTimer | null)[] = new Array<WheelTimer | null>(SLOTS).fill(null);
  /** The clock at the start of the current tick: read once per tick, good enough for arming. */
  #hand = 0;
  #armed = 0;
  #interval: NodeJS.Timeout | null = null;
  readonly #tick = (): void => this.advance();

  constructor(clock: Clock, tickMs = 10) {
    this.#clock = clock;
    this.tickMs = tickMs;
  }

  get armed(): number {
    return this.#armed;
  }

  /** Arms, or re-arms, `timer` to fire once, `delayMs` from now. */
  arm(timer: WheelTimer, delayMs: number): void {
    if (timer.slot !== -1) this.disarm(timer);
    if (this.#armed === 0) this.#start();
    const deadlineMs = this.#clock.now() + delayMs;
    timer.deadlineMs = deadlineMs;
    const due = Math.floor(deadlineMs / this.tickMs) + 1;
    const slot = (due <= this.#hand ? this.#hand + 1 : due) & MASK;
    timer.slot = slot;
    const head = this.#slots[slot] ?? null;
    timer.next = head;
    timer.previous = null;
    if (head !== null) head.previous = timer;
    this.#slots[slot] = timer;
    this.#armed++;
  }

  /** Takes the timer out; does nothing when it is not armed. */
  disarm(timer: WheelTimer): void {
    if (timer.slot === -1) return;
    const { next, previous } = timer;
    if (previous === null) this.#slots[timer.slot] = next;
    else previous.next = next;
    if (next !== null) next.previous = previous;
    timer.next = null;
    timer.previous = null;
    timer.slot = -1;
    this.#armed--;
  }

  /** Fires everything that is due. Called by the interval; by hand in tests with a fake clock. */
  advance(): void {
    const nowMs = this.#clock.now();
    const target = Math.floor(nowMs / this.tickMs);
    if (target - this.#hand > SLOTS) this.#hand = target - SLOTS;
    while (this.#hand < target) {
      this.#hand++;
      this.#fireSlot(this.#hand & MASK, nowMs);
    }
    if (this.#armed === 0) this.#stop();
  }

  #fireSlot(slot: number, nowMs: number): void {
    let timer = this.#slots[slot] ?? null;
    while (timer !== null) {
      if (timer.deadlineMs <= nowMs) {
        this.disarm(timer);
        timer.fire();
        // Whatever fired may have armed or disarmed neighbours: begin the slot again.
        timer = this.#slots[slot] ?? null;
      } else {
        timer = timer.next;
      }
    }
  }

  #start(): void {
    this.#hand = Math.floor(this.#clock.now() / this.tickMs);
    this.#interval ??= setInterval(this.#tick, this.tickMs).unref();
  }

  #stop(): void {
    if (this.#interval === null) return;
    clearInterval(this.#interval);
    this.#interval = null;
  }
}

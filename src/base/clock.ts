// Time as a parameter, so that tests and simulators can own it. The system's clock stands still while one
// read is dealt with: it is asked some eight times for a request, and each answer of Node costs 0.1 µs.
// What runs outside of such a turn always gets the time as it is; the clock never goes back.

export interface Clock {
  /** Monotonic milliseconds with a fraction; the zero point means nothing. */
  now(): number;
  /** Milliseconds since the Unix epoch. */
  wall(): number;
}

let isInTurn = false;
/** What the clocks said first in this turn; 0 when nobody has asked yet. */
let turnMs = 0;
let turnWallMs = 0;

export const systemClock: Clock = {
  now(): number {
    if (!isInTurn) return performance.now();
    if (turnMs === 0) turnMs = performance.now();
    return turnMs;
  },
  wall(): number {
    if (!isInTurn) return Date.now();
    if (turnWallMs === 0) turnWallMs = Date.now();
    return turnWallMs;
  },
};

/** Begins a turn: short work without a pause, which must call endTurn whatever happens. */
export function beginTurn(): void {
  isInTurn = true;
  turnMs = 0;
  turnWallMs = 0;
}

export function endTurn(): void {
  isInTurn = false;
}

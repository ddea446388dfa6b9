// Time as a parameter, so that tests and simulators can own it.

export interface Clock {
  /** Monotonic milliseconds with a fraction; the zero point means nothing. */
  now(): number;
  /** Milliseconds since the Unix epoch. */
  wall(): number;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
};

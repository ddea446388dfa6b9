// How slow this machine is at starting programs, so that a bound on the time to start means the same everywhere: a Node
// that does nothing is started, and compared with how long it takes on the machine that the bounds were written for.
import { spawnSync } from 'node:child_process';

/** Milliseconds of `node -e 0`, from spawn to exit, on that machine. */
const REFERENCE_MS = 26;
const STARTS = 7;

/** 1 on that machine or a faster one, 2 on one that takes twice as long. */
export function machinePace(): number {
  const times: number[] = [];
  for (let start = 0; start < STARTS; start++) {
    const beganMs = performance.now();
    spawnSync(process.execPath, ['-e', '0']);
    times.push(performance.now() - beganMs);
  }
  const median = times.toSorted((one, two) => one - two)[STARTS >> 1] ?? REFERENCE_MS;
  return Math.max(1, median / REFERENCE_MS);
}

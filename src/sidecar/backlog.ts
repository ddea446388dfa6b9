// Empties the accept queue of a listening socket that is about to close: closing it resets whoever stands in
// that queue, and they may have sent their request already. First the kernel is told to drop new handshakes
// (their clients try again a second later, and by then meet another sidecar or a clear refusal), then whatever
// was under way is accepted. Where the kernel cannot be told, a moment of quiet is waited for, which leaves
// a gap of some microseconds.
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises';
import { loadDescriptorCalls } from './descriptor-calls.ts';

/** Handshakes under way may take one round trip more; whoever begins one meanwhile waits a second. */
const HANDSHAKE_MS = 40;
/** Turns of the event loop without a connection that count as quiet. */
const QUIET_TURNS = 3;
const TURNS_MAX = 10_000;

/** `accepted` tells how many connections were accepted so far. */
export async function emptyBacklog(descriptor: number, accepted: () => number): Promise<void> {
  const calls = await loadDescriptorCalls();
  if (calls?.stopHandshakes(descriptor) === true) await pause(HANDSHAKE_MS);
  let quiet = 0;
  for (let turns = 0; quiet < QUIET_TURNS && turns < TURNS_MAX; turns++) {
    const before = accepted();
    await turn();
    quiet = accepted() === before ? quiet + 1 : 0;
  }
}

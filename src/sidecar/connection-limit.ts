// How many downstream connections the process may have. A connection usually needs a descriptor on either
// side, and the process some of its own: without a setting the limit keeps both in reach, so that a flood of
// connections is refused one by one and never takes the descriptors of what runs.
import { readFileSync } from 'node:fs';

/** Envoy's runtime key. */
const KEY = 'overload.global_downstream_max_connections';
/** What a setting must leave of the open files: past them the kernel's refusal would be seen by nobody. */
const USABLE_SHARE = 7 / 8;
/** Descriptors kept for logs, the control service, admin and listening sockets. */
const RESERVED = 256;

export function connectionLimitOf(runtime: ReadonlyMap<string, number>): number {
  const configured = runtime.get(KEY);
  const descriptors = descriptorsMax();
  // Descriptors that are not there cannot be configured.
  if (configured !== undefined) return Math.min(configured, Math.floor(descriptors * USABLE_SHARE));
  // A very small allowance (a test, a shell) still leaves half for downstreams.
  return Math.floor(Math.max(descriptors - RESERVED, descriptors / 2) / 2);
}

/** The soft limit of open files; unlimited where the system does not tell. */
function descriptorsMax(): number {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

// Without the redirect an app that listens on more than loopback can be reached around its sidecar, and around every policy.
// The kernel's list of listening sockets says so; where there is none to read, nothing is said. It is looked at twice, for
// the app may begin after its sidecar; a warning is all that comes of it.
import { closeSync, openSync, readSync } from 'node:fs';
import type { Log } from '../base/log.ts';

/** Listening sockets come first in these lists, which are long where connections are many. */
const BYTES_MAX = 256 * 1024;
const LOOKS_MS: readonly number[] = [5_000, 60_000];
const LISTENS = '0A';
/** `sl local_address rem_address st`, addresses as hexadecimal words in the byte order of the machine. */
const LINE = /^\s*\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) /;
const LOOPBACK = /^(?:0{24}01000000|(?:0{16}FFFF0000|0{16}0000FFFF)?[0-9A-F]{6}7F)$/;

/** Of `ports`, those on which somebody listens beyond loopback, by lists in the form of /proc/net/tcp and tcp6. */
export function exposedPorts(ports: readonly number[], lists: readonly string[]): readonly number[] {
  const found = new Set<number>();
  for (const list of lists)
    for (const line of list.split('\n')) {
      const [, address = '', port = '', state] = LINE.exec(line) ?? [];
      if (state === LISTENS && !LOOPBACK.test(address)) found.add(Number.parseInt(port, 16));
    }
  return ports.filter((port) => found.has(port));
}

/** Warns once of each port of the app that can be reached around the sidecar. Holds up nothing. */
export function warnOfExposure(ports: readonly number[], log: Log): void {
  const told = new Set<number>();
  const look = (): void => {
    for (const port of exposedPorts(ports, [read('/proc/net/tcp'), read('/proc/net/tcp6')])) {
      if (told.has(port)) continue;
      told.add(port);
      log.warning('the port of the app can be reached around this sidecar, and so around every policy', {
        port,
        remedy: 'let the app listen on 127.0.0.1, or redirect its traffic (--mode redirect)',
      });
    }
  };
  for (const delayMs of LOOKS_MS) setTimeout(look, delayMs).unref();
}

function read(path: string): string {
  try {
    const descriptor = openSync(path, 'r');
    try {
      const bytes = Buffer.alloc(BYTES_MAX);
      let length = 0;
      for (let more = 1; more > 0 && length < BYTES_MAX; length += more)
        more = readSync(descriptor, bytes, length, BYTES_MAX - length, null);
      return bytes.toString('latin1', 0, length);
    } finally {
      closeSync(descriptor);
    }
  } catch {
    // Not Linux, or hidden from us: there is nothing to say.
    return '';
  }
}

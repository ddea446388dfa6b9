// Is what this pod sends redirected? Asked by an init container in a mesh whose redirects are installed by the CNI plugin: on
// a node without it the pod would begin, and send past its sidecar. It listens where the sidecar will, and dials a place
// that nobody has; who is redirected meets himself. Needs no privileges, and a user that is not the sidecar's.
import { connect, createServer, type Server } from 'node:net';
import type { RedirectSettings } from './redirect-flags.ts';

const TRIES = 10;
const TRY_MS = 500;
/** RFC 5737 and RFC 3849: for documentation, nobody's. */
const NOBODY = { ipv4: '192.0.2.1', ipv6: '2001:db8::1' } as const;
const PORTS = ['80', '81', '82', '83'];

/** What is wrong; empty: connections are redirected, or none shall be. */
export async function probeRedirect(settings: RedirectSettings): Promise<string> {
  const places = placesOf(settings);
  if (places.length === 0) return '';
  const port = Number(PORTS.find((one) => !settings.excludedOutboundPorts.includes(one)) ?? PORTS[0]);
  const seen = new Set<number>();
  const server = createServer((socket) => {
    seen.add(socket.remotePort ?? 0);
    socket.destroy();
  });
  try {
    await listening(server, settings.outboundPort);
  } catch (cause) {
    return `cannot listen where the sidecar will: ${String(cause)}`;
  }
  try {
    for (let attempt = 0; attempt < TRIES; attempt++)
      for (const place of places) if (await meetsItself(place, port, seen)) return '';
  } finally {
    server.close();
  }
  return `what this pod sends is not redirected to ${settings.outboundPort}: is the CNI plugin installed on this node?`;
}

function placesOf({ outboundRanges }: RedirectSettings): readonly string[] {
  if (outboundRanges.kind === 'all') return [NOBODY.ipv4, NOBODY.ipv6];
  return outboundRanges.items.map(({ text }) => text.split('/')[0] ?? '');
}

async function listening(server: Server, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '::', resolve);
  });
}

async function meetsItself(host: string, port: number, seen: ReadonlySet<number>): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ host, port });
    let own = -1;
    const end = (): void => {
      socket.destroy();
      resolve(seen.has(own));
    };
    socket.once('connect', () => (own = socket.localPort ?? -1));
    // Closed by the one who was met, or by nobody.
    socket.once('close', end);
    socket.once('error', () => setTimeout(end, TRY_MS / 5));
    socket.setTimeout(TRY_MS, end);
    socket.resume();
  });
}

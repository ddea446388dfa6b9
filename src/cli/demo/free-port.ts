// Ports for the demo's processes. They are taken from below the range that the kernel uses for outgoing
// connections, so that no connection of our own can sit on one between the choice and the listening.
import { createServer, type Server } from 'node:net';

const FIRST = 20_000;
const LAST = 31_999;
const TRIES_MAX = 2_000;

/** `count` different ports that were free on 127.0.0.1 a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const held: Server[] = [];
  const ports: number[] = [];
  try {
    for (let tries = 0; ports.length < count; tries++) {
      if (tries === TRIES_MAX) throw new Error(`found only ${ports.length} of ${count} free ports; end other programs`);
      const port = FIRST + Math.floor(Math.random() * (LAST - FIRST + 1));
      const server = await tryListen(port);
      if (server === null) continue;
      held.push(server);
      ports.push(port);
    }
  } finally {
    await Promise.all(held.map(closeServer));
  }
  return ports;
}

/** True when nothing listens on 127.0.0.1:`port` and we may. */
export async function isFreePort(port: number): Promise<boolean> {
  const server = await tryListen(port);
  if (server === null) return false;
  await closeServer(server);
  return true;
}

function tryListen(port: number): Promise<Server | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(null));
    server.listen(port, '0.0.0.0', () => resolve(server));
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

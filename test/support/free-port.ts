// Ports of 127.0.0.1 that nobody listens on. All are held open until the last is known, so that one
// call never hands out the same port twice; two processes could still meet, and then bind fails loudly.
// They lie below those that the kernel gives to outgoing connections, which would take one before it is bound again.
import { createServer, type Server } from 'node:net';

const LOWEST = 18_000;
/** Linux begins at 32768 (net.ipv4.ip_local_port_range). */
const COUNT = 14_000;
const TRIES = 50;

export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  const ports: number[] = [];
  for (let i = 0; i < count; i++) {
    const server = createServer();
    servers.push(server);
    ports.push(await listenBelow(server));
  }
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port ?? 0;
}

async function listenBelow(server: Server): Promise<number> {
  for (let left = TRIES; left > 0; left--) {
    const port = LOWEST + Math.floor(Math.random() * COUNT);
    const isFree = await listen(server, port).then(
      () => true,
      () => false,
    );
    if (isFree) return port;
  }
  return await listen(server);
}

/** Listens on 127.0.0.1; port 0 takes any. Resolves to the port, rejects when it cannot bind. */
export function listen(server: Server, port = 0): Promise<number> {
  return new Promise((done, fail) => {
    server.once('error', fail);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      done(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}

// Where the listening sockets of the workers come from. An address is tried out once, alone, so that a second
// sidecar on the same port is refused and does not silently share it; then every worker binds it with
// SO_REUSEPORT. Sockets that a predecessor handed over are shared out instead; the originals stay here, for a
// worker that is started again cannot bind what another process bound.
import { closeSync } from 'node:fs';
import { createServer, isIP } from 'node:net';
import { loadDescriptorCalls } from '../descriptor-calls.ts';
import type { ListenerHost, SocketClaim } from '../listener-host.ts';

type Address =
  | { readonly kind: 'free'; readonly port: number }
  | { readonly kind: 'held'; readonly port: number; readonly descriptors: readonly number[] };

export interface WorkerSocketsOptions {
  readonly workers: number;
  /** All sockets of the predecessor for this address; ours from then on. */
  readonly inherit: (address: string, port: number) => readonly number[];
}

export class WorkerSockets {
  readonly #options: WorkerSocketsOptions;
  readonly #addresses = new Map<string, Promise<Address>>();
  readonly #held: number[] = [];

  constructor(options: WorkerSocketsOptions) {
    this.#options = options;
  }

  /** What a worker listens on. Rejects when the address is taken. */
  async claim(worker: number, address: string, port: number): Promise<SocketClaim> {
    // The file of a Unix socket is one: the first worker listens, and passes connections on.
    if (isPath(address, port)) return worker === 0 ? { kind: 'bind', port, isShared: false } : ELSEWHERE;
    const found = await this.#find(address, port);
    if (found.kind === 'free') return { kind: 'bind', port: found.port, isShared: true };
    const calls = await loadDescriptorCalls();
    const { descriptors } = found;
    const mine = descriptors.filter((_, i) => i % this.#options.workers === worker);
    const shared = mine.length > 0 ? mine : [descriptors[worker % descriptors.length] ?? -1];
    return { kind: 'inherited', descriptors: shared.map((one) => calls?.duplicate(one) ?? -1) };
  }

  /** For the main thread, whose listeners only know where the workers listen. */
  mainHost(): ListenerHost {
    return {
      limits: null,
      claim: async (address, port) => {
        if (isPath(address, port)) return ELSEWHERE;
        return { kind: 'elsewhere', port: (await this.#find(address, port)).port };
      },
      passOn: () => false,
      opened: () => {},
      closed: () => {},
    };
  }

  close(): void {
    for (const descriptor of this.#held.splice(0)) closeSync(descriptor);
  }

  #find(address: string, port: number): Promise<Address> {
    const key = `${address} ${port}`;
    const known = this.#addresses.get(key);
    if (known !== undefined) return known;
    const descriptors = this.#options.inherit(address, port);
    this.#held.push(...descriptors);
    const found: Promise<Address> =
      descriptors.length > 0
        ? Promise.resolve({ kind: 'held', port, descriptors })
        : tryOut(address, port).then((bound) => ({ kind: 'free', port: bound }));
    this.#addresses.set(key, found);
    // What is taken now may be free the next time.
    found.catch(() => this.#addresses.delete(key));
    return found;
  }
}

const ELSEWHERE: SocketClaim = { kind: 'elsewhere', port: 0 };

function isPath(address: string, port: number): boolean {
  return port === 0 && isIP(address) === 0;
}

/** Binds without sharing, and lets go. Resolves to the port, which the kernel chose when it was 0. */
function tryOut(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', reject);
    server.listen({ host, port }, () => {
      const bound = server.address();
      server.close(() => resolve(typeof bound === 'object' && bound !== null ? bound.port : port));
    });
  });
}

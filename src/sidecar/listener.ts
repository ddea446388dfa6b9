// One listening socket and the connections it accepted. A configuration update replaces `config`: new
// connections take the new filter chain. Open ones stay when only routes changed (those are swapped
// through RoutesRef); else they are moved on: the next response of each is its connection's last, and
// what stays idle is closed after a grace, so that no client meets the close with a request in hand.
//
//   listening ─► graceful (every response is its connection's last) ─► stopped ─► destroyed
import { createServer, isIP, type AddressInfo, type Server, type Socket } from 'node:net';
import { WheelTimer } from '../base/timer-wheel.ts';
import type { ListenerTally } from '../observe/proxy-tally.ts';
import type { Engine } from './engine.ts';
import { H1Server } from './h1-server.ts';
import type { FilterChain, ListenerConfig } from './listener-config.ts';
import { TcpForward } from './tcp-forward.ts';
import { kernelPath, removeLeftover } from './unix-path.ts';

const BACKLOG = 4096;
/** How long connections of a replaced filter chain may wait for a request that ends them politely. */
const RETIRE_GRACE_MS = 3000;
const RETIRE_LOOK_MS = 1000;

export class Listener {
  config: ListenerConfig;
  readonly #engine: Engine;
  readonly #tally: ListenerTally;
  readonly #server: Server;
  readonly #http = new Set<H1Server>();
  readonly #tcp = new Set<TcpForward>();
  readonly #retireTimer: WheelTimer;
  #isDraining = false;
  #isStopped = false;

  constructor(engine: Engine, config: ListenerConfig) {
    this.#engine = engine;
    this.config = config;
    this.#tally = config.tally;
    this.#retireTimer = new WheelTimer(() => this.#closeRetired());
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: false });
    this.#server.on('connection', (socket) => this.#accept(socket));
  }

  get isInbound(): boolean {
    return this.config.isInbound;
  }

  /** True when every further response is its connection's last. */
  get isDraining(): boolean {
    return this.#isDraining;
  }

  get active(): number {
    return this.#http.size + this.#tcp.size;
  }

  /** Resolves when the socket listens; rejects with the system's error (EADDRINUSE and the like). */
  async listen(): Promise<void> {
    const { address, port } = this.config;
    const isPath = port === 0 && isIP(address) === 0;
    if (isPath) await removeLeftover(address);
    const where = isPath ? { path: kernelPath(address) } : { host: address, port };
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ ...where, backlog: BACKLOG }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => {
          this.#engine.log.error('listener failed', { listener: this.config.name, error: error.message });
        });
        resolve();
      });
    });
  }

  /** The address really listened on (port 0 is resolved); null before listen() and for a path. */
  get boundAddress(): AddressInfo | null {
    const address = this.#server.address();
    return address === null || typeof address === 'string' ? null : address;
  }

  /** A newer version of this listener on the same address: connections move to it unless only routes changed. */
  update(config: ListenerConfig): void {
    const isSame = this.config.fingerprint === config.fingerprint;
    this.config = config;
    if (isSame || this.#http.size === 0) return;
    for (const server of this.#http) server.retire();
    this.#engine.wheel.arm(this.#retireTimer, RETIRE_GRACE_MS);
  }

  /** Stops to accept; open connections finish what they do. */
  drain(): void {
    this.drainGracefully();
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#server.close();
  }

  /** Marks connections for closing without closing the listening socket (`/drain_listeners?graceful`). */
  drainGracefully(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    for (const server of this.#http) server.drain();
  }

  /** Closes everything now. */
  destroy(): void {
    this.drain();
    this.#engine.wheel.disarm(this.#retireTimer);
    for (const server of this.#http) server.destroy();
    for (const forward of this.#tcp) forward.destroy();
  }

  closed(connection: H1Server | TcpForward): void {
    this.#tally.connectionsActive--;
    if (connection instanceof H1Server) this.#http.delete(connection);
    else this.#tcp.delete(connection);
  }

  #accept(socket: Socket): void {
    this.#tally.connectionsTotal++;
    const chain = this.config.chains[0];
    if (chain === undefined) {
      socket.destroy();
      return;
    }
    this.#tally.connectionsActive++;
    this.#serve(chain, socket);
  }

  #serve(chain: FilterChain, socket: Socket): void {
    if (chain.kind === 'http') this.#http.add(new H1Server(this.#engine, chain.manager, socket, this));
    else this.#tcp.add(new TcpForward(this.#engine, chain.proxy, socket, this));
  }

  /** Closes retired connections that have been quiet for a while, and looks again while there are others. */
  #closeRetired(): void {
    let left = 0;
    for (const server of this.#http) {
      if (!server.isRetired) continue;
      if (server.quietMs >= RETIRE_LOOK_MS) server.drain();
      else left++;
    }
    if (left > 0) this.#engine.wheel.arm(this.#retireTimer, RETIRE_LOOK_MS);
  }
}

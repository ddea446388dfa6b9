// One listening socket and the connections it accepted. A configuration update replaces `config`: new
// connections take the new filter chain, open ones end on the manager they began with (its routes are
// swapped through RoutesRef). Draining stops to listen, closes what is idle and marks every further
// response as the connection's last.
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Engine } from './engine.ts';
import { H1Server } from './h1-server.ts';
import type { FilterChain, ListenerConfig } from './listener-config.ts';
import { TcpForward } from './tcp-forward.ts';

const BACKLOG = 4096;

export class Listener {
  config: ListenerConfig;
  isDraining = false;
  readonly #engine: Engine;
  readonly #server: Server;
  readonly #http = new Set<H1Server>();
  readonly #tcp = new Set<TcpForward>();
  /** Connections accepted since the start. */
  accepted = 0;

  constructor(engine: Engine, config: ListenerConfig) {
    this.#engine = engine;
    this.config = config;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: false });
    this.#server.on('connection', (socket) => this.#accept(socket));
    this.#server.on('error', (error) => {
      engine.log.error('listener failed', { listener: this.config.name, error: error.message });
    });
  }

  get isInbound(): boolean {
    return this.config.isInbound;
  }

  get active(): number {
    return this.#http.size + this.#tcp.size;
  }

  /** Resolves when the socket listens; rejects with the system's error (EADDRINUSE and the like). */
  listen(): Promise<void> {
    const { address, port } = this.config;
    return new Promise((resolve, reject) => {
      const onError = (error: Error): void => reject(error);
      this.#server.once('error', onError);
      const options = port === 0 && address.startsWith('/') ? { path: address } : { host: address, port };
      this.#server.listen({ ...options, backlog: BACKLOG }, () => {
        this.#server.off('error', onError);
        resolve();
      });
    });
  }

  /** The address really listened on (port 0 is resolved); null before listen() and for a path. */
  get boundAddress(): AddressInfo | null {
    const address = this.#server.address();
    return address === null || typeof address === 'string' ? null : address;
  }

  /** Stops to accept; open connections finish what they do. */
  drain(): void {
    if (this.isDraining) return;
    this.isDraining = true;
    this.#server.close();
    for (const server of this.#http) server.drain();
  }

  /** Marks connections for closing without closing the listening socket (`/drain_listeners?graceful`). */
  drainGracefully(): void {
    this.isDraining = true;
    for (const server of this.#http) server.drain();
  }

  /** Closes everything now. */
  destroy(): void {
    this.drain();
    this.#server.close();
    for (const server of this.#http) server.destroy();
    for (const forward of this.#tcp) forward.destroy();
  }

  closed(connection: H1Server | TcpForward): void {
    this.#engine.counters.downstreamConnectionsActive--;
    if (connection instanceof H1Server) this.#http.delete(connection);
    else this.#tcp.delete(connection);
  }

  #accept(socket: Socket): void {
    const { counters } = this.#engine;
    this.accepted++;
    counters.downstreamConnections++;
    counters.downstreamConnectionsActive++;
    const chain = this.config.chains[0];
    if (chain === undefined) {
      counters.downstreamConnectionsActive--;
      socket.destroy();
      return;
    }
    this.#serve(chain, socket);
  }

  #serve(chain: FilterChain, socket: Socket): void {
    if (chain.kind === 'http') this.#http.add(new H1Server(this.#engine, chain.manager, socket, this));
    else this.#tcp.add(new TcpForward(this.#engine, chain.proxy, socket, this));
  }
}

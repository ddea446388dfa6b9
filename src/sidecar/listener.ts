// One listening socket and the connections it accepted. A configuration update replaces `config`: new
// connections take the new filter chain. Open ones stay when only routes changed (those are swapped
// through RoutesRef); else they are moved on: the next response of each is its connection's last, and
// what stays idle is closed after a grace, so that no client meets the close with a request in hand.
//
//   listening ─► graceful (responses become their connections' last) ─► stopped ─► destroyed
import { createServer, isIP, type AddressInfo, type ListenOptions, type Server } from 'node:net';
import { WheelTimer } from '../base/timer-wheel.ts';
import type { ListenerTally } from '../observe/proxy-tally.ts';
import type { DownstreamTls } from '../tls/downstream-tls.ts';
import { AcceptComplaint } from './accept-complaint.ts';
import { emptyBacklog } from './backlog.ts';
import { ConnectionPassage } from './connection-passage.ts';
import { tlsFacts } from './connection.ts';
import { descriptorOf } from './descriptor.ts';
import type { Engine } from './engine.ts';
import { H1Server } from './h1-server.ts';
import type { FilterChain, ListenerConfig } from './listener-config.ts';
import type { ListenerHost } from './listener-host.ts';
import { ListenerAdmission } from './listener-admission.ts';
import { ListenerArrivals, prepareArrivals, type ArrivalHost } from './listener-arrivals.ts';
import { refuseHttp2 } from './h2-refusal.ts';
import type { ConnectionFacts } from './arrival/connection-facts.ts';
import { leaveReplaced } from './replaced-chains.ts';
import { TcpForward } from './tcp-forward.ts';
import { kernelPath, removeLeftover } from './unix-path.ts';
import { acceptWires, wireOf, wireOfDescriptor } from './wire-socket.ts';
import { Roster } from './roster.ts';
import { ServerHandshake } from './server-handshake.ts';
import { NO_USER, type Wire } from './wire.ts';

const BACKLOG = 4096;
/** How long connections of a replaced filter chain may wait for a request that ends them politely. */
const RETIRE_GRACE_MS = 3000;
const RETIRE_LOOK_MS = 1000;
/** While draining: connections that are quiet for so long are closed, and how often that is looked at. */
const DRAIN_QUIET_MS = 500;
const DRAIN_LOOK_MS = 100;

const UNCLAIMED = { kind: 'bind', isShared: false } as const;

/** Finds the listener of a restored address, for connections that are handed over; null: there is none. */
export type FindListener = (address: string, port: number) => Listener | null;

export class Listener implements ArrivalHost {
  config: ListenerConfig;
  /** Set by the set of listeners that this one belongs to. */
  findListener: FindListener = findNone;
  readonly #engine: Engine;
  readonly #tally: ListenerTally;
  readonly #server: Server;
  /** Further sockets of the same address, inherited from a process that had more threads. */
  readonly #others: Server[] = [];
  readonly #http = new Roster<H1Server, FilterChain>();
  readonly #tcp = new Roster<TcpForward, FilterChain>();
  /** Connections whose TLS handshake is not over. */
  readonly #handshakes = new Set<ServerHandshake>();
  readonly #arrivals: ListenerArrivals;
  readonly #retireTimer: WheelTimer;
  /** Connections that are refused in a protocol of their own. */
  readonly #refused = new Set<Wire>();
  readonly #complaint = new AcceptComplaint();
  #hasRefusedHttp2 = false;
  readonly #host: ListenerHost | null;
  readonly #admission: ListenerAdmission;
  /** The port that others have bound for this listener; 0 when it listens by itself. */
  #portElsewhere = 0;
  #isDraining = false;
  /** Monotonic milliseconds: while it drains gradually, the share of last responses grows from none to all. */
  #drainFromMs = 0;
  #drainSpreadMs = 0;
  #isStopped = false;
  #isClosed = false;

  constructor(engine: Engine, config: ListenerConfig, host: ListenerHost | null = null) {
    this.#engine = engine;
    this.#host = host;
    this.#admission = new ListenerAdmission(engine.counters, config, host);
    this.config = config;
    this.#tally = config.tally;
    this.#arrivals = new ListenerArrivals(engine, this);
    this.#retireTimer = new WheelTimer(() => (this.#isDraining ? this.#closeQuiet() : this.#closeRetired()));
    this.#server = newServer();
  }

  get isInbound(): boolean {
    return this.config.isInbound;
  }

  /** True when the response being written shall be its connection's last. */
  get isDraining(): boolean {
    if (!this.#isDraining || this.#drainSpreadMs === 0) return this.#isDraining;
    const passedMs = this.#engine.clock.now() - this.#drainFromMs;
    return passedMs >= this.#drainSpreadMs * this.#engine.random();
  }

  get active(): number {
    return this.#http.size + this.#tcp.size + this.#handshakes.size + this.#arrivals.size + this.#refused.size;
  }

  /** Resolves when the socket listens; rejects with the system's error (EADDRINUSE and the like). */
  async listen(): Promise<void> {
    await prepareArrivals(this.config);
    if (!this.config.bindsToPort) return;
    const { address, port } = this.config;
    const isPath = port === 0 && isIP(address) === 0;
    if (isPath) await removeLeftover(address);
    const claim = (await this.#host?.claim(address, port)) ?? { ...UNCLAIMED, port };
    if (claim.kind === 'elsewhere') {
      this.#portElsewhere = claim.port;
      return;
    }
    if (claim.kind === 'inherited') {
      const [first = -1, ...others] = claim.descriptors;
      await this.#listenOn(this.#server, { fd: first });
      for (const descriptor of others) {
        const server = newServer();
        this.#others.push(server);
        await this.#listenOn(server, { fd: descriptor });
      }
      return;
    }
    const tcp = { host: address, port: claim.port, reusePort: claim.isShared };
    await this.#listenOn(this.#server, isPath ? { path: kernelPath(address) } : tcp);
  }

  #listenOn(server: Server, where: ListenOptions & { readonly fd?: number }): Promise<void> {
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ ...where, backlog: BACKLOG }, () => {
        server.off('error', reject);
        server.on('error', (error) => {
          this.#engine.log.error('listener failed', { listener: this.config.name, error: error.message });
        });
        acceptWires(
          server,
          (wire) => this.#accept(wire),
          (code) => this.#acceptFailed(code),
        );
        resolve();
      });
    });
  }

  /** The address really listened on (port 0 is resolved); null before listen() and for a path. */
  get boundAddress(): AddressInfo | null {
    const { address: host } = this.config;
    if (this.#portElsewhere > 0) return { address: host, family: `IPv${isIP(host)}`, port: this.#portElsewhere };
    const address = this.#server.address();
    return address === null || typeof address === 'string' ? null : address;
  }

  /** A newer version of this listener on the same address: connections move to it unless only routes changed. */
  update(config: ListenerConfig): void {
    const isSame = this.config.fingerprint === config.fingerprint;
    this.config = config;
    const kept = new Set(isSame ? config.chains.map(({ fingerprint }) => fingerprint) : []);
    if (leaveReplaced(this.#http, this.#tcp, kept, config.chains) === 0) return;
    this.#engine.wheel.arm(this.#retireTimer, RETIRE_GRACE_MS);
  }

  /** The sockets on which this thread accepts. */
  get descriptors(): readonly number[] {
    if (this.#isStopped) return [];
    return [this.#server, ...this.#others].map(descriptorOf).filter((descriptor) => descriptor >= 0);
  }

  /** Stops to accept at once; open connections finish what they do. */
  drain(): void {
    this.#isStopped = true;
    this.drainGracefully();
    this.#closeSocket();
  }

  /** As drain(), but whoever the kernel has accepted is served: nobody is reset. */
  async stopAccepting(): Promise<void> {
    this.drainGracefully();
    if (this.#isStopped) return;
    const { descriptors } = this;
    this.#isStopped = true;
    await Promise.all(descriptors.map((descriptor) => emptyBacklog(descriptor, () => this.#tally.connectionsTotal)));
    this.#closeSocket();
  }

  /**
   * Marks connections for closing without closing the listening socket: over `spreadMs`, more and more responses
   * are their connections' last (Envoy's drain strategy `gradual`), and afterwards every one. Idle connections
   * are closed then, when they stay quiet.
   */
  drainGracefully(spreadMs = 0): void {
    if (this.#isDraining && this.#drainSpreadMs === 0) return;
    this.#isDraining = true;
    this.#drainFromMs = this.#engine.clock.now();
    this.#drainSpreadMs = spreadMs;
    if (spreadMs === 0) this.#closeQuiet();
  }

  /** Closes everything now. */
  destroy(): void {
    this.drain();
    this.#engine.wheel.disarm(this.#retireTimer);
    this.#arrivals.destroy();
    for (const server of this.#http.members()) server.destroy();
    for (const forward of this.#tcp.members()) forward.destroy();
    for (const handshake of this.#handshakes) handshake.destroy();
    for (const wire of this.#refused) wire.destroy();
  }

  /** Serves a connection that another worker accepted; the descriptor is ours from now on. */
  adopt(descriptor: number): void {
    this.#take(wireOfDescriptor(descriptor), null);
  }

  closed(connection: H1Server | TcpForward): void {
    const isHttp = connection instanceof H1Server;
    const chain = isHttp ? this.#http.noteOf(connection) : this.#tcp.noteOf(connection);
    if (isHttp) this.#http.delete(connection);
    else this.#tcp.delete(connection);
    this.#left(chain);
  }

  /** A connection that its chain had admitted is gone. */
  #left(chain: FilterChain | undefined): void {
    if (chain !== undefined && chain.limit !== null) chain.limit.release();
    this.gone();
  }

  gone(): void {
    this.#tally.connectionsActive--;
    this.#engine.counters.downstreamActive--;
    this.#admission.release();
    if (this.#host !== null) this.#host.closed();
  }

  isElsewhere(facts: ConnectionFacts): boolean {
    return this.#ownerOf(facts) !== null;
  }

  /** The other listener that a connection is for, by its original destination. */
  #ownerOf({ isRestored, localAddress, localPort }: ConnectionFacts): Listener | null {
    const other = this.config.handsOff && isRestored ? this.findListener(localAddress, localPort) : null;
    return other === this ? null : other;
  }

  handOver(wire: Wire, facts: ConnectionFacts): boolean {
    const other = this.#ownerOf(facts);
    if (other === null) return false;
    this.gone();
    other.#take(wire, facts);
    return true;
  }

  /** The kernel has no descriptor or memory left: the others go on, and one line a second tells of it. */
  #acceptFailed(code: number): void {
    this.#tally.acceptFailures++;
    this.#complaint.tell(this.#engine, this.config.name, code);
  }

  #accept(wire: Wire): void {
    if (this.#host !== null && this.#host.passOn(this.config.name, wire.fd)) wire.destroy();
    else this.#take(wire, null);
  }

  #take(wire: Wire, facts: ConnectionFacts | null): void {
    if (!this.#admission.admits(this.config)) {
      wire.destroy();
      return;
    }
    this.#tally.connectionsTotal++;
    const chain = this.config.chains[0];
    if (chain === undefined) {
      this.#admission.release();
      wire.destroy();
      return;
    }
    this.#tally.connectionsActive++;
    this.#engine.counters.downstreamActive++;
    if (this.#host !== null) this.#host.opened();
    const { arrival } = this.config;
    if (arrival === null) this.serve(chain, wire, null);
    else this.#arrivals.begin(arrival, wire, facts);
  }

  /** Serves the connection once its TLS handshake is over. */
  #secure(chain: FilterChain, transport: DownstreamTls, wire: Wire): void {
    const { facts } = wire;
    const handshake = new ServerHandshake(transport, wire, this.#engine.wheel, {
      onSecure: (secured, peer) => {
        this.#handshakes.delete(handshake);
        const secureWire = wireOf(secured);
        secureWire.facts = facts;
        tlsFacts.set(secureWire, peer);
        this.#hand(chain, secureWire, null);
      },
      onInsecure: (cause) => {
        if (this.#handshakes.delete(handshake)) this.#left(chain);
        this.#engine.log.debug('handshake failed', { listener: this.config.name, cause });
      },
    });
    this.#handshakes.add(handshake);
    handshake.start();
  }

  serve(chain: FilterChain, wire: Wire, dialled: TcpForward | null): void {
    if (chain.limit !== null && !chain.limit.admits()) this.#turnAway(wire, dialled, chain.limit.delayMs);
    else if (chain.transport === null) this.#hand(chain, wire, dialled);
    else this.#secure(chain, chain.transport, wire);
  }

  /** The chain has as many connections as it may: this one is closed, unread, after the delay. */
  #turnAway(wire: Wire, dialled: TcpForward | null, delayMs: number): void {
    dialled?.abandon();
    const timer = new WheelTimer(() => wire.destroy());
    this.#refused.add(wire);
    wire.user = {
      ...NO_USER,
      onWireClose: () => {
        this.#engine.wheel.disarm(timer);
        this.#refused.delete(wire);
        this.gone();
      },
    };
    if (delayMs === 0) wire.destroy();
    else this.#engine.wheel.arm(timer, delayMs);
  }

  #hand(chain: FilterChain, wire: Wire, dialled: TcpForward | null): void {
    if (chain.guards.length === 0) return this.#give(chain, wire, dialled);
    this.#refused.add(wire);
    new ConnectionPassage(chain, wire, { engine: this.#engine, isInbound: this.isInbound }, (isAdmitted) => {
      this.#refused.delete(wire);
      if (isAdmitted) return this.#give(chain, wire, dialled);
      dialled?.abandon();
      wire.destroy();
      return this.#left(chain);
    }).begin();
  }

  /** Gives the connection to the protocol of its chain. */
  #give(chain: FilterChain, wire: Wire, dialled: TcpForward | null): void {
    if (chain.kind === 'tcp') {
      const forward = dialled ?? new TcpForward(this.#engine, chain.proxy, wire, this);
      this.#tcp.add(forward, chain);
      if (dialled === null) forward.start();
      else forward.begin();
    } else if (wire.facts !== null && wire.facts.applicationProtocols[0] === 'h2c') {
      this.#refuseHttp2(wire, chain);
    } else {
      this.#http.add(new H1Server(this.#engine, chain.manager, wire, this), chain);
    }
  }

  noteHttp2(): void {
    if (this.config.arrival !== null) this.config.arrival.tally.http2Refused++;
    const message = 'HTTP/2 is not served yet: clients are told to use HTTP/1.1';
    if (!this.#hasRefusedHttp2) this.#engine.log.warning(message, { listener: this.config.name });
    this.#hasRefusedHttp2 = true;
  }

  #refuseHttp2(wire: Wire, chain: FilterChain): void {
    this.noteHttp2();
    this.#refused.add(wire);
    refuseHttp2(this.#engine, wire, () => {
      this.#refused.delete(wire);
      this.#left(chain);
    });
  }

  #closeSocket(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const server of [this.#server, ...this.#others]) server.close();
  }

  /** Closes, of a listener that drains, the connections that nobody uses, and looks again while there are others. */
  #closeQuiet(): void {
    for (const server of this.#http.members()) if (server.quietMs >= DRAIN_QUIET_MS) server.drain();
    if (this.#http.size > 0) this.#engine.wheel.arm(this.#retireTimer, DRAIN_LOOK_MS);
  }

  /** Closes retired connections that have been quiet for a while, and looks again while there are others. */
  #closeRetired(): void {
    let left = 0;
    for (const server of this.#http.members()) {
      if (!server.isRetired) continue;
      if (server.quietMs >= RETIRE_LOOK_MS) server.drain();
      else left++;
    }
    if (left > 0) this.#engine.wheel.arm(this.#retireTimer, RETIRE_LOOK_MS);
  }
}

function newServer(): Server {
  return createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: false });
}

function findNone(): null {
  return null;
}

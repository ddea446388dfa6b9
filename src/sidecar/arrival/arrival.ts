// One accepted connection until it is known which filter chain takes it: runs the listener filters over the
// bytes that came first, bounded in time and in bytes, then asks the chain match. What was read goes on to
// whoever takes the connection. A client that says nothing does not hang a server that would speak first:
// after a grace the upstream of the plain TCP chain is dialled, and whoever speaks first decides.
//
//   filters ──bytes──► decided ─► chain match ─► arrived | unmatched
//      │ silence for graceMs ─► speculate: server's bytes ─► TCP, remembered
//      └ timeout, PROXY error, close ─► left
import { assertNever } from '../../base/assert.ts';
import { WheelTimer } from '../../base/timer-wheel.ts';
import { formatAddress } from '../../plan/cluster.ts';
import type { Engine } from '../engine.ts';
import type { OriginalDestination } from '../original-destination.ts';
import { NO_USER, type Wire, type WireUser } from '../wire.ts';
import type { ArrivalPlan, ListenerFilter } from './arrival-plan.ts';
import { plainAddress, type ConnectionFacts } from './connection-facts.ts';
import { HttpPreface } from './http-preface.ts';
import { parseProxyHeader } from './proxy-protocol.ts';
import { ReadAhead } from './read-ahead.ts';
import type { ServerFirst } from './server-first.ts';
import { TlsHello } from './tls-hello.ts';

/** An upstream that was dialled for a client that may not want it; see TcpForward. */
export interface Speculation {
  /** The connection is the upstream's from now on. */
  begin(): void;
  /** It is not: nothing is logged or counted. */
  abandon(): void;
}

export interface SpeculationUser {
  /** The server's first bytes are there; called once, before they are written. */
  onServerFirst(): void;
  /** The upstream failed or closed without a word; nothing else is called. */
  onLost(): void;
}

export type Departure = 'timeout' | 'closed' | 'refused';

export interface ArrivalOwner<Chain> {
  /** The wire is paused, carries facts, and brings what was read ahead. `speculation` is for this very chain. */
  arrived(arrival: Arrival<Chain>, chain: Chain | null, speculation: Speculation | null): void;
  /** The connection is over; the wire is closed. */
  left(arrival: Arrival<Chain>, why: Departure): void;
  /** True when another listener is to have the connection: it runs filters of its own. */
  isElsewhere(facts: ConnectionFacts): boolean;
  /** Dials for a plain TCP chain; null where the chain is another. */
  speculate(chain: Chain, wire: Wire, user: SpeculationUser): Speculation | null;
}

type Outcome = 'next' | 'wait' | 'refuse';

export class Arrival<Chain> implements WireUser, SpeculationUser {
  readonly wire: Wire;
  facts: ConnectionFacts;
  readonly #engine: Engine;
  readonly #plan: ArrivalPlan<Chain>;
  readonly #owner: ArrivalOwner<Chain>;
  readonly #original: OriginalDestination | null;
  readonly #serverFirst: ServerFirst;
  readonly #held = new ReadAhead();
  readonly #timer = new WheelTimer(() => this.#timedOut());
  readonly #grace = new WheelTimer(() => this.#speculate());
  #filterAt = 0;
  /** Bytes of `#held` that the current inspector has seen. */
  #seenBytes = 0;
  #hello: TlsHello | null = null;
  #preface: HttpPreface | null = null;
  #speculation: Speculation | null = null;
  #speculated: Chain | null = null;
  #isOver = false;

  constructor(engine: Engine, plan: ArrivalPlan<Chain>, wire: Wire, options: ArrivalOptions<Chain>) {
    this.#engine = engine;
    this.#plan = plan;
    this.#owner = options.owner;
    this.#original = options.original;
    this.#serverFirst = options.serverFirst;
    this.wire = wire;
    this.facts = options.facts ?? wire.facts ?? factsOf(wire);
  }

  /** Runs what needs no bytes; whoever needs some is waited for. */
  start(): void {
    this.#run();
    if (this.#isOver) return;
    const { timeoutMs } = this.#plan;
    if (timeoutMs > 0) this.#engine.wheel.arm(this.#timer, timeoutMs);
    this.wire.user = this;
    this.wire.resume();
  }

  destroy(): void {
    this.#leave('closed');
  }

  onWireBytes(bytes: Buffer): void {
    if (this.#isOver) return;
    this.#engine.wheel.disarm(this.#grace);
    this.#held.append(bytes);
    this.#run();
  }

  onWireEnd(): void {
    this.#leave('closed');
  }

  onWireDrain(): void {}

  onWireClose(): void {
    this.#leave('closed');
  }

  onServerFirst(): void {
    const { clock, log } = this.#engine;
    this.#plan.tally.serverFirst++;
    this.#serverFirst.remember(this.#destination, clock.now(), log);
    this.#settle();
  }

  onLost(): void {
    // The client may still say what it wants; then its own chain dials, and tells it of the failure.
    this.#speculation = null;
    this.#speculated = null;
  }

  get #destination(): string {
    return formatAddress(this.facts.localAddress, this.facts.localPort);
  }

  #run(): void {
    const { filters } = this.#plan;
    for (let filter = filters[this.#filterAt]; filter !== undefined; filter = filters[this.#filterAt]) {
      const isSkipped = filter.isSkipped !== null && filter.isSkipped(this.facts.localPort);
      const outcome = isSkipped ? 'next' : this.#apply(filter);
      if (outcome === 'refuse') this.#leave('refused');
      else if (outcome === 'wait') this.#wait(filter);
      if (outcome !== 'next') return;
      this.#filterAt++;
      this.#seenBytes = 0;
    }
    this.#settle();
  }

  #apply(filter: ListenerFilter): Outcome {
    switch (filter.kind) {
      case 'original-dst':
        this.#restore();
        return 'next';
      case 'proxy-protocol':
        return this.#readProxy(filter);
      case 'tls-inspector':
        return this.#inspectTls();
      case 'http-inspector':
        return this.facts.transportProtocol === 'tls' ? 'next' : this.#inspectHttp();
      default:
        return assertNever(filter);
    }
  }

  #restore(): void {
    const { localAddress: address, localPort: port } = this.facts;
    if (this.facts.isRestored) return;
    const place = this.#original?.(this.wire.fd, { address, port }) ?? null;
    if (place === null) return;
    this.facts = { ...this.facts, localAddress: plainAddress(place.address), localPort: place.port, isRestored: true };
  }

  #readProxy(filter: ListenerFilter & { kind: 'proxy-protocol' }): Outcome {
    const { tally } = this.#plan;
    const bytes = this.#held.from(0);
    const header = parseProxyHeader(bytes);
    switch (header.kind) {
      case 'incomplete':
        return 'wait';
      case 'absent':
        if (filter.allowsAbsent) tally.proxyAbsentAllowed++;
        else tally.proxyAbsentRefused++;
        return filter.allowsAbsent ? 'next' : 'refuse';
      case 'invalid':
        tally.proxyErrors[bytes[0] === 0x50 ? 0 : 1]++;
        return 'refuse';
      case 'header':
    }
    const at = header.version === 1 ? 0 : 1;
    if (filter.refusedVersions.includes(header.version)) {
      tally.proxyRefused[at]++;
      return 'refuse';
    }
    tally.proxyFound[at]++;
    this.#held.drop(header.bytes);
    const { addresses } = header;
    if (addresses !== null) {
      this.facts = {
        ...this.facts,
        remoteAddress: plainAddress(addresses.sourceAddress),
        remotePort: addresses.sourcePort,
        localAddress: plainAddress(addresses.destinationAddress),
        localPort: addresses.destinationPort,
        isRestored: true,
      };
    }
    return 'next';
  }

  #inspectTls(): Outcome {
    const { tally } = this.#plan;
    const hello = (this.#hello ??= new TlsHello());
    const state = hello.feed(this.#unseen());
    if (state === 'incomplete') return 'wait';
    if (state === 'too-large') {
      tally.helloTooLarge++;
      return 'refuse';
    }
    if (state === 'not-tls') {
      tally.tlsNotFound++;
      return 'next';
    }
    tally.tlsFound++;
    const { serverName, protocols } = hello;
    if (serverName === '') tally.serverNameNotFound++;
    else tally.serverNameFound++;
    if (protocols.length === 0) tally.protocolNotFound++;
    else tally.protocolFound++;
    this.facts = { ...this.facts, serverName, transportProtocol: 'tls', applicationProtocols: protocols };
    return 'next';
  }

  #inspectHttp(): Outcome {
    const { tally } = this.#plan;
    const state = (this.#preface ??= new HttpPreface()).feed(this.#unseen());
    if (state === 'incomplete') return 'wait';
    if (state === 'not-http') tally.httpNotFound++;
    else this.facts = { ...this.facts, applicationProtocols: [state] };
    if (state === 'h2c') tally.http2Found++;
    else if (state === 'http/1.1') tally.http11Found++;
    else if (state === 'http/1.0') tally.http10Found++;
    return 'next';
  }

  /** Bytes that the current inspector has not seen. */
  #unseen(): Buffer {
    const bytes = this.#held.from(this.#seenBytes);
    this.#seenBytes = this.#held.length;
    return bytes;
  }

  #wait(filter: ListenerFilter): void {
    const { graceMs } = this.#plan;
    const isInspecting = filter.kind === 'tls-inspector' || filter.kind === 'http-inspector';
    if (!isInspecting || graceMs < 0 || this.#held.length > 0 || this.#speculated !== null) return;
    if (this.#serverFirst.has(this.#destination, this.#engine.clock.now())) this.#speculate();
    else this.#engine.wheel.arm(this.#grace, graceMs);
  }

  /** The client has said nothing: asks the server whether it would. */
  #speculate(): void {
    if (this.#isOver || this.#speculated !== null) return;
    if (this.#owner.isElsewhere(this.facts)) {
      this.#settle();
      return;
    }
    const chain = this.#chain();
    if (chain === null) return;
    this.#speculated = chain;
    // Logs and metrics of the forwarding know the connection by the facts of now: they change no more for TCP.
    this.wire.facts = this.facts;
    this.#speculation = this.#owner.speculate(chain, this.wire, this);
  }

  #chain(): Chain | null {
    return this.#plan.match.find(this.facts) ?? this.#plan.defaultChain;
  }

  #timedOut(): void {
    if (this.#plan.continuesOnTimeout) this.#settle();
    else this.#leave('timeout');
  }

  #settle(): void {
    if (this.#isOver) return;
    this.#finish();
    const { wire } = this;
    wire.pause();
    wire.user = NO_USER;
    wire.facts = this.facts;
    if (this.#held.length > 0) wire.unread(this.#held.from(0));
    const chain = this.#chain();
    const isSame = chain !== null && chain === this.#speculated;
    if (!isSame) this.#speculation?.abandon();
    this.#owner.arrived(this, chain, isSame ? this.#speculation : null);
  }

  #leave(why: Departure): void {
    if (this.#isOver) return;
    this.#finish();
    this.#speculation?.abandon();
    this.wire.user = NO_USER;
    this.wire.destroy();
    this.#owner.left(this, why);
  }

  #finish(): void {
    this.#isOver = true;
    this.#engine.wheel.disarm(this.#timer);
    this.#engine.wheel.disarm(this.#grace);
  }
}

export interface ArrivalOptions<Chain> {
  readonly owner: ArrivalOwner<Chain>;
  /** Null where no filter asks the kernel. */
  readonly original: OriginalDestination | null;
  readonly serverFirst: ServerFirst;
  /** Known already, when another listener handed the connection over. */
  readonly facts: ConnectionFacts | null;
}

function factsOf(wire: Wire): ConnectionFacts {
  const remoteAddress = plainAddress(wire.remoteAddress);
  return {
    remoteAddress,
    remotePort: wire.remotePort,
    localAddress: plainAddress(wire.localAddress),
    localPort: wire.localPort,
    directAddress: remoteAddress,
    isRestored: false,
    serverName: '',
    transportProtocol: 'raw_buffer',
    applicationProtocols: [],
  };
}

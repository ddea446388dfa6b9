// One copy of a request to another cluster, fire and forget: the answer is read and dropped, a failure is
// counted on its endpoint and nowhere else, and a slow mirror loses the copy, never slows the request.
import { NO_BODY, type BodyKind } from '../http/body-decoder.ts';
import { Head } from '../http/head.ts';
import type { Endpoint } from '../plan/cluster.ts';
import type { Failure } from '../plan/failure.ts';
import { WheelTimer } from '../base/timer-wheel.ts';
import type { Engine } from './engine.ts';
import type { UpstreamConnection, UpstreamUser } from './h1-client.ts';
import type { EndpointPool, PoolUser } from './upstream-pool.ts';

const QUEUED_BYTES_MAX = 1024 * 1024;
/** Where the route has no timeout. */
const TIMEOUT_MS = 15_000;

export class MirrorRequest implements UpstreamUser, PoolUser {
  readonly responseHead: Head = new Head();
  readonly #engine: Engine;
  readonly #endpoint: Endpoint;
  readonly #headText: string;
  readonly #bodyKind: BodyKind;
  readonly #method: string;
  readonly #timer: WheelTimer;
  #pool: EndpointPool | null = null;
  #upstream: UpstreamConnection | null = null;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #trailers = '';
  #isRequestComplete: boolean;
  #isOver = false;

  constructor(
    engine: Engine,
    endpoint: Endpoint,
    request: { headText: string; bodyKind: BodyKind; method: string; timeoutMs: number },
  ) {
    this.#engine = engine;
    this.#endpoint = endpoint;
    this.#headText = request.headText;
    this.#bodyKind = request.bodyKind;
    this.#method = request.method;
    this.#isRequestComplete = request.bodyKind === NO_BODY;
    this.#timer = new WheelTimer(() => this.giveUp());
    endpoint.active++;
    endpoint.requestsTotal++;
    // The route's timeout is the copy's too, as in Envoy.
    engine.wheel.arm(this.#timer, request.timeoutMs > 0 ? request.timeoutMs : TIMEOUT_MS);
  }

  join(pool: EndpointPool, connection: UpstreamConnection | null): void {
    this.#pool = pool;
    if (connection !== null) this.onPoolReady(connection);
  }

  onPoolReady(connection: UpstreamConnection): void {
    this.#upstream = connection;
    this.#pool = null;
    connection.send(this, this.#headText, this.#bodyKind, this.#method, '');
    for (const piece of this.#queue) connection.writeBody(piece, 0, piece.length);
    this.#queue = [];
    if (this.#isRequestComplete) connection.endRequest(this.#trailers);
    connection.flush();
  }

  onPoolFailure(failed: Failure): void {
    this.#pool = null;
    if (failed.kind === 'connect-failed' || failed.kind === 'connect-timeout') this.#endpoint.failuresTotal++;
    this.#over();
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    if (this.#isOver) return;
    if (this.#upstream !== null) {
      const isOpen = this.#upstream.writeBody(bytes, start, end);
      if (!isOpen && this.#upstream.wire.bufferedBytes > QUEUED_BYTES_MAX) this.giveUp();
      return;
    }
    this.#queuedBytes += end - start;
    if (this.#queuedBytes > QUEUED_BYTES_MAX) this.giveUp();
    else this.#queue.push(Buffer.from(bytes.subarray(start, end)));
  }

  onEnd(trailers: string): void {
    this.#isRequestComplete = true;
    this.#trailers = trailers;
    this.#upstream?.endRequest(trailers);
  }

  flush(): void {
    this.#upstream?.flush();
  }

  onUpstreamHead(): void {}

  onUpstreamInterim(): void {}

  onUpstreamBody(): void {}

  onUpstreamFlush(): void {}

  onUpstreamDrain(): void {}

  onUpstreamEnd(): void {
    this.#upstream = null;
    this.#over();
  }

  onUpstreamClose(): void {
    this.#upstream = null;
    this.#endpoint.failuresTotal++;
    this.#over();
  }

  giveUp(): void {
    if (this.#isOver) return;
    this.#pool?.cancel(this);
    this.#upstream?.abandon();
    this.#upstream = null;
    this.#over();
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#queue = [];
    this.#endpoint.active--;
    this.#engine.wheel.disarm(this.#timer);
  }
}

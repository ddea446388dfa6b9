// The copies of one request: which mirrors take part is decided when the request is forwarded, from
// there on each gets the same bytes.
import { kindOfRequest } from '../http/edited-framing.ts';
import { writeRequestHead } from '../http/head-writer.ts';
import type { BodyKind } from '../http/body-decoder.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { Mirror } from '../plan/plan.ts';
import { tellTimeLeft } from '../resilience/deadline.ts';
import type { Engine } from './engine.ts';
import { memberOf } from './cluster-choice.ts';
import { MirrorRequest } from './mirror.ts';

export class MirrorSet {
  readonly #requests: readonly MirrorRequest[];

  constructor(requests: readonly MirrorRequest[]) {
    this.#requests = requests;
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    for (const request of this.#requests) request.onBody(bytes, start, end);
  }

  onEnd(trailers: string): void {
    for (const request of this.#requests) request.onEnd(trailers);
  }

  /** What was held of the body before the copies began. */
  catchUp(held: Buffer, isComplete: boolean): void {
    if (held.length > 0) this.onBody(held, 0, held.length);
    if (isComplete) this.onEnd('');
    else this.flush();
  }

  /** The rest of the body will not come. */
  cut(): void {
    for (const request of this.#requests) request.giveUp();
  }

  flush(): void {
    for (const request of this.#requests) request.flush();
  }
}

/** Starts the copies that chance and configuration ask for; null when there are none. */
export function startMirrors(
  engine: Engine,
  x: Exchange,
  mirrors: readonly Mirror[],
  givenKind: BodyKind,
): MirrorSet | null {
  const bodyKind = kindOfRequest(x.request, givenKind);
  // A copy is told what the first attempt will be told.
  tellTimeLeft(x, engine.clock.now(), 0);
  const started: MirrorRequest[] = [];
  for (const mirror of mirrors) {
    const named = mirror.cluster.cluster;
    const isAggregate = named !== null && named.aggregate !== undefined && named.aggregate !== null;
    const cluster = isAggregate ? (memberOf(named)?.cluster ?? null) : named;
    if (cluster === null || (mirror.fraction < 1 && engine.random() >= mirror.fraction)) continue;
    const endpoint = cluster.picker.pick(x);
    if (endpoint === null) continue;
    const headText = writeCopy(x, mirror, bodyKind);
    const request = new MirrorRequest(engine, endpoint, {
      headText,
      bodyKind,
      method: x.request.method,
      timeoutMs: x.timeoutMs,
    });
    const pool = engine.pools.poolOf(cluster, endpoint, x);
    request.join(pool, pool.acquire(cluster, request, false));
    started.push(request);
  }
  return started.length === 0 ? null : new MirrorSet(started);
}

/** The request head as it goes to the mirror; the request itself is left as it was. */
function writeCopy(x: Exchange, mirror: Mirror, bodyKind: BodyKind): string {
  const { request } = x;
  const { authority } = request;
  if (mirror.host !== '') request.setAuthority(mirror.host);
  else if (mirror.appendsShadowSuffix) {
    const name = request.hostname();
    request.setAuthority(`${name}-shadow${authority.slice(name.length)}`);
  } else return writeRequestHead(request, bodyKind);
  const text = writeRequestHead(request, bodyKind);
  request.setAuthority(authority);
  return text;
}

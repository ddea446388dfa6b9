// What the control service knows of each sidecar, read from its `/debug/syncz`: which version of each type was
// sent, and which one was acknowledged.
import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import { ROUTE_TYPE } from '../../src/xds/type-url.ts';

export interface NodeSync {
  readonly nodeId: string;
  /** Version of the routes that was sent last; empty when none was. */
  readonly sentRoutes: string;
  /** True when every type that was sent was acknowledged. */
  readonly isSynced: boolean;
}

const POLL_MS = 15;

/** One entry a connected sidecar; empty while the control service does not answer. */
export async function readSync(httpPort: number): Promise<NodeSync[]> {
  let body: unknown;
  try {
    const answer = await request(`http://127.0.0.1:${httpPort}/debug/syncz`, { headersTimeout: 2_000 });
    body = await answer.body.json();
  } catch {
    return [];
  }
  return listOf(body).map((row) => {
    const types = listOf(field(row, 'types')).filter((type) => field(type, 'state') !== 'not-sent');
    const routes = types.find((type) => field(type, 'typeUrl') === ROUTE_TYPE);
    return {
      nodeId: String(field(row, 'nodeId')),
      sentRoutes: routes === undefined ? '' : String(field(routes, 'sentVersion')),
      isSynced: types.length > 0 && types.every((type) => field(type, 'state') === 'synced'),
    };
  });
}

/** Waits until every sidecar of `before` has acknowledged routes other than those; returns how long it took, in ms. */
export async function untilAcked(httpPort: number, before: readonly NodeSync[], limitMs: number): Promise<number> {
  if (before.length === 0) throw new Error('no sidecar was connected before the change: nothing could be acknowledged');
  const startMs = performance.now();
  const old = new Map(before.map(({ nodeId, sentRoutes }) => [nodeId, sentRoutes]));
  for (;;) {
    const now = await readSync(httpPort);
    const areAll =
      now.length === before.length &&
      now.every(({ nodeId, sentRoutes, isSynced }) => isSynced && sentRoutes !== old.get(nodeId));
    const tookMs = performance.now() - startMs;
    if (areAll) return tookMs;
    if (tookMs > limitMs) throw new Error(`not acknowledged in ${limitMs} ms: ${JSON.stringify(now)}`);
    await sleep(POLL_MS);
  }
}

/** Waits until `count` sidecars are connected and in sync; returns how long it took, in ms. */
export async function untilInSync(httpPort: number, count: number, limitMs: number): Promise<number> {
  const startMs = performance.now();
  for (;;) {
    const now = await readSync(httpPort);
    const tookMs = performance.now() - startMs;
    if (now.length === count && now.every(({ isSynced }) => isSynced)) return tookMs;
    if (tookMs > limitMs) throw new Error(`not in sync in ${limitMs} ms: ${JSON.stringify(now)}`);
    await sleep(POLL_MS);
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.entries(value).find(([key]) => key === name)?.[1]
    : undefined;
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

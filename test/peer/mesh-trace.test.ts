// The bookshop with a real Collector: one visit through four services, six processes of ours, is one trace with the
// right parents; and the Collector killed and started again while traffic runs costs no request.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RULES_DIRECTORY } from '../../src/cli/demo/bookshop.ts';
import { Load } from '../../src/cli/demo/load.ts';
import { Mesh } from '../../src/cli/demo/mesh.ts';
import { RulesCopy } from '../../src/cli/demo/rules-copy.ts';
import { ChainCheck } from '../e2e/chain-check.ts';
import { orphansOf, treeLines } from './mesh-trace-tree.ts';
import { OtelCollector, type SeenSpan } from './otel-collector.ts';

const RATE = 60;
const BEFORE_MS = 2_000;
const AWAY_MS = 4_000;
const BACK_TIMEOUT_MS = 30_000;
const SPANS_TIMEOUT_MS = 15_000;
const SPANS_OF_A_VISIT = 14;

/** Each hop is a server span and a client span of the caller's sidecar, then the same of the callee's. */
const VISIT = [
  'frontend Server frontend 200',
  '  frontend Client frontend 200',
  '    frontend Server catalog 200',
  '      frontend Client catalog 200',
  '        catalog Server catalog 200',
  '          catalog Client catalog 200',
  '    frontend Server reviews 200',
  '      frontend Client reviews 200',
  '        reviews Server reviews 200',
  '          reviews Client reviews 200',
  '            reviews Server ratings 200',
  '              reviews Client ratings 200',
  '                ratings Server ratings 200',
  '                  ratings Client ratings 200',
];

let collector: OtelCollector;
let rules: RulesCopy;
let mesh: Mesh;
const deaths: string[] = [];

beforeAll(async () => {
  collector = await OtelCollector.start();
  rules = await RulesCopy.of(RULES_DIRECTORY);
  await rules.edit('telemetry.yaml', (text) => text.replace('grpc: 4317', `grpc: ${collector.grpcPort}`));
  mesh = await Mesh.start({
    rulesDirectory: rules.directory,
    doorPort: 0,
    onDeath: (child) => void deaths.push(child.obituary()),
  });
});

afterAll(async () => {
  await mesh.stop();
  await rules.remove();
  await collector.stop();
});

let visits = 0;

/** The reader jason sees v3 of the reviews, which asks the ratings. Resolves to the path that was asked for. */
async function visit(headers: Readonly<Record<string, string>> = {}): Promise<string> {
  const path = `/books/${1000 + visits++}`;
  const load = new Load({
    port: mesh.member('frontend').inboundPort,
    visit: { host: 'frontend', path, headers: { 'end-user': 'jason', ...headers } },
    visitors: 1,
    requests: 1,
  });
  expect((await load.finish()).failures).toEqual([]);
  return path;
}

/** The spans of the trace that `isOurs` picks one span of, when as many as a visit makes have arrived. */
async function spansOf(isOurs: (span: SeenSpan) => boolean): Promise<readonly SeenSpan[]> {
  let found: readonly SeenSpan[] = [];
  await expect
    .poll(
      () => {
        const all = collector.spans;
        const traceId = all.find(isOurs)?.traceId;
        found = all.filter((span) => span.traceId === traceId);
        return found.length;
      },
      { timeout: SPANS_TIMEOUT_MS, interval: 100 },
    )
    .toBe(SPANS_OF_A_VISIT);
  return found;
}

const isFor =
  (path: string) =>
  ({ attributes }: SeenSpan): boolean =>
    Object.values(attributes).some((value) => value === path || value.endsWith(path));

describe('a visit through four services', () => {
  test('that begins in the mesh is one trace of one root, with the right parents', async () => {
    const path = await visit();
    const spans = await spansOf(isFor(path));
    expect(orphansOf(spans, '')).toEqual([]);
    expect(treeLines(spans, '')).toEqual(VISIT);
    expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(SPANS_OF_A_VISIT);
  });

  test("that has a parent outside hangs below the caller's span, in the caller's trace", async () => {
    const [traceId, callerId] = ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7'];
    await visit({ traceparent: `00-${traceId}-${callerId}-01` });
    const spans = await spansOf((span) => span.traceId === traceId);
    expect(orphansOf(spans, callerId)).toEqual([]);
    expect(treeLines(spans, callerId)).toEqual(VISIT);
  });

  test('that its caller does not sample leaves no span', async () => {
    const traceId = '5bf92f3577b34da6a3ce929d0e0e4737';
    await visit({ traceparent: `00-${traceId}-00f067aa0ba902b7-00` });
    // Spans go in batches: when those of a later visit are there, these would be too.
    await spansOf(isFor(await visit()));
    expect(collector.spans.filter((span) => span.traceId === traceId)).toEqual([]);
  });
});

test('the Collector killed and started again under load costs no request, and spans arrive again', async () => {
  const chain = new ChainCheck(3);
  const load = new Load({
    port: mesh.member('frontend').inboundPort,
    visit: { host: 'frontend', path: '/books/1', headers: { 'end-user': 'jason' } },
    visitors: 8,
    rate: RATE,
    onOutcome: chain.take,
  });
  await sleep(BEFORE_MS);
  expect(collector.spans.filter(isFor('/books/1')).length).toBeGreaterThan(0);
  await collector.kill();
  collector.forget();
  const sentBefore = load.sent;
  await sleep(AWAY_MS);
  const sentWhileAway = load.sent - sentBefore;
  const failedWhileAway = load.failed + chain.failed;
  await collector.start();
  const startMs = performance.now();
  // Spans of every sidecar, not only of the first that is back.
  const heard = (): ReadonlySet<string> => new Set(collector.spans.map(({ service }) => service.split('.')[0] ?? ''));
  await expect
    .poll(heard, { timeout: BACK_TIMEOUT_MS, interval: 250 })
    .toEqual(new Set(['frontend', 'catalog', 'reviews', 'ratings']));
  const backMs = performance.now() - startMs;
  const { requests, failed, failures } = await load.stop();
  process.stdout.write(
    `Collector back: spans of all after ${backMs.toFixed(0)} ms; ${requests} requests, ${sentWhileAway} while it was away, ${failed} failed\n`,
  );
  expect({ failedWhileAway, failed, failures, inner: chain.failures, deaths }).toEqual({
    inner: [],
    failedWhileAway: 0,
    failed: 0,
    failures: [],
    deaths: [],
  });
  expect(sentWhileAway).toBeGreaterThan((RATE * AWAY_MS) / 1000 / 2);

  // What comes after is whole again.
  collector.forget();
  const path = await visit();
  expect(treeLines(await spansOf(isFor(path)), '')).toEqual(VISIT);
});

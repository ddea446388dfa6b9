// The story of the bookshop as steps that can fail: what `outrigger demo --once` runs, in this order. Each
// one sends real requests through the mesh and compares what came back with what the rules say.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import { lineOf } from './hint.ts';
import { Load } from './load.ts';
import { setCanaryWeights } from './rules-copy.ts';
import { found, type Outcome, type Stage, type Step } from './step.ts';
import type { Span } from './span.ts';
import { drawTrace, growTree, shortName } from './trace-tree.ts';
import { plainPaint } from './table.ts';
import { describe, Visitor, type Outcome as VisitOutcome, type Visit } from './visitor.ts';

const SPLIT_REQUESTS = 5_000;
const SPLIT_TOLERANCE = 0.03;
const SHIFT_LIMIT_MS = 1_000;
const TIMEOUT_MS = 400;
const TIMEOUT_LATE_MS = 250;
const REFUSAL_WAIT_MS = 5_000;
const SPANS_WAIT_MS = 10_000;
const REVIEWS: Visit = { host: 'reviews', path: '/reviews/1' };

export const STEPS: readonly Step[] = [
  { claim: '90/10 split of reviews', run: split },
  { claim: 'a header sends one user to v3', run: headerMatch },
  { claim: 'a rewrite changes the path', run: rewrite },
  { claim: 'a redirect is answered by the sidecar', run: redirect },
  { claim: 'a mirror copies and does not disturb', run: mirror },
  { claim: 'a timeout answers 504 in time', run: timeout },
  { claim: 'a broken rule is refused with its place', run: refusal },
  { claim: 'a live shift to 50/50 under load', run: shift },
  { claim: 'a strict service takes no strangers', run: strict },
  { claim: 'one visit is one trace', run: trace },
];

async function split({ mesh }: Stage): Promise<Outcome> {
  const port = mesh.member('frontend').outboundPort;
  const load = new Load({ port, visit: REVIEWS, visitors: 16, requests: SPLIT_REQUESTS });
  const { requests, failed, failures, versions, seconds } = await load.finish();
  const share = (versions.get('v2') ?? 0) / requests;
  const isOnlyTwo = (versions.get('v1') ?? 0) + (versions.get('v2') ?? 0) === requests;
  const figures = `${percent(1 - share)} / ${percent(share)} over ${requests} requests in ${seconds.toFixed(1)} s, ${failed} failed`;
  return found(isOnlyTwo && failed === 0 && Math.abs(share - 0.1) <= SPLIT_TOLERANCE, withFailures(figures, failures));
}

async function headerMatch({ mesh }: Stage): Promise<Outcome> {
  const door = mesh.member('frontend').inboundPort;
  const jason: Visit = { host: 'frontend', path: '/books/1', headers: { 'end-user': 'jason' } };
  const seen = new Map<string, number>();
  const visitor = new Visitor(door, 4);
  for (let i = 0; i < 40; i++) {
    const outcome = await visitor.visit(jason);
    const body = outcome.kind === 'reply' ? outcome.body : '';
    const version = /"reviews":\{"status":200,"body":\{"service":"reviews","version":"(v\d)"/.exec(body)?.[1];
    const key = version ?? describe(outcome);
    seen.set(key, (seen.get(key) ?? 0) + 1);
  }
  await visitor.close();
  return found(seen.size === 1 && seen.get('v3') === 40, `40 visits of jason: ${counts(seen)}`);
}

async function rewrite({ mesh }: Stage): Promise<Outcome> {
  const outcome = await visitOnce(mesh.member('frontend').outboundPort, { host: 'catalog', path: '/shelf/2' });
  const arrived = outcome.kind === 'reply' ? (/"path":"([^"]*)"/.exec(outcome.body)?.[1] ?? '') : '';
  const isTrue = outcome.kind === 'reply' && outcome.status === 200 && arrived === '/books/2';
  return found(isTrue, isTrue ? 'asked for /shelf/2, the app received /books/2' : describe(outcome));
}

async function redirect({ mesh }: Stage): Promise<Outcome> {
  const outcome = await visitOnce(mesh.member('frontend').outboundPort, { host: 'catalog', path: '/bestseller' });
  const location = outcome.kind === 'reply' ? outcome.location : '';
  const isTrue = outcome.kind === 'reply' && outcome.status === 301 && location === 'http://catalog/books/1';
  return found(isTrue, isTrue ? `301 to ${location}` : `${describe(outcome)} location: ${location}`);
}

/** Each copy keeps ratings busy for a second; the caller must not notice. */
async function mirror({ mesh }: Stage): Promise<Outcome> {
  const copies = 40;
  const ratings = mesh.member('ratings');
  const before = await countVisits(ratings.appPort, 'popular');
  const visit = { host: 'catalog', path: '/popular/1', headers: { 'x-delay': 'ratings=1000' } };
  let slowestMs = 0;
  const load = new Load({
    port: mesh.member('frontend').outboundPort,
    visit,
    visitors: 4,
    requests: copies,
    onOutcome: (outcome) => {
      slowestMs = Math.max(slowestMs, outcome.tookMs);
    },
  });
  const { failed, failures } = await load.finish();
  let seen = 0;
  for (let tries = 0; tries < 30 && seen < copies; tries++) {
    seen = (await countVisits(ratings.appPort, 'popular')) - before;
    if (seen < copies) await sleep(100);
  }
  const figures = `${seen} copies of ${copies} requests reached ratings, ${failed} failed, slowest answer ${slowestMs.toFixed(0)} ms while each copy took 1000 ms`;
  return found(seen === copies && failed === 0 && slowestMs < 900, withFailures(figures, failures));
}

const STRICT_RATINGS = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: ratings }
spec: { selector: { matchLabels: { app: ratings } }, mtls: { mode: STRICT } }
`;
const STRICT_WAIT_MS = 5_000;

/** Whoever comes without a certificate of the mesh is turned away; callers with a sidecar notice nothing. */
async function strict({ mesh, rules }: Stage): Promise<Outcome> {
  const visit: Visit = { host: 'ratings', path: '/ratings/1' };
  const stranger = async (): Promise<number> => {
    const outcome = await visitOnce(mesh.member('ratings').inboundPort, visit);
    return outcome.kind === 'reply' ? outcome.status : 0;
  };
  const before = await stranger();
  const startMs = performance.now();
  await rules.write('strict.yaml', STRICT_RATINGS);
  let after = before;
  while (after !== 0 && performance.now() - startMs < STRICT_WAIT_MS) after = await stranger();
  const tookMs = performance.now() - startMs;
  const friend = await visitOnce(mesh.member('reviews').outboundPort, visit);
  const isTrue = before === 200 && after === 0 && friend.kind === 'reply' && friend.status === 200;
  const figures = `plaintext refused ${tookMs.toFixed(0)} ms after STRICT was saved, the sidecar of reviews is served by mutual TLS`;
  return found(isTrue, isTrue ? figures : `a stranger got ${before}, then ${after}; reviews ${describe(friend)}`);
}

async function timeout({ mesh }: Stage): Promise<Outcome> {
  const port = mesh.member('frontend').outboundPort;
  const outcome = await visitOnce(port, { host: 'catalog', path: '/slow?ms=2000' });
  const status = outcome.kind === 'reply' ? outcome.status : 0;
  const isInTime = outcome.tookMs >= TIMEOUT_MS - 20 && outcome.tookMs <= TIMEOUT_MS + TIMEOUT_LATE_MS;
  const figures = `${status} after ${outcome.tookMs.toFixed(0)} ms (the rule says ${TIMEOUT_MS} ms, the app takes 2000 ms)`;
  return found(status === 504 && isInTime, status === 504 ? figures : describe(outcome));
}

async function refusal({ mesh, rules }: Stage): Promise<Outcome> {
  const good = await rules.read('reviews.yaml');
  const said = Promise.withResolvers<string>();
  mesh.onControlLine((line) => {
    const place = /reviews\.yaml:(\d+):(\d+)/.exec(line);
    if (place !== null) said.resolve(`${place[1]}:${place[2]}`);
  });
  await rules.edit('reviews.yaml', (text) => setCanaryWeights(text, 'ninety', 10));
  const line = lineOf(join(rules.directory, 'reviews.yaml'), 'name: canary', 'weight: ninety');
  const place = await Promise.race([said.promise, sleep(REFUSAL_WAIT_MS, 'nowhere')]);
  const load = new Load({ port: mesh.member('frontend').outboundPort, visit: REVIEWS, visitors: 8, requests: 400 });
  const { requests, failed, failures, versions } = await load.finish();
  await rules.write('reviews.yaml', good);
  const share = (versions.get('v2') ?? 0) / requests;
  const isLastGood = failed === 0 && Math.abs(share - 0.1) < 0.07;
  const figures = `refused at reviews.yaml:${place} (the mistake is in line ${line}); still ${percent(1 - share)} / ${percent(share)}, ${failed} failed`;
  return found(place.startsWith(`${line}:`) && isLastGood, withFailures(figures, failures));
}

async function shift({ mesh, rules }: Stage): Promise<Outcome> {
  const answers: { readonly startMs: number; readonly version: string }[] = [];
  const load = new Load({
    port: mesh.member('frontend').outboundPort,
    visit: REVIEWS,
    visitors: 8,
    onOutcome: (outcome, startMs) =>
      answers.push({ startMs, version: outcome.kind === 'reply' ? outcome.version : '' }),
  });
  await sleep(1_000);
  const editedMs = performance.now();
  await rules.edit('reviews.yaml', (text) => setCanaryWeights(text, 50, 50));
  await sleep(2_500);
  const { requests, failed, failures } = await load.stop();
  const movedMs = movedAt(answers, editedMs) - editedMs;
  const after = shareOfV2(answers.filter(({ startMs }) => startMs > editedMs + 1_000));
  await rules.edit('reviews.yaml', (text) => setCanaryWeights(text, 90, 10));
  const figures = `moved ${movedMs.toFixed(0)} ms after the file was saved, then ${percent(1 - after)} / ${percent(after)}; ${requests} requests, ${failed} failed`;
  return found(
    failed === 0 && movedMs <= SHIFT_LIMIT_MS && Math.abs(after - 0.5) <= 0.05,
    withFailures(figures, failures),
  );
}

/** When the first window of 60 requests began of which three in ten went to v2 (before the shift it is one in ten). */
function movedAt(answers: readonly { startMs: number; version: string }[], sinceMs: number): number {
  const later = answers.filter(({ startMs }) => startMs >= sinceMs);
  const window = 60;
  for (let i = 0; i + window <= later.length; i++) {
    if (shareOfV2(later.slice(i, i + window)) >= 0.35) return later[i]?.startMs ?? Infinity;
  }
  return Infinity;
}

function shareOfV2(answers: readonly { version: string }[]): number {
  return answers.filter(({ version }) => version === 'v2').length / Math.max(answers.length, 1);
}

/** The reader named jason sees v3, and v3 asks ratings: frontend, catalog, reviews, ratings in one trace. */
async function trace({ mesh, receiver }: Stage): Promise<Outcome> {
  if (receiver === null) return found(true, 'left to the Collector that takes the spans');
  const traceId = [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
  const headers = { 'end-user': 'jason', traceparent: `00-${traceId}-00f067aa0ba902b7-01` };
  await visitOnce(mesh.member('frontend').inboundPort, { host: 'frontend', path: '/books/1', headers });
  const deadlineMs = performance.now() + SPANS_WAIT_MS;
  let problem = '';
  while (performance.now() < deadlineMs) {
    const spans = receiver.trace(traceId);
    problem = faultOf(traceId, spans);
    if (problem === '') return found(true, ['', ...drawTrace(spans, plainPaint)].join('\n    '));
    await sleep(200);
  }
  return found(false, [problem, ...drawTrace(receiver.trace(traceId), plainPaint)].join('\n    '));
}

const CALLS = [
  ['frontend', 'catalog'],
  ['frontend', 'reviews'],
  ['reviews', 'ratings'],
] as const;

/** What is wrong with the trace of one visit; empty when each call is a callee's span under a caller's, below one root. */
function faultOf(traceId: string, spans: readonly Span[]): string {
  const tree = growTree(spans);
  if (tree.spans === 0) return `no span of trace ${traceId} arrived`;
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  for (const [caller, callee] of CALLS) {
    const isCall = (span: Span): boolean => {
      const sent = byId.get(span.parentSpanId);
      const isPair = shortName(span.service) === callee && sent !== undefined && shortName(sent.service) === caller;
      return isPair && span.kind === 'server' && sent.kind === 'client';
    };
    if (!spans.some(isCall)) return `no server span of ${callee} hangs on a client span of ${caller}`;
  }
  return tree.roots.length === 1 ? '' : `${tree.roots.length} roots instead of one`;
}

async function visitOnce(port: number, visit: Visit): Promise<VisitOutcome> {
  const visitor = new Visitor(port, 1);
  const outcome = await visitor.visit(visit);
  await visitor.close();
  return outcome;
}

async function countVisits(appPort: number, section: string): Promise<number> {
  const answer = await request(`http://127.0.0.1:${appPort}/count`);
  const text = await answer.body.text();
  return Number(new RegExp(`"${section}":(\\d+)`).exec(text)?.[1] ?? 0);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function counts(seen: ReadonlyMap<string, number>): string {
  return [...seen].map(([key, count]) => `${count} × ${key}`).join(', ');
}

function withFailures(figures: string, failures: readonly string[]): string {
  return failures.length === 0 ? figures : `${figures}; first failures: ${failures.join(' | ')}`;
}

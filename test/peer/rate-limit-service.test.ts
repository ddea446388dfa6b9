// The client of a rate limit service on Envoy and on the sidecar: the same requests, with the same service behind each. What
// the service is asked, what client and upstream see, the access log and the statistics are compared.
import { expect, test } from 'vitest';
import { ALLOWED_DIFFERENCES, type AllowedDifference } from './allowed-differences.ts';
import { differences, formatDifferences, misfit, unexplained } from './comparison.ts';
import { observeAll, type Observation } from './observation.ts';
import type { PeerCase } from './peer-case.ts';
import { RateLimitServer } from './rate-limit-server.ts';
import { SIDE_NAMES, startSide, type SideName } from './side.ts';

const at = (name: string, target: string, is: string, rest: Partial<PeerCase> = {}): PeerCase => ({
  name,
  send: `GET ${target}`,
  is,
  ...rest,
});
const say = (text: string, ...more: readonly string[]): Partial<PeerCase> => ({ headers: [`x-say: ${text}`, ...more] });
const GRPC = 'content-type: application/grpc';
const strict = (rest: Partial<PeerCase>): Partial<PeerCase> => ({ to: 'strict', ...rest });

const CASES: readonly PeerCase[] = [
  at('the service says OK', '/say', '200 a', say('ok')),
  at('the service says over the limit', '/say', '429', say('over')),
  at('the service says nothing that is known', '/say', '200 a', say('unknown')),
  at('fields and metadata from the service', '/say', '200 a', say('fields')),
  at('a body and fields from the service', '/say', '429', say('refused')),
  at('HEAD over the limit', '/say', '429', { send: 'HEAD /say', ...say('refused') }),
  at('limits are told', '/say', '200 a', say('limits')),
  at('limits are told over the limit', '/say', '429', say('limits-over')),
  at('the service fails, and the request passes', '/say', '200 a', say('error')),
  at('gRPC over the limit', '/say', '200', say('over', GRPC)),
  at('a request without the descriptor', '/say', '200 a'),
  at('a body waits for the answer', '/say', '200 a', { send: 'POST /say', body: 'abc', ...say('ok') }),
  at('a chunked body waits for the answer', '/say', '200 a', {
    send: 'POST /say',
    chunks: ['abc', 'def'],
    ...say('ok'),
  }),
  at('several descriptors, stages and keys', '/several', '200 a', say('ok')),
  at('the host is included', '/included', '200 a'),
  at('the host is ignored', '/ignored', '200 a'),
  at('the host alone', '/host', '200 a'),
  at('another domain', '/domain', '200 a'),
  at('a direct response', '/direct', '200'),
  at('no route', '/zzz', '404'),
  at('strict: over the limit', '/say', '423', strict(say('over'))),
  at('strict: gRPC over the limit', '/say', '200', strict(say('over', GRPC))),
  at('strict: a body from the service', '/say', '423', strict(say('refused'))),
  at('strict: the service fails', '/say', '503', strict(say('error'))),
  at('strict: the service says nothing in time', '/say', '503', strict(say('nothing'))),
  at('of internal requests alone', '/several', '200 a', { to: 'external', ...say('over') }),
];

interface Seen {
  readonly cases: ReadonlyMap<string, Observation>;
  readonly asked: readonly string[];
  readonly log: readonly string[];
  readonly stats: readonly string[];
}

test('a rate limit service is asked and obeyed as Envoy does it', async () => {
  const [envoy, ours] = await Promise.all(SIDE_NAMES.map(observe));
  if (envoy === undefined || ours === undefined) throw new Error('a side is missing');
  expect(ours.asked).toEqual(envoy.asked);
  expect(ours.asked.length).toBeGreaterThan(15);
  expect(ours.log).toContain('LOG /say 429 RL request_rate_limited -');
  expect(ours.log).toEqual(envoy.log);
  expect(ours.stats).toEqual(envoy.stats);
  const used = new Set<AllowedDifference>();
  const wrong = CASES.flatMap((one) => {
    const theirs: Observation = envoy.cases.get(one.name) ?? new Map();
    const mine: Observation = ours.cases.get(one.name) ?? new Map();
    const left = unexplained(`rate-limit-service: ${one.name}`, differences(theirs, mine), ALLOWED_DIFFERENCES, used);
    const text = formatDifferences(left);
    return [misfit(one, theirs), text === '' ? null : text]
      .filter((line) => line !== null)
      .map((line) => `${one.name}: ${line}`);
  });
  expect(wrong).toEqual([]);
}, 30_000);

async function observe(name: SideName): Promise<Seen> {
  const service = await RateLimitServer.start();
  const side = await startSide(name, 'rate-limit-service', { rls: service.port });
  try {
    const cases = await observeAll(side, CASES);
    const answer = await fetch(`http://127.0.0.1:${side.ports.get('admin') ?? 0}/stats?filter=ratelimit`);
    const lines = (await answer.text()).split('\n');
    const stats = lines.filter((line) => /\.ratelimit\.(two\.)?\w+: [1-9]/.test(line)).toSorted();
    await side.stop();
    const log = side.child
      .stdout()
      .split('\n')
      .filter((line) => line.startsWith('LOG '));
    return { cases, asked: service.asked, log, stats };
  } finally {
    await side.stop();
    service.stop();
  }
}

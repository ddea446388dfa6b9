// Whose answers count among a cluster's responses (`cluster.NAME.upstream_rq_4xx`) on Envoy and on the sidecar: those of the
// app always, those of filters only where Envoy counts them so.
import { createServer } from 'node:http';
import { expect, test } from 'vitest';
import { listen } from '../support/free-port.ts';
import { RateLimitServer } from './rate-limit-server.ts';
import { SIDE_NAMES, startSide, type Side } from './side.ts';

/** Listener (and cluster), path, header. */
const REQUESTS: readonly (readonly [listener: string, path: string, say?: string])[] = [
  ...['charged', 'uncharged'].flatMap((name) =>
    ['/200', '/403', '/401', '/302', '/500', '/direct/403'].map((path) => [name, path] as const),
  ),
  ['rbac', '/'],
  ['fault', '/'],
  ['limited', '/'],
  ['limited', '/'],
  ['asked', '/', 'over'],
  ['asked', '/', 'ok'],
  ['asked', '/', 'error'],
];

async function observe(side: Side): Promise<readonly string[]> {
  const answers: string[] = [];
  for (const [listener, path, say = ''] of REQUESTS) {
    const url = `http://127.0.0.1:${side.ports.get(`listen.${listener}`) ?? 0}${path}`;
    const answer = await fetch(url, { headers: { 'x-say': say }, redirect: 'manual' });
    await answer.arrayBuffer();
    answers.push(`${listener} ${path} ${answer.status}`);
  }
  const stats = await (await fetch(`http://127.0.0.1:${side.ports.get('admin') ?? 0}/stats`)).text();
  const counted = stats.split('\n').filter((line) => /^cluster\.\w+\.upstream_rq_[1-5]xx: [1-9]/.test(line));
  return [...answers, ...counted.toSorted()];
}

test('filters count among the responses of a cluster what they do with Envoy', async () => {
  const auth = createServer((request, response) =>
    response.writeHead(Number(/\d{3}/.exec(request.url ?? '')?.[0])).end(),
  );
  const limits = await RateLimitServer.start();
  const services = { auth: await listen(auth), limits: limits.port };
  const sides = await Promise.all(SIDE_NAMES.map((name) => startSide(name, 'charged-responses', services)));
  try {
    const [envoy, ours] = await Promise.all(sides.map(observe));
    expect(ours).toEqual(envoy);
    expect(ours).toContain('cluster.charged.upstream_rq_4xx: 2');
    expect(ours?.join()).not.toContain('cluster.uncharged.upstream_rq_4xx');
  } finally {
    await Promise.all(sides.map((side) => side.stop()));
    auth.closeAllConnections();
    auth.close();
    limits.stop();
  }
}, 30_000);

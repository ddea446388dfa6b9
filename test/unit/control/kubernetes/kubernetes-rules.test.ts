// Rules from a server that speaks list and watch, and what two watches say of one name in any order.
import { createServer, type Server, type ServerResponse } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../../../src/base/clock.ts';
import { silentLog } from '../../../../src/base/log.ts';
import { KubernetesRules } from '../../../../src/control/kubernetes/kubernetes-rules.ts';
import { plainAccess } from '../../../../src/kube/access.ts';
import { KubeClient } from '../../../../src/kube/client.ts';
import { listen } from '../../../support/free-port.ts';
import { TestAuthority } from '../../../support/test-authority.ts';
import { until } from '../../../support/until.ts';

let server: Server;
let client: KubeClient;
let rules: KubernetesRules;
/** By sort of Secret: the watch. */
const watches = new Map<'typed' | 'labelled', ServerResponse>();
const there = new Map<string, number>();
const authority = new TestAuthority('rules');

/** All kinds are there, and empty. */
beforeEach(async () => {
  there.clear();
  watches.clear();
  server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    response.writeHead(200, { 'content-type': 'application/json' });
    const metadata = { resourceVersion: '1' };
    if (!searchParams.has('watch')) {
      response.end(JSON.stringify({ kind: 'List', metadata, items: [] }));
      return;
    }
    const annotations = { 'k8s.io/initial-events-end': 'true' };
    response.write(`${JSON.stringify({ type: 'BOOKMARK', object: { metadata: { ...metadata, annotations } } })}\n`);
    if (pathname === '/api/v1/secrets') watches.set(searchParams.has('labelSelector') ? 'labelled' : 'typed', response);
  });
  client = new KubeClient({ access: plainAccess({ url: `http://127.0.0.1:${await listen(server)}` }) });
  rules = new KubernetesRules({ client, log: silentLog, clock: systemClock, namespace: 'outrigger-system' });
  await rules.start({
    apply: (name, { resources }) => void there.set(name, resources.length),
    remove: (name) => void there.delete(name),
  });
});
afterEach(async () => {
  await rules.stop();
  await client.close();
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
});

function tell(sort: 'typed' | 'labelled', type: 'ADDED' | 'DELETED', version: number): void {
  const { cert, key } = authority.issue({ dns: ['a.example'] });
  const isTyped = sort === 'typed';
  const plain = isTyped ? { 'tls.crt': cert, 'tls.key': key } : { cert, key };
  const data = Object.fromEntries(
    Object.entries(plain).map(([name, text]) => [name, Buffer.from(text).toString('base64')]),
  );
  const metadata = { name: 'a', namespace: 'shop', uid: sort, resourceVersion: String(version) };
  const object = { apiVersion: 'v1', kind: 'Secret', type: isTyped ? 'kubernetes.io/tls' : 'Opaque', metadata, data };
  watches.get(sort)?.write(`${JSON.stringify({ type, object })}\n`);
}

const NAME = 'kubernetes:Secret/shop/a';
const eventsSoFar = (): number => rules.counters().get('outrigger_kube_events_total') ?? 0;

test('when everything was listed nothing is waited for, and metrics say how it goes', () => {
  expect(rules.waiting()).toEqual([]);
  const counters = rules.counters();
  expect([counters.get('outrigger_kube_unsynced'), counters.get('outrigger_kube_troubled')]).toEqual([0, 0]);
  expect(counters.get('outrigger_kube_lists_total')).toBe(counters.get('outrigger_kube_watched'));
});

test.each([
  {
    title: 'that was replaced by one of the other sort stays when its end is told late',
    told: [
      ['typed', 'ADDED', 2],
      ['labelled', 'ADDED', 4],
      ['typed', 'DELETED', 3],
    ],
    isThere: true,
  },
  {
    title: 'that was of the other sort for a while stays when that is told late',
    told: [
      ['typed', 'ADDED', 2],
      ['typed', 'DELETED', 3],
      ['typed', 'ADDED', 6],
      ['labelled', 'ADDED', 4],
      ['labelled', 'DELETED', 5],
    ],
    isThere: true,
  },
  {
    title: 'that is of neither sort any more is gone',
    told: [
      ['typed', 'ADDED', 2],
      ['labelled', 'ADDED', 4],
      ['typed', 'DELETED', 3],
      ['labelled', 'DELETED', 5],
    ],
    isThere: false,
  },
] as const)('a Secret $title', async ({ told, isThere }) => {
  for (const [index, [sort, type, version]] of told.entries()) {
    tell(sort, type, version);
    await until('told', () => eventsSoFar() === index + 1);
  }
  expect(there.has(NAME)).toBe(isThere);
  if (isThere) expect(there.get(NAME)).toBe(1);
});

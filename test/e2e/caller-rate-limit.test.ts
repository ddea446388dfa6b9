// Rate limits by who calls, in processes with identities of mutual TLS: a greedy caller does not take another's share, and
// limits of a route hold in the sidecars that send, each for itself or divided among them, whatever their namespaces.
import { createServer, request, type Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listen } from '../support/free-port.ts';
import { PacedLoad } from '../support/paced-load.ts';
import { SecureMesh } from '../support/secure-mesh.ts';
import { until } from '../support/until.ts';

const HOST = 'catalog.shop.svc.cluster.local:8080';
const MEASURED_MS = 3000;
const PER_CALLER = 40;
const DIVIDED = 100;

const RULES = `
apiVersion: v1
kind: Service
metadata: { name: catalog, namespace: shop }
spec: { selector: { app: catalog }, ports: [{ name: http, port: 8080 }] }
---
apiVersion: outrigger.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: fair, namespace: shop }
spec:
  targetRefs: [{ kind: Service, name: catalog }]
  limits:
    - { name: all, requests: 150, match: { paths: [/fair] } }
    - { name: callers, by: Caller, requests: ${PER_CALLER}, match: { paths: [/fair] } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: catalog, namespace: shop }
spec:
  hosts: [catalog]
  http:
    - { name: slow, match: [{ uri: { prefix: /slow } }], route: [{ destination: { host: catalog } }] }
    - { name: few, match: [{ uri: { prefix: /few } }, { uri: { prefix: /little } }], route: [{ destination: { host: catalog } }] }
    - { route: [{ destination: { host: catalog } }] }
---
apiVersion: outrigger.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: slow, namespace: shop }
spec:
  targetRefs: [{ kind: VirtualService, name: catalog, sectionName: slow }]
  limits: [{ name: all, requests: ${DIVIDED}, burst: 20, scope: Service }]
---
apiVersion: outrigger.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: few, namespace: shop }
spec:
  targetRefs: [{ kind: VirtualService, name: catalog, sectionName: few }]
  limits: [{ name: each, by: Caller, requests: 5, per: 1h, overrides: [{ serviceAccounts: [east/ann], requests: 2, per: 1h }] }]
  response: { status: 503, limitHeaders: RateLimit }
`;

let mesh: SecureMesh;
let app: Server;

beforeAll(async () => {
  app = createServer((_, response) => response.end('books'));
  const port = await listen(app);
  mesh = await SecureMesh.start(RULES);
  await Promise.all([
    mesh.join({ service: 'catalog.shop', app: `${port}/http` }),
    mesh.join({ service: 'ann.east' }),
    mesh.join({ service: 'bob.west', flags: ['--concurrency', '2'] }),
  ]);
  await mesh.settle();
}, 30_000);
afterAll(async () => {
  app.close();
  await mesh[Symbol.asyncDispose]();
});

function load(who: string, path: string, perSecond: number): PacedLoad {
  const ports = (): readonly number[] => [mesh.members.get(who)?.outbound ?? 0];
  return new PacedLoad({ perSecond, path, host: HOST, connections: 4, ports });
}

/** What each is admitted per second, while ann asks for `greedy` a second and bob for `modest`. */
async function admitted(path: string, [greedy, modest]: readonly [number, number], settleMs: number) {
  const loads = [load('ann.east', path, greedy), load('bob.west', path, modest)];
  await sleep(settleMs);
  const [beginMs, before] = [performance.now(), loads.map((one) => one.succeeded)];
  await sleep(MEASURED_MS);
  const seconds = (performance.now() - beginMs) / 1000;
  const rates = loads.map((one, i) => (one.succeeded - (before[i] ?? 0)) / seconds);
  const [, bob] = await Promise.all(loads.map((one) => one.stop()));
  return { rates, bob };
}

function ask(who: string, path: string): Promise<string> {
  const port = mesh.members.get(who)?.outbound;
  return new Promise((resolve, reject) => {
    request({ port, host: '127.0.0.1', path, headers: { host: HOST, connection: 'close' } }, (response) => {
      response.resume();
      const told = String(response.headers['ratelimit'] ?? '');
      response.on('close', () => resolve(`${response.statusCode ?? 0} ${told}`));
    })
      .on('error', reject)
      .end();
  });
}

/** The answers to so many requests, one after the other. */
async function asked(who: string, paths: readonly string[]): Promise<readonly string[]> {
  const answers: string[] = [];
  for (const path of paths) answers.push(await ask(who, path));
  return answers.map((answer) => answer.replace(/t=\d+/, 't=…'));
}

test('a greedy caller is held to its share, and the other keeps its own', async () => {
  const { rates, bob } = await admitted('/fair', [200, PER_CALLER / 2], 1500);
  const [ann = 0, other = 0] = rates;
  expect(ann).toBeGreaterThan(PER_CALLER * 0.75);
  expect(ann).toBeLessThan(PER_CALLER * 1.2);
  expect(bob?.failures).toEqual(new Map());
  expect(other).toBeGreaterThan(PER_CALLER * 0.35);
}, 20_000);

test('a limit of a route is divided among the callers, who are of other namespaces than the route', async () => {
  const { rates } = await admitted('/slow', [180, 12], 3000);
  const total = rates.reduce((sum, rate) => sum + rate, 0);
  process.stdout.write(`admitted per second: ${rates.map(Math.round).join(' + ')}\n`);
  expect(total).toBeGreaterThan(DIVIDED * 0.75);
  expect(total).toBeLessThan(DIVIDED * 1.15);
  expect(rates[1]).toBeGreaterThan(8);
}, 20_000);

test('each sidecar has its own bucket for a rule, at the rate of its account, and keeps it when rules change', async () => {
  const paths = ['/few', '/little', '/few'];
  expect(await asked('ann.east', paths)).toEqual(['200 "each";r=1;t=…', '200 "each";r=0;t=…', '503 "each";r=0;t=…']);
  expect((await asked('bob.west', [...paths, ...paths])).map((answer) => answer.slice(0, 3))).toEqual([
    ...Array<string>(5).fill('200'),
    '503',
  ]);
  mesh.write(`
apiVersion: outrigger.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: more, namespace: shop }
spec:
  targetRefs: [{ kind: VirtualService, name: catalog }]
  limits: [{ name: lots, requests: 100000 }]
`);
  const admin = mesh.members.get('ann.east')?.admin ?? 0;
  await until('ann has the other limit too', async () => {
    const text = await (await fetch(`http://127.0.0.1:${admin}/stats`)).text();
    return text.includes('ratelimit.shop.more.lots.');
  });
  expect(await asked('ann.east', ['/few', '/other'])).toEqual(['503 "each";r=0;t=…', '200 ']);
});

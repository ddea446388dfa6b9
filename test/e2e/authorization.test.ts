// examples/authorization in processes: identities of mutual TLS, and what the policies make of them.
import { createServer, request, type Server } from 'node:http';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listen } from '../support/free-port.ts';
import { SecureMesh } from '../support/secure-mesh.ts';

const RULES = new URL('../../examples/authorization/rules/reviews.yaml', import.meta.url);

let mesh: SecureMesh;
let app: Server;
let port = 0;
const arrived: string[] = [];

beforeAll(async () => {
  app = createServer((message, response) => {
    arrived.push(`${message.method ?? ''} ${message.url ?? ''}`);
    response.end('reviews');
  });
  port = await listen(app);
  mesh = await SecureMesh.start(readFileSync(RULES, 'utf8'));
  await Promise.all([
    mesh.join({ service: 'reviews', app: `${port}/http` }),
    ...['frontend', 'desk', 'stranger'].map((service) => mesh.join({ service })),
  ]);
  await mesh.settle();
});
afterAll(async () => {
  app.close();
  await mesh[Symbol.asyncDispose]();
});

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: string;
}

function ask(who: string, method: string, path: string): Promise<Answer> {
  const member = mesh.members.get(who === 'nobody' ? 'reviews' : who);
  const to = who === 'nobody' ? member?.inbound : member?.outbound;
  const headers = { host: `reviews.default.svc.cluster.local:${port}`, connection: 'close' };
  return new Promise((resolve, reject) => {
    const asking = request({ port: to, host: '127.0.0.1', method, path, headers }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('close', () =>
        resolve({ status: response.statusCode ?? 0, body, headers: JSON.stringify(response.headers) }),
      );
    });
    asking.on('error', reject);
    asking.end();
  });
}

test.each([
  ['frontend', 'GET', '/health', 200],
  ['frontend', 'HEAD', '/reviews/1', 200],
  ['frontend', 'POST', '/reviews/1', 403],
  ['frontend', 'GET', '/admin', 403],
  ['frontend', 'GET', '/admin/users?x=/health', 403],
  ['frontend', 'GET', '/health/../admin', 403],
  ['frontend', 'GET', '/%61dmin', 403],
  ['desk', 'POST', '/reviews/1', 200],
  ['desk', 'DELETE', '/reviews/1/a', 200],
  ['desk', 'GET', '/health', 403],
  ['desk', 'GET', '/reviews', 403],
  ['stranger', 'GET', '/health', 403],
  ['nobody', 'GET', '/health', 403],
])('%s: %s %s is answered %i', async (who, method, path, status) => {
  const before = arrived.length;
  const answer = await ask(who, method, path);
  expect(answer.status).toBe(status);
  expect(arrived.length - before).toBe(status === 200 ? 1 : 0);
  if (status !== 403) return;
  expect(answer.body).toBe('RBAC: access denied');
  expect(answer.headers).not.toContain('policy');
});

test('the dry run is counted, and denies nobody', async () => {
  const admin = mesh.members.get('reviews')?.admin ?? 0;
  const text = await (await fetch(`http://127.0.0.1:${admin}/stats`)).text();
  const numbers = new Map(
    text
      .split('\n')
      .map((line) => line.split(': '))
      .map(([name = '', value]) => [name, value]),
  );
  const at = `http.inbound_${port}.rbac.`;
  expect([numbers.get(`${at}istio_dry_run_deny_.shadow_denied`), numbers.get(`${at}shadow_denied`)]).toEqual([
    '4',
    undefined,
  ]);
  expect(Number(numbers.get(`${at}denied`))).toBeGreaterThan(0);
});

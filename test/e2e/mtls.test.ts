// Who gets through to whom: what the server takes (PeerAuthentication) against how the client calls (DestinationRule)
// against what the client is, all of them processes, with certificates of the mesh's own authority. And what a
// listener on the wire between two sidecars gets to see.
import { execFile } from 'node:child_process';
import { createServer as createHttp, type Server } from 'node:http';
import { connect, createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePorts, listen } from '../support/free-port.ts';
import { SecureMesh } from '../support/secure-mesh.ts';
import { ask, clientRules, MEMBERS, serverPolicies, SERVERS } from '../support/mtls-matrix.ts';
import { until } from '../support/until.ts';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';

/** Clients that are no members: servers in the order of SERVERS. */
const OTHERS: readonly (readonly [
  title: string,
  flags: (folder: string) => readonly string[],
  reaches: readonly boolean[],
])[] = [
  ['plain curl', () => [], [true, true, false, true]],
  ['curl with TLS', () => ['-k'], [false, false, false, false]],
  [
    'curl with TLS and a certificate from elsewhere',
    (folder) => ['--cert', join(folder, 'c.pem'), '--key', join(folder, 'c.key')],
    [false, false, false, false],
  ],
];

let mesh: SecureMesh;
let app: Server;
let appPort = 0;
const arrived: string[] = [];

beforeAll(async () => {
  app = createHttp((message, response) => {
    arrived.push(String(message.headers['x-probe']));
    response.end(message.headers['x-forwarded-client-cert'] ?? 'nobody');
  });
  appPort = await listen(app);
  mesh = await SecureMesh.start(serverPolicies(appPort));
  mesh.write(clientRules(mesh.folder));
  await Promise.all(SERVERS.map((service) => mesh.join({ service, app: `${appPort}/http` })));
  await Promise.all(MEMBERS.map(([client]) => mesh.join({ service: `${client}.ns-${client}` })));
  await mesh.settle();
});
afterAll(async () => {
  app.close();
  await mesh[Symbol.asyncDispose]();
});

function curl(port: number, probe: string, ...flags: readonly string[]): Promise<void> {
  const scheme = flags.length === 0 ? 'http' : 'https';
  const args = ['-sk', '--max-time', '4', '-H', `x-probe: ${probe}`, ...flags, `${scheme}://127.0.0.1:${port}/`];
  return new Promise((resolve) => execFile('curl', args, () => resolve()));
}

describe('the matrix of who gets through', () => {
  test.each(MEMBERS)('a sidecar: the client %s, told %s', async (client, _told, reaches) => {
    const outbound = mesh.members.get(`${client}.ns-${client}`)?.outbound ?? 0;
    for (const server of SERVERS)
      await ask(outbound, `${server}.default.svc.cluster.local:${appPort}`, `${client}-${server}`);
    expect(SERVERS.map((server) => arrived.includes(`${client}-${server}`))).toEqual(reaches);
  });

  test.each(OTHERS)('%s', async (title, flags, reaches) => {
    const probe = title.replaceAll(' ', '-');
    for (const server of SERVERS)
      await curl(mesh.members.get(server)?.inbound ?? 0, `${probe}-${server}`, ...flags(mesh.folder));
    expect(SERVERS.map((server) => arrived.includes(`${probe}-${server}`))).toEqual(reaches);
  });

  test('the app is told who called, and only of those with an identity', async () => {
    const outbound = mesh.members.get('none.ns-none')?.outbound ?? 0;
    const told = await ask(outbound, `strict.default.svc.cluster.local:${appPort}`, 'told');
    expect(told.body).toContain('By=spiffe://cluster.local/ns/default/sa/strict;');
    expect(told.body).toContain('URI=spiffe://cluster.local/ns/ns-none/sa/none');
    const plain = await ask(mesh.members.get('permissive')?.inbound ?? 0, 'permissive', 'told-plain');
    expect(plain).toEqual({ status: 200, body: 'nobody' });
  });
});

/** Passes bytes on to `target` and keeps what the client sent. */
async function tap(
  target: number,
): Promise<{ readonly port: number; readonly heard: () => string; readonly close: () => void }> {
  const chunks: Buffer[] = [];
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    for (const socket of [near, far]) socket.on('error', () => {});
    near.on('data', (chunk: Buffer) => chunks.push(chunk));
    near.pipe(far).pipe(near);
  });
  const port = await listen(server);
  return { port, heard: () => Buffer.concat(chunks).toString('latin1'), close: () => server.close() };
}

function tapped(name: string, port: number, account: string): string {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name} }
spec:
  hosts: [${name}.example]
  ports: [{ number: 80, name: http, protocol: HTTP }]
  resolution: STATIC
  location: MESH_INTERNAL
  endpoints: [{ address: 127.0.0.1, ports: { http: ${port} }, serviceAccount: ${account}, labels: { security.istio.io/tlsMode: istio} }]
---
`;
}

describe('on the wire', () => {
  test('nothing of a request can be read between two sidecars, and another identity gets none', async () => {
    const [free = 0] = await freePorts(1);
    const strict = mesh.members.get('strict')?.inbound ?? 0;
    const permissive = mesh.members.get('permissive')?.inbound ?? 0;
    const taps = await Promise.all([tap(strict), tap(permissive), tap(strict)]);
    const [toStrict, toPermissive, toWrong] = taps;
    mesh.write(
      tapped('tapped-strict', toStrict?.port ?? free, 'strict') +
        tapped('tapped-permissive', toPermissive?.port ?? free, 'permissive') +
        tapped('tapped-wrong', toWrong?.port ?? free, 'somebody-else'),
    );
    const outbound = mesh.members.get('none.ns-none')?.outbound ?? 0;
    for (const name of ['tapped-strict', 'tapped-permissive'])
      await until(
        `${name} is there`,
        async () => (await ask(outbound, `${name}.example`, `wire-${name}`)).status === 200,
      );
    const wrong = await ask(outbound, 'tapped-wrong.example', 'wire-wrong');
    expect(wrong.status).toBe(503);
    expect(arrived).not.toContain('wire-wrong');
    expect(taps.map(({ heard }) => heard().length > 0)).toEqual([true, true, true]);
    for (const { heard, close } of taps) {
      expect(heard()).not.toContain('secret');
      expect(heard()).not.toContain('HTTP/1.1');
      close();
    }
  });
});

test('examples/mtls does what its README says', async () => {
  const rules = readFileSync(new URL('../../examples/mtls/rules/strict.yaml', import.meta.url), 'utf8');
  await using small = await SecureMesh.start(rules);
  const reviews = await small.join({ service: 'reviews', app: `${appPort}/http` });
  const frontend = await small.join({ service: 'frontend' });
  await small.settle();
  const told = await ask(frontend.outbound, 'reviews', 'example');
  expect(told.status).toBe(200);
  expect(told.body).toContain('URI=spiffe://cluster.local/ns/default/sa/frontend');
  expect(await ask(reviews.inbound, 'reviews', 'example-plain')).toEqual({ status: 0, body: '' });
});

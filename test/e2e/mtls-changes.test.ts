// What mutual TLS does while things change: instances that come and go, versions that the mesh asks for, what goes
// through it beside requests, and whose certificate it was. Processes, with certificates of the mesh's own authority.
import { createServer as createHttp, request, type Server } from 'node:http';
import { writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { listen } from '../support/free-port.ts';
import { SecureMesh } from '../support/secure-mesh.ts';
import { until } from '../support/until.ts';

const MESH = 'kind: MeshConfig\nmeshMTLS: { minProtocolVersion: TLSV1_3 }\n';

let mesh: SecureMesh;
let app: Server;
let appPort = 0;
let outbound = 0;

beforeAll(async () => {
  app = createHttp((_, response) => response.end('here'));
  const sockets = new WebSocketServer({ server: app });
  sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(data)));
  appPort = await listen(app);
  mesh = await SecureMesh.start(MESH);
  await mesh.join({ service: 'server', app: `${appPort}/http` });
  ({ outbound } = await mesh.join({ service: 'client' }));
  await mesh.settle();
});
afterAll(async () => {
  app.close();
  await mesh[Symbol.asyncDispose]();
});

function ask(host: string): Promise<number> {
  return new Promise((resolve) => {
    const headers = { host, connection: 'close', 'x-secret': 'in-the-clear' };
    const asking = request({ port: outbound, host: '127.0.0.1', headers }, (response) => {
      response.resume().on('close', () => resolve(response.statusCode ?? 0));
    });
    asking.on('error', () => resolve(0));
    asking.end();
  });
}

/** Passes bytes on to `target` and keeps what the client sent. */
async function tap(target: number): Promise<{ readonly port: number; readonly heard: () => Buffer }> {
  const chunks: Buffer[] = [];
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    for (const socket of [near, far]) socket.on('error', () => {});
    near.on('data', (chunk: Buffer) => chunks.push(chunk));
    near.pipe(far).pipe(near);
  });
  server.unref();
  return { port: await listen(server), heard: () => Buffer.concat(chunks) };
}

function entry(name: string, ports: readonly number[]): string {
  const endpoints = ports.map(
    (port) =>
      `{ address: 127.0.0.1, ports: { http: ${port} }, serviceAccount: server, labels: { security.istio.io/tlsMode: istio } }`,
  );
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name} }
spec:
  hosts: [${name}.example]
  ports: [{ number: 80, name: http, protocol: HTTP }]
  resolution: STATIC
  location: MESH_INTERNAL
  endpoints: [${endpoints.join(', ')}]
`;
}

test('where the mesh asks for TLS 1.3, its sidecars speak it', async () => {
  expect(await ask(`server:${appPort}`)).toBe(200);
});

test('no request is sent in plaintext while the only instance comes and goes', async () => {
  const { port, heard } = await tap(mesh.members.get('server')?.inbound ?? 0);
  const file = mesh.write(entry('moving', []));
  const over = new AbortController();
  const statuses = new Map<number, number>();
  const asking = Array.from({ length: 4 }, async () => {
    while (!over.signal.aborted) {
      const status = await ask('moving.example');
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  });
  for (let round = 0; round < 5; round++) {
    const before = statuses.get(200) ?? 0;
    writeFileSync(file, entry('moving', [port]));
    await until('the instance is called', () => (statuses.get(200) ?? 0) > before + 20);
    const failed = statuses.get(503) ?? 0;
    writeFileSync(file, entry('moving', []));
    await until('nobody is there', () => (statuses.get(503) ?? 0) > failed + 20);
  }
  over.abort();
  await Promise.all(asking);
  expect(heard().length).toBeGreaterThan(0);
  expect(heard().includes('in-the-clear')).toBe(false);
});

test('a websocket goes through', async () => {
  const socket = new WebSocket(`ws://127.0.0.1:${outbound}/chat`, { headers: { host: `server:${appPort}` } });
  const answer = await new Promise<string>((resolve, reject) => {
    socket.on('open', () => socket.send('hello'));
    socket.on('message', (data: Buffer) => resolve(data.toString()));
    socket.on('error', reject);
  });
  socket.close();
  expect(answer).toBe('hello');
});

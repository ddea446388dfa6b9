// A CUSTOM policy for a TCP port in processes: the provider is asked over gRPC who may connect, before the app hears of it.
import { connect, createServer, type Server } from 'node:net';
import type { JsonObject } from '@bufbuild/protobuf';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { AuthorizationServer } from '../peer/authorization-server.ts';
import { freePort, listen } from '../support/free-port.ts';
import { SecureMesh } from '../support/secure-mesh.ts';

const answers = new Map<string, JsonObject | number>();
let mesh: SecureMesh;
let app: Server;
let dialled = 0;
let checker: AuthorizationServer;

beforeAll(async () => {
  app = createServer((socket) => {
    dialled++;
    socket.on('error', () => {});
    socket.once('data', () => socket.end('250 hello'));
  });
  const port = await listen(app);
  const asked = await freePort();
  checker = await AuthorizationServer.start(asked, answers);
  mesh = await SecureMesh.start(rules(asked));
  await mesh.join({ service: 'mail', app: `${port}/tcp` });
  await mesh.settle();
});
afterAll(async () => {
  app.close();
  checker.stop();
  await mesh[Symbol.asyncDispose]();
});
beforeEach(() => {
  answers.clear();
  dialled = 0;
});

function rules(port: number): string {
  return `kind: MeshConfig
extensionProviders: [{ name: checker, envoyExtAuthzGrpc: { service: checker.example, port: ${port}, timeout: 2s } }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: checker }
spec:
  hosts: [checker.example]
  ports: [{ number: ${port}, name: grpc, protocol: GRPC }]
  resolution: STATIC
  endpoints: [{ address: 127.0.0.1 }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ask }
spec: { action: CUSTOM, provider: { name: checker }, rules: [{}] }
`;
}

/** What a client hears until the end. */
function hear(): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    // The client says something, for a port that also takes plaintext looks for TLS in its first bytes.
    const socket = connect(mesh.members.get('mail')?.inbound ?? 0, '127.0.0.1', () => socket.write('EHLO a\r\n'));
    socket.on('data', (bytes: Buffer) => (text += bytes.toString()));
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  });
}

test.each<[string, JsonObject | number, string]>([
  ['whom the provider lets in is connected', {}, '250 hello'],
  ['whom the provider keeps out hears nothing', { status: { code: 7 } }, ''],
  ['a provider that fails lets nobody in', 14, ''],
])('%s', async (_, answer, hears) => {
  answers.set('127.0.0.1', answer);
  expect([await hear(), dialled]).toEqual([hears, hears === '' ? 0 : 1]);
});

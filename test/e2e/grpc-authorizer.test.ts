// A gRPC authorization service that is a workload of the mesh, behind the mTLS of its own sidecar: real processes. It is
// asked over mTLS whether that is automatic, strict or told by a DestinationRule, decides, and nobody gets in without it.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { connect, createServer as createH2Server, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { createServer, type Server } from 'node:http';
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CheckRequestSchema, CheckResponseSchema } from '../../src/xds/gen/envoy/service/auth/v3/external_auth_pb.js';
import { frameOf, respond } from '../support/bad-service.ts';
import { listen } from '../support/free-port.ts';
import { SecureMesh } from '../support/secure-mesh.ts';
import { until } from '../support/until.ts';

let mesh: SecureMesh;
let app: Server;
let appPort = 0;
let authorizer: Http2Server;
let authorizerPort = 0;
let ruleFile = '';
const asked: { readonly path: string; readonly principal: string; readonly destination: string }[] = [];

function answer(stream: ServerHttp2Stream): void {
  const chunks: Buffer[] = [];
  stream.on('error', () => {});
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => {
    const { attributes } = fromBinary(CheckRequestSchema, Buffer.concat(chunks).subarray(5));
    const { path = '', headers = {} } = attributes?.request?.http ?? {};
    asked.push({
      path,
      principal: attributes?.source?.principal ?? '',
      destination: attributes?.destination?.principal ?? '',
    });
    const isAllowed = headers['x-visitor'] === 'ann';
    const response = create(CheckResponseSchema, { status: { code: isAllowed ? 0 : 7 } });
    respond(stream, frameOf(Buffer.from(toBinary(CheckResponseSchema, response))));
  });
}

const rules = (port: number, authz: number): string => `kind: MeshConfig
extensionProviders:
  - name: checker
    envoyExtAuthzGrpc: { service: checker.default.svc.cluster.local, port: ${authz}, timeout: 3s, statusOnError: "503" }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ask, namespace: default }
spec:
  selector: { matchLabels: { role: shop } }
  action: CUSTOM
  provider: { name: checker }
  rules: [{ to: [{ operation: { paths: [/asked*], ports: ["${port}"] } }] }]
`;
const strict = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
`;
const told = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: checker, namespace: default }
spec: { host: checker.default.svc.cluster.local, trafficPolicy: { tls: { mode: ISTIO_MUTUAL } } }
`;

beforeAll(async () => {
  app = createServer((_message, response) => response.end('served'));
  appPort = await listen(app);
  authorizer = createH2Server();
  authorizer.on('sessionError', () => {});
  authorizer.on('stream', answer);
  authorizerPort = await listen(authorizer);
  mesh = await SecureMesh.start(rules(appPort, authorizerPort));
  await Promise.all([
    mesh.join({ service: 'shop', app: `${appPort}/http`, labels: { role: 'shop' } }),
    mesh.join({ service: 'checker', app: `${authorizerPort}/grpc` }),
    mesh.join({ service: 'client' }),
  ]);
  await mesh.settle();
}, 60_000);

afterAll(async () => {
  app.close();
  authorizer.close();
  await mesh[Symbol.asyncDispose]();
});

async function visit(path: string, visitor: string): Promise<number> {
  const { request } = await import('undici');
  const port = mesh.members.get('client')?.outbound ?? 0;
  const response = await request(`http://127.0.0.1:${port}${path}`, {
    headers: { host: `shop.default.svc.cluster.local:${appPort}`, 'x-visitor': visitor },
  });
  await response.body.dump();
  return response.statusCode;
}

/** It lets ann in and nobody else, and is told who calls whom. */
async function decides(path: string): Promise<void> {
  expect([await visit(path, 'bob'), await visit(path, 'ann'), await visit('/free', 'bob')]).toEqual([403, 200, 200]);
  const [principal, destination] = ['client', 'shop'].map((name) => `spiffe://cluster.local/ns/default/sa/${name}`);
  const seen = asked.filter((one) => one.path === path);
  expect(seen.at(-1)).toEqual({ path, principal, destination });
}

/** Of the TLS that the sidecar before the authorizer ends. */
async function handshakes(): Promise<number> {
  const admin = mesh.members.get('checker')?.admin ?? 0;
  const text = await (await fetch(`http://127.0.0.1:${admin}/stats?filter=ssl.handshake`)).text();
  return [...text.matchAll(/handshake: (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** True when the authorizer answers a call that comes in plaintext to its sidecar. */
function plaintextGetsThrough(): Promise<boolean> {
  const session = connect(`http://127.0.0.1:${mesh.members.get('checker')?.inbound ?? 0}`);
  return new Promise((resolve) => {
    const end = (isThrough: boolean): void => {
      session.destroy();
      resolve(isThrough);
    };
    session.on('error', () => end(false));
    session.on('close', () => end(false));
    const call = session.request({ ':method': 'POST', ':path': '/envoy.service.auth.v3.Authorization/Check' });
    call.on('error', () => end(false));
    call.on('response', () => end(true));
    call.end(frameOf(Buffer.from(toBinary(CheckRequestSchema, create(CheckRequestSchema)))));
  });
}

test('with automatic mTLS', async () => {
  await until('the policy', async () => (await visit('/asked/first', 'bob')) === 403);
  await decides('/asked/auto');
  expect(await handshakes()).toBeGreaterThan(0);
  expect(await plaintextGetsThrough()).toBe(true);
});

test('with mTLS that is told by a DestinationRule, and then strict', async () => {
  ruleFile = mesh.write(told);
  await until('calls by the rule', async () => (await visit('/asked/told', 'ann')) === 200);
  await decides('/asked/told');
  mesh.write(strict);
  await until('strictness', async () => !(await plaintextGetsThrough()));
  await decides('/asked/strict');
});

test('told to be called in plaintext while it is strict, it lets nobody in', async () => {
  writeFileSync(ruleFile, told.replace('ISTIO_MUTUAL', 'DISABLE'));
  await until('refusal', async () => (await visit('/asked/plain', 'ann')) === 503);
  expect(await visit('/free', 'bob')).toBe(200);
  writeFileSync(ruleFile, told);
  await until('calls by the rule', async () => (await visit('/asked/back', 'ann')) === 200);
});

test('whose sidecar is gone, it lets nobody in, and is asked again when it is back', async () => {
  await mesh.members.get('checker')?.child.stop();
  // 503 while it cannot be reached, 403 when nobody knows it any more.
  await until('refusal', async () => [403, 503].includes(await visit('/asked/gone', 'ann')));
  expect(await visit('/free', 'bob')).toBe(200);
  await mesh.join({ service: 'checker', app: `${authorizerPort}/grpc` });
  await until('answers', async () => (await visit('/asked/returned', 'ann')) === 200);
  await decides('/asked/returned');
}, 20_000);

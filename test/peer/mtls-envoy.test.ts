// A real Envoy as a member of the mesh: it calls servers of every mode by every rule, and is called, by our sidecar and in
// plaintext. Its half of the matrix of docs/security.md; the other is test/e2e/mtls.test.ts.
import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listen } from '../support/free-port.ts';
import { MeshEnvoy } from '../support/mesh-envoy.ts';
import { ask, clientRules, MEMBERS, serverPolicies, SERVERS } from '../support/mtls-matrix.ts';
import { SecureMesh } from '../support/secure-mesh.ts';

const STRICT_ENVOY = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: called }
spec: { selector: { matchLabels: { app: called } }, mtls: { mode: STRICT } }
`;

let mesh: SecureMesh;
let app: Server;
let appPort = 0;
const arrived: string[] = [];
const envoys = new Map<string, MeshEnvoy>();

beforeAll(async () => {
  app = createServer((message, response) => {
    arrived.push(String(message.headers['x-probe']));
    response.end(message.headers['x-forwarded-client-cert'] ?? 'nobody');
  });
  appPort = await listen(app);
  mesh = await SecureMesh.start(serverPolicies(appPort) + STRICT_ENVOY);
  mesh.write(clientRules(mesh.folder));
  await Promise.all(SERVERS.map((service) => mesh.join({ service, app: `${appPort}/http` })));
  await mesh.join({ service: 'caller' });
  envoys.set('called', await MeshEnvoy.join(mesh, 'called.default', appPort));
  for (const [client] of MEMBERS) envoys.set(client, await MeshEnvoy.join(mesh, `${client}.ns-${client}`, appPort));
  await mesh.settle();
});
afterAll(async () => {
  app.close();
  await Promise.all([...envoys.values()].map((envoy) => envoy.stop()));
  await mesh[Symbol.asyncDispose]();
});

describe('an Envoy with an identity of the mesh', () => {
  test.each(MEMBERS)('as the client %s, told %s', async (client, _told, reaches) => {
    const outbound = envoys.get(client)?.outbound ?? 0;
    for (const server of SERVERS)
      await ask(outbound, `${server}.default.svc.cluster.local:${appPort}`, `${client}-${server}`);
    expect(SERVERS.map((server) => arrived.includes(`${client}-${server}`))).toEqual(reaches);
  });

  test('is known to whom it calls', async () => {
    const answer = await ask(envoys.get('none')?.outbound ?? 0, `strict.default.svc.cluster.local:${appPort}`, 'known');
    expect(answer.body).toContain('URI=spiffe://cluster.local/ns/ns-none/sa/none');
  });

  test('is called by a sidecar, and knows it', async () => {
    const outbound = mesh.members.get('caller')?.outbound ?? 0;
    const answer = await ask(outbound, `called.default.svc.cluster.local:${appPort}`, 'called');
    const isKnown = answer.body.includes('URI=spiffe://cluster.local/ns/default/sa/caller');
    expect([answer.status, isKnown]).toEqual([200, true]);
  });

  test('takes no plaintext where it is STRICT', async () => {
    expect((await ask(envoys.get('called')?.inbound ?? 0, 'called', 'plain')).status).toBe(0);
    expect(arrived).not.toContain('plain');
  });
});

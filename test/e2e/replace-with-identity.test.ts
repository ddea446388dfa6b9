// Members of a mesh with identities that hand over to their successors under load, in a mesh that takes nothing but mutual
// TLS: each has a key and a certificate of its own, and none of the requests between the two fails.
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { PacedLoad } from '../support/paced-load.ts';
import { SecureMesh, type Member } from '../support/secure-mesh.ts';
import { until } from '../support/until.ts';
import { startUpstream } from './sidecar-process.ts';

const STRICT = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: all, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
`;

/** The serial number of the own certificate: it comes first. */
async function serialOf({ admin }: Member): Promise<string> {
  const { certificates }: { certificates: readonly { cert_chain: readonly { serial_number: string }[] }[] } =
    JSON.parse(await (await fetch(`http://127.0.0.1:${admin}/certs`)).text());
  return certificates[0]?.cert_chain[0]?.serial_number ?? '';
}

it('sidecars with identities replace each other, and no request fails', async () => {
  using upstream = await startUpstream();
  await using mesh = await SecureMesh.start(STRICT);
  const flagsOf = (name: string, threads: string): readonly string[] => {
    const handover = ['--handover', join(mesh.folder, `${name}.sock`), '--drain-seconds', '2'];
    return ['--concurrency', threads, ...handover];
  };
  const server = { service: 'server', app: `${upstream.port}/http`, flags: flagsOf('server', '2') };
  const client = { service: 'client', flags: flagsOf('client', '1') };
  const first = { server: await mesh.join(server), client: await mesh.join(client) };
  await mesh.settle();
  const serials = new Set(await Promise.all([serialOf(first.server), serialOf(first.client)]));
  const ports = (): readonly number[] => [first.client.outbound];
  const load = new PacedLoad({ perSecond: 150, connections: 10, requestsPerConnection: 20, host: 'server', ports });
  await until('requests go through', () => load.succeeded > 50);
  const second = {
    server: await mesh.join({ ...server, replaces: first.server }),
    client: await mesh.join({ ...client, replaces: first.client }),
  };
  const before = load.succeeded;
  await until('requests go through both successors', () => load.succeeded > before + 100);
  const { sent, succeeded, failures } = await load.stop();
  expect({ failures: [...failures], missing: sent - succeeded }).toEqual({ failures: [], missing: 0 });
  expect([await first.server.child.exited, await first.client.child.exited]).toEqual([0, 0]);
  for (const member of [second.server, second.client]) serials.add(await serialOf(member));
  expect([serials.size, serials.has('')]).toEqual([4, false]);
});

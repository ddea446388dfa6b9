// A real Envoy and our sidecar take their secrets from our SDS server on a Unix socket, both variants at once: first
// versions, a rotation of the certificate, and roots in stages have the same effect on both.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import type { JsonObject } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { SdsServer } from '../../src/sidecar/sds-server.ts';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { certificateSecret, rootsSecret, sdsCluster, sdsContext } from '../support/sds.ts';
import { TestAuthority } from '../support/test-authority.ts';
import { downstream, listener } from '../support/tls-proxy.ts';
import { statusOf, until } from '../support/until.ts';
import { commandOf, SIDE_NAMES } from './side.ts';

const HELLO: JsonObject = { direct_response: { status: 200, body: { inline_string: 'hello' } } };
const SERVER = 'spiffe://cluster.local/ns/shop/sa/server';
const CLIENT = 'spiffe://cluster.local/ns/shop/sa/client';
const authority = new TestAuthority('root');
const folder = mkdtempSync(join(tmpdir(), 'sds-peer-'));
const server = new SdsServer({ log: silentLog, mode: 0o600 });
const children: Child[] = [];
/** Of the listeners by state of the world and by delta, of both sides. */
const ports: number[] = [];

beforeAll(async () => {
  const path = join(folder, 'sds.sock');
  await server.listen(path);
  server.put(certificateSecret(authority, SERVER).secret);
  server.put(rootsSecret(authority.pem));
  for (const side of SIDE_NAMES) {
    const [admin = 0, whole = 0, delta = 0] = await freePorts(3);
    const bootstrap = {
      node: { id: side, cluster: side },
      admin: { address: { socket_address: { address: '127.0.0.1', port_value: admin } } },
      static_resources: {
        listeners: [
          listener('whole', whole, HELLO, { chain: secured('GRPC') }),
          listener('delta', delta, HELLO, { chain: secured('DELTA_GRPC') }),
        ],
        clusters: [sdsCluster(path)],
      },
    };
    const file = join(folder, `${side}.json`);
    writeFileSync(file, JSON.stringify(bootstrap));
    const child = startChild(...commandOf(side, file));
    children.push(child);
    ports.push(whole, delta);
    await untilReady(child, async () => (await statusOf(admin, '/ready')) === 200);
  }
});
afterAll(async () => {
  for (const child of children) await child.stop();
  server.close();
  rmSync(folder, { recursive: true });
});

function secured(apiType: 'GRPC' | 'DELTA_GRPC'): JsonObject {
  return { transport_socket: downstream(sdsContext(apiType), { require_client_certificate: true }) };
}

/** The certificate that each listener shows to a client of these roots; empty where the client is refused. */
function shown(roots: TestAuthority): Promise<readonly string[]> {
  return Promise.all(
    ports.map(
      (port) =>
        new Promise<string>((resolve) => {
          const { cert, key } = roots.issue({ uris: [CLIENT] });
          const socket = connect({ host: '127.0.0.1', port, cert, key, rejectUnauthorized: false });
          let pem = '';
          let text = '';
          socket.on('secureConnect', () => {
            pem = socket.getPeerX509Certificate()?.toString() ?? '';
            socket.write('GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
          });
          socket.on('data', (bytes: Buffer) => {
            text += bytes.toString();
            if (text.endsWith('hello')) socket.destroy();
          });
          socket.on('error', () => {});
          socket.on('close', () => resolve(text.endsWith('hello') ? pem : ''));
        }),
    ),
  );
}

test('they show the newest certificate', async () => {
  expect((await shown(authority)).every((pem) => pem !== '')).toBe(true);
  const second = certificateSecret(authority, SERVER);
  server.put(second.secret);
  await until('the rotation', async () => (await shown(authority)).every((pem) => pem === second.pem));
});

test('they trust both roots, and then the new one alone', async () => {
  const next = new TestAuthority('next');
  expect(await shown(next)).toEqual(['', '', '', '']);
  server.put(rootsSecret(authority.pem + next.pem));
  await until('both roots', async () => (await shown(next)).every((pem) => pem !== ''));
  expect((await shown(authority)).every((pem) => pem !== '')).toBe(true);
  server.put(rootsSecret(next.pem));
  await until('the new root alone', async () => (await shown(authority)).every((pem) => pem === ''));
  expect((await shown(next)).every((pem) => pem !== '')).toBe(true);
});

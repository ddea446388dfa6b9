// SDS by gRPC on a Unix socket, our server and our client: both variants, first versions that are waited for, rotation
// under an open connection, what is bad, a server that goes away, and who may open the socket.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { once } from 'node:events';
import { create } from '@bufbuild/protobuf';
import type { JsonObject } from '@bufbuild/protobuf';
import { afterEach, expect, test } from 'vitest';
import { createLog, silentLog } from '../../src/base/log.ts';
import type { Proxy } from '../../src/sidecar/proxy.ts';
import { SdsServer } from '../../src/sidecar/sds-server.ts';
import { SecretSchema } from '../../src/xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { certificateSecret, rootsSecret, sdsCluster, sdsContext } from '../support/sds.ts';
import { TestAuthority } from '../support/test-authority.ts';
import { downstream, listener, portOf, startProxy } from '../support/tls-proxy.ts';
import { freePort } from '../support/free-port.ts';
import { until } from '../support/until.ts';

const authority = new TestAuthority('root');
const SERVER = 'spiffe://cluster.local/ns/shop/sa/server';
const CLIENT = 'spiffe://cluster.local/ns/shop/sa/client';
const HELLO: JsonObject = { direct_response: { status: 200, body: { inline_string: 'hello' } } };

const ends: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

async function serve(path: string, log = silentLog): Promise<SdsServer> {
  const server = new SdsServer({ log, mode: 0o600 });
  ends.push(() => server.close());
  await server.listen(path);
  return server;
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'sds-'));
  ends.push(() => rmSync(path, { recursive: true }));
  return path;
}

async function proxyOver(path: string, apiType: 'GRPC' | 'DELTA_GRPC'): Promise<Proxy> {
  const socket = downstream(sdsContext(apiType), { require_client_certificate: true });
  const port = await freePort();
  const proxy = await startProxy({
    listeners: [listener('in', port, HELLO, { chain: { transport_socket: socket } })],
    clusters: [sdsCluster(path)],
  });
  ends.push(() => proxy.stop(0));
  return proxy;
}

/** Whose certificate is shown: its serial; empty when the handshake fails. */
async function shownBy(port: number, roots = authority): Promise<string> {
  const { cert, key } = roots.issue({ uris: [CLIENT] });
  const socket = connect({ host: '127.0.0.1', port, cert, key, rejectUnauthorized: false });
  socket.on('error', () => {});
  socket.on('secureConnect', () => socket.write('GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n'));
  let text = '';
  socket.on('data', (bytes: Buffer) => (text += bytes.toString()));
  const shown = new Promise<string>((resolve) => {
    socket.on('secureConnect', () => resolve(socket.getPeerX509Certificate()?.toString() ?? ''));
    socket.on('close', () => resolve(''));
  });
  const pem = await shown;
  if (!socket.closed) await once(socket, 'close');
  return text.endsWith('hello') ? pem : '';
}

test.each(['GRPC', 'DELTA_GRPC'] as const)(
  '%s: a listener waits for its secrets, and rotates with them',
  async (apiType) => {
    const path = join(folder(), 'sds.sock');
    const server = await serve(path);
    const first = certificateSecret(authority, SERVER);
    server.put(first.secret);
    const starting = proxyOver(path, apiType);
    let isStarted = false;
    void starting.then(() => (isStarted = true));
    await new Promise((resolve) => setTimeout(resolve, 100));
    // Half of what it needs is there.
    expect(isStarted).toBe(false);
    server.put(rootsSecret(authority.pem));
    const proxy = await starting;
    const port = portOf(proxy, 'in');
    expect(await shownBy(port)).toBe(first.pem);

    // A connection that is open lives on.
    const { cert, key } = authority.issue({ uris: [CLIENT] });
    const open = connect({ host: '127.0.0.1', port, cert, key, rejectUnauthorized: false });
    await once(open, 'secureConnect');
    const second = certificateSecret(authority, SERVER);
    server.put(second.secret);
    await until('the rotation', async () => (await shownBy(port)) === second.pem);
    open.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    const [bytes] = await once(open, 'data');
    expect(String(bytes)).toMatch(/^HTTP\/1\.1 200/);
    open.destroy();

    // Roots in stages: both, then the new one alone.
    const next = new TestAuthority('next');
    expect(await shownBy(port, next)).toBe('');
    server.put(rootsSecret(authority.pem + next.pem));
    await until('both roots', async () => (await shownBy(port, next)) !== '');
    expect(await shownBy(port)).not.toBe('');
    server.put(rootsSecret(next.pem));
    await until('the new root alone', async () => (await shownBy(port)) === '');
    expect(await shownBy(port, next)).not.toBe('');
  },
);

test('a bad version is refused and told to the server; the last good one stays, also without a server', async () => {
  const path = join(folder(), 'sds.sock');
  const lines: string[] = [];
  const server = await serve(
    path,
    createLog('test', 'info', (line) => void lines.push(line)),
  );
  const good = certificateSecret(authority, SERVER);
  server.put(good.secret);
  server.put(rootsSecret(authority.pem));
  const proxy = await proxyOver(path, 'GRPC');
  const port = portOf(proxy, 'in');
  const bad = create(SecretSchema, {
    name: 'default',
    type: {
      case: 'tlsCertificate',
      value: {
        certificateChain: { specifier: { case: 'inlineString', value: good.pem } },
        privateKey: { specifier: { case: 'inlineString', value: 'no key at all' } },
      },
    },
  });
  server.put(bad);
  await until('the refusal', () => lines.some((line) => line.includes('private_key cannot be read')));
  expect(lines.join('')).not.toContain('no key at all');
  server.close();
  expect(await shownBy(port)).toBe(good.pem);
  // Another one takes its place.
  const other = await serve(path);
  const second = certificateSecret(authority, SERVER);
  other.put(second.secret);
  other.put(rootsSecret(authority.pem));
  await until('the other server', async () => (await shownBy(port)) === second.pem);
});

test('the socket is for its owner alone, unless its group is let in', async () => {
  const path = join(folder(), 'sds.sock');
  await serve(path);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const group = new SdsServer({ log: silentLog, mode: 0o660 });
  ends.push(() => group.close());
  await group.listen(`${path}.group`);
  expect(statSync(`${path}.group`).mode & 0o777).toBe(0o660);
});

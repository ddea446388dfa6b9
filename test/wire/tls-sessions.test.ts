// A TLS session that is resumed shows no certificate anew, so it must end with everything that it was let in by: the
// roots, the lists of revocations, the names and the dates of the certificate (CVE-2022-21654 is what happens else). Both
// ends, both versions, also with ticket keys that outlive a change.
import { mkdtempSync, renameSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import type { JsonObject } from '@bufbuild/protobuf';
import { afterEach, describe, expect, test } from 'vitest';
import type { Proxy } from '../../src/sidecar/proxy.ts';
import { freePort, listen } from '../support/free-port.ts';
import { TestAuthority } from '../support/test-authority.ts';
import { ask, cluster, downstream, listener, portOf, startProxy, upstream, type Asked } from '../support/tls-proxy.ts';
import { until } from '../support/until.ts';

const ID = 'spiffe://cluster.local/ns/a/sa/client';
const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;
type Version = (typeof VERSIONS)[number];

const old = new TestAuthority('old root');
const next = new TestAuthority('next root');
const server = old.issue({ dns: ['server.test'], name: 'server' });

const cleanups: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** Trusted roots and revoked certificates, in files that can be replaced. */
class Roots {
  readonly path = join(mkdtempSync(join(tmpdir(), 'outrigger-roots-')), 'roots.pem');
  readonly crl = `${this.path}.crl`;

  constructor(...roots: readonly TestAuthority[]) {
    this.write(...roots);
    this.revoke();
  }

  write(...roots: readonly TestAuthority[]): void {
    replace(this.path, roots.map(({ pem }) => pem).join(''));
  }

  /** By the old root. */
  revoke(...certificates: readonly string[]): void {
    replace(this.crl, old.revoke(...certificates));
  }

  get context(): JsonObject {
    return { trusted_ca: { filename: this.path } };
  }

  get contextWithList(): JsonObject {
    return { ...this.context, crl: { filename: this.crl } };
  }
}

function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

const pair = ({ cert, key }: { readonly cert: string; readonly key: string }): JsonObject => ({
  certificate_chain: { inline_string: cert },
  private_key: { inline_string: key },
});

async function startWith(resources: JsonObject): Promise<Proxy> {
  const proxy = await startProxy(resources);
  cleanups.push(() => proxy.stop(0));
  return proxy;
}

function sum(proxy: Proxy, name: string): number {
  return proxy.stats
    .list()
    .filter((one) => one.name.endsWith(name))
    .reduce((total, { value }) => total + value, 0);
}

/** The end of a certificate that lives for some moments. */
function soon(): number {
  return Date.now() + 1000;
}

async function passed(timeMs: number): Promise<void> {
  await until('the certificate has expired', async () => Date.now() > Math.ceil(timeMs / 1000) * 1000);
}

const fixed = { session_ticket_keys: { keys: [{ inline_bytes: Buffer.alloc(80, 7).toString('base64') }] } };
const KINDS = VERSIONS.flatMap((version): [Version, string, JsonObject][] => [
  [version, 'keys of its own', {}],
  [version, 'keys that stay', fixed],
]);

interface Serving {
  readonly proxy: Proxy;
  readonly roots: Roots;
  /** The client's certificate. */
  readonly cert: string;
  ask(session?: Buffer | null): Promise<Asked>;
}

interface Serve {
  readonly notAfterMs?: number;
  readonly roots?: Roots;
  readonly context?: JsonObject;
}

async function serve(version: Version, tickets: JsonObject, options: Serve = {}): Promise<Serving> {
  const { notAfterMs, roots = new Roots(old), context = roots.context } = options;
  const port = await freePort();
  const common = { tls_certificates: [pair(server)], validation_context: context };
  const chain = { transport_socket: downstream(common, { require_client_certificate: true, ...tickets }) };
  const body = { direct_response: { status: 200, body: { inline_string: 'hello' } } };
  const proxy = await startWith({ listeners: [listener('in', port, body, { chain })], clusters: [] });
  const client = old.issue({ uris: [ID], ...(notAfterMs === undefined ? {} : { notAfterMs }) });
  const shown = { ...client, servername: 'server.test', minVersion: version, maxVersion: version };
  return {
    proxy,
    roots,
    cert: client.cert,
    ask: (session = null) => ask(port, { ...shown, ...(session === null ? {} : { session }) }),
  };
}

async function change(serving: Serving, ...trusted: readonly TestAuthority[]): Promise<void> {
  serving.roots.write(...trusted);
  await renewed(serving);
}

/** Contexts are made anew by the next handshake. */
async function renewed({ proxy }: Serving): Promise<void> {
  await until('the roots are in force', async () => {
    await ask(portOf(proxy, 'in'));
    return sum(proxy, 'ssl_context_update_by_sds') > 0;
  });
}

/** One request on a connection of its own. */
function get(proxy: Proxy): Promise<number> {
  return new Promise((resolve, reject) => {
    const asking = request({ port: portOf(proxy, 'out'), host: '127.0.0.1', agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    });
    asking.on('error', reject).end();
  });
}

/** A server that resumes whatever it is asked to, and a sidecar that trusts `roots`. */
async function call(version: Version, roots: Roots, { own = server, context = roots.context } = {}): Promise<Proxy> {
  const app = createServer({ ...own, minVersion: version, maxVersion: version }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'));
  });
  app.on('tlsClientError', () => {});
  const port = await listen(app);
  cleanups.push(() => void app.close());
  const versions = { tls_maximum_protocol_version: version.replace('.', '_') };
  return await startWith({
    listeners: [listener('out', 0, { route: { cluster: 'app' } })],
    clusters: [
      cluster('app', port, { transport_socket: upstream({ validation_context: context, tls_params: versions }) }),
    ],
  });
}

describe('a server', () => {
  test.each(KINDS)('of %s with %s resumes nobody of a root that it trusts no longer', async (version, _, tickets) => {
    const serving = await serve(version, tickets);
    const { session, body } = await serving.ask();
    expect([body, (await serving.ask(session)).isResumed]).toEqual(['hello', true]);
    await change(serving, next);
    expect((await serving.ask(session)).body).toBe('');
  });

  test.each(KINDS)('of %s with %s judges everybody anew when a root is added', async (version, _, tickets) => {
    const serving = await serve(version, tickets);
    const { session } = await serving.ask();
    await change(serving, old, next);
    const { isResumed, body } = await serving.ask(session);
    expect([isResumed, body]).toEqual([false, 'hello']);
  });

  test.each(KINDS)('of %s with %s resumes nobody who was revoked since', async (version, _, tickets) => {
    const roots = new Roots(old);
    const serving = await serve(version, tickets, { roots, context: roots.contextWithList });
    const { session, body } = await serving.ask();
    expect([body, (await serving.ask(session)).isResumed]).toEqual(['hello', true]);
    roots.revoke(serving.cert);
    await renewed(serving);
    expect([(await serving.ask(session)).body, (await serving.ask()).body]).toEqual(['', '']);
    roots.revoke();
    await until('nobody is revoked', async () => (await serving.ask()).body === 'hello');
  });

  test.each(VERSIONS)('of %s resumes nobody whose certificate has expired', async (version) => {
    const untilMs = soon();
    const serving = await serve(version, {}, { notAfterMs: untilMs });
    const { session, body } = await serving.ask();
    await passed(untilMs);
    expect([body, session !== null, (await serving.ask(session)).body]).toEqual(['hello', true, '']);
    expect(sum(serving.proxy, 'ssl.fail_verify_error')).toBe(1);
  });
});

describe('a client', () => {
  test.each(VERSIONS)('of %s resumes no server of a root that it trusts no longer', async (version) => {
    const roots = new Roots(old);
    const proxy = await call(version, roots);
    expect([await get(proxy), await get(proxy), sum(proxy, 'app.ssl.session_reused')]).toEqual([200, 200, 1]);
    roots.write(next);
    await until('the server is refused', async () => (await get(proxy)) === 503);
    expect(sum(proxy, 'app.ssl.fail_verify_error')).toBeGreaterThan(0);
  });

  test.each(VERSIONS)('of %s resumes no server that was revoked since', async (version) => {
    const roots = new Roots(old);
    const proxy = await call(version, roots, { context: roots.contextWithList });
    expect([await get(proxy), await get(proxy), sum(proxy, 'app.ssl.session_reused')]).toEqual([200, 200, 1]);
    roots.revoke(server.cert);
    await until('the server is refused', async () => (await get(proxy)) === 503);
    const before = sum(proxy, 'app.ssl.session_reused');
    expect([await get(proxy), sum(proxy, 'app.ssl.session_reused')]).toEqual([503, before]);
    expect(sum(proxy, 'app.ssl.fail_verify_error')).toBeGreaterThan(0);
  });

  test.each(VERSIONS)('of %s resumes no server whose certificate has expired', async (version) => {
    const untilMs = soon();
    const proxy = await call(version, new Roots(old), {
      own: old.issue({ dns: ['server.test'], notAfterMs: untilMs }),
    });
    expect([await get(proxy), await get(proxy), sum(proxy, 'app.ssl.session_reused')]).toEqual([200, 200, 1]);
    await passed(untilMs);
    expect([await get(proxy), sum(proxy, 'app.ssl.session_reused')]).toEqual([503, 1]);
  });
});

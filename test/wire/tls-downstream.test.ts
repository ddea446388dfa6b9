// TLS on listeners, by real handshakes: which certificate is shown, whose is taken, what is agreed on, what is
// resumed, and what the app behind is told.
import { copyFileSync, mkdirSync, mkdtempSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import type { JsonObject } from '@bufbuild/protobuf';
import { afterEach, describe, expect, it, test } from 'vitest';
import type { Proxy } from '../../src/sidecar/proxy.ts';
import { readSecrets } from '../../src/sidecar/secret-path.ts';
import {
  ask,
  AUTHORITY,
  certificate,
  downstream,
  identity,
  listener,
  pathOf,
  pem,
  portOf,
  startProxy,
} from '../support/tls-proxy.ts';

const proxies: Proxy[] = [];
afterEach(async () => {
  for (const proxy of proxies.splice(0)) await proxy.stop(0);
});

const HELLO: JsonObject = { direct_response: { status: 200, body: { inline_string: 'hello' } } };

/** Answers with what a format writes of the connection. */
function telling(format: string): JsonObject {
  return { direct_response: { status: 200, body_format: { text_format_source: { inline_string: format } } } };
}

async function serve(socket: JsonObject, action = HELLO, manager: JsonObject = {}): Promise<number> {
  const proxy = await startProxy({
    listeners: [listener('in', 0, action, { manager, chain: { transport_socket: socket } })],
  });
  proxies.push(proxy);
  return portOf(proxy, 'in');
}

function stat(name: string): number {
  return proxies[0]?.stats.list().find((one) => one.name.endsWith(`.ssl.${name}`))?.value ?? 0;
}

const MUTUAL: JsonObject = { tls_certificates: [certificate('server')], validation_context: { trusted_ca: AUTHORITY } };
const REQUIRED = { require_client_certificate: true };

describe('the certificate of a listener', () => {
  const two = downstream({ tls_certificates: [certificate('second'), certificate('server')] });

  test.each<[string, string | undefined, string]>([
    ['the exact name', 'server.test', 'server'],
    ['a name in any letter case', 'SERVER.test', 'server'],
    ['a wildcard', 'a.wild.test', 'server'],
    ['the first for two labels under a wildcard', 'a.b.wild.test', 'second'],
    ['the first for a name of nobody', 'other.test', 'second'],
    ['the first without a name', undefined, 'second'],
  ])('is chosen by %s', async (_, servername, expected) => {
    const port = await serve(two);
    const { server, body } = await ask(port, servername === undefined ? {} : { servername });
    expect({ server: server.split('\n')[0], body }).toEqual({ server: expected, body: 'hello' });
  });
});

describe('a client', () => {
  const names = (matcher: JsonObject): JsonObject => ({
    ...MUTUAL,
    validation_context: { trusted_ca: AUTHORITY, match_typed_subject_alt_names: [matcher] },
  });
  const client = 'spiffe://cluster.local/ns/a/sa/client';
  const anyone: JsonObject = { tls_certificates: [certificate('server')] };
  const lenient: JsonObject = {
    ...anyone,
    validation_context: { trusted_ca: AUTHORITY, allow_expired_certificate: true },
  };
  const untrusted: JsonObject = {
    ...anyone,
    validation_context: { trusted_ca: AUTHORITY, trust_chain_verification: 'ACCEPT_UNTRUSTED' },
  };

  test.each<[string, JsonObject, JsonObject, ConnectionOptions, 'hello' | '']>([
    ['with a good certificate is served', MUTUAL, REQUIRED, identity('client'), 'hello'],
    ['without one is refused where it is required', MUTUAL, REQUIRED, {}, ''],
    ['without one is served where it is not', MUTUAL, {}, {}, 'hello'],
    ['of another authority is refused', MUTUAL, REQUIRED, identity('stranger'), ''],
    ['of another authority is refused where none is required', MUTUAL, {}, identity('stranger'), ''],
    ['of another authority is served where none is trusted', anyone, REQUIRED, identity('stranger'), 'hello'],
    ['of another authority is served where anybody is', untrusted, REQUIRED, identity('stranger'), 'hello'],
    ['with an expired certificate is refused', MUTUAL, REQUIRED, identity('expired'), ''],
    ['with an expired certificate is served where that is allowed', lenient, REQUIRED, identity('expired'), 'hello'],
    ['that is expired and of another authority is refused even there', lenient, {}, identity('expired-stranger'), ''],
    [
      'whose URI matches is served',
      names({ san_type: 'URI', matcher: { exact: client } }),
      {},
      identity('client'),
      'hello',
    ],
    [
      'whose URI has the prefix is served',
      names({ san_type: 'URI', matcher: { prefix: 'spiffe://' } }),
      {},
      identity('client'),
      'hello',
    ],
    [
      'whose URI does not match is refused',
      names({ san_type: 'URI', matcher: { suffix: '/sa/other' } }),
      {},
      identity('client'),
      '',
    ],
    [
      'whose name is of another kind is refused',
      names({ san_type: 'DNS', matcher: { exact: client } }),
      {},
      identity('client'),
      '',
    ],
    [
      'whose URI matches an expression is served',
      names({ san_type: 'URI', matcher: { safe_regex: { regex: 'spiffe://.*/sa/c.*' } } }),
      {},
      identity('client'),
      'hello',
    ],
    ['of an old TLS version is refused', anyone, {}, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1' }, ''],
    [
      'of TLS 1.2 is refused by a minimum above',
      { ...anyone, tls_params: { tls_minimum_protocol_version: 'TLSv1_3' } },
      {},
      { maxVersion: 'TLSv1.2' },
      '',
    ],
  ])('%s', async (...[, common, extra, options, expected]) => {
    const port = await serve(downstream(common, extra));
    expect((await ask(port, { servername: 'server.test', ...options })).body).toBe(expected);
  });

  it('is refused without a server name where one is required', async () => {
    const port = await serve(downstream(anyone, { require_sni: true }));
    expect([(await ask(port)).body, (await ask(port, { servername: 'a.test' })).body]).toEqual(['', 'hello']);
  });

  it('that never ends its handshake is closed', async () => {
    const socket = downstream(anyone);
    const chain = { transport_socket: socket, transport_socket_connect_timeout: '0.1s' };
    const proxy = await startProxy({ listeners: [listener('in', 0, HELLO, { chain })] });
    proxies.push(proxy);
    const { connect } = await import('node:net');
    const silent = connect(portOf(proxy, 'in'), '127.0.0.1');
    await new Promise((resolve) => silent.once('close', resolve).resume());
    expect(proxy.listeners.active).toBe(0);
  });

  it('is counted by the way its handshake ended', async () => {
    const port = await serve(downstream(MUTUAL, REQUIRED));
    for (const options of [identity('client'), {}, identity('stranger')]) await ask(port, options);
    const counts = ['handshake', 'fail_verify_no_cert', 'fail_verify_error', 'connection_error'].map(stat);
    expect(counts).toEqual([1, 1, 1, 0]);
  });
});

describe('a session', () => {
  test.each(['TLSv1.2', 'TLSv1.3'] as const)('of %s is resumed', async (maxVersion) => {
    const port = await serve(downstream(MUTUAL, REQUIRED));
    const options = { ...identity('client'), servername: 'server.test', maxVersion };
    const { session } = await ask(port, options);
    const { isResumed, body } = await ask(port, { ...options, session: session ?? Buffer.alloc(0) });
    expect([isResumed, body, stat('session_reused')]).toEqual([true, 'hello', 1]);
  });

  it('is not resumed where that is switched off', async () => {
    const port = await serve(downstream(MUTUAL, { disable_stateless_session_resumption: true }));
    const { session } = await ask(port, { maxVersion: 'TLSv1.2' });
    const again = await ask(port, { maxVersion: 'TLSv1.2', ...(session === null ? {} : { session }) });
    expect([again.isResumed, again.body]).toEqual([false, 'hello']);
  });

  it('speaks the protocol that both know', async () => {
    const port = await serve(downstream({ ...MUTUAL, alpn_protocols: ['h2', 'http/1.1'] }));
    expect((await ask(port, { ALPNProtocols: ['h2', 'http/1.1'] })).protocol).toBe('http/1.1');
  });

  test.each([false, true])(
    'without a protocol that both know has none, as in Envoy (inspected: %s)',
    async (isInspected) => {
      const chain = { transport_socket: downstream({ ...MUTUAL, alpn_protocols: ['http/1.1'] }) };
      const inspector = {
        name: 'tls',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector',
        },
      };
      const filters: JsonObject = isInspected ? { listener_filters: [inspector] } : {};
      const proxy = await startProxy({ listeners: [{ ...listener('in', 0, HELLO, { chain }), ...filters }] });
      proxies.push(proxy);
      const answers: string[] = [];
      for (const ALPNProtocols of [['h2'], ['istio', 'http/1.1'], []]) {
        const { protocol, body } = await ask(portOf(proxy, 'in'), { ALPNProtocols });
        answers.push(`${protocol} ${body}`);
      }
      expect(answers).toEqual([' hello', 'http/1.1 hello', ' hello']);
    },
  );

  it('that says nothing is closed, and one that is no TLS gets no answer', async () => {
    const socket = downstream({ ...MUTUAL, alpn_protocols: ['http/1.1'] });
    const chain = { transport_socket: socket, transport_socket_connect_timeout: '0.1s' };
    const proxy = await startProxy({ listeners: [listener('in', 0, HELLO, { chain })] });
    proxies.push(proxy);
    const { connect } = await import('node:net');
    const heard: string[] = [];
    for (const text of ['', 'GET / HTTP/1.1\r\nhost: a\r\n\r\n', '\x16\x03\x01\x02']) {
      const client = connect(portOf(proxy, 'in'), '127.0.0.1', () => client.write(text));
      client.on('error', () => client.destroy());
      client.on('data', (bytes: Buffer) => heard.push(bytes.toString('latin1')));
      await new Promise((resolve) => client.once('close', resolve));
    }
    expect([heard.filter((text) => text.includes('HTTP/')), proxy.listeners.active]).toEqual([[], 0]);
  });

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('of %s that a stranger was given opens no door', async (maxVersion) => {
    const port = await serve(downstream(MUTUAL, REQUIRED));
    const options = { ...identity('stranger'), servername: 'server.test', maxVersion };
    const { session } = await ask(port, options);
    const again = await ask(port, { ...options, session: session ?? Buffer.alloc(0) });
    const without = await ask(port, { servername: 'server.test', maxVersion, session: session ?? Buffer.alloc(0) });
    expect([session !== null, again.body, without.body]).toEqual([true, '', '']);
  });
});

describe('the app behind', () => {
  it('is told of the client by log commands', async () => {
    const format =
      '%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_SUBJECT% %REQUESTED_SERVER_NAME%';
    const port = await serve(downstream(MUTUAL, REQUIRED), telling(format));
    const { body } = await ask(port, { ...identity('client'), servername: 'server.test' });
    expect(body).toBe('TLSv1.3 spiffe://cluster.local/ns/a/sa/client CN=client,O=test only server.test');
  });

  it('is told of the client by a header, and of nobody else', async () => {
    const manager = {
      forward_client_cert_details: 'SANITIZE_SET',
      set_current_client_cert_details: { subject: true, uri: true, dns: true },
    };
    const port = await serve(
      downstream(MUTUAL),
      telling('%REQ(x-forwarded-client-cert)% %REQ(x-forwarded-proto)%'),
      manager,
    );
    const { body } = await ask(port, identity('client'));
    expect(body.replace(/Hash=[0-9a-f]{64}/, 'Hash=X')).toBe(
      'By=spiffe://cluster.local/ns/a/sa/server;Hash=X;Subject="CN=client,O=test only";URI=spiffe://cluster.local/ns/a/sa/client https',
    );
    expect((await ask(port)).body).toBe('- https');
  });
});

function folder(name: string): string {
  const root = mkdtempSync(join(tmpdir(), 'outrigger-tls-'));
  mkdirSync(join(root, name));
  for (const end of ['pem', 'key']) copyFileSync(pathOf(`server.${end}`), join(root, name, `tls.${end}`));
  return root;
}

function inFiles(at: string): JsonObject {
  const chain = { filename: join(at, 'tls.pem') };
  return { tls_certificates: [{ certificate_chain: chain, private_key: { filename: join(at, 'tls.key') } }] };
}

async function untilServer(port: number, expected: string): Promise<void> {
  for (;;) if ((await ask(port)).server.startsWith(expected)) return;
}

describe('a certificate in files', () => {
  it('is replaced when both files were, and an open connection stays', async () => {
    const root = folder('v1');
    const port = await serve(downstream(inFiles(join(root, 'v1'))));
    writeFileSync(join(root, 'v1', 'tls.pem'), pem('renewed.pem'));
    expect((await ask(port)).body).toBe('hello');
    writeFileSync(join(root, 'v1', 'tls.key'), pem('renewed.key'));
    await untilServer(port, 'renewed');
    expect(proxies[0]?.secrets.rejected).toBeLessThanOrEqual(1);
  });

  it('is replaced when Kubernetes swaps the link to its folder', async () => {
    const root = folder('v1');
    symlinkSync('v1', join(root, '..data'));
    for (const end of ['pem', 'key']) symlinkSync(join('..data', `tls.${end}`), join(root, `tls.${end}`));
    const port = await serve(downstream(inFiles(root)));
    mkdirSync(join(root, 'v2'));
    for (const end of ['pem', 'key']) copyFileSync(pathOf(`renewed.${end}`), join(root, 'v2', `tls.${end}`));
    symlinkSync('v2', join(root, '..next'));
    renameSync(join(root, '..next'), join(root, '..data'));
    await untilServer(port, 'renewed');
  });

  it('stays when the new one is bad', async () => {
    const root = folder('v1');
    const port = await serve(downstream(inFiles(join(root, 'v1'))));
    writeFileSync(join(root, 'v1', 'tls.pem'), 'not a certificate');
    while (proxies[0]?.secrets.rejected === 0) await ask(port);
    expect((await ask(port)).server).toMatch(/^server/);
  });
});

const SECRET_TYPE = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';

/** The secret `own`, with everything inside. */
function secret(name: string): JsonObject {
  const pair = {
    certificate_chain: { inline_string: pem(`${name}.pem`) },
    private_key: { inline_string: pem(`${name}.key`) },
  };
  return { '@type': SECRET_TYPE, name: 'own', tls_certificate: pair };
}

/** A file with `own` and `trust`. */
function secretsFile(name: string): string {
  const trust = { '@type': SECRET_TYPE, name: 'trust', validation_context: { trusted_ca: AUTHORITY } };
  return JSON.stringify({ resources: [secret(name), trust] });
}

describe('a file of secrets', () => {
  it('is read, judges clients, and is read again when it is replaced; a bad one changes nothing', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'secrets-'));
    const publish = (version: string, text: string): void => {
      mkdirSync(join(folder, version));
      writeFileSync(join(folder, version, 'sds.yaml'), text);
      symlinkSync(version, join(folder, `link-${version}`));
      renameSync(join(folder, `link-${version}`), join(folder, '..data'));
    };
    publish('v1', secretsFile('server'));
    symlinkSync('..data/sds.yaml', join(folder, 'sds.yaml'));
    const source = { path_config_source: { path: join(folder, 'sds.yaml'), watched_directory: { path: folder } } };
    const common = {
      tls_certificate_sds_secret_configs: [{ name: 'own', sds_config: source }],
      validation_context_sds_secret_config: { name: 'trust', sds_config: source },
    };
    const port = await serve(downstream(common, REQUIRED));
    const shown = async (name: string): Promise<string> => {
      const { server, body } = await ask(port, identity(name));
      return `${server.split('\n')[0]} ${body}`;
    };
    expect([await shown('client'), await shown('stranger')]).toEqual(['server hello', 'server ']);
    publish('v2', 'resources: [{"@type": nonsense');
    publish('v3', `# YAML\n${secretsFile('second')}`);
    await expect.poll(() => shown('client')).toBe('second hello');
    publish('v4', secretsFile('second').replaceAll('PRIVATE KEY', 'PRIVATE HOLE'));
    await expect.poll(() => proxies[0]?.secrets.rejected ?? 0).toBeGreaterThan(0);
    expect(await shown('client')).toBe('second hello');
  });

  it('says where it is wrong without a word of what stands there', () => {
    const keyed = { ...secret('server'), tls_certificate: { private_key: 'SECRET WORDS' } };
    const broken: unknown[] = [{ resources: [keyed] }, { resources: ['SECRET WORDS'] }, ['SECRET WORDS'], null];
    expect(broken.map((root) => readSecrets(root))).toEqual([
      'resources[0].tls_certificate.private_key is not what a Secret has there',
      'resources[0] is not a mapping',
      'it is not a mapping in YAML or JSON',
      'it is not a mapping in YAML or JSON',
    ]);
  });
});

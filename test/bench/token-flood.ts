// What a flood of bad tokens does to everybody else: a sidecar whose route asks for tokens is sent ones that nobody
// signed, each another one, as fast as the senders can, and the requests of a route that asks for nothing are timed.
//
//   node test/bench/token-flood.ts [--alg ES512] [--senders 16] [--seconds 5] [--outrigger FILE]
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Agent, request } from 'undici';
import { startChild } from '../support/child.ts';
import { freePort } from '../support/free-port.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { until } from '../support/until.ts';

const PROBE_MS = 5;
const CURVES: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };

const { values: flags } = parseArgs({
  options: {
    alg: { type: 'string', default: 'ES512' },
    senders: { type: 'string', default: '16' },
    seconds: { type: 'string', default: '5' },
    outrigger: { type: 'string', default: OUTRIGGER },
  },
});

const stranger = generateKeyPairSync('ec', { namedCurve: CURVES[flags.alg] ?? '' }).privateKey;
const signature = sign('sha512', Buffer.from('x'), { key: stranger, dsaEncoding: 'ieee-p1363' }).toString('base64url');
const upstream = createServer((_request, response) => response.end('ok'));
await new Promise<void>((done) => upstream.listen(0, '127.0.0.1', done));
const address = upstream.address();
const [port, admin] = [await freePort(), await freePort()];
const folder = mkdtempSync(join(tmpdir(), 'bench-flood-'));
const file = join(folder, 'bootstrap.json');
writeFileSync(file, JSON.stringify(bootstrap(typeof address === 'object' ? (address?.port ?? 0) : 0)));
const sidecar = startChild(process.execPath, [flags.outrigger, 'sidecar', '-c', file]);
const agent = new Agent({ connections: 64 });
try {
  await until('the sidecar is ready', async () => (await get('/plain', '').catch(() => 0)) === 200, 20_000);
  await measure('quiet', 0);
  await measure(`flood of ${flags.alg}`, Number(flags.senders));
} finally {
  await agent.destroy();
  await sidecar.stop();
  upstream.close();
  rmSync(folder, { recursive: true });
}

async function measure(what: string, senders: number): Promise<void> {
  const endMs = performance.now() + 1000 * Number(flags.seconds);
  const counts = new Map<number, number>();
  const flood = Array.from({ length: senders }, async () => {
    while (performance.now() < endMs) {
      const status = await get('/guarded', badToken());
      counts.set(status, (counts.get(status) ?? 0) + 1);
    }
  });
  const latenciesMs: number[] = [];
  while (performance.now() < endMs) {
    const startedMs = performance.now();
    await get('/plain', '');
    latenciesMs.push(performance.now() - startedMs);
    await sleep(PROBE_MS);
  }
  await Promise.all(flood);
  const sorted = latenciesMs.toSorted((left, right) => left - right);
  const at = (share: number): string => (sorted[Math.floor(sorted.length * share)] ?? NaN).toFixed(1);
  const answers = [...counts].map(([status, count]) => `${count} × ${status}`).join(', ');
  process.stdout.write(
    `${what}: others p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, most ${at(0.9999)} ms; ${answers || 'no tokens'}\n`,
  );
}

async function get(path: string, token: string): Promise<number> {
  const headers = token === '' ? {} : { authorization: `Bearer ${token}` };
  const { statusCode, body } = await request(`http://127.0.0.1:${port}${path}`, { dispatcher: agent, headers });
  await body.dump();
  return statusCode;
}

function text(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function badToken(): string {
  const exp = Math.floor(Date.now() / 1000) + 3600;
  // A stranger's, of something else: numbers out of range would be refused at once.
  return `${text({ alg: flags.alg, kid: 'k' })}.${text({ iss: 'me', exp, jti: randomUUID() })}.${signature}`;
}

function type(name: string): string {
  return `type.googleapis.com/envoy.extensions.filters.${name}`;
}

function socket(number: number): object {
  return { socket_address: { address: '127.0.0.1', port_value: number } };
}

function bootstrap(to: number): object {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: CURVES[flags.alg] ?? '' });
  const jwks = JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k' }] });
  const filters = [
    {
      name: 'jwt',
      typed_config: {
        '@type': type('http.jwt_authn.v3.JwtAuthentication'),
        providers: { p: { issuer: 'me', local_jwks: { inline_string: jwks } } },
        rules: [{ match: { prefix: '/guarded' }, requires: { provider_name: 'p' } }],
      },
    },
    { name: 'router', typed_config: { '@type': type('http.router.v3.Router') } },
  ];
  const manager = {
    '@type': type('network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: 'main',
    http_filters: filters,
    route_config: {
      virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'app' } }] }],
    },
  };
  const endpoints = [{ lb_endpoints: [{ endpoint: { address: socket(to) } }] }];
  return {
    admin: { address: socket(admin) },
    static_resources: {
      listeners: [
        { name: 'in', address: socket(port), filter_chains: [{ filters: [{ name: 'm', typed_config: manager }] }] },
      ],
      clusters: [{ name: 'app', type: 'STATIC', load_assignment: { cluster_name: 'app', endpoints } }],
    },
  };
}

// The commands about a running mesh, as people run them, on real processes: who is in sync, what a sidecar has, and whether a
// rule has arrived. And what the pages behind them refuse.
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { redacted, redactedRules } from '../../src/cli/pages/redaction.ts';
import { listOf, recordOf, textOf } from '../../src/kube/json-record.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { SecureMesh } from '../support/secure-mesh.ts';

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const RULES = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: one }
spec: { hosts: [one.example], ports: [{ number: 80, name: http, protocol: HTTP }], resolution: STATIC, endpoints: [{ address: 127.0.0.1 }] }
`;
const route = (prefix: string): string => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: one }
spec: { hosts: [one.example], http: [{ match: [{ uri: { prefix: ${prefix} } }], route: [{ destination: { host: one.example } }] }] }
`;

let mesh: SecureMesh;
let nodeId = '';

beforeAll(async () => {
  mesh = await SecureMesh.start(RULES);
  await mesh.join({ service: 'caller' });
  const rows = listOf(await (await fetch(`http://127.0.0.1:${mesh.pages}/debug/syncz`)).json());
  nodeId = textOf(recordOf(rows[0])['nodeId']);
});
afterAll(async () => await mesh?.[Symbol.asyncDispose]());

function run(command: string, ...args: readonly string[]): Promise<Outcome> {
  const address = ['--control-http', `127.0.0.1:${mesh.pages}`];
  const child = spawn(process.execPath, [OUTRIGGER, command, ...address, ...args]);
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })));
}

function ask(path: string, options: { readonly method?: string; readonly host?: string } = {}): Promise<number> {
  const { method = 'GET', host = 'localhost' } = options;
  return new Promise((resolve, reject) => {
    const asking = request({ host: '127.0.0.1', port: mesh.pages, path, method, headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asking.on('error', reject).end();
  });
}

test('status says who is in sync, and of one node which versions it has', async () => {
  const all = await run('status');
  expect({ code: all.code, stderr: all.stderr }).toEqual({ code: 0, stderr: '1 connected, 0 not in sync\n' });
  const [headings = '', row = ''] = all.stdout.split('\n');
  expect(headings.split(/ +/)).toEqual(['NODE', 'CDS', 'LDS', 'EDS', 'RDS', 'VHDS', 'SDS']);
  expect(row).toMatch(/^caller-\S+\.default +synced +synced /);
  const one = await run('status', 'caller');
  expect(one.stdout).toContain(nodeId);
  expect(one.stdout).toMatch(/^CDS +synced +\S+ +\S+$/m);
  expect(await run('status', 'nobody')).toMatchObject({ code: 1, stdout: '' });
});

test.each([
  ['clusters', /^outbound\|80\|\|one\.example +EDS/m],
  ['listeners', / 127\.0\.0\.1:\d+ +\d+ /],
  ['routes', /^\S+ +one\.example.* +\/\* +outbound\|80\|\|one\.example$/m],
  ['endpoints', /^127\.0\.0\.1:80 +HEALTHY +outbound\|80\|\|one\.example$/m],
  ['all', /^secrets$/m],
])('proxy-config shows %s', async (part, expected) => {
  const { code, stdout, stderr } = await run('proxy-config', 'caller', part);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(expected);
});

test('describe tells what holds for a service, and of none what may be meant', async () => {
  const { code, stdout, stderr } = await run('describe', 'one.example');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^one\.example: entry, eds, \S+\.yaml:1:1\n/);
  expect(stdout).toMatch(/^80 http +http +1 +0 +nobody: to all instances$/m);
  const data = recordOf(JSON.parse((await run('describe', 'one.example', '-o', 'json')).stdout));
  expect(data).toMatchObject({ host: 'one.example', from: 'default', isSeen: true });
  const none = await run('describe', 'on.example');
  expect(none).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('did you mean one.example?') });
  expect(await run('describe', 'one.example', '--from', 'A b')).toMatchObject({ code: 64, stdout: '' });
});

test('proxy-config shows no keys, neither through the control service nor from the sidecar itself', async () => {
  const through = await run('proxy-config', 'caller', 'all', '-o', 'json');
  const admin = `127.0.0.1:${mesh.members.get('caller')?.admin}`;
  const direct = await run('proxy-config', 'all', '--admin', admin, '-o', 'json');
  for (const { code, stdout } of [through, direct]) {
    expect(code).toBe(0);
    expect(Object.keys(recordOf(JSON.parse(stdout)))).toEqual([
      'clusters',
      'listeners',
      'routes',
      'endpoints',
      'secrets',
    ]);
    expect(stdout).not.toContain('PRIVATE KEY');
    // PEM in the base64 of JSON's bytes.
    expect(stdout).not.toContain(Buffer.from('-----BEGIN PRIVATE').toString('base64').slice(0, 20));
  }
});

test.each([
  ['a page that changes something', '/quitquitquit', {}, 404],
  ['a page that is none', '/../ready', {}, 404],
  ['an escape in the page', '/%2e%2e/quitquitquit', {}, 404],
  ['a POST', '/ready', { method: 'POST' }, 405],
  ['a page of a browser', '/ready', { host: 'elsewhere.example' }, 403],
  ['a page that shows something', '/server_info', {}, 200],
])('the gateway answers %s with the right status', async (_, page, options, status) => {
  expect(await ask(`/proxies/${encodeURIComponent(nodeId)}${page}`, options)).toBe(status);
});

test('the gateway knows only nodes that are connected', async () => {
  expect(await ask('/proxies/sidecar~127.0.0.1~x.y~z/ready')).toBe(404);
});

test('wait ends when sidecars have a rule, and says what is missing when they do not get it', async () => {
  const file = join(mesh.folder, '..', `wanted-${process.pid}.yaml`);
  writeFileSync(file, route('/new'));
  const early = await run('wait', '-f', file, '--timeout', '0');
  expect(early).toMatchObject({
    code: 1,
    stderr: 'outrigger wait: VirtualService/default/one is not known to the control service\n',
  });
  const waiting = run('wait', '--for', 'distribution', '-f', file, '--timeout', '20');
  mesh.write(route('/new'));
  expect(await waiting).toMatchObject({ code: 0 });
  expect((await run('proxy-config', 'caller', 'routes')).stdout).toContain('/new*');
  writeFileSync(file, route('/newer'));
  expect((await run('wait', '-f', file, '--timeout', '0')).stderr).toContain('is in force with other content');
  writeFileSync(file, route('[1]'));
  expect(await run('wait', '-f', file)).toMatchObject({ code: 65 });
  writeFileSync(file, '# nothing yet');
  for (const args of [[], ['-f', file]])
    expect(await run('wait', ...args)).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('no rule to wait for'),
    });
  for (const timeout of ['soon', '5x', '-1', '25h'])
    expect(await run('wait', '-f', file, '--timeout', timeout)).toMatchObject({ code: 64 });
});

test('bug-report has what helps, and no secret of the mesh', async () => {
  const archive = join(mesh.folder, '..', `report-${process.pid}.tar.gz`);
  const log = join(mesh.folder, '..', `log-${process.pid}.txt`);
  const token = readFileSync(mesh.token('default/caller'), 'utf8').trim();
  writeFileSync(log, `GET / authorization: Bearer ${token}\nnothing else\n`);
  const { code, stderr } = await run(
    'bug-report',
    '-f',
    join(mesh.folder, 'rules-1.yaml'),
    '--log',
    log,
    '-o',
    archive,
  );
  expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining(' 0 pages could not be had') });
  const names = execFileSync('tar', ['-tzf', archive], { encoding: 'utf8' });
  for (const name of ['versions.txt', 'control/debug_syncz.txt', '/config_dump.txt', 'rules/0-', 'logs/0-'])
    expect(names).toContain(name);
  const all = execFileSync('tar', ['-xzOf', archive], { encoding: 'utf8', maxBuffer: 1 << 28 });
  expect(all).toContain('nothing else');
  for (const secret of [token, token.split('.')[2] ?? '', 'PRIVATE KEY', 'LS0tLS1CRUdJTiBQUklW'])
    expect(all).not.toContain(secret);
});

test.each([
  ['{"authorization": "Bearer abcdef0123"}', 'abcdef0123'],
  ['Authorization: Basic dXNlcjpwYXNz', 'dXNlcjpwYXNz'],
  ['password: "hunter two \\" three"', 'three'],
  ["client_secret='hunter2'", 'hunter2'],
  ['-----BEGIN EC PRIVATE KEY-----\\nMHcCAQ\\n-----END EC PRIVATE KEY-----', 'MHcCAQ'],
  ['-----BEGIN PRIVATE KEY-----\nMHcCAQ', 'MHcCAQ'],
  [Buffer.from(`-----BEGIN PRIVATE KEY-----\n${'MHcCAQ'.repeat(9)}`).toString('base64'), 'TUhjQ0FR'],
  ['token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl', 'c2lnbmF0dXJl'],
])('redaction of %j', (text, secret) => expect(redacted(text)).not.toContain(secret));

test('redaction leaves out Secrets, and keeps the documents beside them', () => {
  const rules = 'kind: Service\n---\napiVersion: v1\nkind: Secret\nstringData: { word: hunter2 }\n---\nkind: Gateway\n';
  const kept = redactedRules(rules);
  expect(kept).not.toContain('hunter2');
  expect(kept).toContain('kind: Service');
  expect(kept).toContain('kind: Gateway');
});

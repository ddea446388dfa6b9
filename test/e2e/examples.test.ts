// Every folder below examples/ does what its README says. The bookshop is run by demo.test.ts.
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { LAUNCHER, WORKLOADS } from '../../src/cli/demo/bookshop.ts';
import { Child } from '../../src/cli/demo/child.ts';
import { freePorts } from '../../src/cli/demo/free-port.ts';
import { Load } from '../../src/cli/demo/load.ts';
import { Visitor, type Outcome } from '../../src/cli/demo/visitor.ts';

const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url));
const RUN_BY = new Map([
  ['authorization', 'authorization.test.ts'],
  ['bookshop', 'demo.test.ts'],
  ['sidecar-bootstrap', 'examples.test.ts'],
  ['gateway-api', 'examples.test.ts'],
  ['extension', 'extension.test.ts'],
  ['inject', 'examples.test.ts'],
  ['mtls', 'mtls.test.ts'],
  ['resilience', 'examples.test.ts'],
  ['tokens', 'tokens.test.ts'],
  ['rate-limits', 'examples.test.ts'],
  ['external-authorization', 'external-authorization.test.ts'],
]);

function startApp(service: string, version: string, port: number): Child {
  const script = WORKLOADS.find((workload) => workload.service === service)?.script ?? '';
  return new Child({ name: service, args: [script], environment: { PORT: String(port), VERSION: version } });
}

function runOnce(...args: readonly string[]) {
  return spawnSync(process.execPath, [LAUNCHER, ...args], { encoding: 'utf8' });
}

/** Asks again until the answer is good, for things that are still starting. */
async function visitUntilGood(port: number, host: string, path: string): Promise<Outcome> {
  const visitor = new Visitor(port, 1);
  let outcome = await visitor.visit({ host, path });
  for (let tries = 0; tries < 100 && (outcome.kind !== 'reply' || outcome.status !== 200); tries++) {
    await sleep(100);
    outcome = await visitor.visit({ host, path });
  }
  await visitor.close();
  return outcome;
}

describe('the examples', () => {
  it('are all run by a test', async () => {
    const entries = await readdir(EXAMPLES, { withFileTypes: true });
    const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    expect(folders.toSorted()).toEqual([...RUN_BY.keys()].toSorted());
    for (const folder of folders) expect(await readFile(join(EXAMPLES, folder, 'README.md'), 'utf8')).toMatch(/^# /);
  });

  it('sidecar-bootstrap forwards, rewrites and answers by itself', async () => {
    const [admin, outbound = 0, app = 0] = await freePorts(3);
    const text = await readFile(join(EXAMPLES, 'sidecar-bootstrap/envoy.yaml'), 'utf8');
    const folder = await mkdtemp(join(tmpdir(), 'outrigger-example-'));
    const file = join(folder, 'envoy.yaml');
    await writeFile(file, text.replace('15000', `${admin}`).replace('15001', `${outbound}`).replace('9080', `${app}`));
    const catalog = startApp('catalog', 'v1', app);
    const sidecar = new Child({ name: 'sidecar', args: [LAUNCHER, 'sidecar', '-c', file], environment: {} });
    try {
      await visitUntilGood(app, 'catalog', '/health');
      const answers = [];
      for (const path of ['/books/1', '/shelf/2', '/hello']) {
        const outcome = await visitUntilGood(outbound, 'anyone', path);
        answers.push(outcome.kind === 'reply' ? outcome.body : `${outcome.reason}\n${sidecar.obituary()}`);
      }
      expect(answers[0]).toContain('"path":"/books/1"');
      expect(answers[1]).toContain('"path":"/books/2"');
      expect(answers[2]).toBe('hello from the sidecar\n');
    } finally {
      await Promise.all([catalog.stop(), sidecar.stop()]);
      await rm(folder, { recursive: true });
    }
  }, 40_000);

  it('inject adds the sidecar to a Deployment, and takes it out again', async () => {
    const file = join(EXAMPLES, 'inject/reviews.yaml');
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [LAUNCHER, 'inject', ...args], { encoding: 'utf8', input: injected });
    let injected = '';
    const first = run('-f', file);
    expect(first).toMatchObject({ status: 0, stderr: '' });
    injected = first.stdout;
    expect(injected).toContain('--exclude-interfaces=eth1');
    expect(injected.match(/- name: outrigger-proxy/g)).toHaveLength(1);
    expect(run('-f', '-').stdout).toBe(injected);
    expect(run('--uninject', '-f', '-').stdout).toBe(await readFile(file, 'utf8'));
  });

  it('resilience is right to the last field, and a sidecar takes what it becomes', () => {
    const rules = join(EXAMPLES, 'resilience/rules');
    expect(runOnce('check', rules)).toMatchObject({ status: 0, stdout: '', stderr: '5 files, 0 errors, 0 warnings\n' });
    const { status, stdout } = runOnce('translate', '--for', 'frontend', '--app', '9080', '-f', rules);
    expect(status).toBe(0);
    for (const field of [
      'outlier_detection:',
      'health_checks:',
      'hedge_policy:',
      'retryConstraint:',
      'concurrencyLimit:',
    ])
      expect(stdout).toContain(field);
  });

  it('rate-limits lets two writes pass in a minute, reads as before, and three searches of a caller', async () => {
    const rules = join(EXAMPLES, 'rate-limits/rules');
    expect(runOnce('check', rules)).toMatchObject({ status: 0, stdout: '', stderr: '3 files, 0 errors, 0 warnings\n' });
    const [xds = 0, http = 0, app = 0, inbound = 0, outbound = 0, admin = 0] = await freePorts(6);
    const who = ['--control', `127.0.0.1:${xds}`, '--service', 'catalog', '--app', `${app}`];
    const where = ['--inbound', `${inbound}`, '--outbound', `${outbound}`, '--admin', `${admin}`];
    const children = [
      startApp('catalog', 'v1', app),
      new Child({
        name: 'control service',
        args: [LAUNCHER, 'control', '--rules', rules, '--xds', `127.0.0.1:${xds}`, '--http', `127.0.0.1:${http}`],
        environment: {},
      }),
      new Child({ name: 'sidecar', args: [LAUNCHER, 'sidecar', ...who, ...where], environment: {} }),
    ];
    try {
      await visitUntilGood(inbound, 'catalog', '/health');
      const told: string[] = [];
      for (const method of ['POST', 'PUT', 'POST', 'GET']) {
        const answer = await fetch(`http://127.0.0.1:${inbound}/books/1`, { method });
        await answer.text();
        const isLimited = answer.headers.get('x-limited-by') === 'catalog';
        told.push(`${method} ${isLimited ? `${answer.status} ${answer.headers.get('ratelimit') ?? ''}` : 'passed'}`);
      }
      expect(told).toEqual([
        'POST passed',
        'PUT passed',
        expect.stringMatching(/^POST 429 "writes";r=0;t=\d+$/),
        'GET passed',
      ]);
      const visitor = new Visitor(outbound, 1);
      const sent: string[] = [];
      for (let i = 0; i < 4; i++) {
        const outcome = await visitor.visit({ host: 'catalog', path: '/search/dune' });
        if (outcome.kind !== 'reply') sent.push(outcome.reason);
        else sent.push(outcome.status === 429 ? '429' : 'passed');
      }
      await visitor.close();
      expect(sent).toEqual(['passed', 'passed', 'passed', '429']);
    } finally {
      await Promise.all(children.map((child) => child.stop()));
    }
  }, 60_000);

  it('gateway-api splits nine to one and sends one reader to v2', async () => {
    const ports = await freePorts(2 + 2 * 4);
    const [xds = 0, http = 0, ...rest] = ports;
    const rules = join(EXAMPLES, 'gateway-api/rules');
    const control = new Child({
      name: 'control service',
      args: [LAUNCHER, 'control', '--rules', rules, '--xds', `127.0.0.1:${xds}`, '--http', `127.0.0.1:${http}`],
      environment: {},
    });
    const children = [control];
    for (const [index, version] of ['v1', 'v2'].entries()) {
      const [app = 0, inbound, outbound, admin] = rest.slice(index * 4);
      children.push(startApp('reviews', version, app));
      const who = ['--control', `127.0.0.1:${xds}`, '--service', 'reviews', '--version', version];
      const where = ['--app', `${app}`, '--inbound', `${inbound}`, '--outbound', `${outbound}`, '--admin', `${admin}`];
      const args = [LAUNCHER, 'sidecar', ...who, ...where, '--address', '127.0.0.1'];
      children.push(new Child({ name: `reviews ${version} sidecar`, args, environment: {} }));
    }
    try {
      const outbound = rest[2] ?? 0;
      const first = await visitUntilGood(outbound, 'reviews', '/health');
      expect(first.kind === 'reply' && first.status, children.map((child) => child.obituary()).join('\n')).toBe(200);
      await visitUntilGood(rest[6] ?? 0, 'reviews-v2', '/health');
      const load = new Load({
        port: outbound,
        visit: { host: 'reviews', path: '/health' },
        visitors: 8,
        requests: 2_000,
      });
      const { versions, failed } = await load.finish();
      expect(failed).toBe(0);
      expect((versions.get('v2') ?? 0) / 2_000).toBeCloseTo(0.1, 1);
      const headers = { 'end-user': 'jason' };
      const jason = new Load({
        port: outbound,
        visit: { host: 'reviews', path: '/health', headers },
        visitors: 2,
        requests: 40,
      });
      expect(await jason.finish()).toMatchObject({ failed: 0, versions: new Map([['v2', 40]]) });
    } finally {
      await Promise.all(children.map((child) => child.stop()));
    }
  }, 60_000);
});

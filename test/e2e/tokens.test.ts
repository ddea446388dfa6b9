// examples/tokens as whole processes: who passes, where the group of a token leads, and that no token is written into
// a log. The issuer has a port of its own, so the rules are copied with it.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { LAUNCHER, WORKLOADS } from '../../src/cli/demo/bookshop.ts';
import { Child } from '../../src/cli/demo/child.ts';
import { freePorts } from '../../src/cli/demo/free-port.ts';

const EXAMPLE = fileURLToPath(new URL('../../examples/tokens/', import.meta.url));

it('tokens: nobody without one passes, and testers get version 2', async () => {
  const [xds = 0, http = 0, keys = 0, ...rest] = await freePorts(3 + 2 * 4);
  const rules = await mkdtemp(join(tmpdir(), 'outrigger-tokens-'));
  for (const name of ['users.yaml', 'groups.yaml']) {
    const text = await readFile(join(EXAMPLE, 'rules', name), 'utf8');
    await writeFile(join(rules, name), text.replace(':9300', `:${keys}`));
  }
  const issuer = new Child({ name: 'issuer', args: [join(EXAMPLE, 'issuer.ts')], environment: { PORT: `${keys}` } });
  const addresses = ['--xds', `127.0.0.1:${xds}`, '--http', `127.0.0.1:${http}`];
  const children = [
    issuer,
    new Child({
      name: 'control service',
      args: [LAUNCHER, 'control', '--rules', rules, '--jwks-allow-private', '--settle-ms', '0', ...addresses],
      environment: {},
    }),
  ];
  const script = WORKLOADS.find(({ service }) => service === 'reviews')?.script ?? '';
  for (const [index, version] of ['v1', 'v2'].entries()) {
    const [app = 0, inbound, outbound, admin] = rest.slice(index * 4);
    const environment = { PORT: `${app}`, VERSION: version };
    children.push(new Child({ name: `reviews ${version}`, args: [script], environment }));
    const who = ['--control', `127.0.0.1:${xds}`, '--service', 'reviews', '--version', version];
    const where = ['--app', `${app}`, '--inbound', `${inbound}`, '--outbound', `${outbound}`, '--admin', `${admin}`];
    const args = [LAUNCHER, 'sidecar', ...who, ...where, '--address', '127.0.0.1'];
    children.push(new Child({ name: `reviews ${version} sidecar`, args, environment: {} }));
  }
  const outbound = rest[2] ?? 0;
  try {
    const token = await untilText(`http://127.0.0.1:${keys}/token?sub=ann`);
    const tester = await untilText(`http://127.0.0.1:${keys}/token?sub=tom&group=testers`);
    await untilPassed(outbound, token, '"v1"', children);
    await untilPassed(outbound, tester, '"v2"', children);
    const forged = `${token.slice(0, token.lastIndexOf('.'))}.${tester.slice(tester.lastIndexOf('.') + 1)}`;
    const seen = [await ask(outbound, ''), await ask(outbound, 'x.y.z'), await ask(outbound, forged)];
    expect(seen.map(({ status }) => status)).toEqual([403, 401, 401]);
    const said = children.map((child) => child.obituary()).join('\n');
    for (const secret of [token, tester, forged]) expect(said).not.toContain(secret.slice(0, 60));
  } finally {
    await Promise.all(children.map((child) => child.stop()));
    await rm(rules, { recursive: true });
  }
}, 60_000);

interface Answer {
  readonly status: number;
  readonly body: string;
}

async function ask(port: number, token: string): Promise<Answer> {
  const { request } = await import('undici');
  const headers = { host: 'reviews', ...(token === '' ? {} : { authorization: `Bearer ${token}` }) };
  const { statusCode, body } = await request(`http://127.0.0.1:${port}/health`, { headers });
  return { status: statusCode, body: await body.text() };
}

async function untilPassed(port: number, token: string, wanted: string, children: readonly Child[]): Promise<void> {
  let last = '';
  for (let tries = 0; tries < 200; tries++) {
    const answer = await ask(port, token).catch((cause: unknown) => ({ status: 0, body: String(cause) }));
    last = `${answer.status} ${answer.body}`;
    if (answer.status === 200 && answer.body.includes(wanted)) return;
    await sleep(100);
  }
  throw new Error(`${last}\n${children.map((child) => child.obituary()).join('\n')}`);
}

async function untilText(url: string): Promise<string> {
  const { request } = await import('undici');
  for (let tries = 0; ; tries++) {
    try {
      return await (await request(url)).body.text();
    } catch (cause) {
      if (tries > 100) throw cause;
      await sleep(100);
    }
  }
}

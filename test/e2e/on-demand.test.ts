// A sidecar in a mesh of which it uses little: it fetches what requests are for, and nothing else.
import { writeFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listen } from '../support/free-port.ts';
import { SecureMesh } from '../support/secure-mesh.ts';
import { until } from '../support/until.ts';

interface Answer {
  readonly status: number;
  readonly body: string;
}

const service = (name: string, port: number | undefined): string => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name} }
spec:
  hosts: [${name}.example]
  ports: [{ number: 80, name: http, protocol: HTTP, targetPort: ${port ?? 0} }]
  resolution: STATIC
  endpoints: [{ address: 127.0.0.1 }]
---
`;
describe.each([
  ['one thread', []],
  ['workers', ['--concurrency', '2']],
])('with %s', (_, flags) => {
  let mesh: SecureMesh;
  const apps: Server[] = [];
  const ports: number[] = [];

  beforeAll(async () => {
    for (const name of ['one', 'two']) {
      const app = createServer((_request, response) => response.end(name));
      apps.push(app);
      ports.push(await listen(app));
    }
    mesh = await SecureMesh.start(rules(), ['--on-demand-above', '0']);
    await mesh.join({ service: 'caller', flags });
  });
  afterAll(async () => {
    for (const app of apps) app.close();
    await mesh[Symbol.asyncDispose]();
  });

  const rules = (more = ''): string =>
    service('one', ports[0]) + service('two', ports[1]) + service('idle', ports[1]) + more;

  /** In the place of all rules. */
  function write(text: string): void {
    writeFileSync(join(mesh.folder, 'rules-1.yaml'), text);
  }

  function ask(host: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const port = mesh.members.get('caller')?.outbound ?? 0;
      const asking = request({ port, host: '127.0.0.1', headers: { host }, agent: false }, (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      });
      asking.on('error', reject);
      asking.end();
    });
  }

  async function page(path: string): Promise<string> {
    return await (await fetch(`http://127.0.0.1:${mesh.members.get('caller')?.admin ?? 0}${path}`)).text();
  }

  async function known(): Promise<readonly string[]> {
    const found = (await page('/clusters')).matchAll(/^outbound\|80\|[^|]*\|([a-z]+)\.example::/gm);
    return [...new Set([...found].map(([, name = '']) => name))].toSorted();
  }

  async function count(name: string): Promise<number> {
    return Number(/: (\d+)/.exec(await page(`/stats?filter=on_demand.${name}`))?.[1]);
  }

  test('nothing of the mesh is there before it is asked for', async () => {
    expect(await known()).toEqual([]);
  });

  test('the first request waits for its host, and later ones do not', async () => {
    expect(await ask('one.example')).toEqual({ status: 200, body: 'one' });
    expect(await known()).toEqual(['one']);
    const asked = await count('asked');
    for (let i = 0; i < 8; i++) expect(await ask('ONE.example')).toEqual({ status: 200, body: 'one' });
    expect(await count('asked')).toBe(asked);
  });

  test('many requests at once for a host are all answered by it', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask('two.example:80')));
    expect(answers.filter(({ status, body }) => status === 200 && body === 'two')).toHaveLength(20);
    expect(await known()).toEqual(['one', 'two']);
  });

  test('an unknown host is told so at once, also again', async () => {
    const first = await ask('nobody.example');
    expect(first.status).toBe(502);
    const startMs = performance.now();
    for (let i = 0; i < 8; i++) expect(await ask('nobody.example')).toEqual(first);
    expect(performance.now() - startMs).toBeLessThan(3000);
  });

  test('rules for a host that is used are followed, and what they lead to is there before them', async () => {
    const moved = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: one }
spec: { hosts: [one.example], http: [{ route: [{ destination: { host: idle.example } }] }] }
---
`;
    write(rules(moved));
    const seen = new Set<string>();
    await until('the rule', async () => {
      const { status, body } = await ask('one.example');
      seen.add(`${status} ${body}`);
      return body === 'two';
    });
    expect([...seen].filter((text) => text !== '200 one' && text !== '200 two')).toEqual([]);
    write(rules());
    await until('the old rule', async () => (await ask('one.example')).body === 'one');
  });

  test('a host that was not there is found once it is', async () => {
    write(rules(service('nobody', ports[0])));
    await until('the new host', async () => (await ask('nobody.example')).status === 200);
  });

  test('a host that is gone is unknown', async () => {
    write(rules());
    await until('the host is gone', async () => (await ask('nobody.example')).status === 502);
  });

  test('what was fetched stays while the control service is away, and is in sync with the next one', async () => {
    const before = await known();
    const answers: string[] = [];
    const end = new AbortController();
    const asking = (async (): Promise<void> => {
      while (!end.signal.aborted) answers.push((await ask('one.example')).body);
    })();
    mesh.control.kill('SIGKILL');
    await mesh.control.exited;
    await mesh.startControl();
    await until('in sync', async () => {
      const status = await (await fetch(`http://127.0.0.1:${mesh.pages}/debug/syncz`)).text();
      return status.includes('VirtualHost') && !status.includes('"stale"') && !status.includes('"not-sent"');
    });
    end.abort();
    await asking;
    expect([...new Set(answers)]).toEqual(['one']);
    expect(await known()).toEqual(before);
    mesh.control.kill('SIGSTOP');
    const late = ask('never.example');
    mesh.control.kill('SIGCONT');
    expect((await late).status).toBe(502);
  });
});

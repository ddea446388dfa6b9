// A real Kubernetes API server on loopback, for tests: `tools/realparts/kube/up`, and requests to it as its administrator.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { systemClock } from '../../src/base/clock.ts';
import { Concealed } from '../../src/base/concealed.ts';
import { plainAccess, type KubeAccess } from '../../src/kube/access.ts';
import { fixedCredentials, TokenFile } from '../../src/kube/credentials.ts';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { PROJECT_ROOT, realPart } from '../support/real-parts.ts';
import { until } from '../support/until.ts';

const START_MS = 90_000;

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

interface Asked {
  readonly body?: object;
  readonly type?: string;
  readonly accept?: string;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export class ApiServer {
  readonly url: string;
  readonly folder: string;
  /** PEM of what signed its certificate. */
  readonly authority: string;
  readonly #child: Child;
  readonly #token: string;
  readonly #agent: Agent;

  static async start(): Promise<ApiServer> {
    const bin = join(realPart('kube-apiserver'), '..');
    const folder = await mkdtemp(join(tmpdir(), 'outrigger-kube-'));
    const port = await freePair();
    const child = startChild(join(PROJECT_ROOT, 'tools/realparts/kube/up'), [bin, folder, String(port)]);
    try {
      await untilReady(child, () => Promise.resolve(child.stdout().includes('READY')), START_MS);
    } catch (cause) {
      // Killed at the end of this process it would leave its own children behind.
      await child.stop();
      throw cause;
    }
    const [config, authority] = await Promise.all(
      ['kubeconfig', 'certs/apiserver.crt'].map(async (name) => await readFile(join(folder, name), 'utf8')),
    );
    const token = /token: "(\w+)"/.exec(config ?? '')?.[1] ?? '';
    return new ApiServer(child, { folder, token, authority: authority ?? '', url: `https://127.0.0.1:${port}` });
  }

  private constructor(
    child: Child,
    { folder, token, authority, url }: { folder: string; token: string; authority: string; url: string },
  ) {
    this.url = url;
    this.folder = folder;
    this.authority = authority;
    this.#child = child;
    this.#token = token;
    this.#agent = new Agent({ connect: { ca: authority } });
  }

  /** Where its etcd answers JSON. */
  get etcdUrl(): string {
    return `http://127.0.0.1:${this.port + 1}`;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** The API server is killed, and stays away until `resume`; etcd keeps what there is. */
  async halt(): Promise<void> {
    await writeFile(join(this.folder, 'apiserver.hold'), '');
    process.kill(Number(await readFile(join(this.folder, 'apiserver.pid'), 'utf8')), 'SIGKILL');
  }

  async resume(): Promise<void> {
    await rm(join(this.folder, 'apiserver.hold'));
    await until('the API server is back', async () => await this.#isReady(), START_MS);
  }

  /** etcd forgets all that was, but what there is. */
  async compact(): Promise<void> {
    const post = async (path: string, body: object): Promise<Response> =>
      await fetch(`${this.etcdUrl}${path}`, { method: 'POST', body: JSON.stringify(body) });
    const range: unknown = await (await post('/v3/kv/range', { key: 'AA==' })).json();
    const { header } = { header: { revision: '0' }, ...Object(range) };
    const { status } = await post('/v3/kv/compaction', { revision: header.revision, physical: true });
    if (status !== 200) throw new Error(`etcd does not compact: ${status}`);
  }

  async stop(): Promise<void> {
    await this.#agent.close();
    await this.#child.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** As its administrator, or as whom the token in the file belongs to. */
  access(tokenFile = ''): KubeAccess {
    const admin = fixedCredentials({ token: new Concealed(this.#token), certificate: null });
    return plainAccess({
      url: this.url,
      authority: this.authority,
      credentials: tokenFile === '' ? admin : new TokenFile(tokenFile, systemClock),
    });
  }

  async #isReady(): Promise<boolean> {
    try {
      const headers = { authorization: `Bearer ${this.#token}` };
      const { statusCode, body } = await request(`${this.url}/readyz`, { dispatcher: this.#agent, headers });
      await body.dump();
      return statusCode === 200;
    } catch {
      return false;
    }
  }

  /** POST, or DELETE without a body; rejects unless it succeeds. */
  async call(path: string, body: object | null): Promise<unknown> {
    const answer = await request(`${this.url}${path}`, {
      dispatcher: this.#agent,
      method: body === null ? 'DELETE' : 'POST',
      headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' },
      ...(body === null ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.body.text();
    if (answer.statusCode >= 300) throw new Error(`${path}: ${answer.statusCode} ${text}`);
    return JSON.parse(text);
  }

  /** Any request; what is answered is returned, whatever it is. */
  async ask(method: Method, path: string, { body, type = 'application/json', accept }: Asked = {}): Promise<Answer> {
    const answer = await request(`${this.url}${path}`, {
      dispatcher: this.#agent,
      method,
      headers: {
        authorization: `Bearer ${this.#token}`,
        'content-type': type,
        ...(accept === undefined ? {} : { accept }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.body.text();
    // What is not served is a page of text.
    const parsed: unknown = text.startsWith('{') ? JSON.parse(text) : text;
    return { status: answer.statusCode, body: parsed };
  }

  async makeAccount(namespace: string, name: string): Promise<void> {
    const body = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name } };
    await this.call(`/api/v1/namespaces/${namespace}/serviceaccounts`, body);
  }

  /** A pod that never runs; the result is its uid. */
  async makePod(namespace: string, name: string, serviceAccountName: string): Promise<string> {
    const spec = { serviceAccountName, containers: [{ name: 'app', image: 'none' }] };
    const made = await this.call(`/api/v1/namespaces/${namespace}/pods`, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name },
      spec,
    });
    return textAt(made, 'metadata', 'uid');
  }

  /** A token as the kubelet would ask for it. */
  async token(
    account: string,
    audience: string,
    pod?: { readonly name: string; readonly uid: string },
  ): Promise<string> {
    const [namespace = '', name = ''] = account.split('/');
    const made = await this.call(`/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        audiences: [audience],
        expirationSeconds: 600,
        ...(pod === undefined ? {} : { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', ...pod } }),
      },
    });
    return textAt(made, 'status', 'token');
  }
}

function textAt(value: unknown, ...path: readonly string[]): string {
  let current: unknown = value;
  for (const name of path) current = typeof current === 'object' && current !== null ? Reflect.get(current, name) : '';
  return typeof current === 'string' ? current : '';
}

/** A free port, and the one after it, which is its etcd's, is free as well. */
async function freePair(): Promise<number> {
  for (;;) {
    const [port = 0] = await freePorts(1);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port + 1, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

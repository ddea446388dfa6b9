// A server on a real socket that speaks the list and watch of the Kubernetes API for ConfigMaps and can be told to
// misbehave: what the real API server does right stands in test/kube, what goes wrong on the way is made here.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { listen } from '../../support/free-port.ts';

export interface Asked {
  readonly kind: 'list' | 'watch' | 'other';
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
}

/** Answers itself, or gives false for the usual answer. */
export type Script = (asked: Asked, response: ServerResponse) => boolean;

interface Logged {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly name: string;
  readonly object: object;
}

const COLLECTION = '/api/v1/configmaps';

export class WatchServer {
  readonly asked: Asked[] = [];
  readonly streams = new Set<ServerResponse>();
  /** Asked before each answer; the first that answers is used up. */
  readonly scripts: Script[] = [];
  /** Asked before each answer, and kept. */
  rule: Script = () => false;
  canStream = true;
  url = '';
  version = 100;
  /** What is older has been forgotten: 410. */
  oldest = 0;
  readonly #objects = new Map<string, { readonly object: object }>();
  readonly #log: Logged[] = [];
  readonly #server: Server;

  static async start(): Promise<WatchServer> {
    const made = new WatchServer();
    made.url = `http://127.0.0.1:${await listen(made.#server)}`;
    return made;
  }

  private constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  put(name: string, data: string, uid = `uid-${name}`): void {
    this.version++;
    const type = this.#objects.has(name) ? 'MODIFIED' : 'ADDED';
    const metadata = { name, namespace: 'shop', uid, resourceVersion: String(this.version) };
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { text: data } };
    this.#objects.set(name, { object });
    this.#note({ version: this.version, type, name, object });
  }

  remove(name: string): void {
    const known = this.#objects.get(name);
    if (known === undefined) throw new Error(`there is no ${name}`);
    this.version++;
    this.#objects.delete(name);
    const metadata = { ...Object(known.object).metadata, resourceVersion: String(this.version) };
    this.#note({ version: this.version, type: 'DELETED', name, object: { ...known.object, metadata } });
  }

  /** Nobody is told: as if watchers had been away. Older versions are forgotten. */
  silently(change: () => void): void {
    const streams = [...this.streams];
    this.streams.clear();
    change();
    this.oldest = this.version;
    for (const stream of streams) this.streams.add(stream);
  }

  /** Connections are reset. */
  cut(): void {
    for (const stream of this.streams) stream.destroy();
    this.streams.clear();
  }

  write(text: string): void {
    for (const stream of this.streams) stream.write(text);
  }

  counts(): { readonly lists: number; readonly watches: number } {
    const of = (kind: Asked['kind']): number => this.asked.filter((entry) => entry.kind === kind).length;
    return { lists: of('list'), watches: of('watch') };
  }

  linesAfter(version: number): string {
    return this.#log
      .filter((entry) => entry.version > version)
      .map((entry) => line(entry.type, entry.object))
      .join('');
  }

  #note(entry: Logged): void {
    this.#log.push(entry);
    this.write(line(entry.type, entry.object));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '', 'http://server');
    const query = Object.fromEntries(url.searchParams);
    const kind = url.pathname !== COLLECTION ? 'other' : query['watch'] === undefined ? 'list' : 'watch';
    const asked: Asked = { kind, path: url.pathname, query };
    this.asked.push(asked);
    request.resume();
    if (this.rule(asked, response)) return;
    const scripted = this.scripts.findIndex((script) => script(asked, response));
    if (scripted !== -1) {
      this.scripts.splice(scripted, 1);
      return;
    }
    if (kind === 'list') this.#list(query, response);
    else if (kind === 'watch') this.#watch(query, response);
    else if (url.pathname === '/api/v1') sendJson(response, 200, RESOURCES);
    else sendStatus(response, 404, 'NotFound');
  }

  #list(query: Asked['query'], response: ServerResponse): void {
    const [pinned, from] = (query['continue'] ?? '').split('/').map(Number);
    if (from !== undefined && (pinned ?? 0) < this.oldest) {
      sendStatus(response, 410, 'Expired');
      return;
    }
    const items = [...this.#objects.values()].map(({ object }) => object);
    const start = from ?? 0;
    const end = start + Number(query['limit'] ?? items.length);
    const next = end < items.length ? { continue: `${this.version}/${end}` } : {};
    const metadata = { resourceVersion: String(this.version), ...next };
    sendJson(response, 200, { kind: 'ConfigMapList', apiVersion: 'v1', metadata, items: items.slice(start, end) });
  }

  #watch(query: Asked['query'], response: ServerResponse): void {
    const isInitial = query['sendInitialEvents'] === 'true';
    if (isInitial && !this.canStream) {
      sendStatus(response, 422, 'Invalid');
      return;
    }
    const since = Number(query['resourceVersion'] ?? 0);
    if (!isInitial && since < this.oldest) {
      sendStatus(response, 410, 'Expired');
      return;
    }
    open(response);
    if (isInitial) {
      for (const { object } of this.#objects.values()) response.write(line('ADDED', object));
      response.write(bookmark(this.version, true));
    } else response.write(this.linesAfter(since));
    this.streams.add(response);
    response.once('close', () => this.streams.delete(response));
  }
}

const RESOURCES = {
  kind: 'APIResourceList',
  groupVersion: 'v1',
  resources: [{ name: 'configmaps', kind: 'ConfigMap', namespaced: true, verbs: ['list', 'watch'] }],
};

export function open(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.flushHeaders();
}

export function sendJson(response: ServerResponse, status: number, body: object, headers: object = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

export function sendStatus(response: ServerResponse, status: number, reason: string, headers: object = {}): void {
  const message = `${reason}: the server says so`;
  sendJson(
    response,
    status,
    { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: status, reason, message },
    headers,
  );
}

export function line(type: string, object: object): string {
  return `${JSON.stringify({ type, object })}\n`;
}

export function bookmark(version: number, isInitialEnd = false): string {
  const annotations = isInitialEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {};
  return line('BOOKMARK', { kind: 'ConfigMap', metadata: { resourceVersion: String(version), ...annotations } });
}

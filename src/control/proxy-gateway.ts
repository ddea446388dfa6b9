// Shows the admin pages of sidecars that are connected from this machine, to whoever the status server admits. Read-only: GET
// of a list of pages and nothing else. A sidecar answers on its loopback alone, so one of another machine cannot be had
// here, and is refused with what to do instead. What the caller has to show for itself is not passed on.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type ProxyServer from 'http-proxy';
import { isLoopback } from '../base/own-host.ts';
import type { Log } from '../base/log.ts';
import type { SyncStatus } from './flow.ts';

export interface ProxyGatewayOptions {
  /** Who is connected now. */
  readonly streams: () => readonly SyncStatus[];
  readonly log: Log;
}

type Forwarder = ReturnType<typeof ProxyServer.createProxyServer>;

type Target =
  | { readonly kind: 'found'; readonly port: number; readonly path: string }
  | { readonly kind: 'refused'; readonly status: number; readonly message: string };

/** What shows something and changes nothing; secrets in it read `[redacted]` by the sidecar's own doing. */
const PAGES = new Set([
  'certs',
  'clusters',
  'config_dump',
  'explain',
  'listeners',
  'memory',
  'plan',
  'ready',
  'server_info',
  'stats',
  'stats/prometheus',
]);
const PATH = /^\/proxies\/(?<node>[^/?]{1,1024})\/(?<page>[a-z_/]{1,64})(?<query>\?.{0,4096})?$/;
const TIMEOUT_MS = 10_000;
const KEPT_HEADERS = new Set(['accept', 'host']);

export class ProxyGateway {
  readonly #options: ProxyGatewayOptions;
  #forwarder: Promise<Forwarder> | null = null;

  constructor(options: ProxyGatewayOptions) {
    this.#options = options;
  }

  /** `/proxies/NODE/PAGE`: the page of the sidecar with this id. The caller has been admitted. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = this.#targetOf(request.url ?? '');
    if (target.kind === 'refused') return refuse(response, target.status, target.message);
    for (const name of Object.keys(request.headers)) if (!KEPT_HEADERS.has(name)) delete request.headers[name];
    request.url = target.path;
    try {
      this.#forwarder ??= import('http-proxy').then(({ createProxyServer }) => createProxyServer({}));
      const forwarder = await this.#forwarder;
      const to = { target: `http://127.0.0.1:${target.port}`, changeOrigin: true, proxyTimeout: TIMEOUT_MS };
      forwarder.web(request, response, to, (cause) => this.#onFailed(response, cause));
    } catch (cause) {
      this.#onFailed(response, cause);
    }
  }

  #targetOf(url: string): Target {
    const { node = '', page = '', query = '' } = PATH.exec(url)?.groups ?? {};
    if (!PAGES.has(page)) {
      const message = `pages: /proxies/NODE/PAGE with one of ${[...PAGES].join(' ')}`;
      return { kind: 'refused', status: 404, message };
    }
    const id = decoded(node);
    const streams = this.#options.streams().filter(({ nodeId }) => nodeId === id);
    if (streams.length === 0) return { kind: 'refused', status: 404, message: 'no such node is connected here' };
    const near = streams.find(({ address }) => isLoopback(hostOf(address)));
    if (near === undefined) {
      const message = 'the node is on another machine: forward its admin port to yours, and ask that with --admin';
      return { kind: 'refused', status: 501, message };
    }
    if (near.adminPort === 0) return { kind: 'refused', status: 501, message: 'the node does not tell its admin port' };
    return { kind: 'found', port: near.adminPort, path: `/${page}${query}` };
  }

  #onFailed(response: ServerResponse, cause: unknown): void {
    this.#options.log.debug('a page cannot be had', { cause: cause instanceof Error ? cause.message : String(cause) });
    if (response.headersSent) response.destroy();
    else refuse(response, 502, 'the node does not answer');
  }
}

/** As it stands when it is no valid escape: no node is called so. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

function hostOf(address: string): string {
  return address.slice(0, Math.max(0, address.lastIndexOf(':'))).replace(/^\[|\]$/g, '');
}

function refuse(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { 'content-type': 'text/plain' });
  response.end(`${message}\n`);
}

// Shows the admin pages of sidecars that are connected to this control service, to whoever the status server admits. Read-only:
// GET of a list of pages and nothing else. A sidecar of this machine is asked on its loopback; one of another machine over
// mutual TLS, where it takes us and nobody else (pages-access.ts). What the caller has to show for itself is not passed on.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type ProxyServer from 'http-proxy';
import { isLoopback } from '../base/own-host.ts';
import type { Log } from '../base/log.ts';
import type { SyncStatus } from './flow.ts';
import type { PagesAccess } from './pages-access.ts';

export interface ProxyGatewayOptions {
  /** Who is connected now. */
  readonly streams: () => readonly SyncStatus[];
  /** Null: there is no authority, and only sidecars of this machine can be asked. */
  readonly access: () => PagesAccess | null;
  readonly log: Log;
}

type Forwarder = ReturnType<typeof ProxyServer.createProxyServer>;

type Target =
  /** `account`: the SPIFFE id that must answer; empty: it is asked on loopback. */
  | { readonly kind: 'found'; readonly origin: string; readonly account: string; readonly path: string }
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
      const agent = target.account === '' ? undefined : await this.#options.access()?.agentFor(target.account);
      const to = { target: target.origin, changeOrigin: true, proxyTimeout: TIMEOUT_MS, agent };
      response.once('close', () => agent?.destroy());
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
    const near = streams.find(({ address, adminPort }) => isLoopback(hostOf(address)) && adminPort > 0);
    const path = `/${page}${query}`;
    if (near !== undefined) return { kind: 'found', origin: `http://127.0.0.1:${near.adminPort}`, account: '', path };
    const far = streams.find(({ account, pagesPort }) => account !== '' && pagesPort > 0);
    if (far === undefined || this.#options.access() === null) {
      const message =
        'the node is on another machine and serves no pages to us (--pages, and an identity): forward its admin port to yours, and ask that with --admin';
      return { kind: 'refused', status: 501, message };
    }
    const host = hostOf(far.address);
    const origin = `https://${host.includes(':') ? `[${host}]` : host}:${far.pagesPort}`;
    return { kind: 'found', origin, account: far.account, path };
  }

  #onFailed(response: ServerResponse, cause: unknown): void {
    const why = cause instanceof Error ? cause.message : String(cause);
    this.#options.log.debug('a page cannot be had', { cause: why });
    if (response.headersSent) response.destroy();
    else refuse(response, 502, `the node does not answer: ${why}`);
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

// The HTTP port of the control service: readiness, metrics, and what it knows, as JSON. Read-only; what it knows
// is told to this machine only.
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { isLoopback, isOwnHost } from '../base/own-host.ts';
import type { Log } from '../base/log.ts';
import type { Problem } from '../base/problem.ts';
import { fingerprintOf } from '../config/fingerprint.ts';
import { DEFAULT_NAMESPACE } from '../config/meta.ts';
import type { Resource } from '../config/resource.ts';
import type { DiscoveryEndpoint } from './flow.ts';
import { publicFingerprint } from './public-fingerprint.ts';
import type { PagesAccess } from './pages-access.ts';
import { ProxyGateway } from './proxy-gateway.ts';
import { describeService } from './service-description.ts';
import type { Snapshot } from './snapshot.ts';

/** What the status server shows; ControlService has it. */
export interface StatusSubject {
  readonly isReady: boolean;
  /** What it waits for before it can serve; empty: nothing. */
  readonly waiting: readonly string[];
  readonly problems: readonly Problem[];
  readonly snapshot: Snapshot;
  readonly discovery: DiscoveryEndpoint;
  /** Everything that was heard by now has been translated, and is with the streams. */
  readonly isCurrent: boolean;
  readonly rules: ReadonlyMap<string, Resource>;
  /** What sidecars of other machines are shown; null without an authority. */
  readonly pagesAccess: PagesAccess | null;
  counters(): ReadonlyMap<string, number>;
}

export interface StatusServerOptions {
  readonly control: StatusSubject;
  /** `host:port`; port 0 picks one. */
  readonly address: string;
  readonly log: Log;
}

const COUNTERS = new Set([
  'pilot_xds_pushes',
  'pilot_total_xds_rejects',
  'pilot_xds_expired_nonce',
  'pilot_push_triggers',
  'pilot_jwks_resolver_network_fetch_success_total',
  'pilot_jwks_resolver_network_fetch_fail_total',
]);

export class StatusServer {
  readonly #options: StatusServerOptions;
  readonly #server: Server;
  readonly #gateway: ProxyGateway;

  constructor(options: StatusServerOptions) {
    this.#options = options;
    const { control, log } = options;
    this.#gateway = new ProxyGateway({
      streams: () => control.discovery.syncStatus(),
      access: () => control.pagesAccess,
      log: log.child('gateway'),
    });
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  /** Resolves with the bound address; rejects when it is taken. */
  start(): Promise<string> {
    const { address } = this.#options;
    const colon = address.lastIndexOf(':');
    const host = address.slice(0, colon);
    return new Promise((resolve, reject) => {
      // Stays: a late error of the socket must not end the control service, and a settled promise takes no harm.
      this.#server.on('error', (cause) => reject(new Error(`status: cannot listen on ${address}`, { cause })));
      this.#server.listen(Number(address.slice(colon + 1)), host, () => {
        const bound = this.#server.address();
        resolve(`${host}:${bound !== null && typeof bound === 'object' ? bound.port : 0}`);
      });
    });
  }

  stop(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      send(response, 405, 'text/plain', 'only GET\n');
      return;
    }
    const { control } = this.#options;
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    // What all namespaces have in common is nobody's business from afar, whatever the port is bound to.
    if (/^\/(?:debug|proxies)\//.test(path) && !isLocal(request)) {
      send(response, 403, 'text/plain', 'debug pages answer this machine only\n');
      return;
    }
    if (path.startsWith('/proxies/')) {
      void this.#gateway.answer(request, response);
      return;
    }
    switch (path) {
      case '/ready':
        return send(response, control.isReady ? 200 : 503, 'text/plain', control.isReady ? 'ready\n' : 'settling\n');
      case '/livez':
        return send(response, 200, 'text/plain', 'ok\n');
      case '/readyz':
        return sendReadiness(response, control.waiting, isLocal(request));
      case '/metrics':
        return send(response, 200, 'text/plain; version=0.0.4', metricsText(control.counters()));
      case '/debug/problems':
        return sendJson(response, control.problems);
      case '/debug/syncz':
        return sendJson(response, control.discovery.syncStatus());
      case '/debug/rules':
        return sendJson(response, rulesOf(control));
      case '/debug/registry':
        return sendJson(response, registryOf(control.snapshot));
      case '/debug/describe':
        return sendJson(response, description(control.snapshot, request.url ?? ''));
      default:
        return send(
          response,
          404,
          'text/plain',
          'paths: /livez /readyz /ready /metrics /debug/problems /debug/syncz /debug/rules /debug/registry /debug/describe?service=HOST /proxies/NODE/PAGE\n',
        );
    }
  }
}

/** `?service=NAME&from=NAMESPACE`; a message where there is none. */
function description(snapshot: Snapshot, url: string): unknown {
  const query = new URLSearchParams(url.split('?')[1] ?? '');
  const described = describeService(snapshot, query.get('service') ?? '', query.get('from') ?? DEFAULT_NAMESPACE);
  return typeof described === 'string' ? { message: described } : described;
}

/** Asked from this machine under a name of it: a page of another name in a browser here is not. */
function isLocal({ socket, headers }: IncomingMessage): boolean {
  return isLoopback(socket.remoteAddress) && headers.host !== undefined && isOwnHost(headers.host);
}

/** What is in force, without what it says: fingerprints tell whether it is what somebody has. */
function rulesOf({ isCurrent, rules }: StatusSubject): unknown {
  const told = [...rules].filter(([, { kind }]) => kind !== 'Secret');
  const entries = told.map(([key, rule]) => ({ key, file: rule.source.place.file, fingerprint: fingerprintOf(rule) }));
  const secrets = [...rules].flatMap(([key, { kind, spec, source }]) =>
    kind === 'Secret' ? [{ key, file: source.place.file, certificate: publicFingerprint(spec) }] : [],
  );
  return { isCurrent, rules: entries, secrets };
}

/** Reasons name accounts and addresses: they are told to this machine only. */
function sendReadiness(response: ServerResponse, waiting: readonly string[], isTold: boolean): void {
  if (waiting.length === 0) return send(response, 200, 'text/plain', 'ok\n');
  const lines = isTold ? waiting : ['reasons are told to this machine only, and in the log'];
  send(response, 503, 'text/plain', `waiting for\n${lines.map((line) => `  ${line}\n`).join('')}`);
}

function registryOf(snapshot: Snapshot): unknown {
  const services = [...snapshot.services.values()].map((service) => ({
    host: service.host,
    namespace: service.namespace,
    kind: service.kind,
    resolution: service.resolution,
    ports: service.ports.map((port) => ({
      ...port,
      endpoints: (service.endpoints.get(port.number) ?? []).map(({ address, port: number, workload, labels }) => ({
        address,
        port: number,
        workload,
        labels: Object.fromEntries(labels),
      })),
    })),
  }));
  const workloads = snapshot.workloads.map(({ id, ip, namespace, service, version, labels, apps }) => ({
    id,
    ip,
    namespace,
    service,
    version,
    labels: Object.fromEntries(labels),
    apps,
  }));
  return { services, workloads };
}

/** Series of one name, which differ in their labels, stand together under one TYPE. */
function metricsText(counters: ReadonlyMap<string, number>): string {
  const families = new Map<string, string>();
  for (const [series, value] of counters) {
    const brace = series.indexOf('{');
    const name = brace < 0 ? series : series.slice(0, brace);
    const type = COUNTERS.has(name) || /_(?:reject|total|count)$/.test(name) ? 'counter' : 'gauge';
    families.set(name, `${families.get(name) ?? `# TYPE ${name} ${type}\n`}${series} ${value}\n`);
  }
  return [...families.values()].join('');
}

function sendJson(response: ServerResponse, value: unknown): void {
  send(response, 200, 'application/json', `${JSON.stringify(value, null, 2)}\n`);
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

// The port that speaks for the whole pod (15020): the probes of the app as a kubelet asks for them, readiness, and one page of
// metrics with the sidecar's and the app's. It can be reached from everywhere and calls nothing but what injection wrote
// down. An app that fails costs its own part: the sidecar's metrics are served without it, and that is counted.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isJsonRecord } from '../../kube/json-record.ts';
import { EVERYWHERE } from '../admin/probe-server.ts';
import { readiness } from '../admin/ready.ts';
import { listen, type AdminAddress, type RunningServer } from '../admin/server.ts';
import type { AdminSource } from '../admin/source.ts';
import { askMetrics, askProbe, type AppPlace } from './app-call.ts';
import type { AppProbes } from './app-probe.ts';

export interface AppMetrics {
  readonly port: number;
  readonly path: string;
}

export interface AppStatus {
  readonly place: AppPlace;
  readonly probes: AppProbes;
  /** Null: the app has none that are scraped. */
  readonly metrics: AppMetrics | null;
}

interface Page {
  readonly status: number;
  readonly body: string;
  readonly contentType?: string;
}

const METRICS_BYTES_MAX = 16 * 1024 * 1024;
const METRICS_MS = 5_000;
const CONNECTIONS_MAX = 256;
/** The text format; OpenMetrics has an end, which two expositions in a row would have twice. */
const TEXT_FORMAT = 'text/plain; version=0.0.4; charset=utf-8';
const FAILED = 500;

/** Istio's format of ISTIO_PROMETHEUS_ANNOTATIONS: the annotations of the app as they were. Null: nothing to be scraped. */
export function readAppMetrics(text: string): AppMetrics | null {
  let value: unknown;
  try {
    value = JSON.parse(text === '' ? 'null' : text);
  } catch {
    return null;
  }
  if (!isJsonRecord(value)) return null;
  const { scrape, port = '80', path = '/metrics' } = value;
  if (scrape !== 'true' || typeof path !== 'string' || !/^[\x21-\x7E]*$/.test(path)) return null;
  const number = Number(port || '80');
  if (!Number.isInteger(number) || number < 1 || number > 65_535) return null;
  return { port: number, path: path === '' ? '/metrics' : path.startsWith('/') ? path : `/${path}` };
}

/** On all addresses unless told otherwise. Rejects when the address cannot be bound. */
export function startStatusServer(
  source: AdminSource,
  { address = EVERYWHERE, port, descriptor = null }: AdminAddress,
  app: AppStatus,
): Promise<RunningServer> {
  const pages = new StatusPages(source, app);
  const server = process.getBuiltinModule('node:http').createServer((request, response) => {
    request.resume();
    const fail = (cause: unknown): void => {
      source.log.error('the status of the pod cannot be told', { cause: String(cause) });
      send(response, { status: FAILED, body: 'internal error\n' });
    };
    void pages.answer(request).then((page) => send(response, page), fail);
  });
  server.maxConnections = CONNECTIONS_MAX;
  return listen(server, { address, port, descriptor });
}

function send(response: ServerResponse, { status, body, contentType = 'text/plain; charset=utf-8' }: Page): void {
  const length = Buffer.byteLength(body);
  const headers = { 'content-type': contentType, 'content-length': length, 'x-content-type-options': 'nosniff' };
  response.writeHead(status, headers).end(body);
}

class StatusPages {
  readonly #source: AdminSource;
  readonly #app: AppStatus;
  #failedScrapes = 0;

  constructor(source: AdminSource, app: AppStatus) {
    this.#source = source;
    this.#app = app;
  }

  async answer(request: IncomingMessage): Promise<Page> {
    const [path = '/'] = (request.url ?? '/').split('?');
    if (request.method !== 'GET' && request.method !== 'HEAD') return { status: 405, body: 'only GET\n' };
    if (path === '/stats/prometheus') return await this.#metrics(request);
    if (path === '/healthz/ready')
      return { status: this.#source.state() === 'LIVE' ? 200 : 503, body: readiness(this.#source) };
    const probe = this.#app.probes.get(path);
    if (probe === undefined) return { status: 404, body: 'no such page\n' };
    const answer = await askProbe(probe, this.#app.place, request.headers['user-agent'] ?? '');
    if (answer.status !== 0) return { status: answer.status, body: '' };
    this.#source.log.debug('a probe of the app failed', { path, cause: answer.failure });
    // For the events of the pod, where people look first.
    return { status: FAILED, body: `${answer.failure}\n` };
  }

  async #metrics(request: IncomingMessage): Promise<Page> {
    const { place, metrics } = this.#app;
    const scraping = metrics === null ? null : askMetrics(place, metrics, limitsOf(request));
    await this.#source.refresh?.();
    const own = this.#source.prometheus('').body;
    if (scraping === null) return { status: 200, body: own, contentType: TEXT_FORMAT };
    const { status, body, failure } = await scraping;
    const isGood = status === 200;
    if (!isGood) {
      this.#failedScrapes += 1;
      this.#source.log.debug('the metrics of the app cannot be had', { status, cause: failure });
    }
    const name = 'outrigger_app_scrape_failures_total';
    const failures = `# TYPE ${name} counter\n${name} ${this.#failedScrapes}\n`;
    const parts = [own, failures, isGood ? body : ''].map((part) => part.replace(/^# EOF\r?\n?/m, ''));
    return { status: 200, body: parts.map(endedByLine).join(''), contentType: TEXT_FORMAT };
  }
}

/** A scraper says how long it waits; a part of that is left for the rest. */
function limitsOf({ headers }: IncomingMessage): { readonly timeoutMs: number; readonly bytesMax: number } {
  const seconds = Number(headers['x-prometheus-scrape-timeout-seconds']);
  const timeoutMs = seconds > 0 && seconds < 600 ? seconds * 900 : METRICS_MS;
  return { timeoutMs, bytesMax: METRICS_BYTES_MAX };
}

function endedByLine(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}

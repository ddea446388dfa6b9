// What the four services of the bookshop share: a small HTTP/1.1 server, and calls to one another.
// An app knows two things of the mesh: the address of its own sidecar's outbound port, and that the
// name of the service it wants goes into the Host header. It also passes on the trace headers, because
// only the app knows which call it makes on whose behalf.
//
// Environment: PORT (0 takes any free one), OUTBOUND (host:port of the own sidecar; without it
// calls fail with 502), VERSION (v1 unless told otherwise).
import { Agent, createServer, request as openRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** Headers that belong to the request as a whole, so that each call made for it carries them on. */
const PASSED_ON = [
  'traceparent',
  'tracestate',
  'b3',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-parentspanid',
  'x-b3-sampled',
  'x-b3-flags',
  'x-request-id',
  'end-user',
  'x-delay',
] as const;

const DELAY_MS_MAX = 60_000;
const CALL_TIMEOUT_MS = 60_000;

export interface Reply {
  readonly status: number;
  readonly body: unknown;
}

export interface Visit {
  readonly path: string;
  /** Asks another service of the shop, through the own sidecar, on behalf of this visit. */
  readonly ask: (service: string, path: string) => Promise<Reply>;
}

/** Answers one visit, now or later (a promise); null means that there is no such page. */
export type Answer = (visit: Visit) => unknown;

export interface Identity {
  readonly service: string;
  readonly version: string;
}

const outbound = process.env['OUTBOUND'] ?? '';
/** How often each section (the first part of a path) was visited; `/count` shows it. */
const visits = new Map<string, number>();
const agent = new Agent({ keepAlive: true, maxSockets: 64 });

/** The version that this process plays. */
export const version = process.env['VERSION'] ?? 'v1';

/** Serves until SIGTERM or SIGINT, then finishes what is under way. Prints one line when it listens. */
export function serve(service: string, answer: Answer): void {
  const server = createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
    void respond({ service, version }, answer, request, response);
  });
  server.listen(Number(process.env['PORT'] ?? '0'), '127.0.0.1', () => {
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    process.stdout.write(`${service} ${version} listens on 127.0.0.1:${port}\n`);
  });
  const stop = (): void => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

async function respond(
  identity: Identity,
  answer: Answer,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  request.resume();
  const url = new URL(request.url ?? '/', 'http://bookshop');
  const section = url.pathname.split('/')[1] ?? '';
  visits.set(section, (visits.get(section) ?? 0) + 1);
  const ask = (service: string, path: string): Promise<Reply> => call(service, path, request);
  try {
    await delay(identity, request, url.searchParams);
    const body =
      url.pathname === '/count' ? { visits: Object.fromEntries(visits) } : await answer({ path: url.pathname, ask });
    if (body === null) send(response, 404, { ...identity, error: `no page ${url.pathname}` });
    else send(response, 200, { ...identity, path: request.url ?? '', ...Object(body) });
  } catch (error) {
    send(response, 502, { ...identity, error: error instanceof Error ? error.message : String(error) });
  }
}

/** `?ms=2000` makes the page slow on purpose, and the header `x-delay: SERVICE=2000` that one service. */
async function delay(identity: Identity, request: IncomingMessage, query: URLSearchParams): Promise<void> {
  const header = request.headers['x-delay'];
  const prefix = `${identity.service}=`;
  const asked = typeof header === 'string' && header.startsWith(prefix) ? header.slice(prefix.length) : query.get('ms');
  const delayMs = Number(asked ?? 0);
  if (delayMs > 0) await sleep(Math.min(delayMs, DELAY_MS_MAX));
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

function call(service: string, path: string, cause: IncomingMessage): Promise<Reply> {
  const headers: Record<string, string> = { host: service };
  for (const name of PASSED_ON) {
    const value = cause.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  const [hostname, port] = outbound.split(':');
  if (hostname === undefined || port === undefined) {
    return Promise.reject(
      new Error('OUTBOUND is not set; give it the address of the sidecar, for example 127.0.0.1:15001'),
    );
  }
  return new Promise((resolve, reject) => {
    const outgoing = openRequest({ agent, hostname, port, path, headers, timeout: CALL_TIMEOUT_MS }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, body: parse(Buffer.concat(chunks)) }));
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`${service} did not answer in ${CALL_TIMEOUT_MS} ms`)));
    outgoing.on('error', reject);
    outgoing.end();
  });
}

function parse(bytes: Buffer): unknown {
  const text = bytes.toString('utf8');
  try {
    return JSON.parse(text);
  } catch {
    // The sidecar's own replies (a timeout, no route) are plain text; the shop shows them as they are.
    return text;
  }
}

// Runs the cases of a bootstrap on one side and reports what the client and the upstreams saw, with everything that
// must differ between two processes (ports, dates, generated ids, measured times) replaced by its shape.
import { createHash } from 'node:crypto';
import { RawClient, endsConnection, type SeenResponse } from '../support/raw-client.ts';
import type { HeaderLine } from '../support/message-reader.ts';
import type { SeenRequest } from '../support/raw-upstream.ts';
import { until } from '../support/until.ts';
import { methodsOf, piecesOf, seenCountOf, type PeerCase } from './peer-case.ts';
import { PLACEHOLDER, type Side } from './side.ts';

/** A flat map: `response.status`, `response.header.server`, `upstream[0].path`, … → what was seen. */
export type Observation = ReadonlyMap<string, string>;

const CLOSE_WAIT_MS = 2500;
const SEEN_WAIT_MS = 2000;
const BODY_CHARACTERS_MAX = 2000;

/** Connections that cases share, by listener. */
type Connections = Map<string, RawClient>;

/** Runs the cases one after the other; waiting for connections to close goes on beside the next case. */
export async function observeAll(side: Side, cases: readonly PeerCase[]): Promise<ReadonlyMap<string, Observation>> {
  const connections: Connections = new Map();
  const settled: Promise<readonly [string, Observation]>[] = [];
  for (const peerCase of cases) {
    const { hasEnded, seen } = await observe(side, connections, peerCase);
    settled.push(
      hasEnded.then((ended) => [peerCase.name, new Map([...seen, ['connection', ended ? 'closed' : 'open']])] as const),
    );
  }
  const all = new Map(await Promise.all(settled));
  for (const client of connections.values()) client.close();
  return all;
}

interface Observing {
  readonly seen: Observation;
  readonly hasEnded: Promise<boolean>;
}

async function observe(side: Side, connections: Connections, peerCase: PeerCase): Promise<Observing> {
  const listener = peerCase.to ?? 'main';
  const port = side.ports.get(`listen.${listener}`);
  if (port === undefined) throw new Error(`no listener named ${listener}`);
  side.upstream.rewind();
  if (peerCase.answer !== undefined) side.upstream.answer = peerCase.answer;

  const client = await connectionFor(connections, listener, port, peerCase.isFresh === true).catch(() => null);
  // Reset as soon as it was made: the same to a client as closed without an answer.
  if (client === null) return { seen: flatten(side, []), hasEnded: Promise.resolve(true) };
  const methods = methodsOf(peerCase);
  const pieces = piecesOf(peerCase).map((piece) => withPorts(side, piece));
  const responses = await client.exchange({ pieces, methods });
  const count = seenCountOf(peerCase);
  await until('requests upstream', () => side.upstream.seen.length >= count, SEEN_WAIT_MS).catch(() => false);

  const seen = flatten(side, responses);
  const last = responses.at(-1);
  const mustEnd = responses.length < methods.length || (last !== undefined && endsConnection(last));
  if (!mustEnd && peerCase.isFresh !== true) {
    connections.set(listener, client);
    return { seen, hasEnded: Promise.resolve(client.hasEnded) };
  }
  const hasEnded = mustEnd ? client.closesWithin(CLOSE_WAIT_MS) : Promise.resolve(client.hasEnded);
  return { seen, hasEnded: hasEnded.finally(() => client.close()) };
}

async function connectionFor(
  connections: Connections,
  listener: string,
  port: number,
  isFresh: boolean,
): Promise<RawClient> {
  const open = connections.get(listener);
  connections.delete(listener);
  if (open !== undefined && !open.hasEnded && !isFresh) return open;
  open?.close();
  return RawClient.connect(port);
}

function withPorts(side: Side, piece: string): string {
  return piece.replaceAll(PLACEHOLDER, (_whole, key: string) => String(side.ports.get(key)));
}

function flatten(side: Side, responses: readonly SeenResponse[]): Observation {
  const out = new Map<string, string>();
  const shape = (name: string, value: string): string => shapeOf(side, name, value);
  out.set('responses', String(responses.length));
  for (const [index, response] of responses.entries()) {
    const at = index === 0 ? 'response' : `response${index + 1}`;
    out.set(`${at}.status`, String(response.status));
    out.set(`${at}.version`, response.startLine.split(' ')[0] ?? '');
    if (!response.isComplete) out.set(`${at}.body.complete`, 'no');
    setHeaders(out, `${at}.header`, response.headers, shape);
    setHeaders(out, `${at}.trailer`, response.trailers, shape);
    out.set(`${at}.body`, shape('', bodyText(response.body)));
    for (const [number, interim] of response.interim.entries()) {
      out.set(`${at}.interim${number + 1}`, interim.startLine.split(' ')[1] ?? '');
      setHeaders(out, `${at}.interim${number + 1}.header`, interim.headers, shape);
    }
  }
  const seen = side.upstream.seen.toSorted((one, two) => (one.upstream < two.upstream ? -1 : 1));
  out.set('upstream.requests', seen.map((request) => request.upstream).join(' '));
  for (const [index, request] of seen.entries()) setRequest(out, `upstream${index + 1}`, request, shape);
  return out;
}

type Shape = (name: string, value: string) => string;

function setRequest(out: Map<string, string>, at: string, request: SeenRequest, shape: Shape): void {
  out.set(`${at}.line`, shape('', `${request.method} ${request.target} ${request.version}`));
  setHeaders(out, `${at}.header`, request.headers, shape);
  setHeaders(out, `${at}.trailer`, request.trailers, shape);
  out.set(`${at}.body`, bodyText(request.body));
  if (!request.isComplete) out.set(`${at}.body.complete`, 'no');
}

function setHeaders(out: Map<string, string>, at: string, headers: readonly HeaderLine[], shape: Shape): void {
  for (const [name, value] of headers) {
    const key = `${at}.${name.toLowerCase()}`;
    const before = out.get(key);
    const now = shape(name.toLowerCase(), value);
    out.set(key, before === undefined ? now : `${before} | ${now}`);
  }
}

function bodyText(body: Buffer): string {
  if (body.length <= BODY_CHARACTERS_MAX) return body.toString('latin1');
  return `${body.length} bytes, sha256 ${createHash('sha256').update(body).digest('hex')}`;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const HTTP_DATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/;
const NUMBER = /^\d+$/;
const MEASURED = new Set(['x-envoy-upstream-service-time', 'x-measured']);
/** What is left of some time: told in whole seconds, rounded up. */
const LEFT = new Map([
  ['x-envoy-expected-rq-timeout-ms', ''],
  ['grpc-timeout', 'm'],
]);

function shapeOf(side: Side, name: string, value: string): string {
  if (name === 'date' && HTTP_DATE.test(value)) return '<date>';
  if (UUID.test(value)) return '<uuid>';
  if (MEASURED.has(name) && NUMBER.test(value)) return '<number>';
  const unit = LEFT.get(name);
  if (unit !== undefined && value.endsWith(unit)) {
    const digits = value.slice(0, value.length - unit.length);
    if (NUMBER.test(digits)) return `<up to ${Math.ceil(Number(digits) / 1000)} s>`;
  }
  let text = value;
  for (const [key, port] of side.ports) text = text.replaceAll(new RegExp(`(?<!\\d)${port}(?!\\d)`, 'g'), `<${key}>`);
  return text.replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:<port>');
}

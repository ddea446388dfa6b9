// Runs one wire case in one delivery through a data plane and says what both sides saw: the material that
// case-judge.ts judges.
import { CaseWire, turn } from './case-wire.ts';
import { DEFAULT_SCRIPT, type CaseUpstream, type UpstreamConnection } from './case-upstream.ts';
import { readStrictly, type StrictRead } from './strict-reader.ts';
import type { Delivery, WireCase } from './wire-case.ts';

export const GOOD = 'GET /good HTTP/1.1\r\nHost: a.test\r\n\r\n';
export const FOLLOW_UP = 'GET /follow-up HTTP/1.1\r\nHost: a.test\r\n\r\n';
const DEFAULT_REQUEST = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n';
/** How long a reaction may take; everything is on one machine, which may be busy. */
const PATIENCE_MS = 4000;

export interface Sighting {
  /** What the client got, without the answer to the good request before. */
  readonly downstream: string;
  readonly downstreamHasEnded: boolean;
  /** Methods of the case's requests, in order. */
  readonly methods: readonly string[];
  readonly upstream: readonly UpstreamConnection[];
  /** The answer to a good request on a fresh connection afterwards. */
  readonly followUp: string;
  /** The connection that carried it. */
  readonly followUpConnection: UpstreamConnection | null;
  /** The wait for what the case expects ran out. */
  readonly isTimedOut: boolean;
}

export async function runCase(one: WireCase, how: Delivery, port: number, upstream: CaseUpstream): Promise<Sighting> {
  const isRequest = one.side === 'request';
  const response = isRequest ? one.context?.response : one.bytes;
  const isIdle = one.context?.when === 'idle-before-request';
  upstream.begin(
    response === undefined || isIdle
      ? DEFAULT_SCRIPT
      : { pieces: isRequest ? [response] : how.cut(response), isEager: true, ...(isRequest ? {} : eofOf(one)) },
  );
  const request = isRequest ? one.bytes : (one.context?.request ?? DEFAULT_REQUEST);
  const client = await CaseWire.connect(port);
  const lead = how.isGlued || isIdle ? GOOD : '';
  const methods = [...(lead === '' ? [] : ['GET']), ...methodsOf(request)];
  if (isIdle) await answerOnIdle(one, how, { client, upstream });
  const pieces = isRequest ? how.cut(request) : [request];
  const first = isIdle ? '' : lead;
  const isDone = (): boolean => isSettled(one, client, methods, lead !== '');
  await client.write([first + (pieces[0] ?? ''), ...pieces.slice(1)], isRequest ? one.eof : undefined);
  const isMet = await client.until(isDone, PATIENCE_MS);
  for (let round = 0; round < 4; round++) await turn();
  const { answer, connection } = await followUp(port, upstream);
  const good = lead === '' ? 0 : (read(client, ['GET']).messages[0]?.end ?? 0);
  const sighting: Sighting = {
    downstream: client.text.slice(good),
    downstreamHasEnded: client.hasEnded,
    methods: methodsOf(request),
    upstream: upstream.connections,
    followUp: answer,
    followUpConnection: connection,
    isTimedOut: !isMet,
  };
  client.destroy();
  return sighting;
}

function eofOf(one: WireCase): { eof?: 'fin' | 'rst' } {
  return one.eof === undefined ? {} : { eof: one.eof };
}

/** The bytes arrive on a pooled connection that nobody uses. */
async function answerOnIdle(
  one: WireCase,
  how: Delivery,
  ends: { readonly client: CaseWire; readonly upstream: CaseUpstream },
): Promise<void> {
  const { client, upstream } = ends;
  await client.write([GOOD]);
  await client.until(() => read(client, ['GET']).messages.length > 0, PATIENCE_MS);
  const idle = upstream.connections.findLast((connection) => connection.answered > 0 && !connection.wire.hasEnded);
  if (idle === undefined) return;
  idle.isPlayed = true;
  await idle.wire.write(how.cut(one.bytes), one.eof);
  await turn();
}

async function followUp(
  port: number,
  upstream: CaseUpstream,
): Promise<{ readonly answer: string; readonly connection: UpstreamConnection | null }> {
  const client = await CaseWire.connect(port);
  await client.write([FOLLOW_UP]);
  await client.until(() => client.hasEnded || read(client, ['GET']).messages.some(isFinal), PATIENCE_MS);
  const answer = client.text;
  client.destroy();
  await turn();
  const connection = upstream.connections.find(({ text }) => text.includes('GET /follow-up HTTP/1.1\r\n')) ?? null;
  return { answer, connection };
}

function isFinal(message: { readonly status: number; readonly isComplete: boolean }): boolean {
  return (message.status >= 200 || message.status === 101) && message.isComplete;
}

function read(client: CaseWire, methods: readonly string[]): StrictRead {
  return readStrictly({ text: client.text, side: 'response', methods, hasEnded: client.hasEnded });
}

/** True when nothing more is to be awaited. */
function isSettled(one: WireCase, client: CaseWire, methods: readonly string[], isLed: boolean): boolean {
  if (client.hasEnded) return true;
  const { expect, side } = one;
  const { messages, error } = read(client, methods);
  const finals = messages.filter(isFinal).length - (isLed ? 1 : 0);
  if (side === 'response') {
    const isTunnel = expect.status === 101;
    return error !== '' || (finals >= 1 && (!isTunnel || hasAll(client.text, expect.downstreamMustContain)));
  }
  if (expect.action === 'reject' || expect.close === true) return false;
  return finals >= (expect.requests ?? 1);
}

function hasAll(text: string, wanted: readonly string[] = []): boolean {
  return wanted.every((piece) => text.toLowerCase().includes(piece.toLowerCase()));
}

/** The methods of the requests in the bytes, so that answers to HEAD are read right. */
function methodsOf(bytes: string): readonly string[] {
  const { messages } = readStrictly({ text: bytes, side: 'request' });
  return messages.length === 0 ? [bytes.split(' ')[0] ?? ''] : messages.map(({ method }) => method);
}

// Reads HTTP/1.1 messages back as the RFC's grammar has them and nothing else: the judge of what a proxy
// put on a wire. It shares nothing with the parser under test, works on whole texts by regular expressions,
// and says where and why it stops.
// Source: RFC 9112.

export interface StrictMessage {
  readonly startLine: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  readonly trailers: readonly (readonly [name: string, value: string])[];
  readonly isComplete: boolean;
  /** Requests: the method; responses: empty. */
  readonly method: string;
  /** Responses: the status; requests: 0. */
  readonly status: number;
  /** Offset in the text where the next message begins. */
  readonly end: number;
}

export interface StrictRead {
  /** The last one may be incomplete. */
  readonly messages: readonly StrictMessage[];
  /** What breaks the grammar; empty for nothing. */
  readonly error: string;
  /** What follows the last message: part of a head. */
  readonly rest: string;
}

export interface StrictInput {
  readonly text: string;
  readonly side: 'request' | 'response';
  /** Methods of the requests that responses answer, in order; GET beyond. */
  readonly methods?: readonly string[];
  readonly hasEnded?: boolean;
  /** Lets through what a receiver may take but we never send: zeros before a length, a coding in capitals. */
  readonly isLenient?: boolean;
}

const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21\x22\x24-\x7e]+) HTTP\/1\.[01]$/;
const STATUS_LINE = /^HTTP\/1\.[01] ([1-9][0-9][0-9]) [\t\x20-\x7e\x80-\xff]*$/;
const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/;
const CHUNK_SIZE = /^([0-9a-fA-F]{1,16})((?:[ \t]*;[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:=[\x21-\x7e]*)?)*)$/;

class BrokenGrammar extends Error {}

export function readStrictly({
  text,
  side,
  methods = [],
  hasEnded = false,
  isLenient = false,
}: StrictInput): StrictRead {
  const messages: StrictMessage[] = [];
  let at = 0;
  let answered = 0;
  try {
    while (at < text.length) {
      const end = text.indexOf('\r\n\r\n', at);
      if (end === -1) {
        if (/[^\r]\n|\r[^\n]/.test(text.slice(at))) throw new BrokenGrammar('a bare CR or LF in a head');
        return { messages, error: '', rest: text.slice(at) };
      }
      const message = readMessage(text, at, end, { side, method: methods[answered] ?? 'GET', hasEnded, isLenient });
      messages.push(message);
      at = message.end;
      if (message.status >= 200 || message.status === 101) answered++;
      if (!message.isComplete || message.status === 101) break;
    }
  } catch (error) {
    if (!(error instanceof BrokenGrammar)) throw error;
    return { messages, error: `${error.message} at ${at}: ${JSON.stringify(text.slice(at, at + 120))}`, rest: '' };
  }
  return { messages, error: '', rest: '' };
}

/** The first value of a field, or null. */
export function fieldOf(message: StrictMessage, name: string): string | null {
  return message.headers.find(([candidate]) => candidate.toLowerCase() === name)?.[1] ?? null;
}

/** The message as one text without framing: what string checks look at beside the raw bytes. */
export function plainText(message: StrictMessage): string {
  const lines = [...message.headers, ...message.trailers].map(([name, value]) => `${name}: ${value}\r\n`);
  return `${message.startLine}\r\n${lines.join('')}\r\n${message.body}`;
}

interface Role {
  readonly side: 'request' | 'response';
  readonly method: string;
  readonly hasEnded: boolean;
  readonly isLenient: boolean;
}

function readMessage(text: string, start: number, headEnd: number, role: Role): StrictMessage {
  const [startLine = '', ...lines] = text.slice(start, headEnd).split('\r\n');
  const match = (role.side === 'request' ? REQUEST_LINE : STATUS_LINE).exec(startLine);
  if (match === null) throw new BrokenGrammar('a start line');
  const headers = lines.map(readField);
  const head = {
    startLine,
    headers,
    method: role.side === 'request' ? (match[1] ?? '') : '',
    status: role.side === 'response' ? Number(match[1]) : 0,
  };
  return { ...head, ...readBody(text, headEnd + 4, head, role) };
}

type Body = Pick<StrictMessage, 'body' | 'trailers' | 'isComplete' | 'end'>;

function readBody(text: string, start: number, head: Pick<StrictMessage, 'headers' | 'status'>, role: Role): Body {
  const of = (name: string): string[] =>
    head.headers.filter(([candidate]) => candidate.toLowerCase() === name).map(([, value]) => value);
  const lengths = of('content-length');
  const codings = of('transfer-encoding');
  if (lengths.length + codings.length > 1) throw new BrokenGrammar('more than one framing field');
  const length = role.isLenient ? /^[0-9]+$/ : /^(0|[1-9][0-9]{0,15})$/;
  if (lengths.some((value) => !length.test(value))) throw new BrokenGrammar('a content-length');
  if (codings.some((coding) => (role.isLenient ? coding.toLowerCase() : coding) !== 'chunked'))
    throw new BrokenGrammar('a transfer-encoding');
  const { status } = head;
  if (status === 101) return { body: text.slice(start), trailers: [], isComplete: true, end: text.length };
  const isResponse = role.side === 'response';
  if (isResponse && (status < 200 || status === 204) && lengths.length + codings.length > 0) {
    throw new BrokenGrammar(`framing in a ${status}`);
  }
  if (isResponse && (status < 200 || status === 204 || status === 304 || role.method === 'HEAD')) {
    return { body: '', trailers: [], isComplete: true, end: start };
  }
  if (codings.length > 0) return readChunks(text, start);
  if (lengths.length === 0 && isResponse) {
    return { body: text.slice(start), trailers: [], isComplete: role.hasEnded, end: text.length };
  }
  const size = Number(lengths[0] ?? 0);
  const body = text.slice(start, start + size);
  return { body, trailers: [], isComplete: body.length === size, end: start + body.length };
}

function readChunks(text: string, start: number): Body {
  let at = start;
  let body = '';
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd === -1) return { body, trailers: [], isComplete: false, end: text.length };
    const match = CHUNK_SIZE.exec(text.slice(at, lineEnd));
    if (match === null) throw new BrokenGrammar('a chunk size');
    const size = Number.parseInt(match[1] ?? '', 16);
    at = lineEnd + 2;
    if (size === 0) break;
    body += text.slice(at, at + size);
    at += size;
    if (text.length < at + 2) return { body, trailers: [], isComplete: false, end: text.length };
    if (text.slice(at, at + 2) !== '\r\n') throw new BrokenGrammar('no CRLF after a chunk');
    at += 2;
  }
  const trailers: (readonly [string, string])[] = [];
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd === -1) return { body, trailers, isComplete: false, end: text.length };
    const line = text.slice(at, lineEnd);
    at = lineEnd + 2;
    if (line === '') return { body, trailers, isComplete: true, end: at };
    trailers.push(readField(line));
  }
}

function readField(line: string): readonly [string, string] {
  const match = FIELD.exec(line);
  if (match === null) throw new BrokenGrammar(`a field line ${JSON.stringify(line.slice(0, 80))}`);
  return [match[1] ?? '', (match[2] ?? '').replace(/[ \t]+$/, '')];
}

// Questions to one API server over undici: a pool of a few connections for calls and one without a bound for watches,
// which hold theirs for minutes and must never make a call wait. Each call has one deadline for everything, its answer
// is bounded, and what the server puts off (429, 503 with Retry-After) or a connection that was closed under an
// idempotent question is asked again within that deadline. Nothing here rejects.
import type { Readable } from 'node:stream';
import type { Pool } from 'undici';
import type { Clock } from '../base/clock.ts';
import type { KubeAccess } from './access.ts';
import { Dialer } from './dialer.ts';
import { recordOf, textOf } from './json-record.ts';
import { done, ownFailure, serverFailure, type KubeAnswer } from './kube-answer.ts';
import { pause } from './pause.ts';

export interface KubeQuestion {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With its query. */
  readonly path: string;
  /** Sent as JSON; none by default. */
  readonly body?: unknown;
  /** `application/json` by default. */
  readonly contentType?: string;
  /** `application/json` by default. */
  readonly accept?: string;
  /** Asking twice is the same as asking once; true for GET by default. */
  readonly isRepeatable?: boolean;
  readonly timeoutMs?: number;
}

export interface TransportOptions {
  readonly access: KubeAccess;
  readonly clock: Clock;
  readonly userAgent: string;
  /** One question takes at most so long, with all repetitions. */
  readonly timeoutMs: number;
  readonly random: () => number;
  /** What the server warns of (RFC 7234 Warning 299), once for each answer. */
  readonly onWarning: (text: string) => void;
}

type Pools = { readonly calls: Pool; readonly watches: Pool };
type Headers = Readonly<Record<string, string | string[] | undefined>>;

export const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
const FAILURE_BYTES_MAX = 256 * 1024;
const CONNECTIONS_MAX = 16;
const KEEP_ALIVE_MS = 30_000;
const ATTEMPTS_MAX = 6;
const WAIT_MS_MIN = 100;

export class KubeTransport {
  readonly #options: TransportOptions;
  readonly #prefix: string;
  readonly #closing = new AbortController();
  #pools: Promise<Pools> | null = null;
  #chain = '';

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#prefix = new URL(options.access.url).pathname.replace(/\/$/, '');
  }

  /** The answer's JSON; with an `accept` that is not JSON, its text. */
  async call(question: KubeQuestion): Promise<KubeAnswer<unknown>> {
    const { clock, timeoutMs: usualMs, random } = this.#options;
    const { timeoutMs = usualMs, isRepeatable = question.method === 'GET' } = question;
    const deadline = new AbortController();
    const stop = AbortSignal.any([deadline.signal, this.#closing.signal]);
    const timer = setTimeout(() => deadline.abort(), timeoutMs);
    const endMs = clock.now() + timeoutMs;
    try {
      let isShownAgain = false;
      for (let attempt = 1; ; attempt++) {
        const answer = await this.#ask(question, stop);
        if (answer.kind === 'done') return answer;
        const { status, reason, retryAfterMs } = answer.failure;
        if (status === 401 && !isShownAgain) {
          isShownAgain = true;
          this.#options.access.credentials.onRefused();
          continue;
        }
        const isPutOff = status === 429 || (status === 503 && retryAfterMs > 0);
        const isCut = isRepeatable && reason === 'Closed';
        if ((!isPutOff && !isCut) || attempt >= ATTEMPTS_MAX) return answer;
        const waitMs = retryAfterMs + WAIT_MS_MIN * attempt * random();
        if (clock.now() + waitMs >= endMs) return answer;
        await pause(waitMs, stop);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** The body of a good answer as it comes, for as long as it comes. `headTimeoutMs` bounds the wait for the head. */
  async open(path: string, signal: AbortSignal, headTimeoutMs: number): Promise<KubeAnswer<Readable>> {
    const late = new AbortController();
    const stop = AbortSignal.any([signal, this.#closing.signal, late.signal]);
    const timer = setTimeout(() => late.abort(), headTimeoutMs);
    try {
      const headers = await this.#headers({ method: 'GET', path });
      if (typeof headers === 'string') return ownFailure('NoCredentials', headers);
      const { watches } = await this.#open();
      const {
        statusCode,
        headers: answered,
        body,
      } = await unlessAborted(
        stop,
        watches.request({
          method: 'GET',
          path: `${this.#prefix}${path}`,
          headers,
          signal: stop,
          bodyTimeout: 0,
          headersTimeout: headTimeoutMs,
        }),
      );
      if (statusCode === 200) return done(body);
      if (statusCode === 401) this.#options.access.credentials.onRefused();
      const text = await readBounded(body, FAILURE_BYTES_MAX);
      return { kind: 'failed', failure: serverFailure(statusCode, parsed(text ?? ''), retryAfter(answered)) };
    } catch (cause) {
      return this.#failed(cause, late.signal.aborted);
    } finally {
      clearTimeout(timer);
    }
  }

  /** What is under way fails. */
  async close(): Promise<void> {
    this.#closing.abort();
    const pools = await this.#pools;
    await Promise.all([pools?.calls.destroy(), pools?.watches.destroy()]);
  }

  async #ask(question: KubeQuestion, signal: AbortSignal): Promise<KubeAnswer<unknown>> {
    try {
      const headers = await this.#headers(question);
      if (typeof headers === 'string') return ownFailure('NoCredentials', headers);
      const { calls } = await this.#open();
      const {
        statusCode,
        headers: answered,
        body,
      } = await unlessAborted(
        signal,
        calls.request({
          method: question.method,
          path: `${this.#prefix}${question.path}`,
          headers,
          body: question.body === undefined ? null : JSON.stringify(question.body),
          signal,
          // The deadline is one for everything.
          headersTimeout: 0,
          bodyTimeout: 0,
        }),
      );
      this.#warn(answered);
      const isGood = statusCode >= 200 && statusCode < 300;
      const text = await readBounded(body, isGood ? ANSWER_BYTES_MAX : FAILURE_BYTES_MAX);
      if (!isGood)
        return { kind: 'failed', failure: serverFailure(statusCode, parsed(text ?? ''), retryAfter(answered)) };
      if (text === null) return ownFailure('TooLarge', `an answer of more than ${ANSWER_BYTES_MAX} bytes`);
      if (question.accept?.includes('json') === false) return done(text);
      const value = parsed(text);
      return value === undefined ? ownFailure('Malformed', 'the answer is no JSON') : done(value);
    } catch (cause) {
      return this.#failed(cause, signal.aborted);
    }
  }

  #failed(cause: unknown, isLate: boolean): KubeAnswer<never> {
    if (this.#closing.signal.aborted) return ownFailure('Stopped', 'the client was closed');
    if (isLate) return ownFailure('Timeout', 'no answer in time');
    const code = textOf(recordOf(cause)['code']);
    const message = cause instanceof Error ? cause.message || code : String(cause);
    const isCut = code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE';
    return ownFailure(
      isCut ? 'Closed' : 'Unreachable',
      code === '' || code === message ? message : `${message} (${code})`,
    );
  }

  async #headers(question: KubeQuestion): Promise<Record<string, string> | string> {
    const shown = await this.#options.access.credentials.show();
    if (typeof shown === 'string') return shown;
    this.#rotate(shown.certificate?.chainPem ?? '');
    return {
      'user-agent': this.#options.userAgent,
      accept: question.accept ?? 'application/json',
      ...(question.body === undefined ? {} : { 'content-type': question.contentType ?? 'application/json' }),
      ...(shown.token === null ? {} : { authorization: `Bearer ${shown.token.reveal()}` }),
    };
  }

  #warn(headers: Headers): void {
    const { warning } = headers;
    if (warning === undefined) return;
    for (const line of typeof warning === 'string' ? [warning] : warning) {
      const [, text] = /^299 \S+ "((?:[^"\\]|\\.)*)"/.exec(line) ?? [];
      if (text !== undefined) this.#options.onWarning(text.replaceAll(/\\(.)/g, '$1'));
    }
  }

  /** Who we are was said when a connection was made: another certificate needs others. Watches end in their time. */
  #rotate(chain: string): void {
    const old = this.#chain === chain ? null : this.#pools;
    this.#chain = chain;
    if (old === null) return;
    this.#pools = null;
    void old.then(async (pools) => await Promise.allSettled([pools.calls.close(), pools.watches.close()]));
  }

  async #open(): Promise<Pools> {
    this.#pools ??= this.#make();
    return await this.#pools;
  }

  async #make(): Promise<Pools> {
    const { Pool: MakePool, buildConnector } = await import('undici');
    const { origin } = new URL(this.#options.access.url);
    const dialer = new Dialer(this.#options.access, buildConnector);
    const shared = { connect: dialer.dial, allowH2: false, pipelining: 1, keepAliveTimeout: KEEP_ALIVE_MS };
    return {
      calls: new MakePool(origin, { ...shared, connections: CONNECTIONS_MAX }),
      watches: new MakePool(origin, { ...shared, connections: null }),
    };
  }
}

/** What waits for a connection does not hear of a signal before there is one. */
async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(new Error('aborted'));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Null when there is more than that; the rest is not read. */
async function readBounded(body: Readable, bytesMax: number): Promise<string | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    const part = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
    bytes += part.length;
    // Leaving the loop destroys the body, and its connection with it.
    if (bytes > bytesMax) return null;
    chunks.push(part);
  }
  return Buffer.concat(chunks, bytes).toString('utf8');
}

/** Undefined when it is no JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function retryAfter(headers: Headers): string {
  const value = headers['retry-after'];
  return typeof value === 'string' ? value : '';
}

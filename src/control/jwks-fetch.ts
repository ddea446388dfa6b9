// Fetches one key set: from its address, or from the one that the issuer's OpenID configuration names. Bounded in
// time, bytes and redirects; each step is judged like the first (jwks-address.ts), and none leads from https to http.
// What comes back is a sound set of public keys, or a reason in words. It never throws, and never repeats what a
// server said. Source: OpenID Connect Discovery 1.0 section 4; reliability 5.3.
import type { Agent, Dispatcher } from 'undici';
import { addPiece } from '../base/byte-chunks.ts';
import { parseKeySet, publicKeySet } from '../base/key-set.ts';
import { guardedLookup, refusalOfUrl } from './jwks-address.ts';

export interface JwksSource {
  /** Empty: the issuer says where. */
  readonly uri: string;
  readonly issuer: string;
  readonly timeoutMs: number;
}

export type JwksResult =
  | { readonly kind: 'fetched'; readonly jwks: string }
  | { readonly kind: 'failed'; readonly reason: string };

const BYTES_MAX = 1024 * 1024;
const REDIRECTS_MAX = 3;
const DISCOVERY = '/.well-known/openid-configuration';

export class JwksFetcher {
  readonly #allowsPrivate: boolean;
  #agent: Promise<Agent> | null = null;

  constructor(allowsPrivate: boolean) {
    this.#allowsPrivate = allowsPrivate;
  }

  async fetch({ uri, issuer, timeoutMs }: JwksSource): Promise<JwksResult> {
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      const from = uri === '' ? await this.#discover(issuer, signal) : uri;
      const set = parseKeySet(await this.#get(from, signal));
      if (set.failure !== null) return { kind: 'failed', reason: `what came back is no key set (${set.failure})` };
      const isUsable = set.keys.some(({ kind }) => kind !== 'oct');
      if (!isUsable) return { kind: 'failed', reason: 'the key set has no public key' };
      return { kind: 'fetched', jwks: publicKeySet(set) };
    } catch (cause) {
      return { kind: 'failed', reason: signal.aborted ? `no answer within ${timeoutMs} ms` : reasonOf(cause) };
    }
  }

  async close(): Promise<void> {
    const agent = await this.#agent;
    await agent?.destroy();
  }

  async #discover(issuer: string, signal: AbortSignal): Promise<string> {
    const text = await this.#get(issuer.replace(/\/+$/, '') + DISCOVERY, signal);
    const found = jwksUriOf(text);
    if (found === null) throw new Error('the OpenID configuration has no jwks_uri');
    return found;
  }

  async #get(address: string, signal: AbortSignal): Promise<string> {
    let url = parsed(address);
    for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
      const refusal = refusalOfUrl(url, this.#allowsPrivate);
      if (refusal !== '') throw new Error(`${url.host} is not asked: ${refusal}`);
      const answer = await this.#request(url, signal);
      if (answer.location === '') return answer.text;
      const next = parsed(new URL(answer.location, url).href);
      if (url.protocol === 'https:' && next.protocol !== 'https:') throw new Error('it redirects from https to http');
      url = next;
    }
    throw new Error(`it redirects more than ${REDIRECTS_MAX} times`);
  }

  async #request(url: URL, signal: AbortSignal): Promise<{ readonly text: string; readonly location: string }> {
    const { request } = await import('undici');
    this.#agent ??= this.#makeAgent();
    const dispatcher = await this.#agent;
    const response = await request(url, { dispatcher, signal, headers: { accept: 'application/json' } });
    const { statusCode, headers, body } = response;
    const { location } = headers;
    if (statusCode >= 300 && statusCode < 400 && typeof location === 'string') {
      await body.dump({ limit: 16_384 });
      return { text: '', location };
    }
    if (statusCode !== 200) {
      await body.dump({ limit: 16_384 });
      throw new Error(`${url.host} answered ${statusCode}`);
    }
    return { text: await readAll(body), location: '' };
  }

  /** Connections are not kept: sets are fetched every twenty minutes. */
  async #makeAgent(): Promise<Agent> {
    const { Agent } = await import('undici');
    const lookup = guardedLookup(this.#allowsPrivate);
    return new Agent({ connect: { lookup, timeout: 5_000 }, keepAliveTimeout: 1_000, pipelining: 1, connections: 4 });
  }
}

async function readAll(body: Dispatcher.ResponseData['body']): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    const piece = Buffer.from(chunk);
    bytes += piece.length;
    if (bytes > BYTES_MAX) throw new Error(`the answer has more than ${BYTES_MAX} bytes`);
    addPiece(chunks, piece);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function jwksUriOf(text: string): string | null {
  try {
    const found: unknown = JSON.parse(text);
    const hasUri = typeof found === 'object' && found !== null && 'jwks_uri' in found;
    return hasUri && typeof found.jwks_uri === 'string' ? found.jwks_uri : null;
  } catch {
    return null;
  }
}

function parsed(address: string): URL {
  if (!URL.canParse(address)) throw new Error('it is no address');
  return new URL(address);
}

/** The innermost reason, in one line. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return 'it failed';
  const inner = cause.cause instanceof Error ? cause.cause : cause;
  return (inner.message === '' ? inner.name : inner.message).split('\n')[0]?.slice(0, 200) ?? 'it failed';
}

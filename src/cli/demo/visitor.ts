// Somebody who sends requests: keeps connections open, remembers nothing between requests, and never
// throws: a request that got no answer is an outcome too, and the one that the stories are about.
import { Pool } from 'undici';

export interface Reply {
  readonly kind: 'reply';
  readonly status: number;
  readonly location: string;
  /** What the answering app said its version is; empty when no app answered. */
  readonly version: string;
  readonly body: string;
  /** Milliseconds from the call to the end of the body. */
  readonly tookMs: number;
}

export interface NoReply {
  readonly kind: 'no-reply';
  readonly reason: string;
  readonly tookMs: number;
}

export type Outcome = Reply | NoReply;

export interface Visit {
  /** Goes into the Host header. */
  readonly host: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const TIMEOUT_MS = 15_000;

export class Visitor {
  readonly #pool: Pool;

  /** `connections` is how many requests it can have under way at once. */
  constructor(port: number, connections: number) {
    this.#pool = new Pool(`http://127.0.0.1:${port}`, {
      connections,
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
    });
  }

  async visit({ host, path, headers = {} }: Visit): Promise<Outcome> {
    const startMs = performance.now();
    try {
      const answer = await this.#pool.request({ method: 'GET', path, headers: { ...headers, host } });
      const body = await answer.body.text();
      const location = answer.headers['location'];
      return {
        kind: 'reply',
        status: answer.statusCode,
        location: typeof location === 'string' ? location : '',
        version: versionIn(body),
        body,
        tookMs: performance.now() - startMs,
      };
    } catch (error) {
      const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      return { kind: 'no-reply', reason, tookMs: performance.now() - startMs };
    }
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

function versionIn(body: string): string {
  return /"version":"([^"]*)"/.exec(body)?.[1] ?? '';
}

/** True for a 2xx; every other answer, and a missing one, is a failure for steady traffic. */
export function isGood(outcome: Outcome): outcome is Reply {
  return outcome.kind === 'reply' && outcome.status >= 200 && outcome.status < 300;
}

/** What a failed outcome was, in few words. */
export function describe(outcome: Outcome): string {
  if (outcome.kind === 'no-reply') return outcome.reason;
  return `${outcome.status} ${outcome.body.slice(0, 120)}`;
}

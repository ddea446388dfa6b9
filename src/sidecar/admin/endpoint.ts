// The one shape of an admin endpoint: a path, what it does in a line, and a function from a request
// to an answer. server.ts finds the endpoint, checks the method and writes the answer.
import type { AdminSource } from './source.ts';

export interface AdminRequest {
  readonly source: AdminSource;
  /** The last value counts when a parameter is given twice. */
  readonly query: ReadonlyMap<string, string>;
  /** Every parameter, in order. */
  readonly pairs: readonly (readonly [name: string, value: string])[];
  readonly accept: string;
}

export interface AdminAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  /** Runs when the answer has been handed to the kernel. */
  readonly afterSent?: () => void;
}

export interface AdminEndpoint {
  readonly path: string;
  /** True: it changes something, so GET is answered with 405. */
  readonly isPostOnly: boolean;
  readonly help: string;
  /** Query parameters with what they do. */
  readonly parameters: readonly (readonly [name: string, help: string])[];
  readonly answer: (request: AdminRequest) => AdminAnswer;
}

const TEXT = 'text/plain; charset=UTF-8';

export function text(body: string, status = 200): AdminAnswer {
  return { status, contentType: TEXT, body };
}

export function json(value: unknown, status = 200): AdminAnswer {
  return { status, contentType: 'application/json', body: `${JSON.stringify(value, null, 1)}\n` };
}

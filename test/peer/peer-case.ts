// One line of the comparison with Envoy, as data: what is sent, how the upstream answers, and what
// kind of outcome makes the case worth having. The outcome is asserted on Envoy too, so that a case
// cannot pass because a bootstrap is wrong in the same way on both sides.
import type { Answer } from '../support/raw-upstream.ts';

export interface PeerCase {
  /** A sentence of behaviour, unique in its bootstrap. */
  readonly name: string;
  /** `METHOD TARGET`, or `METHOD TARGET VERSION`. Ignored when `raw` is there, but for the method. */
  readonly send: string;
  /** The status, and the upstream's name when one must have seen the request: `200 a`; `close`: no answer. */
  readonly is: string;
  /** Header lines besides Host. */
  readonly headers?: readonly string[];
  /** The Host header; `example.test` by default, null for none. */
  readonly host?: string | null;
  /** Sent with content-length. */
  readonly body?: string;
  /** Sent chunked, each as a chunk and a piece of its own. */
  readonly chunks?: readonly string[];
  /** Bytes sent as they stand, in pieces. */
  readonly raw?: readonly string[];
  /** How the upstream answers this case; `200` with `from NAME` by default. */
  readonly answer?: Answer;
  /** The name of the listener; `main` by default. */
  readonly to?: string;
  /** Requests in the bytes: that many responses are awaited; 1 by default. */
  readonly responses?: number;
  /** Requests that upstreams must see; by default 1 when `is` names an upstream, else 0. */
  readonly seen?: number;
  /** Sends on a connection of its own. */
  readonly isFresh?: boolean;
}

/** The cases of each bootstrap, by the file's name without its ending. */
export type CaseTable = Readonly<Record<string, readonly PeerCase[]>>;

/** The bytes to send, piece by piece. */
export function piecesOf(peerCase: PeerCase): readonly string[] {
  if (peerCase.raw !== undefined) return peerCase.raw;
  const [method = 'GET', target = '/', version = 'HTTP/1.1'] = peerCase.send.split(' ');
  const lines = [`${method} ${target} ${version}`];
  const host = peerCase.host === undefined ? 'example.test' : peerCase.host;
  if (host !== null) lines.push(`Host: ${host}`);
  lines.push(...(peerCase.headers ?? []));
  if (peerCase.body !== undefined) lines.push(`Content-Length: ${Buffer.byteLength(peerCase.body)}`);
  if (peerCase.chunks !== undefined) lines.push('Transfer-Encoding: chunked');
  const head = `${lines.join('\r\n')}\r\n\r\n`;
  if (peerCase.chunks === undefined) return [head + (peerCase.body ?? '')];
  return [head, ...peerCase.chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`), '0\r\n\r\n'];
}

/** The methods of the requests in the bytes. */
export function methodsOf(peerCase: PeerCase): readonly string[] {
  const [method = 'GET'] = peerCase.send.split(' ');
  return Array.from({ length: peerCase.responses ?? 1 }, () => method);
}

/** How many requests the upstreams must have seen before the outcome is read. */
export function seenCountOf(peerCase: PeerCase): number {
  return peerCase.seen ?? (peerCase.is.includes(' ') ? 1 : 0);
}

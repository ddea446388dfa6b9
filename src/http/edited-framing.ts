// @hot
// How a message is framed once its header fields have been edited. The body's own framing decides, never
// what an edit left in the fields: a body whose Content-Length was removed goes in chunks, and a message
// without a body still says so. Otherwise the next reader would take a body for a second message.
// Source: RFC 9112 section 6.3.
import { BY_LENGTH, CHUNKED, NO_BODY, UNTIL_CLOSE, type BodyKind } from './body-decoder.ts';
import type { Head } from './head.ts';
import { H } from './header-name.ts';

export function kindOfRequest(head: Head, kind: BodyKind): BodyKind {
  return kind === BY_LENGTH && !head.has(H.contentLength) ? CHUNKED : kind;
}

/** Lays `content-length: 0` where a client would else wait for a body. */
export function kindOfResponse(head: Head, kind: BodyKind, isToHead: boolean): BodyKind {
  if (kind === UNTIL_CLOSE) return CHUNKED;
  if (head.has(H.contentLength)) return kind;
  if (kind === BY_LENGTH) return CHUNKED;
  if (kind === NO_BODY && !isToHead && head.status !== 204 && head.status !== 304) head.set(H.contentLength, '0');
  return kind;
}

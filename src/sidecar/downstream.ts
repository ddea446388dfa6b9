// The downstream connection as the driver uses it: what h1-server.ts promises. HTTP/2 will promise the
// same over its streams.
import type { BodyKind } from '../http/body-decoder.ts';

/** The downstream connection as the driver uses it. */
export interface Downstream {
  /** Writes a response head; `kind` frames the body that follows. */
  sendHead(text: string, kind: BodyKind): void;
  sendInterim(text: string): void;
  /** False when the client is slow: wait for Driver.onDownstreamDrain. */
  sendBody(bytes: Buffer, start: number, end: number): boolean;
  sendText(text: string): void;
  /** Trailer lines with CRLF behind the body; what cannot carry them leaves them out. */
  sendTrailers(lines: string): void;
  /** The protocol has changed: what the client sends now goes to Driver.onRequestBody as it comes. */
  openTunnel(): void;
  /** FIN behind what was written; the client may go on sending. */
  endTunnel(): void;
  /** The response that follows is this connection's last. */
  closeAfter(): void;
  flush(): void;
  /** The response is complete and flushed; the exchange has ended. */
  endResponse(): void;
  /** Cut the connection: the client must not take what it got for complete. */
  abort(): void;
  /** The upstream takes request body (again). */
  resumeBody(): void;
  /** `connection: close␍␊` when this response is the last, else empty. Decides HTTP/1.0 too. */
  connectionField(kind: BodyKind): string;
}

// What a downstream HTTP/1.1 connection asks of whoever accepted it, and tells it: the listener, which
// knows whether it is draining and keeps the roster of what is open.
import type { H1Server } from './h1-server.ts';

export interface H1Owner {
  readonly isDraining: boolean;
  /** A client that began with HTTP/2 is told to come back with HTTP/1.1. */
  noteHttp2(): void;
  closed(server: H1Server): void;
}

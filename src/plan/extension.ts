// The interface between the sidecar and extensions in TypeScript, version 1. An extension is a module without imports
// that exports what ExtensionModule says; types of this file may be imported, for they are erased. It sees requests
// and responses through what is declared here, and gets no sockets, no timers and no files from it.
//
// Promise: within `outrigger.dev/extension/v1` declarations are only added to.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import type { HeaderId } from '../base/brand.ts';

export const EXTENSION_API = 'outrigger.dev/extension/v1';

/** The name of a header field, made by ExtensionEnv.header when the extension is compiled. */
export type HeaderName = HeaderId;

export interface ExtensionModule {
  /** `EXTENSION_API`. */
  readonly apiVersion: string;
  /** As it is asked for, for people who look at a file. */
  readonly name: string;
  /** JSON Schema of the configuration (src/plan/json-schema.ts says which part of it); absent: there is none to write. */
  readonly configSchema?: JsonObject;
  readonly compile: ExtensionCompile;
}

/** Called once for each place that uses the extension; null after reporting a problem. `config` has passed the schema. */
export type ExtensionCompile = (config: JsonObject, env: ExtensionEnv) => ExtensionSteps | null;

export interface ExtensionEnv {
  /** Of the filter: `outrigger.extension/NAME`. */
  readonly name: string;
  /** The workload's own requests go out here, or requests of others come in. */
  readonly isInbound: boolean;
  /** The handle of a field name; throws when it is no name of a field (RFC 9110 section 5.1), and after `compile` has returned. */
  header(name: string): HeaderName;
  /** Refuses the configuration. `path` is inside of it. */
  problem(path: string, message: string, remedy?: string): void;
  /** Uniform in [0, 1). */
  random(): number;
}

/**
 * What an extension does, by phase; each is called synchronously and must return at once. What returns a promise has
 * failed. A phase that is absent costs nothing.
 */
export interface ExtensionSteps {
  /** Before the request is routed on; it may answer by `reply`. */
  readonly onRequest?: (exchange: ExtensionExchange) => void;
  /** Before each attempt is sent. */
  readonly onAttempt?: (exchange: ExtensionExchange) => void;
  /** When the head of a response, ours or the app's, is about to be sent. */
  readonly onResponse?: (exchange: ExtensionExchange) => void;
  /** When all is over: for counting. */
  readonly onEnd?: (exchange: ExtensionExchange) => void;
}

/** Fields of a head. Values are Latin-1, a character for each byte. */
export interface ExtensionHead {
  /** The first field of the name; null when there is none. */
  get(name: HeaderName): string | null;
  /** All of them, joined by a comma (RFC 9110 section 5.3). */
  joined(name: HeaderName): string | null;
  has(name: HeaderName): boolean;
  /** One field in the place of all of the name. Throws for fields that frame the message and for values with control characters. */
  set(name: HeaderName, value: string): void;
  add(name: HeaderName, value: string): void;
  remove(name: HeaderName): void;
}

/** One request. It is the same object for all requests: keep nothing of it after a step has returned. */
export interface ExtensionExchange {
  readonly method: string;
  /** With the query, as it is routed. */
  readonly path: string;
  readonly authority: string;
  readonly request: ExtensionHead;
  readonly response: ExtensionHead;
  /** 0 before there is a response. */
  readonly status: number;
  /** Name of the route; empty while there is none. */
  readonly route: string;
  /** Attempts made so far. */
  readonly attempts: number;
  /** The peer's textual IP, and as trusted fields tell the client's. */
  readonly peerAddress: string;
  readonly clientAddress: string;
  /** The peer's SPIFFE id after mutual TLS; empty without. */
  readonly peerPrincipal: string;
  /** What another filter found out (`envoy.filters.http.jwt_authn`); frozen in spirit: do not change it. */
  metadata(namespace: string): JsonObject | null;
  /** Sets a value in the extension's own namespace, which is the name of its filter. */
  setMetadata(key: string, value: JsonValue): void;
  /** A mark that stays with the request from phase to phase. */
  isMarked: boolean;
  /** Answers the request: in onRequest only, and what is called after it in that step still runs. */
  reply(status: number, body: string): void;
  /** A field of that answer; call `reply` first. */
  replyHeader(name: HeaderName, value: string): void;
}

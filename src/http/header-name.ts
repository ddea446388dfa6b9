// @hot
// Header names as small integers. Every name that any configuration mentions is interned once, at
// config time; the head parser looks each received name up by a hash of its lower-cased bytes. A
// name that nothing mentions is 0 and is only ever copied. The table grows with configuration and
// never with traffic.
import { headerId, type HeaderId } from '../base/brand.ts';

/** A name that no configuration mentions. */
export const UNKNOWN: HeaderId = headerId(0);

/** The hash step and seed; the head parser inlines them over the bytes of a name. */
export const HASH_SEED = 0x811c9dc5;
export const hashStep = (hash: number, lowerByte: number): number => Math.imul(hash ^ lowerByte, 0x01000193);

const SLOTS_MIN = 1024;
const names: string[] = [''];
const hashes: number[] = [0];
let table = new Int32Array(SLOTS_MIN);

function hashOf(lowerName: string): number {
  let hash = HASH_SEED;
  for (let i = 0; i < lowerName.length; i++) hash = hashStep(hash, lowerName.charCodeAt(i));
  return hash | 0;
}

/** The id of a header name, in any case; interned on first use. Config time only. */
export function internHeader(name: string): HeaderId {
  const lowerName = name.toLowerCase();
  const hash = hashOf(lowerName);
  const mask = table.length - 1;
  let slot = hash & mask;
  for (let id = table[slot]; id !== undefined && id !== 0; id = table[slot]) {
    if (names[id] === lowerName) return headerId(id);
    slot = (slot + 1) & mask;
  }
  const id = names.length;
  names.push(lowerName);
  hashes.push(hash);
  if (names.length * 2 > table.length) grow();
  else table[slot] = id;
  return headerId(id);
}

function grow(): void {
  table = new Int32Array(table.length * 2);
  const mask = table.length - 1;
  for (let id = 1; id < names.length; id++) {
    let slot = (hashes[id] ?? 0) & mask;
    while (table[slot] !== 0) slot = (slot + 1) & mask;
    table[slot] = id;
  }
}

/** The lower-cased name behind an id; empty for UNKNOWN. */
export function headerNameOf(id: HeaderId): string {
  return names[id] ?? '';
}

/**
 * The id of the name at text[start, end), whose lower-cased hash is `hash`; UNKNOWN when no
 * configuration mentions it.
 */
export function lookUpHeader(hash: number, text: string, start: number, end: number): HeaderId {
  const mask = table.length - 1;
  let slot = hash & mask;
  for (;;) {
    const id = table[slot] as number;
    if (id === 0) return UNKNOWN;
    if (hashes[id] === hash && isSameName(names[id] as string, text, start, end)) return headerId(id);
    slot = (slot + 1) & mask;
  }
}

function isSameName(lowerName: string, text: string, start: number, end: number): boolean {
  if (lowerName.length !== end - start) return false;
  for (let i = 0; i < lowerName.length; i++) {
    let byte = text.charCodeAt(start + i);
    if (byte >= 0x41 && byte <= 0x5a) byte |= 0x20;
    if (byte !== lowerName.charCodeAt(i)) return false;
  }
  return true;
}

/** Names that the engine itself needs. */
export const H = {
  host: internHeader('host'),
  connection: internHeader('connection'),
  keepAlive: internHeader('keep-alive'),
  proxyConnection: internHeader('proxy-connection'),
  transferEncoding: internHeader('transfer-encoding'),
  contentLength: internHeader('content-length'),
  te: internHeader('te'),
  trailer: internHeader('trailer'),
  upgrade: internHeader('upgrade'),
  expect: internHeader('expect'),
  date: internHeader('date'),
  server: internHeader('server'),
  location: internHeader('location'),
  contentType: internHeader('content-type'),
  userAgent: internHeader('user-agent'),
  cookie: internHeader('cookie'),
  grpcStatus: internHeader('grpc-status'),
  forwardedFor: internHeader('x-forwarded-for'),
  forwardedProto: internHeader('x-forwarded-proto'),
  forwardedHost: internHeader('x-forwarded-host'),
  requestId: internHeader('x-request-id'),
  envoyOriginalPath: internHeader('x-envoy-original-path'),
  envoyUpstreamServiceTime: internHeader('x-envoy-upstream-service-time'),
  envoyExpectedTimeout: internHeader('x-envoy-expected-rq-timeout-ms'),
  envoyOverloaded: internHeader('x-envoy-overloaded'),
  outriggerError: internHeader('x-outrigger-error'),
  traceparent: internHeader('traceparent'),
  tracestate: internHeader('tracestate'),
} as const;

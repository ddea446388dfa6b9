// The listeners that wire cases are written for, as settings of the connection manager: an ordinary sidecar
// port, an edge, a sidecar's inbound port, the path normalisations, and one whose timeouts are short.
import type { HttpManager } from '../../../src/sidecar/http-manager.ts';
import type { WireCase } from './wire-case.ts';

type Settings = Partial<HttpManager>;

const STALL_MS = 150;

const PROFILES: Readonly<Record<string, Settings>> = {
  plain: {},
  edge: {
    useRemoteAddress: true,
    internalAddresses: { has: (address) => address.startsWith('10.') },
    underscoredHeaders: 'reject',
  },
  stall: { requestHeadersTimeoutMs: STALL_MS, requestTimeoutMs: STALL_MS },
  NONE: { normalizesPath: false },
  MERGE_SLASHES: { mergesSlashes: true },
  DECODE_AND_MERGE_SLASHES: { mergesSlashes: true, escapedSlashes: 'unescape-forward' },
};

/** The name of the listener that a case needs. */
export function profileOf({ name, context }: WireCase): string {
  if (name.endsWith('-stall')) return 'stall';
  const { pathNormalization, listener } = context ?? {};
  if (listener === 'edge') return 'edge';
  return pathNormalization === undefined || pathNormalization === 'BASE' ? 'plain' : pathNormalization;
}

export function managerOf(profile: string): Settings {
  return PROFILES[profile] ?? {};
}

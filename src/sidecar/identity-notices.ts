// What the readiness page says of the workload's identity, one sentence a line: until when the certificate is good, and,
// while the control service is away, that traffic goes on until then.
import type { Identity } from './identity.ts';

/** `awaySinceMs`: when the discovery stream was lost; null: it is there, or never was. */
export function identityNotices(identity: Identity, awaySinceMs: number | null): readonly string[] {
  const { issued, lifetime, failingSinceMs } = identity;
  const since = earliest(awaySinceMs, failingSinceMs);
  const away = since === null ? [] : [`the control service is away since ${time(since)}`];
  if (issued === null || lifetime === null) return ['there is no certificate yet', ...away];
  const expires = time(lifetime.expiresAtMs);
  if (identity.isExpired) {
    return [
      `the certificate of ${issued.uri} expired at ${expires}: no handshake begins until there is a new one`,
      ...away,
    ];
  }
  const left = `${Math.round(lifetime.leftMs / 1000)} s`;
  return [
    `the certificate of ${issued.uri} expires at ${expires}, in ${left}`,
    ...away.map((text) => `${text}: traffic goes on until ${expires}`),
  ];
}

function earliest(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other);
}

function time(epochMs: number): string {
  return new Date(epochMs).toISOString().replace(/\.\d+Z$/, 'Z');
}

// sessionPersistence of an HTTPRoute rule and of an XBackendTrafficPolicy (Gateway API SessionPersistence): requests of
// a session go to the endpoint that had its first, known by a cookie or a header.
import type { Fields } from './fields.ts';

export interface SessionPersistence {
  readonly carrier: 'cookie' | 'header';
  /** Of the cookie or the header; empty: one is made up. */
  readonly name: string;
  /** How long a cookie lasts; 0 is as long as the browser runs. */
  readonly lifetimeMs: number;
}

export interface SessionSection {
  readonly kind: 'sessionPersistence';
  readonly session: SessionPersistence;
}

const NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/;
const SECOND_MS = 1000;

export function readSessionPersistence(fields: Fields): SessionPersistence {
  const name = fields.text('sessionName');
  if (name !== '' && !NAME.test(name))
    fields.error('sessionName', `"${name}" cannot name a cookie or a header`, 'use letters, digits, - and _');
  const isHeader = fields.choice('type', ['Cookie', 'Header']) === 'Header';
  const absoluteMs = fields.durationMs('absoluteTimeout', 'gateway');
  const isPermanent =
    fields.object('cookieConfig', (cookie) => cookie.choice('lifetimeType', ['Permanent', 'Session'])) === 'Permanent';
  if (isHeader && fields.has('cookieConfig'))
    fields.warning('cookieConfig', 'has no effect on a session that a header carries', 'remove it');
  if (isPermanent && absoluteMs === null && !fields.has('absoluteTimeout'))
    fields.error('absoluteTimeout', 'a Permanent cookie needs absoluteTimeout', 'add absoluteTimeout: 1h or the like');
  if (isPermanent && !isHeader && absoluteMs !== null && absoluteMs < SECOND_MS)
    fields.error('absoluteTimeout', 'a cookie lasts for whole seconds', 'write at least 1s');
  if (absoluteMs !== null && (isHeader || !isPermanent))
    fields.warning(
      'absoluteTimeout',
      'is kept for Permanent cookies only: this session does not end by itself',
      'write cookieConfig: { lifetimeType: Permanent }, or remove it',
    );
  fields.later('idleTimeout');
  return {
    carrier: isHeader ? 'header' : 'cookie',
    name,
    lifetimeMs: isHeader || !isPermanent ? 0 : (absoluteMs ?? 0),
  };
}

// What a JSON web token says of itself, before anybody has checked it (RFC 7519). Only for deciding whom to ask about it,
// and for the end of one that has been checked by somebody who does not tell. Nothing else may read it.

export interface TokenClaims {
  readonly audiences: readonly string[];
  /** Infinity: it does not say. */
  readonly expiresAtMs: number;
}

const PARTS = /^[\w-]+\.[\w-]+\.[\w-]*$/;
const SECOND_MS = 1000;

/** Null when the text is no JSON web token. */
export function tokenClaims(token: string): TokenClaims | null {
  if (!PARTS.test(token)) return null;
  const payload = recordIn(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  if (payload === null) return null;
  const { aud, exp } = payload;
  const audiences = Array.isArray(aud) ? aud : [aud];
  return {
    audiences: audiences.filter((audience): audience is string => typeof audience === 'string'),
    expiresAtMs: typeof exp === 'number' ? exp * SECOND_MS : Infinity,
  };
}

function recordIn(text: string): { readonly aud?: unknown; readonly exp?: unknown } | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

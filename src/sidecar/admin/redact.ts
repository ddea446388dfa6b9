// Takes secrets out of what an operator is shown, as Envoy does: the fields that its API marks as sensitive
// (private keys, passwords, ticket keys, generic secrets) read `[redacted]`, wherever they stand.
import type { JsonValue } from '@bufbuild/protobuf';

const REDACTED = '[redacted]';
const REDACTED_BYTES = Buffer.from(REDACTED).toString('base64');

/** Field names that are secret everywhere, and fields that are secret inside of another. */
const SENSITIVE: ReadonlySet<string> = new Set(['private_key', 'password', 'pkcs12', 'private_key_provider']);
const SENSITIVE_INSIDE: ReadonlyMap<string, string> = new Map([
  ['session_ticket_keys', 'keys'],
  ['generic_secret', 'secret'],
]);

/** The same JSON, under proto field names, without secrets. */
export function redact(value: JsonValue, within = ''): JsonValue {
  if (Array.isArray(value)) return value.map((item) => redact(item, within));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      const isSecret = SENSITIVE.has(key) || SENSITIVE_INSIDE.get(within) === key || isSharedKey(within, key, item);
      return [key, isSecret ? hide(item, key) : redact(item, key)];
    }),
  );
}

/** A key set that is written down may hold a secret that tokens are signed with; public keys may be seen. */
function isSharedKey(within: string, key: string, value: JsonValue): boolean {
  if (within !== 'local_jwks' || typeof value !== 'string') return false;
  const text = key === 'inline_bytes' ? Buffer.from(value, 'base64').toString('latin1') : value;
  return /"(?:oct|k|d)"/.test(text);
}

/** Every text below is replaced; what kind of source it was may be seen. */
function hide(value: JsonValue, key: string): JsonValue {
  if (typeof value === 'string') return key === 'inline_bytes' ? REDACTED_BYTES : REDACTED;
  if (Array.isArray(value)) return value.map((item) => hide(item, key));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, name === '@type' ? item : hide(item, name)]),
  );
}

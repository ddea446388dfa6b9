// What the case `secure` puts in front of the mesh: a token that every request carries, verified by a key that stands in
// the configuration, and RBAC with five policies, of which the last lets the request in. Both proxies read the same.
import { generateKeyPairSync, sign } from 'node:crypto';

const ISSUER = 'https://issuer.bench';
const DAY_SECONDS = 86_400;

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A key made for this run, the token signed by it, and the filters that want it. */
export function securityOf(): { readonly filters: readonly unknown[]; readonly authorization: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: ISSUER, sub: 'bench', aud: ['shop'], group: ['readers'], exp: now + DAY_SECONDS };
  const signed = `${encoded({ alg: 'ES256', kid: 'k', typ: 'JWT' })}.${encoded(claims)}`;
  const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  const jwks = JSON.stringify({
    keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256', use: 'sig' }],
  });
  return {
    filters: [jwtFilter(jwks), rbacFilter('DENY', DENIED), rbacFilter('ALLOW', ALLOWED)],
    authorization: `Bearer ${signed}.${signature.toString('base64url')}`,
  };
}

function jwtFilter(jwks: string): unknown {
  return {
    name: 'envoy.filters.http.jwt_authn',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication',
      providers: {
        bench: {
          issuer: ISSUER,
          audiences: ['shop'],
          local_jwks: { inline_string: jwks },
          payload_in_metadata: 'payload',
          forward: true,
          // Envoy verifies each time unless it is told to remember.
          jwt_cache_config: { jwt_cache_size: 100 },
        },
      },
      rules: [{ match: { prefix: '/' }, requires: { provider_name: 'bench' } }],
    },
  };
}

type Policy = readonly [permissions: readonly unknown[], principals: readonly unknown[]];

const ANY = { any: true };
const path = (match: unknown): unknown => ({ url_path: { path: match } });
const method = (exact: string): unknown => ({ header: { name: ':method', string_match: { exact } } });
const claim = (name: string, exact: string): unknown => ({
  metadata: {
    filter: 'envoy.filters.http.jwt_authn',
    path: [{ key: 'payload' }, { key: name }],
    value: { string_match: { exact } },
  },
});
const caller = (address: string, bits: number): unknown => ({
  direct_remote_ip: { address_prefix: address, prefix_len: bits },
});

const DENIED: Readonly<Record<string, Policy>> = {
  admin: [[path({ prefix: '/admin' })], [ANY]],
  old: [[ANY], [{ header: { name: 'x-version', string_match: { prefix: 'v0' } } }]],
};
const ALLOWED: Readonly<Record<string, Policy>> = {
  health: [[path({ exact: '/healthz' })], [ANY]],
  private: [[method('PUT'), method('DELETE')], [caller('10.0.0.0', 8)]],
  users: [[method('GET'), method('POST')], [{ and_ids: { ids: [claim('iss', ISSUER), claim('sub', 'bench')] } }]],
};

function rbacFilter(action: string, policies: Readonly<Record<string, Policy>>): unknown {
  const written = Object.entries(policies).map(([name, [permissions, principals]]) => [
    name,
    { permissions, principals },
  ]);
  return {
    name: 'envoy.filters.http.rbac',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC',
      rules: { action, policies: Object.fromEntries(written) },
    },
  };
}

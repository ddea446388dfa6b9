// Where the sidecar finds the keys of a rule: in what the rule says, in what the control service fetched, or, when the
// address is that of a service of the mesh, by asking it through its cluster. While there are none, a key stands there
// that was made for this process and whose private half is gone, so that every token fails and none can be made; a
// filter without any key would be refused as a whole (CVE-2026-31837 was a key that everybody knew).
import { generateKeyPairSync } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { warning } from '../../base/problem.ts';
import type { Problem } from '../../base/problem.ts';
import type { TokenRule } from '../../config/request-authentication.ts';
import { DataSourceSchema } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { HttpUriSchema } from '../../xds/gen/envoy/config/core/v3/http_uri_pb.js';
import {
  JwksAsyncFetchSchema,
  RemoteJwksSchema,
  type JwtProvider,
} from '../../xds/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js';
import { jwksKey } from '../jwks-store.ts';
import type { JwksSource } from '../jwks-fetch.ts';
import { clusterName, isHttp } from '../mesh-service.ts';
import type { Scope } from '../scope.ts';
import type { Snapshot } from '../snapshot.ts';
import { duration } from './proto.ts';

const REMOTE_AGE_MS = 20 * 60_000;

export function keysFor(rule: TokenRule, scope: Scope): JwtProvider['jwksSourceSpecifier'] {
  if (rule.jwks !== '') return inline(rule.jwks);
  if (rule.issuer === '') return inline(nobodysKeys());
  const cluster = clusterOf(rule, scope.snapshot, (host) => scope.service(host) !== null);
  if (cluster !== null) return remote(rule, cluster);
  return inline(scope.snapshot.jwks.get(jwksKey(sourceOf(rule)))?.jwks ?? nobodysKeys());
}

/** What the control service is to fetch: everything that is not written down and no service of the mesh has. */
export function wantedJwks(snapshot: Snapshot): readonly JwksSource[] {
  return snapshot.requestAuthentications.flatMap(({ spec }) =>
    spec.rules.filter((rule) => isFetched(rule, snapshot)).map(sourceOf),
  );
}

/** What could not be fetched, said where it is asked for. */
export function checkJwks(snapshot: Snapshot): readonly Problem[] {
  const problems: Problem[] = [];
  for (const { spec, source } of snapshot.requestAuthentications) {
    for (const [index, rule] of spec.rules.entries()) {
      const state = isFetched(rule, snapshot) ? snapshot.jwks.get(jwksKey(sourceOf(rule))) : undefined;
      if (state === undefined || state.failure === '') continue;
      const field = rule.jwksUri === '' ? 'issuer' : 'jwksUri';
      const path = `spec.jwtRules[${index}].${field}`;
      const effect = state.jwks === null ? 'no token of this issuer passes' : 'the last good keys stay in force';
      const message = `the keys cannot be fetched (${state.failure}); ${effect}`;
      problems.push(warning(path, message, remedyFor(state.failure), source.locate(path)));
    }
  }
  return problems;
}

function remedyFor(failure: string): string {
  if (!failure.includes('private address')) return 'correct the address, or write the keys as jwks';
  return 'write a service of the mesh or the keys as jwks, or run the control service with --jwks-allow-private';
}

function isFetched(rule: TokenRule, snapshot: Snapshot): boolean {
  return rule.issuer !== '' && rule.jwks === '' && clusterOf(rule, snapshot, () => true) === null;
}

function sourceOf({ jwksUri, issuer, timeoutMs }: TokenRule): JwksSource {
  return { uri: jwksUri, issuer, timeoutMs };
}

/** Null when no service of the mesh answers there for HTTP. */
function clusterOf({ jwksUri }: TokenRule, snapshot: Snapshot, isSeen: (host: string) => boolean): string | null {
  const url = URL.canParse(jwksUri) ? new URL(jwksUri) : null;
  if (url === null || url.protocol !== 'http:') return null;
  const service = snapshot.services.get(url.hostname);
  const number = url.port === '' ? 80 : Number(url.port);
  const port = service?.ports.find((one) => one.number === number);
  if (service === undefined || port === undefined || !isHttp(port.protocol) || port.isTls) return null;
  return isSeen(service.host) ? clusterName('outbound', number, '', service.host) : null;
}

function inline(text: string): JwtProvider['jwksSourceSpecifier'] {
  return {
    case: 'localJwks',
    value: create(DataSourceSchema, { specifier: { case: 'inlineString', value: text } }),
  };
}

/** Fetched by the sidecar in the background; the listener does not wait for it. */
function remote({ jwksUri, timeoutMs }: TokenRule, cluster: string): JwtProvider['jwksSourceSpecifier'] {
  const httpUri = create(HttpUriSchema, {
    uri: jwksUri,
    httpUpstreamType: { case: 'cluster', value: cluster },
    timeout: duration(timeoutMs),
  });
  const asyncFetch = create(JwksAsyncFetchSchema, { fastListener: true });
  const value = create(RemoteJwksSchema, { httpUri, cacheDuration: duration(REMOTE_AGE_MS), asyncFetch });
  return { case: 'remoteJwks', value };
}

let nobodys = '';

/** The public half of a pair that is thrown away; the same for the whole life of the process. */
function nobodysKeys(): string {
  if (nobodys === '') {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    nobodys = JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'none', alg: 'ES256' }] });
  }
  return nobodys;
}

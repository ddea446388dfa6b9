// Compiles whom a policy of RBAC speaks of (Principal): by the certificate of the connection, by address, header, path
// and metadata, and lists of these. The certificate counts only where it was verified; what does not change
// while a connection lasts is judged once for it. Filter state holds nothing but the peer's identity.
// Source: Envoy source/extensions/filters/common/rbac/matchers.cc (AuthenticatedMatcher).
import { assertNever } from '../base/assert.ts';
import { compileMetadataMatcher } from '../plan/dynamic-metadata.ts';
import type { Connection, Exchange } from '../plan/exchange.ts';
import { compileHeaderMatch } from '../plan/header-match.ts';
import { compileStringMatch, type StringPredicate } from '../plan/string-match.ts';
import { wireText } from '../plan/wire-text.ts';
import type { Principal, Principal_Authenticated } from '../xds/gen/envoy/config/rbac/v3/rbac_pb.js';
import type { FilterStateMatcher } from '../xds/gen/envoy/type/matcher/v3/filter_state_pb.js';
import { ALWAYS, NEVER, allOf, anyOf, notOf, oncePerConnection, type Judge } from './rbac-judge.ts';
import {
  compileAll,
  compileRange,
  compileSourced,
  compileUrlPath,
  inside,
  refuse,
  warn,
  type RbacPlace,
} from './rbac-place.ts';

/** Where Istio's proxies keep the identity of the peer. */
const PEER_STATE = 'io.istio.peer_principal';

/** Null after reporting why the principal is refused. */
export function compilePrincipal({ identifier }: Principal, place: RbacPlace): Judge | null {
  switch (identifier.case) {
    case 'andIds': {
      const all = compileAll(identifier.value.ids, inside(place, 'and_ids.ids'), compilePrincipal);
      return all === null ? null : allOf(all);
    }
    case 'orIds': {
      const all = compileAll(identifier.value.ids, inside(place, 'or_ids.ids'), compilePrincipal);
      return all === null ? null : anyOf(all);
    }
    case 'notId': {
      const at = inside(place, 'not_id');
      const [inner] = compileAll([identifier.value], at, (config) => compilePrincipal(config, at)) ?? [];
      return inner === undefined ? null : notOf(inner);
    }
    case 'any':
      return identifier.value ? ALWAYS : refuse(inside(place, 'any'), 'must be true', 'write any: true');
    case 'authenticated':
      return compileAuthenticated(identifier.value, inside(place, 'authenticated'));
    case 'sourceIp':
      return compileRange(identifier.value, inside(place, 'source_ip'), peerAddress);
    case 'directRemoteIp':
      return compileRange(identifier.value, inside(place, 'direct_remote_ip'), directAddress);
    case 'remoteIp':
      return compileRange(identifier.value, inside(place, 'remote_ip'), clientAddress);
    case 'header': {
      const holds = compileHeaderMatch(identifier.value, place.problems, `${place.path}.header`);
      return holds === null ? null : ({ request }) => holds(request);
    }
    case 'urlPath':
      return compileUrlPath(identifier.value, inside(place, 'url_path'));
    case 'metadata':
      return compileMetadataMatcher(identifier.value, place.problems, `${place.path}.metadata`);
    case 'sourcedMetadata':
      return compileSourced(identifier.value, inside(place, 'sourced_metadata'));
    case 'filterState':
      return compileState(identifier.value, inside(place, 'filter_state'));
    case undefined:
      return refuse(place, 'asks for nothing that is known', 'write any: true, or a condition');
    default:
      return assertNever(identifier);
  }
}

function peerAddress({ connection }: Exchange): string {
  return connection.remoteAddress;
}

function directAddress({ connection }: Exchange): string {
  return connection.directAddress ?? connection.remoteAddress;
}

function clientAddress({ connection, clientAddress: told }: Exchange): string {
  return told === '' ? connection.remoteAddress : told;
}

function compileAuthenticated({ principalName }: Principal_Authenticated, place: RbacPlace): Judge | null {
  if (principalName === undefined) return ({ connection }) => connection.isTls;
  const holds = compileStringMatch(principalName, place.problems, `${place.path}.principal_name`);
  return holds === null ? null : oncePerConnection((connection) => isNamed(connection, holds));
}

/** One of the URI names, else one of the DNS names, else the subject. */
function isNamed({ tls, peerPrincipal }: Connection, holds: StringPredicate): boolean {
  if (tls === null) return false;
  if (!tls.isVerified || tls.certificate === null) return peerPrincipal !== '' ? holds(peerPrincipal) : holds('');
  const { names, subject } = tls.certificate;
  for (const uri of names.uri) if (holds(wireText(uri))) return true;
  for (const dns of names.dns) if (holds(wireText(dns))) return true;
  return holds(wireText(subject));
}

function compileState({ key, matcher }: FilterStateMatcher, place: RbacPlace): Judge | null {
  if (matcher.case !== 'stringMatch')
    return refuse(place, 'asks for something that filter state does not hold', 'write string_match');
  const holds = compileStringMatch(matcher.value, place.problems, `${place.path}.string_match`);
  if (holds === null) return null;
  if (key === PEER_STATE) return ({ connection }) => connection.peerPrincipal !== '' && holds(connection.peerPrincipal);
  warn(place, `is never true: nobody sets ${JSON.stringify(key)}`);
  return NEVER;
}

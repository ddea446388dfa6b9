// Redirects and path rewrites of both rule languages as Envoy's RedirectAction and rewrite fields.
import { create } from '@bufbuild/protobuf';
import type { PathModifier, RouteFilter } from '../../config/http-route-filter.ts';
import type { Redirect } from '../../config/virtual-service.ts';
import {
  RedirectActionSchema,
  RedirectAction_RedirectResponseCode as Code,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { RedirectAction } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { RegexMatchAndSubstituteSchema } from '../../xds/gen/envoy/type/matcher/v3/regex_pb.js';
import type { RegexMatchAndSubstitute } from '../../xds/gen/envoy/type/matcher/v3/regex_pb.js';

const CODES: ReadonlyMap<number, Code> = new Map([
  [301, Code.MOVED_PERMANENTLY],
  [302, Code.FOUND],
  [303, Code.SEE_OTHER],
  [307, Code.TEMPORARY_REDIRECT],
  [308, Code.PERMANENT_REDIRECT],
]);

export function redirectAction(redirect: Redirect, requestPort: number): RedirectAction {
  const port = redirect.derivePort === 'FROM_REQUEST_PORT' ? requestPort : redirect.port;
  const action = create(RedirectActionSchema, {
    hostRedirect: redirect.authority,
    portRedirect: withoutDefault({ port, scheme: redirect.scheme, host: redirect.authority, requestPort }),
    responseCode: CODES.get(redirect.code) ?? Code.MOVED_PERMANENTLY,
  });
  if (redirect.scheme !== '') action.schemeRewriteSpecifier = { case: 'schemeRedirect', value: redirect.scheme };
  const prefix = '%PREFIX()%';
  if (redirect.uri.startsWith(prefix))
    action.pathRewriteSpecifier = { case: 'prefixRewrite', value: redirect.uri.slice(prefix.length) };
  else if (redirect.uri !== '') action.pathRewriteSpecifier = { case: 'pathRedirect', value: redirect.uri };
  return action;
}

type RedirectFilter = Extract<RouteFilter, { kind: 'redirect' }>;

/** `matched` is the path prefix that the rule matched; `requestPort` the port of the Service. */
export function gatewayRedirect(filter: RedirectFilter, matched: string, requestPort: number): RedirectAction {
  // An explicit port wins, a scheme brings its default port, else the port stays the request's.
  const schemePort = { http: 80, https: 443, '': requestPort }[filter.scheme] ?? 0;
  const port = filter.port === 0 ? schemePort : filter.port;
  const action = create(RedirectActionSchema, {
    hostRedirect: filter.hostname,
    portRedirect: withoutDefault({
      port,
      scheme: filter.scheme === '' ? 'http' : filter.scheme,
      host: filter.hostname,
      requestPort,
    }),
    responseCode: CODES.get(filter.status) ?? Code.FOUND,
  });
  if (filter.scheme !== '') action.schemeRewriteSpecifier = { case: 'schemeRedirect', value: filter.scheme };
  const rewrite = filter.path === null ? null : pathRewrite(filter.path, matched);
  if (filter.path?.kind === 'full') action.pathRewriteSpecifier = { case: 'pathRedirect', value: filter.path.path };
  else if (rewrite?.kind === 'prefix') action.pathRewriteSpecifier = { case: 'prefixRewrite', value: rewrite.value };
  else if (rewrite?.kind === 'regex') action.pathRewriteSpecifier = { case: 'regexRewrite', value: rewrite.value };
  return action;
}

interface PortChoice {
  readonly port: number;
  readonly scheme: string;
  readonly host: string;
  readonly requestPort: number;
}

/**
 * `:80` and `:443` are left out where the scheme implies them. Where Envoy keeps the request's host it keeps a port in it too,
 * but for `:80` when the scheme changes, so a port that is not the request's must be named.
 */
function withoutDefault({ port, scheme, host, requestPort }: PortChoice): number {
  const isDefault = (scheme === 'http' && port === 80) || (scheme === 'https' && port === 443);
  return isDefault && (host !== '' || port === requestPort || requestPort === 80) ? 0 : port;
}

export type PathRewrite =
  | { readonly kind: 'prefix'; readonly value: string }
  | { readonly kind: 'regex'; readonly value: RegexMatchAndSubstitute };

/**
 * A path modifier as Envoy's prefix or regex rewrite; null when it changes nothing. ReplacePrefixMatch works
 * on whole segments and without trailing slashes (the table in the Gateway API's HTTPPathModifier).
 */
export function pathRewrite(modifier: PathModifier, matched: string): PathRewrite | null {
  if (modifier.kind === 'full') return substitute('.*', modifier.path.replaceAll('\\', '\\\\'));
  const from = matched.replace(/\/+$/, '');
  const to = modifier.path.replace(/\/+$/, '');
  if (from === to) return null;
  if (from === '') return { kind: 'prefix', value: `${to}/` };
  if (to === '') return substitute(`^${escapeRegex(from)}/?`, '/');
  return { kind: 'prefix', value: to };
}

export function substitute(
  pattern: string,
  substitution: string,
): { readonly kind: 'regex'; readonly value: RegexMatchAndSubstitute } {
  return { kind: 'regex', value: create(RegexMatchAndSubstituteSchema, { pattern: { regex: pattern }, substitution }) };
}

function escapeRegex(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

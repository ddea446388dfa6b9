// Host rewrites: the authority that goes upstream, from a literal, a header, the path, or the chosen
// endpoint's hostname. With append_x_forwarded_host the host as it was is appended to
// x-forwarded-host, unless it is the last value there already.
// Source: Envoy RouteAction.host_rewrite_specifier.
import { assertNever } from '../base/assert.ts';
import type { HeaderId } from '../base/brand.ts';
import type { Problem } from '../base/problem.ts';
import { H, internHeader } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import { headerSource, readHeader, type HeaderSource } from '../plan/header-source.ts';
import { CONTINUE, type Origin, type PlanPart, type Verdict } from '../plan/plan.ts';
import { compileRegexRewrite, type RegexRewrite } from '../plan/regex-rewrite.ts';
import { step } from '../plan/step.ts';
import { wireText } from '../plan/wire-text.ts';
import type { RouteAction } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { pathEnd } from './path-end.ts';

/** An empty part when the host stays as it is. */
export function compileHostRewrite(action: RouteAction, problems: Problem[], path: string, origin: Origin): PlanPart {
  const { hostRewriteSpecifier: specifier, appendXForwardedHost: keepsHost } = action;
  switch (specifier.case) {
    case 'hostRewriteLiteral':
      if (specifier.value === '') return {};
      return { onRequest: [step('rewrite-host', origin, runLiteral, { to: wireText(specifier.value), keepsHost })] };
    case 'autoHostRewrite':
      if (!specifier.value.value) return {};
      return { onAttempt: [step('rewrite-host-to-endpoint', origin, runEndpoint, { keepsHost })] };
    case 'hostRewriteHeader':
      if (specifier.value === '') return {};
      return {
        onRequest: [step('rewrite-host', origin, runHeader, { source: headerSource(specifier.value), keepsHost })],
      };
    case 'hostRewritePathRegex': {
      const regex = compileRegexRewrite(specifier.value, problems, `${path}.host_rewrite_path_regex`);
      return regex === null ? {} : { onRequest: [step('rewrite-host', origin, runRegex, { regex, keepsHost })] };
    }
    case undefined:
      return {};
    default:
      return assertNever(specifier);
  }
}

function runLiteral(x: Exchange, arg: { readonly to: string; readonly keepsHost: boolean }): Verdict {
  rewriteHost(x, arg.to, arg.keepsHost);
  return CONTINUE;
}

function runHeader(x: Exchange, arg: { readonly source: HeaderSource; readonly keepsHost: boolean }): Verdict {
  const value = readHeader(x.request, arg.source);
  if (value !== null && value !== '') rewriteHost(x, value, arg.keepsHost);
  return CONTINUE;
}

function runRegex(x: Exchange, arg: { readonly regex: RegexRewrite; readonly keepsHost: boolean }): Verdict {
  const { path } = x.request;
  rewriteHost(x, arg.regex.rewrite(path.slice(0, pathEnd(path))), arg.keepsHost);
  return CONTINUE;
}

/** Runs for every attempt: a retry may go to an endpoint of another name. */
function runEndpoint(x: Exchange, arg: { readonly keepsHost: boolean }): Verdict {
  const hostname = x.endpoint === null ? '' : x.endpoint.hostname;
  // The host that the client asked for is kept once, not the endpoints of earlier attempts.
  if (hostname !== '' && hostname !== x.request.authority) rewriteHost(x, hostname, arg.keepsHost && x.attempts <= 1);
  return CONTINUE;
}

export function rewriteHost(x: Exchange, authority: string, keepsHost: boolean): void {
  const { request } = x;
  if (keepsHost && request.authority !== '') appendUnlessLast(x, H.forwardedHost, request.authority);
  request.setAuthority(authority);
}

function appendUnlessLast(x: Exchange, id: HeaderId, value: string): void {
  const { request } = x;
  const joined = request.getJoined(id);
  if (joined === null || joined === '') {
    request.set(id, value);
    return;
  }
  const last = joined.slice(joined.lastIndexOf(',') + 1).trim();
  if (last !== value) request.set(id, `${joined},${value}`);
}

/** The header that counts attempts, in requests and responses. */
export const ATTEMPT_COUNT = internHeader('x-envoy-attempt-count');

// Host rewrites: the authority that goes upstream, from a literal, a header, the path, or the chosen
// endpoint's hostname. The host as it was goes into x-envoy-original-host (unless Envoy's headers are
// suppressed), and with append_x_forwarded_host it is appended to x-forwarded-host, unless it is the last
// value there already.
// Source: Envoy RouteAction.host_rewrite_specifier.
import { assertNever } from '../base/assert.ts';
import type { HeaderId } from '../base/brand.ts';
import type { Problem } from '../base/problem.ts';
import { H, internHeader } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import { headerSource, readHeader, type HeaderSource } from '../plan/header-source.ts';
import { compileFormat, type Format } from '../plan/format.ts';
import { CONTINUE, type Origin, type PlanPart, type Verdict } from '../plan/plan.ts';
import { compileRegexRewrite, type RegexRewrite } from '../plan/regex-rewrite.ts';
import { step } from '../plan/step.ts';
import { wireText } from '../plan/wire-text.ts';
import type { RouteAction } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { pathEnd } from './path-end.ts';

export interface HostRewriteContext {
  readonly problems: Problem[];
  readonly origin: Origin;
  /** False leaves x-envoy-original-host out (Router.suppress_envoy_headers). */
  readonly keepsOriginal: boolean;
}

/** Where the host as it was stays to be seen. */
export interface HostKeeping {
  readonly keepsOriginal: boolean;
  /** RouteAction.append_x_forwarded_host. */
  readonly appendsForwarded: boolean;
}

/** An empty part when the host stays as it is. */
export function compileHostRewrite(action: RouteAction, context: HostRewriteContext, path: string): PlanPart {
  const { problems, origin, keepsOriginal } = context;
  const { hostRewriteSpecifier: specifier } = action;
  const keeping: HostKeeping = { keepsOriginal, appendsForwarded: action.appendXForwardedHost };
  switch (specifier.case) {
    case 'hostRewriteLiteral':
      if (specifier.value === '') return {};
      return { onRequest: [step('rewrite-host', origin, runLiteral, { to: wireText(specifier.value), keeping })] };
    case 'autoHostRewrite':
      if (!specifier.value.value) return {};
      return { onAttempt: [step('rewrite-host-to-endpoint', origin, runEndpoint, keeping)] };
    case 'hostRewriteHeader':
      if (specifier.value === '') return {};
      return {
        onRequest: [step('rewrite-host', origin, runHeader, { source: headerSource(specifier.value), keeping })],
      };
    case 'hostRewritePathRegex': {
      const regex = compileRegexRewrite(specifier.value, problems, `${path}.host_rewrite_path_regex`);
      return regex === null ? {} : { onRequest: [step('rewrite-host', origin, runRegex, { regex, keeping })] };
    }
    case 'hostRewrite': {
      if (specifier.value === '') return {};
      const format = compileFormat(specifier.value, problems, `${path}.host_rewrite`);
      return format === null ? {} : { onRequest: [step('rewrite-host', origin, runFormat, { format, keeping })] };
    }
    case undefined:
      return {};
    default:
      return assertNever(specifier);
  }
}

function runLiteral(x: Exchange, arg: { readonly to: string; readonly keeping: HostKeeping }): Verdict {
  rewriteHost(x, arg.to, arg.keeping);
  return CONTINUE;
}

function runHeader(x: Exchange, arg: { readonly source: HeaderSource; readonly keeping: HostKeeping }): Verdict {
  const value = readHeader(x.request, arg.source);
  if (value !== null && value !== '') rewriteHost(x, value, arg.keeping);
  return CONTINUE;
}

function runRegex(x: Exchange, arg: { readonly regex: RegexRewrite; readonly keeping: HostKeeping }): Verdict {
  const { path } = x.request;
  rewriteHost(x, arg.regex.rewrite(path.slice(0, pathEnd(path))), arg.keeping);
  return CONTINUE;
}

/** What is absent is a dash here, as Envoy has it; a format that comes to nothing leaves the host alone. */
function runFormat(x: Exchange, arg: { readonly format: Format; readonly keeping: HostKeeping }): Verdict {
  const authority = arg.format.run(x);
  if (authority !== '') rewriteHost(x, authority, arg.keeping);
  return CONTINUE;
}

/** Runs for every attempt: a retry may go to an endpoint of another name. */
function runEndpoint(x: Exchange, keeping: HostKeeping): Verdict {
  const hostname = x.endpoint === null ? '' : x.endpoint.hostname;
  // The host that the client asked for is kept once, not the endpoints of earlier attempts.
  if (hostname === '' || hostname === x.request.authority) return CONTINUE;
  if (x.attempts <= 1) rewriteHost(x, hostname, keeping);
  else x.request.setAuthority(hostname);
  return CONTINUE;
}

export function rewriteHost(x: Exchange, authority: string, keeping: HostKeeping): void {
  const { request } = x;
  if (keeping.appendsForwarded && request.authority !== '') appendUnlessLast(x, H.forwardedHost, request.authority);
  if (keeping.keepsOriginal) request.set(ORIGINAL_HOST, request.authority);
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

const ORIGINAL_HOST = internHeader('x-envoy-original-host');

/** The header that counts attempts, in requests and responses. */
export const ATTEMPT_COUNT = internHeader('x-envoy-attempt-count');

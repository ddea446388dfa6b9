// Redirects: the new location is absolute and made of the request's own parts, each swapped when the
// action says so. The port of the request's host is dropped when the redirect changes it, or when it
// was the default port of a scheme that the redirect leaves.
// Source: Envoy RedirectAction; VirtualHost.require_tls.
import { error, type Problem } from '../base/problem.ts';
import { H } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import { compileFormat, type Format } from '../plan/format.ts';
import { REPLY, type Verdict } from '../plan/plan.ts';
import { wireText } from '../plan/wire-text.ts';
import {
  RedirectAction_RedirectResponseCode as Code,
  type RedirectAction,
} from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { applyResponseEdits, type ResponseEdits } from '../plan/header-edits.ts';
import { compilePathRewrite, rewritePath, type PathRewrite, type PathRewriteContext } from './path-rewrite.ts';

export interface Redirect {
  readonly status: number;
  /** Each is empty when the request's own is kept. */
  readonly scheme: string;
  readonly host: string;
  /** With its colon. */
  readonly port: string;
  readonly path: string;
  /** Makes the path; null when there is no such format. */
  readonly pathFormat: Format | null;
  readonly stripsQuery: boolean;
  readonly rewrite: PathRewrite | null;
  readonly edits: ResponseEdits;
}

/** What a virtual host that requires TLS does with a plaintext request: https, and all else as it was. */
export function runHttpsRedirect(x: Exchange): Verdict {
  const { request } = x;
  x.response.status = 301;
  x.response.add(H.location, 'https://' + request.authority + request.path);
  x.replyBody = '';
  x.details = 'direct_response';
  return REPLY;
}

export function compileRedirect(
  action: RedirectAction,
  context: PathRewriteContext,
  edits: ResponseEdits,
  path: string,
): Redirect {
  const { schemeRewriteSpecifier: scheme, pathRewriteSpecifier: specifier } = action;
  const rewrite = compilePathRewrite(
    {
      prefixRewrite: specifier.case === 'prefixRewrite' ? specifier.value : '',
      regexRewrite: specifier.case === 'regexRewrite' ? specifier.value : undefined,
      policy: undefined,
      format: '',
    },
    context,
    path,
  );
  let newScheme = '';
  if (scheme.case === 'schemeRedirect') newScheme = scheme.value;
  else if (scheme.case === 'httpsRedirect' && scheme.value) newScheme = 'https';
  return {
    status: statusOf(action.responseCode, context.problems, path),
    scheme: newScheme,
    host: wireText(action.hostRedirect),
    port: action.portRedirect === 0 ? '' : `:${action.portRedirect}`,
    path: specifier.case === 'pathRedirect' ? wireText(specifier.value) : '',
    pathFormat:
      specifier.case === 'pathRewrite'
        ? compileFormat(specifier.value, context.problems, `${path}.path_rewrite`, '')
        : null,
    stripsQuery: action.stripQuery,
    rewrite,
    edits,
  };
}

function statusOf(code: Code, problems: Problem[], path: string): number {
  switch (code) {
    case Code.MOVED_PERMANENTLY:
      return 301;
    case Code.FOUND:
      return 302;
    case Code.SEE_OTHER:
      return 303;
    case Code.TEMPORARY_REDIRECT:
      return 307;
    case Code.PERMANENT_REDIRECT:
      return 308;
    default:
      problems.push(error(`${path}.response_code`, `has no meaning for ${String(code)}`));
      return 301;
  }
}

export function runRedirect(x: Exchange, arg: Redirect): Verdict {
  if (arg.rewrite !== null) rewritePath(x, arg.rewrite);
  const location = locationOf(x, arg);
  x.response.status = arg.status;
  x.response.add(H.location, location);
  x.replyBody = '';
  x.details = 'direct_response';
  applyResponseEdits(x, arg.edits);
  return REPLY;
}

/** The absolute URI that this request is sent to. */
export function locationOf(x: Exchange, arg: Redirect): string {
  const { request } = x;
  const scheme = arg.scheme === '' ? request.scheme : arg.scheme;
  const host = arg.host === '' ? hostOf(x, scheme, arg.port) : arg.host;
  let path = arg.pathFormat === null ? arg.path : arg.pathFormat.run(x);
  const hasOwnQuery = path.indexOf('?') !== -1;
  if (path === '') {
    path = request.path;
  } else if (!hasOwnQuery) {
    const question = request.path.indexOf('?');
    if (question !== -1) path += request.path.slice(question);
  }
  if (path.charCodeAt(0) !== 0x2f) path = '/' + path;
  if (arg.stripsQuery && !hasOwnQuery) {
    const question = path.indexOf('?');
    if (question !== -1) path = path.slice(0, question);
  }
  return scheme + '://' + host + arg.port + path;
}

function hostOf(x: Exchange, scheme: string, port: string): string {
  const { authority } = x.request;
  const bracket = authority.charCodeAt(0) === 0x5b ? authority.lastIndexOf(']:') : -2;
  const colon = bracket === -2 ? authority.lastIndexOf(':') : bracket + 1;
  if (colon <= 0) return authority;
  if (port !== '') return authority.slice(0, colon);
  const was = protocolOf(x);
  const given = authority.slice(colon);
  const isDefault = (was === 'https' && given === ':443') || (was === 'http' && given === ':80');
  return scheme !== was && isDefault ? authority.slice(0, colon) : authority;
}

/** What the client spoke: x-forwarded-proto when there is one, else the scheme. */
export function protocolOf(x: Exchange): string {
  const forwarded = x.request.get(H.forwardedProto);
  return forwarded === null || forwarded === '' ? x.request.scheme : forwarded;
}

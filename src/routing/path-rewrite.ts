// Path rewrites of routes and redirects: the matched prefix swapped for another, a regular expression
// substituted, or a URI template filled. The query stays as it is. The path as it was goes into
// x-envoy-original-path (unless Envoy's headers are suppressed) and `x.originalPath`.
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { error, type Problem } from '../base/problem.ts';
import { H } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import { CONTINUE, type Origin, type Step, type Verdict } from '../plan/plan.ts';
import { compileFormat } from '../plan/format.ts';
import { compileRegexRewrite } from '../plan/regex-rewrite.ts';
import { step } from '../plan/step.ts';
import { foldCase } from '../plan/string-match.ts';
import { wireText } from '../plan/wire-text.ts';
import type { TypedExtensionConfig } from '../xds/gen/envoy/config/core/v3/extension_pb.js';
import type { RegexMatchAndSubstitute } from '../xds/gen/envoy/type/matcher/v3/regex_pb.js';
import { UriTemplateRewriteConfigSchema } from '../xds/gen/envoy/extensions/path/rewrite/uri_template/v3/uri_template_rewrite_pb.js';
import type { PathRule } from './path-rule.ts';
import { pathEnd } from './path-end.ts';
import { compileUriRewrite } from '../plan/uri-template.ts';

/** What a RouteAction or a RedirectAction says of the path. */
export interface PathRewriteConfig {
  readonly prefixRewrite: string;
  readonly regexRewrite: RegexMatchAndSubstitute | undefined;
  readonly policy: TypedExtensionConfig | undefined;
  /** A format of the whole path; empty when there is none. */
  readonly format: string;
}

export interface PathRewrite {
  readonly kind: 'prefix' | 'regex' | 'template' | 'format';
  readonly to: string;
  readonly keepsOriginal: boolean;
  /** The new path without query for a path without query; null or empty leaves the path alone. */
  readonly rewrite: (pathname: string, x: Exchange) => string | null;
}

export interface PathRewriteContext {
  readonly rule: PathRule;
  readonly problems: Problem[];
  readonly keepsOriginal: boolean;
}

/** Null when nothing is to be rewritten, or after reporting why it cannot be. */
export function compilePathRewrite(
  config: PathRewriteConfig,
  context: PathRewriteContext,
  path: string,
): PathRewrite | null {
  const { problems, rule, keepsOriginal } = context;
  const given = [
    config.prefixRewrite !== '',
    config.regexRewrite !== undefined,
    config.policy !== undefined,
    config.format !== '',
  ];
  if (given.filter(Boolean).length > 1) {
    problems.push(
      error(
        path,
        'has more than one of prefix_rewrite, regex_rewrite, path_rewrite_policy and path_rewrite',
        'keep one of them',
      ),
    );
    return null;
  }
  if (config.prefixRewrite !== '') {
    const to = wireText(config.prefixRewrite);
    return { kind: 'prefix', to, keepsOriginal, rewrite: prefixRewrite(rule, to) };
  }
  if (config.regexRewrite !== undefined) {
    const regex = compileRegexRewrite(config.regexRewrite, problems, `${path}.regex_rewrite`);
    return regex === null
      ? null
      : { kind: 'regex', to: `${regex.regex} -> ${regex.substitution}`, keepsOriginal, rewrite: regex.rewrite };
  }
  if (config.format !== '') {
    const format = compileFormat(config.format, problems, `${path}.path_rewrite`, '');
    return format === null
      ? null
      : { kind: 'format', to: config.format, keepsOriginal, rewrite: (_pathname, x) => format.run(x) };
  }
  return config.policy === undefined ? null : compilePolicy(config.policy, context, `${path}.path_rewrite_policy`);
}

function compilePolicy(policy: TypedExtensionConfig, context: PathRewriteContext, path: string): PathRewrite | null {
  const { problems, rule, keepsOriginal } = context;
  const config =
    policy.typedConfig === undefined ? undefined : anyUnpack(policy.typedConfig, UriTemplateRewriteConfigSchema);
  if (config === undefined) {
    const found = policy.typedConfig?.typeUrl ?? '';
    problems.push(
      error(
        `${path}.typed_config`,
        `'${found}' is not a path rewriter that is supported`,
        'use envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig',
      ),
    );
    return null;
  }
  if (rule.kind !== 'template') {
    problems.push(
      error(path, 'needs a route that matches by a URI template', 'use match.path_match_policy, or regex_rewrite'),
    );
    return null;
  }
  const rewrite = compileUriRewrite(
    config.pathTemplateRewrite,
    rule.template,
    problems,
    `${path}.typed_config.path_template_rewrite`,
  );
  return rewrite === null ? null : { kind: 'template', to: rewrite.source, keepsOriginal, rewrite: rewrite.rewrite };
}

/**
 * Swaps what the rule has matched: its literal, or else the whole path. A path that matched only once its
 * parameters were ignored may not begin with the literal, and stays.
 */
function prefixRewrite(rule: PathRule, to: string): PathRewrite['rewrite'] {
  if (rule.kind !== 'exact' && rule.kind !== 'prefix' && rule.kind !== 'separated-prefix') return () => to;
  const { text, isFolded } = rule;
  return (pathname) => {
    const start = pathname.slice(0, text.length);
    return (isFolded ? foldCase(start) : start) === text ? to + pathname.slice(text.length) : '';
  };
}

export function pathRewriteStep(rewrite: PathRewrite, origin: Origin): Step {
  return step('rewrite-path', origin, runPathRewrite, rewrite);
}

function runPathRewrite(x: Exchange, arg: PathRewrite): Verdict {
  rewritePath(x, arg);
  return CONTINUE;
}

export function rewritePath(x: Exchange, arg: PathRewrite): void {
  const { request } = x;
  const { path } = request;
  const end = pathEnd(path);
  const pathname = end === path.length ? path : path.slice(0, end);
  const rewritten = arg.rewrite(pathname, x);
  // Envoy takes a path that was rewritten to nothing for one that is not to be rewritten.
  if (rewritten === '') return;
  if (arg.keepsOriginal) request.set(H.envoyOriginalPath, path);
  if (x.originalPath === '') x.originalPath = path;
  if (rewritten !== null) request.path = end === path.length ? rewritten : rewritten + path.slice(end);
}

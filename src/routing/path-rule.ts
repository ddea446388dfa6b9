// What a route asks of the path, and how the tree of a virtual host finds it: the literal that every
// matching path begins with, and the test that is left when that literal is found. Paths are compared
// without query and fragment. Source: Envoy RouteMatch.path_specifier.
import { assertNever } from '../base/assert.ts';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { error, type Problem } from '../base/problem.ts';
import { compileRegex, type Regex } from '../plan/regex.ts';
import { foldCase } from '../plan/string-match.ts';
import { wireText } from '../plan/wire-text.ts';
import type { RouteMatch } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { TypedExtensionConfig } from '../xds/gen/envoy/config/core/v3/extension_pb.js';
import { UriTemplateMatchConfigSchema } from '../xds/gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js';
import { compileUriTemplate, type UriTemplate } from '../plan/uri-template.ts';

export type PathRule =
  | { readonly kind: 'exact' | 'prefix' | 'separated-prefix'; readonly text: string; readonly isFolded: boolean }
  | { readonly kind: 'regex'; readonly regex: Regex }
  | { readonly kind: 'template'; readonly template: UriTemplate }
  | { readonly kind: 'connect' };

/** Null after reporting why the rule is refused. */
export function compilePathRule(match: RouteMatch, problems: Problem[], path: string): PathRule | null {
  const { pathSpecifier: specifier } = match;
  const isFolded = match.caseSensitive === false;
  switch (specifier.case) {
    case 'path':
      return literalRule('exact', specifier.value, isFolded);
    case 'prefix':
      return literalRule('prefix', specifier.value, isFolded);
    case 'pathSeparatedPrefix':
      if (/^[^?#]+[^?#/]$/.test(specifier.value)) return literalRule('separated-prefix', specifier.value, isFolded);
      problems.push(
        error(
          `${path}.path_separated_prefix`,
          'must have at least two characters, no ? or #, and not end in /',
          'for example /api',
        ),
      );
      return null;
    case 'safeRegex': {
      const regex = compileRegex(specifier.value.regex, problems, `${path}.safe_regex.regex`);
      return regex === null ? null : { kind: 'regex', regex };
    }
    case 'connectMatcher':
      return { kind: 'connect' };
    case 'pathMatchPolicy':
      return templateRule(specifier.value, problems, `${path}.path_match_policy`);
    case undefined:
      problems.push(
        error(
          path,
          'has no path specifier',
          'set one of prefix, path, path_separated_prefix, safe_regex, path_match_policy, connect_matcher',
        ),
      );
      return null;
    default:
      return assertNever(specifier);
  }
}

function literalRule(kind: 'exact' | 'prefix' | 'separated-prefix', value: string, isFolded: boolean): PathRule {
  const text = wireText(value);
  return { kind, text: isFolded ? foldCase(text) : text, isFolded };
}

function templateRule(config: TypedExtensionConfig, problems: Problem[], path: string): PathRule | null {
  const match =
    config.typedConfig === undefined ? undefined : anyUnpack(config.typedConfig, UriTemplateMatchConfigSchema);
  if (match === undefined) {
    const found = config.typedConfig?.typeUrl ?? '';
    problems.push(
      error(
        `${path}.typed_config`,
        `'${found}' is not a path matcher that is supported`,
        'use envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig',
      ),
    );
    return null;
  }
  const template = compileUriTemplate(match.pathTemplate, problems, `${path}.typed_config.path_template`);
  return template === null ? null : { kind: 'template', template };
}

/** The literal that every path of this rule begins with, for the tree. */
export function leadingLiteral(rule: Exclude<PathRule, { kind: 'connect' }>): string {
  switch (rule.kind) {
    case 'exact':
    case 'prefix':
    case 'separated-prefix':
      return rule.text;
    case 'regex':
      return rule.regex.literalPrefix;
    case 'template':
      return rule.template.literalPrefix;
    default:
      return assertNever(rule);
  }
}

// HTTPMatchRequest of a VirtualService: every field that is there must hold; the blocks of one rule are
// alternatives.
import type { Fields } from './fields.ts';
import { checkHeaderLines } from './header-text.ts';
import { isClaim, readClaimPath } from './token-claim.ts';
import { readStringMatch } from './string-match.ts';
import type { StringMatch } from './string-match.ts';

export interface HttpMatch {
  readonly name: string;
  readonly uri: StringMatch | null;
  readonly scheme: StringMatch | null;
  readonly method: StringMatch | null;
  readonly authority: StringMatch | null;
  readonly headers: ReadonlyMap<string, StringMatch>;
  readonly withoutHeaders: ReadonlyMap<string, StringMatch>;
  readonly queryParams: ReadonlyMap<string, StringMatch>;
  readonly ignoresUriCase: boolean;
  readonly sourceLabels: ReadonlyMap<string, string>;
  readonly sourceNamespace: string;
  /** 0 when not given. */
  readonly port: number;
  readonly gateways: readonly string[];
  readonly statPrefix: string;
}

const EXAMPLE = 'write an object, for example { exact: … } or { prefix: … }';

export function readMatch(fields: Fields): HttpMatch {
  fields.refuseUnknown();
  const uri = fields.object('uri', readStringMatch, EXAMPLE);
  const ignoresUriCase = fields.flag('ignoreUriCase') ?? false;
  if (ignoresUriCase && uri?.kind === 'regex')
    fields.warning('ignoreUriCase', 'ignoreUriCase has no effect on a regex', 'begin the regex with (?i)');
  if ((uri?.kind === 'prefix' || uri?.kind === 'exact') && uri.value !== '' && !uri.value.startsWith('/'))
    fields.warning('uri', `no path begins with "${uri.value}"`, `write ${uri.kind}: /${uri.value}`);
  if (uri?.kind === 'exact' && uri.value === '') fields.error('uri', 'the path is empty', 'write exact: /');
  if (uri?.kind === 'prefix' && uri.value === '') fields.error('uri', 'the prefix is empty', 'write prefix: /');
  const match: HttpMatch = {
    name: fields.text('name'),
    uri,
    scheme: fields.object('scheme', readStringMatch, EXAMPLE),
    method: fields.object('method', readStringMatch, EXAMPLE),
    authority: fields.object('authority', readStringMatch, EXAMPLE),
    headers: fields.objectMap('headers', readStringMatch),
    withoutHeaders: fields.objectMap('withoutHeaders', readStringMatch),
    queryParams: fields.objectMap('queryParams', readStringMatch),
    ignoresUriCase,
    sourceLabels: fields.textMap('sourceLabels'),
    sourceNamespace: fields.text('sourceNamespace'),
    port: fields.port('port') ?? 0,
    gateways: fields.texts('gateways'),
    statPrefix: fields.text('statPrefix'),
  };
  for (const name of ['headers', 'withoutHeaders'] as const) {
    checkHeaderLines(fields, name, linesOf(match[name]));
    checkClaims(fields, name, match[name]);
  }
  return match;
}

function checkClaims(fields: Fields, name: string, matches: ReadonlyMap<string, StringMatch>): void {
  for (const key of matches.keys()) {
    if (isClaim(key) && readClaimPath(key) === null)
      fields.error(name, `${key} names no claim`, 'write @request.auth.claims.NAME or @request.auth.claims[A][B]');
  }
}

function linesOf(matches: ReadonlyMap<string, StringMatch>): readonly (readonly [string, string])[] {
  return [...matches].filter(([name]) => !isClaim(name)).map(([name, { value }]) => [name, value]);
}

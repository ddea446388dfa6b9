// Which matches of a VirtualService no request can reach, because one before them takes everything that they
// would take. Only what is certain is said: conditions are compared as they are written, paths also by prefix.
import type { Problem } from '../../base/problem.ts';
import type { StringMatch } from '../../config/string-match.ts';
import type { HttpMatch } from '../../config/virtual-service-match.ts';
import type { VirtualService } from '../../config/resource.ts';

/** Above this a rule list is not compared pair by pair. */
const MATCHES_MAX = 500;

interface Earlier {
  readonly rule: number;
  /** Null takes everything. */
  readonly match: HttpMatch | null;
}

export function checkCoverage(service: VirtualService): readonly Problem[] {
  const problems: Problem[] = [];
  const earlier: Earlier[] = [];
  const warn = (path: string, message: string, remedy: string): void => {
    problems.push({ severity: 'warning', path, message, remedy, place: service.source.locate(path) });
  };
  for (const [index, rule] of service.spec.http.entries()) {
    const path = `spec.http[${index}]`;
    const matches = rule.matches.length === 0 ? [null] : rule.matches;
    const covering = matches.map((match) => earlier.find((candidate) => covers(candidate.match, match)));
    const [first] = covering;
    if (first !== undefined && covering.every((found) => found !== undefined))
      warn(
        path,
        `no request reaches this rule: rule ${first.rule} before it takes everything that it would`,
        'move it before that rule, or remove it',
      );
    else
      for (const [position, found] of covering.entries())
        if (found !== undefined)
          warn(
            `${path}.match[${position}]`,
            `no request reaches this match: rule ${found.rule} takes it before`,
            'move it before that rule, or remove it',
          );
    for (const match of matches) if (earlier.length < MATCHES_MAX) earlier.push({ rule: index, match });
  }
  return problems;
}

/** True when every request that meets `later` meets `earlier` too. */
function covers(earlier: HttpMatch | null, later: HttpMatch | null): boolean {
  if (earlier === null) return true;
  if (later === null) return isEverything(earlier);
  return (
    coversUri(earlier, later) &&
    (['scheme', 'method', 'authority'] as const).every((name) => coversText(earlier[name], later[name])) &&
    (['headers', 'withoutHeaders', 'queryParams'] as const).every((name) =>
      [...earlier[name]].every(([key, match]) => isEqual(match, later[name].get(key) ?? null)),
    ) &&
    [...earlier.sourceLabels].every(([name, value]) => later.sourceLabels.get(name) === value) &&
    (earlier.sourceNamespace === '' || earlier.sourceNamespace === later.sourceNamespace) &&
    (earlier.port === 0 || earlier.port === later.port) &&
    (earlier.gateways.length === 0 || earlier.gateways.join() === later.gateways.join())
  );
}

/** True when `match` has no condition that could fail. */
function isEverything(match: HttpMatch): boolean {
  const isAnyText = match.scheme === null && match.method === null && match.authority === null;
  const isAnyMap =
    match.headers.size + match.withoutHeaders.size + match.queryParams.size + match.sourceLabels.size === 0;
  const isAnyPlace = match.sourceNamespace === '' && match.port === 0 && match.gateways.length === 0;
  return isAnyUri(match.uri) && isAnyText && isAnyMap && isAnyPlace;
}

function isAnyUri(uri: StringMatch | null): boolean {
  if (uri === null || uri.kind === 'present') return true;
  return (uri.kind === 'prefix' && uri.value === '/') || (uri.kind === 'regex' && uri.value === '.*');
}

function coversUri(earlier: HttpMatch, later: HttpMatch): boolean {
  if (isAnyUri(earlier.uri)) return true;
  if (earlier.uri === null || later.uri === null) return false;
  if (later.ignoresUriCase && !earlier.ignoresUriCase) return false;
  const fold = (text: string): string => (earlier.ignoresUriCase ? text.toLowerCase() : text);
  if (earlier.uri.kind === 'prefix' && (later.uri.kind === 'prefix' || later.uri.kind === 'exact'))
    return fold(later.uri.value).startsWith(fold(earlier.uri.value));
  if (earlier.uri.kind === 'exact' && later.uri.kind === 'exact')
    return fold(earlier.uri.value) === fold(later.uri.value);
  return isEqual(earlier.uri, later.uri);
}

function coversText(earlier: StringMatch | null, later: StringMatch | null): boolean {
  return earlier === null || isEqual(earlier, later);
}

function isEqual(left: StringMatch, right: StringMatch | null): boolean {
  return right !== null && left.kind === right.kind && left.value === right.value;
}

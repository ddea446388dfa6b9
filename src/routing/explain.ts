// Why a request takes the route that it takes: the virtual host, and for every route before the chosen
// one the first condition that did not hold. For people; the answer itself comes from HostTable.match,
// and the trials only say why, so that they can never disagree about the route.
import { assertNever } from '../base/assert.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { Plan } from '../plan/plan.ts';
import type { HostRoute } from './host-routes.ts';
import type { HostTable, TableHost } from './host-table.ts';
import { pathEnd, withoutParameters } from './path-end.ts';
import type { PathRule } from './path-rule.ts';

export interface RouteTrial {
  /** The route's name, or its place in the virtual host where it has none. */
  readonly route: string;
  /** The first condition that did not hold. */
  readonly reason: string;
}

export interface RouteExplanation {
  /** Null: no virtual host answers for the authority. */
  readonly host: TableHost | null;
  /** The routes before the chosen one; all of them when none matches. */
  readonly passed: readonly RouteTrial[];
  /** Null: no route matches. */
  readonly plan: Plan | null;
  /** True when the virtual host sends the request to https before any route is looked at. */
  readonly isTlsRedirect: boolean;
}

export function explainRoute(table: HostTable, x: Exchange): RouteExplanation {
  const host = table.hostOf(x.request.authority);
  const plan = table.match(x);
  const isTlsRedirect = plan !== null && host?.tlsPlan === plan;
  if (host === null || isTlsRedirect) return { host, passed: [], plan, isTlsRedirect };
  const passed: RouteTrial[] = [];
  for (const [index, route] of host.routes.routes.entries()) {
    if (route.plan === plan) break;
    passed.push({
      route: route.name === '' ? `number ${index}` : route.name,
      reason: reasonOf(route, x, host.routes.ignoresParameters),
    });
  }
  return { host, passed, plan, isTlsRedirect };
}

function reasonOf({ match }: HostRoute, x: Exchange, ignoresParameters: boolean): string {
  const { path } = x.request;
  const end = pathEnd(path);
  const plain = ignoresParameters ? withoutParameters(path, end) : path;
  const pathname = plain === path ? path.slice(0, end) : plain;
  const word = x.request.method === 'CONNECT' ? connectReason(match.path) : pathReason(match.path, pathname);
  if (word !== null) return word;
  const at = match.predicates.findIndex((holds) => !holds(x));
  // A condition that is drawn by lot, as a runtime fraction, may hold the second time.
  return at === -1 ? 'a condition by chance did not hold' : `${match.words[at] ?? 'a condition'} does not hold`;
}

function connectReason(rule: PathRule): string | null {
  return rule.kind === 'connect' ? null : 'the method is CONNECT';
}

/** Null when the path matches. */
function pathReason(rule: PathRule, pathname: string): string | null {
  switch (rule.kind) {
    case 'exact':
      return folded(pathname, rule.isFolded) === rule.text ? null : `path is not ${rule.text}`;
    case 'prefix':
      return folded(pathname, rule.isFolded).startsWith(rule.text) ? null : `path does not begin with ${rule.text}`;
    case 'separated-prefix': {
      const path = folded(pathname, rule.isFolded);
      const isBelow = path === rule.text || path.startsWith(`${rule.text}/`);
      return isBelow ? null : `path is not ${rule.text} or below it`;
    }
    case 'regex':
      return rule.regex.matches(pathname) ? null : 'path does not match the regular expression';
    case 'template':
      return rule.template.matches(pathname) ? null : `path does not match ${rule.template.source}`;
    case 'connect':
      return 'the method is not CONNECT';
    default:
      return assertNever(rule);
  }
}

function folded(path: string, isFolded: boolean): string {
  return isFolded ? path.toLowerCase() : path;
}

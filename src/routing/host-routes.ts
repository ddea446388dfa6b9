// @hot
// The routes of one virtual host. The first route in list order that matches wins; the trees only
// leave out routes whose path cannot match, so the answer is that of a walk along the list.
import { assertNever } from '../base/assert.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { Plan } from '../plan/plan.ts';
import { Candidates, PathNode, collect, collectFolded, depthOf, insertPath } from './path-tree.ts';
import { pathEnd, withoutParameters } from './path-end.ts';
import { leadingLiteral, type PathRule } from './path-rule.ts';
import type { CompiledMatch } from './route-match.ts';

export interface HostRoute {
  readonly name: string;
  readonly match: CompiledMatch;
  readonly plan: Plan;
}

export class HostRoutes {
  readonly routes: readonly HostRoute[];
  readonly ignoresParameters: boolean;
  readonly #tree = new PathNode('');
  readonly #foldedTree = new PathNode('');
  readonly #connectRoutes: readonly HostRoute[];
  readonly #hasFolded: boolean;
  readonly #candidates: Candidates;

  constructor(routes: readonly HostRoute[], ignoresParameters: boolean) {
    this.routes = routes;
    this.ignoresParameters = ignoresParameters;
    const connectRoutes: HostRoute[] = [];
    let hasFolded = false;
    for (let i = 0; i < routes.length; i++) {
      const route = routes[i] as HostRoute;
      const rule = route.match.path;
      if (rule.kind === 'connect') {
        connectRoutes.push(route);
        continue;
      }
      const isFolded = isFoldedRule(rule);
      if (isFolded) hasFolded = true;
      insertPath(isFolded ? this.#foldedTree : this.#tree, leadingLiteral(rule), i, rule.kind === 'exact');
    }
    this.#connectRoutes = connectRoutes;
    this.#hasFolded = hasFolded;
    this.#candidates = new Candidates(depthOf(this.#tree) + depthOf(this.#foldedTree));
  }

  match(x: Exchange): Plan | null {
    const { request } = x;
    if (request.method === 'CONNECT') return firstOf(this.#connectRoutes, x);
    let { path } = request;
    if (path === '') return null;
    let end = pathEnd(path);
    if (this.ignoresParameters) {
      const plain = withoutParameters(path, end);
      if (plain !== path) {
        path = plain;
        end = plain.length;
      }
    }
    const candidates = this.#candidates;
    candidates.clear();
    collect(this.#tree, path, end, candidates);
    if (this.#hasFolded) collectFolded(this.#foldedTree, path, end, candidates);
    for (let i = candidates.next(); i !== -1; i = candidates.next()) {
      const route = this.routes[i] as HostRoute;
      if (holdsPath(route.match.path, path, end) && holdsRest(route, x)) return route.plan;
    }
    return null;
  }
}

function isFoldedRule(rule: PathRule): boolean {
  return (rule.kind === 'exact' || rule.kind === 'prefix' || rule.kind === 'separated-prefix') && rule.isFolded;
}

/** What is left to ask of path[0, end) once the rule's leading literal was found in the tree. */
function holdsPath(rule: PathRule, path: string, end: number): boolean {
  switch (rule.kind) {
    case 'exact':
    case 'prefix':
      return true;
    case 'separated-prefix': {
      const { length } = rule.text;
      return length === end || path.charCodeAt(length) === 0x2f;
    }
    case 'regex':
      return rule.regex.matches(end === path.length ? path : path.slice(0, end));
    case 'template':
      return rule.template.matches(end === path.length ? path : path.slice(0, end));
    case 'connect':
      return false;
    default:
      return assertNever(rule);
  }
}

function holdsRest(route: HostRoute, x: Exchange): boolean {
  const { predicates } = route.match;
  for (let i = 0; i < predicates.length; i++) {
    const predicate = predicates[i] as (x: Exchange) => boolean;
    if (!predicate(x)) return false;
  }
  return true;
}

function firstOf(routes: readonly HostRoute[], x: Exchange): Plan | null {
  for (let i = 0; i < routes.length; i++) {
    const route = routes[i] as HostRoute;
    if (holdsRest(route, x)) return route.plan;
  }
  return null;
}

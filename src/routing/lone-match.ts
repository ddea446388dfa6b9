// One RouteMatch outside of a route table, for filters whose rules are written as routes match (jwt_authn): the same
// tree and the same predicates as in a table, so that a rule and a route can never disagree about a path.
import { routeId } from '../base/brand.ts';
import type { Problem } from '../base/problem.ts';
import { merge, type CompileEnv } from '../plan/plan.ts';
import type { RouteMatch } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { HostRoutes } from './host-routes.ts';
import { compileRouteMatch, type RoutePredicate } from './route-match.ts';

const HIT = merge({ route: routeId(''), origin: '', body: null, mirrors: [] }, []);
const SLASH = 0x2f;

/** Null after reporting why the match is refused. */
export function compileLoneMatch(
  config: RouteMatch,
  env: CompileEnv,
  problems: Problem[],
  path: string,
): RoutePredicate | null {
  const match = compileRouteMatch(config, { ...env, problems }, path);
  if (match === null) return null;
  const routes = new HostRoutes([{ name: '', match, plan: HIT }], false);
  const isEverything = match.path.kind === 'prefix' && match.path.text === '/' && match.predicates.length === 0;
  if (!isEverything) return (x) => routes.match(x) !== null;
  return (x) => x.request.path.charCodeAt(0) === SLASH && x.request.method !== 'CONNECT';
}

// One RouteMatch, compiled: the rule for the path and a list of further predicates, all of which must
// hold. The order of the predicates cannot be seen from outside, so the cheap ones come first.
import type { Problem } from '../base/problem.ts';
import { compileMetadataMatcher } from '../plan/dynamic-metadata.ts';
import type { Exchange } from '../plan/exchange.ts';
import { isGrpcRequest } from '../plan/grpc-request.ts';
import { compileHeaderMatch } from '../plan/header-match.ts';
import type { CompileEnv } from '../plan/plan.ts';
import type { RouteMatch } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { compileCookieMatch } from './cookie-match.ts';
import { compileFraction } from '../plan/fraction.ts';
import { compilePathRule, type PathRule } from './path-rule.ts';
import { compileQueryMatch } from '../plan/query-match.ts';

export type RoutePredicate = (x: Exchange) => boolean;

export interface CompiledMatch {
  readonly path: PathRule;
  readonly predicates: readonly RoutePredicate[];
  /** The predicates in words, for printing. */
  readonly words: readonly string[];
}

/** Null after reporting why the match is refused. */
export function compileRouteMatch(match: RouteMatch, env: CompileEnv, path: string): CompiledMatch | null {
  const { problems } = env;
  const rule = compilePathRule(match, problems, path);
  const predicates: RoutePredicate[] = [];
  const words: string[] = [];
  const addAll = (found: RoutePredicate | null, word: string): void => {
    if (found === null) return;
    predicates.push(found);
    words.push(word);
  };
  if (match.runtimeFraction !== undefined) {
    const holds = compileFraction(match.runtimeFraction, env, `${path}.runtime_fraction`);
    addAll(holds, 'runtime fraction');
  }
  if (match.grpc !== undefined) addAll(isGrpc, 'grpc');
  for (const [i, config] of match.headers.entries()) {
    const holds = compileHeaderMatch(config, problems, `${path}.headers[${i}]`);
    addAll(holds === null ? null : (x) => holds(x.request), `header ${config.name}`);
  }
  for (const [i, config] of match.queryParameters.entries()) {
    const holds = compileQueryMatch(config, problems, `${path}.query_parameters[${i}]`);
    addAll(holds === null ? null : (x) => holds(x.request.path), `query ${config.name}`);
  }
  for (const [i, config] of match.cookies.entries()) {
    const holds = compileCookieMatch(config, problems, `${path}.cookies[${i}]`);
    addAll(holds === null ? null : (x) => holds(x.request), `cookie ${config.name}`);
  }
  addTls(match, addAll);
  addMetadata(match, problems, path, addAll);
  return rule === null ? null : { path: rule, predicates, words };
}

function isGrpc(x: Exchange): boolean {
  return isGrpcRequest(x.request);
}

type AddPredicate = (found: RoutePredicate | null, word: string) => void;

/** A peer that presents a certificate has had it validated: the listener refuses any other. */
function addTls(match: RouteMatch, add: AddPredicate): void {
  const { tlsContext } = match;
  if (tlsContext === undefined) return;
  for (const isWanted of [tlsContext.presented, tlsContext.validated]) {
    if (isWanted !== undefined)
      add((x) => hasCertificate(x) === isWanted, `client certificate ${isWanted ? 'given' : 'absent'}`);
  }
}

function hasCertificate(x: Exchange): boolean {
  return x.connection.isTls && x.connection.peerPrincipal !== '';
}

function addMetadata(match: RouteMatch, problems: Problem[], path: string, add: AddPredicate): void {
  for (const [i, config] of match.dynamicMetadata.entries()) {
    add(compileMetadataMatcher(config, problems, `${path}.dynamic_metadata[${i}]`), `metadata ${config.filter}`);
  }
}

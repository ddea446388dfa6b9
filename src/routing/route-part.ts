// The part of a Plan that one route adds: its action and its header edits, in Envoy's order. Edits go
// from the most specific level outwards (weighted cluster, route, virtual host, configuration); with
// most_specific_header_mutations_wins the last three go the other way round, and the weighted
// cluster's still come first (measured on Envoy 1.40). Host and path rewrites come after all edits.
import type { JsonObject } from '@bufbuild/protobuf';
import { assertNever } from '../base/assert.ts';
import { error, type Problem } from '../base/problem.ts';
import type { Exchange } from '../plan/exchange.ts';
import { CONTINUE, EMPTY, type CompileEnv, type Origin, type PlanPart, type Step, type Verdict } from '../plan/plan.ts';
import { step } from '../plan/step.ts';
import type { Route, RouteAction, VirtualHost } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { compileDirectResponse, runDirectResponse } from './direct-response.ts';
import { replyNoCluster } from './forward.ts';
import { compileForward } from './forward-compile.ts';
import { editRequest, editResponse, type HeaderEdits, type ResponseEdits } from '../plan/header-edits.ts';
import { compileHashPolicies, hashPart } from './hash-policy-compile.ts';
import { compileHeaderEdits } from '../plan/header-edits-compile.ts';
import { ATTEMPT_COUNT, compileHostRewrite } from './host-rewrite.ts';
import { compilePathRewrite, pathRewriteStep, type PathRewriteContext } from './path-rewrite.ts';
import type { PathRule } from './path-rule.ts';
import { compileRedirect, runHttpsRedirect, runRedirect } from './redirect.ts';

type Level = HeaderEdits | null;

export interface RouteContext {
  readonly env: CompileEnv;
  readonly origin: Origin;
  /** Null when the match was refused: the rest is compiled for its Problems only. */
  readonly rule: PathRule | null;
  /** The levels around the route, the more specific first. */
  readonly outer: { readonly request: readonly Level[]; readonly response: readonly Level[] };
  readonly virtualHost: VirtualHost;
  readonly mostSpecificWins: boolean;
  readonly keepsOriginalPath: boolean;
  readonly hasFilters: boolean;
  readonly directBodyBytesMax: number;
}

/** Null after reporting why the route is refused. */
export function compileRoutePart(route: Route, context: RouteContext, path: string): PlanPart | null {
  const { env, origin, outer, mostSpecificWins } = context;
  const { problems } = env;
  const request = inOrder([compileHeaderEdits(route, 'request', problems, path), ...outer.request], mostSpecificWins);
  const response = inOrder(
    [compileHeaderEdits(route, 'response', problems, path), ...outer.response],
    mostSpecificWins,
  );
  const rewriting: PathRewriteContext = {
    rule: context.rule ?? { kind: 'prefix', text: '', isFolded: false },
    problems,
    keepsOriginal: context.keepsOriginalPath,
  };
  const replyEdits: ResponseEdits = { bySplit: [], levels: response };
  switch (route.action.case) {
    case 'route':
      return compileAction(
        route.action.value,
        { ...context, rewriting, request, response, own: route.metadata?.filterMetadata['outrigger'] },
        `${path}.route`,
      );
    case 'redirect': {
      const redirect = compileRedirect(route.action.value, rewriting, replyEdits, `${path}.redirect`);
      return { onRequest: [step('redirect', origin, runRedirect, redirect)] };
    }
    case 'directResponse': {
      const reply = { problems, bodyBytesMax: context.directBodyBytesMax, edits: replyEdits };
      const direct = compileDirectResponse(route.action.value, reply, `${path}.direct_response`);
      return { onRequest: [step('direct-response', origin, runDirectResponse, direct)] };
    }
    case 'nonForwardingAction': {
      // Meant for servers that answer by themselves; Envoy answers as for a cluster that is not there.
      const notFound = { status: 503, edits: replyEdits, isDeferred: false };
      return { onRequest: [step('no-cluster', origin, replyNoCluster, notFound)] };
    }
    case 'filterAction':
      return refuse(problems, `${path}.filter_action`, 'is not supported');
    case undefined:
      return refuse(problems, path, 'has no action');
    default:
      return assertNever(route.action);
  }
}

function refuse(problems: Problem[], path: string, message: string): null {
  problems.push(error(path, message, 'use route, redirect or direct_response'));
  return null;
}

function inOrder(levels: readonly Level[], mostSpecificWins: boolean): readonly HeaderEdits[] {
  const present = levels.filter((level) => level !== null);
  return mostSpecificWins ? present.toReversed() : present;
}

interface ActionContext extends RouteContext {
  readonly rewriting: PathRewriteContext;
  readonly request: readonly HeaderEdits[];
  readonly response: readonly HeaderEdits[];
  /** The route's metadata of our own. */
  readonly own: JsonObject | undefined;
}

function compileAction(action: RouteAction, context: ActionContext, path: string): PlanPart {
  const { env, origin, request, response, virtualHost } = context;
  const { problems } = env;
  const hash = compileHashPolicies(action, env, path);
  const { own } = context;
  const forward = compileForward(action, { env, origin, response, isDeferred: context.hasFilters, hash, own }, path);
  const host = compileHostRewrite(action, { problems, origin, keepsOriginal: context.rewriting.keepsOriginal }, path);
  const rewrite = compilePathRewrite(
    {
      prefixRewrite: action.prefixRewrite,
      regexRewrite: action.regexRewrite,
      policy: action.pathRewritePolicy,
      format: action.pathRewrite,
    },
    context.rewriting,
    path,
  );
  const onRequest: Step[] = [...forward.require, ...forward.splitRequest];
  if (request.length > 0) onRequest.push(step('edit-request', origin, editRequest, { levels: request }));
  onRequest.push(...(host.onRequest ?? EMPTY));
  if (rewrite !== null) onRequest.push(pathRewriteStep(rewrite, origin));
  const hashing = hashPart(hash, origin);
  onRequest.push(...(hashing.onRequest ?? EMPTY));
  const onAttempt: Step[] = [...(host.onAttempt ?? EMPTY)];
  if (virtualHost.includeRequestAttemptCount) onAttempt.push(step('attempt-count', origin, countInRequest, null));
  const onResponse: Step[] = [...(hashing.onResponse ?? EMPTY), ...forward.onResponse];
  if (virtualHost.includeAttemptCountInResponse) onResponse.push(step('attempt-count', origin, countInResponse, null));
  if (response.length > 0 || forward.edits.bySplit.some((edits) => edits !== null)) {
    onResponse.push(step('edit-response', origin, editResponse, forward.edits));
  }
  return { onChoose: forward.choose, onRequest, onAttempt, onResponse };
}

function countInRequest(x: Exchange): Verdict {
  x.request.set(ATTEMPT_COUNT, String(x.attempts));
  return CONTINUE;
}

function countInResponse(x: Exchange): Verdict {
  if (x.isUpstreamResponse) x.response.set(ATTEMPT_COUNT, String(x.attempts));
  return CONTINUE;
}

/** What a virtual host that requires TLS does with a plaintext request. */
export function redirectPart(origin: Origin): PlanPart {
  return { onRequest: [step('redirect-to-https', origin, runHttpsRedirect, null)] };
}

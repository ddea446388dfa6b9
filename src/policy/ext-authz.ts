// @hot
// External authorization: another service is asked about each request before it goes on, over HTTP or gRPC, and may
// change the request, or answer it. Nothing is made where the filter is off for a request. Whoever cannot be asked
// denies, unless the settings say otherwise. What is asked is in ext-authz-http.ts and ext-authz-grpc.ts,
// what is done with the decision in ext-authz-outcome.ts.
// Source: Envoy ext_authz HTTP filter.
import type { Exchange } from '../plan/exchange.ts';
import { CONTINUE, PAUSE, REPLY, type Verdict } from '../plan/plan.ts';
import { FLAGS } from '../plan/response-flags.ts';
import type { RemoteCall } from '../plan/remote-call.ts';
import type { WaitingPolicy } from '../plan/waiting-step.ts';
import type { AuthzDecision } from './ext-authz-decision.ts';
import { askGrpc } from './ext-authz-grpc.ts';
import { askHttp } from './ext-authz-http.ts';
import { applyDecision, applyToResponse } from './ext-authz-outcome.ts';
import { STAT, type AuthzSettings } from './ext-authz-settings.ts';

export const AUTHZ_POLICY: WaitingPolicy<AuthzSettings, AuthzDecision> = {
  prepare: prepareAuthz,
  call: callAuthz,
  settle: applyDecision,
};

export function prepareAuthz(x: Exchange, arg: AuthzSettings): Verdict {
  if (arg.isEnabled === null || arg.isEnabled(x)) return PAUSE;
  arg.state.tally.add(STAT.DISABLED, 1);
  if (!arg.deniesWhenOff) return CONTINUE;
  x.flags |= FLAGS.UAEX;
  x.details = 'ext_authz_error';
  x.response.status = arg.statusOnError;
  return REPLY;
}

function callAuthz(x: Exchange, arg: AuthzSettings, done: (decision: AuthzDecision) => void): RemoteCall {
  return arg.service.kind === 'http' ? askHttp(x, arg, arg.service, done) : askGrpc(x, arg, arg.service, done);
}

/** What the service asked of the response that is sent in the end. */
export function runOnResponse(x: Exchange, arg: AuthzSettings): Verdict {
  const changes = arg.state.pending.take(x);
  if (changes !== null) applyToResponse(x.response, changes);
  return CONTINUE;
}

export function endAuthz(x: Exchange, arg: AuthzSettings): Verdict {
  arg.state.pending.take(x);
  return CONTINUE;
}

// What becomes of a request by the decision on it: its changes are checked and made, or the client is answered. A
// change that cannot stand in a head is never made; where mutations are validated, or rules forbid one, the
// request is answered with 500 instead, as Envoy does.
import type { Head } from '../http/head.ts';
import {
  addNamed,
  appendNamed,
  isFieldName,
  isFieldValue,
  namedValue,
  removeNamed,
  setNamed,
} from '../http/named-field.ts';
import type { Exchange } from '../plan/exchange.ts';
import { CONTINUE, PAUSE, REPLY, type Verdict } from '../plan/plan.ts';
import { FLAGS } from '../plan/response-flags.ts';
import {
  changesRequest,
  changesResponse,
  type AuthzDecision,
  type AuthzField,
  type RequestChanges,
  type ResponseChanges,
} from './ext-authz-decision.ts';
import { CLUSTER_STAT, STAT, type AuthzSettings } from './ext-authz-settings.ts';
import { editQuery, isEncoded } from './query-edit.ts';

const NAMESPACE = 'envoy.filters.http.ext_authz';
const FAILURE_HEADER = 'x-envoy-auth-failure-mode-allowed';
/** Of a denied answer: what our own writer sets. */
const OWN_FIELDS: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive']);

export function applyDecision(x: Exchange, arg: AuthzSettings, decision: AuthzDecision): Verdict {
  if (decision.kind === 'failed') return fail(x, arg, decision.reason);
  if (decision.isMalformed && arg.validates) return reject(x, arg);
  keepMetadata(x, arg, decision);
  return decision.kind === 'allowed' ? allow(x, arg, decision) : deny(x, arg, decision);
}

type Allowed = Extract<AuthzDecision, { kind: 'allowed' }>;
type Denied = Extract<AuthzDecision, { kind: 'denied' }>;

function keepMetadata(x: Exchange, { state, takesMetadata }: AuthzSettings, { metadata }: Allowed | Denied): void {
  if (metadata === null || Object.keys(metadata).length === 0) return;
  if (takesMetadata) x.metadata.set(NAMESPACE, Object.freeze({ ...x.metadata.get(NAMESPACE), ...metadata }));
  else state.tally.add(STAT.IGNORED_METADATA, 1);
}

function fail(x: Exchange, arg: AuthzSettings, reason: string): Verdict {
  const { tally, clock } = arg.state;
  tally.add(STAT.ERROR, 1);
  countForCluster(x, arg, CLUSTER_STAT.ERROR);
  if (reason === 'timeout') tally.add(STAT.TIMEOUT, 1);
  x.note(clock.now(), 'ext_authz', reason);
  if (arg.allowsOnFailure) {
    tally.add(STAT.FAILURE_ALLOWED, 1);
    countForCluster(x, arg, CLUSTER_STAT.FAILURE_ALLOWED);
    if (arg.marksFailure) addNamed(x.request, FAILURE_HEADER, 'true');
    return CONTINUE;
  }
  return answer(x, arg.statusOnError, 'ext_authz_error');
}

/** A request that is for no cluster, or for one that is not there, counts for none. */
function countForCluster({ cluster }: Exchange, { state }: AuthzSettings, index: number): void {
  if (cluster === null || cluster.cluster === null) return;
  state.tallyOf(cluster.name).add(index, 1);
}

function reject(x: Exchange, arg: AuthzSettings): Verdict {
  arg.state.tally.add(STAT.INVALID, 1);
  countForCluster(x, arg, CLUSTER_STAT.INVALID);
  return answer(x, 500, 'ext_authz_invalid');
}

function answer(x: Exchange, status: number, details: string): Verdict {
  x.flags |= FLAGS.UAEX;
  x.details = details;
  x.response.status = status;
  return REPLY;
}

function deny(x: Exchange, arg: AuthzSettings, { status, headers, body }: Denied): Verdict {
  arg.state.tally.add(STAT.DENIED, 1);
  countForCluster(x, arg, CLUSTER_STAT.DENIED);
  if (arg.chargesCluster) x.chargedStatus = status;
  const sound = headers.filter(isSound);
  if (arg.validates && sound.length < headers.length) return reject(x, arg);
  x.replyBody = body;
  // A name may come several times: each entry stands, as with set-cookie.
  for (const [name, value] of sound) if (!OWN_FIELDS.has(name)) addNamed(x.response, name, value);
  return answer(x, status, 'ext_authz_denied');
}

function allow(x: Exchange, arg: AuthzSettings, { request, response }: Allowed): Verdict {
  if (!changeRequest(x.request, arg, request)) return reject(x, arg);
  if (changesResponse(response)) {
    const lists = [response.add, response.set, response.addIfAbsent, response.overwriteIfPresent];
    if (arg.validates && !lists.every((list) => list.every(isSound))) return reject(x, arg);
    arg.state.pending.keep(x, response);
  }
  if (!changeQuery(x.request, arg, request)) return reject(x, arg);
  arg.state.tally.add(STAT.OK, 1);
  countForCluster(x, arg, CLUSTER_STAT.OK);
  if (!arg.clearsRoute || !changesRequest(request)) return CONTINUE;
  x.movesRoute = true;
  return PAUSE;
}

/** False: the answer is refused for what it wants to change. */
function changeRequest(head: Head, arg: AuthzSettings, changes: RequestChanges): boolean {
  const { set, add, append, remove, addIfAbsent, overwriteIfPresent } = changes;
  return (
    each(arg, set, (name, value) => setNamed(head, name, value)) &&
    each(arg, add, (name, value) => addNamed(head, name, value)) &&
    each(arg, append, (name, value) => appendNamed(head, name, value), true) &&
    each(arg, addIfAbsent, (name, value) => {
      if (namedValue(head, name) === null) addNamed(head, name, value);
    }) &&
    each(arg, overwriteIfPresent, (name, value) => {
      if (namedValue(head, name) !== null) setNamed(head, name, value);
    }) &&
    removeAll(head, arg, remove)
  );
}

function each(
  { validates, rules }: AuthzSettings,
  fields: readonly AuthzField[],
  change: (name: string, value: string) => void,
  isAppend = false,
): boolean {
  for (const field of fields) {
    const [name, value] = field;
    const isPseudo = name.startsWith(':');
    if (!(isPseudo ? isFieldName(name.slice(1)) : isFieldName(name)) || !isFieldValue(value)) {
      if (validates) return false;
      continue;
    }
    const judged = rules === null ? 'ok' : rules.judge(name, value, isAppend ? 'append' : 'set');
    if (judged === 'fail') return false;
    if (judged === 'ok' && isUsable(name, value)) change(name, value);
  }
  return true;
}

/** What would leave the request line without sense is not written, whatever the rules allow. */
function isUsable(name: string, value: string): boolean {
  if (!name.startsWith(':')) return true;
  if (name === ':path') return /^\/[!-~\x80-\xff]*$/.test(value);
  return name === ':method' ? isFieldName(value) : value !== '' && !/\s/.test(value);
}

function removeAll(head: Head, { rules }: AuthzSettings, names: readonly string[]): boolean {
  for (const name of names) {
    const judged = rules === null ? 'ok' : rules.judge(name, '', 'remove');
    if (judged === 'fail') return false;
    if (judged === 'ok') removeNamed(head, name);
  }
  return true;
}

function changeQuery(head: Head, arg: AuthzSettings, { setParameters, removeParameters }: RequestChanges): boolean {
  if (setParameters.length === 0 && removeParameters.length === 0) return true;
  const areSound = setParameters.every(([name, value]) => isEncoded(name) && isEncoded(value));
  if (arg.validates && !areSound) return false;
  const path = editQuery(head.path, setParameters, removeParameters);
  // A space or a control character would end the request line.
  if (/^[!-~\x80-\xff]*$/.test(path)) head.path = path;
  return true;
}

function isSound([name, value]: AuthzField): boolean {
  return isFieldName(name) && isFieldValue(value);
}

export function applyToResponse(head: Head, changes: ResponseChanges): void {
  for (const [name, value] of changes.add.filter(isSound)) addNamed(head, name, value);
  for (const [name, value] of changes.set.filter(isSound)) setNamed(head, name, value);
  for (const [name, value] of changes.addIfAbsent.filter(isSound)) {
    if (namedValue(head, name) === null) addNamed(head, name, value);
  }
  for (const [name, value] of changes.overwriteIfPresent.filter(isSound)) {
    if (namedValue(head, name) !== null) setNamed(head, name, value);
  }
}

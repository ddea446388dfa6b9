// What a request itself asks for in x-envoy-* fields: to be retried, how often, on what, how long an attempt may
// take, and whether the next one runs beside it. Outsiders' fields are gone by now (sidecar/downstream-headers.ts),
// so whatever is here was sent by somebody internal or added by the configuration. They are taken out
// of the request; only a request that has some costs anything, and gets a plan of its own.
// Source: Envoy router documentation, "HTTP headers (consumed)".
import type { HeaderId } from '../base/brand.ts';
import { UNKNOWN, internHeader } from '../http/header-name.ts';
import type { Head } from '../http/head.ts';
import type { HeaderPredicate } from '../plan/header-match.ts';
import type { RetryPlan } from '../plan/retry-plan.ts';
import { readRetryWords } from './retry-words.ts';

/** The fields that change how a request is retried. */
export const RETRY_HEADER_NAMES: readonly string[] = [
  'x-envoy-retry-on',
  'x-envoy-retry-grpc-on',
  'x-envoy-max-retries',
  'x-envoy-retriable-status-codes',
  'x-envoy-retriable-header-names',
  'x-envoy-upstream-rq-per-try-timeout-ms',
  'x-envoy-hedge-on-per-try-timeout',
];

const ON = internHeader('x-envoy-retry-on');
const GRPC_ON = internHeader('x-envoy-retry-grpc-on');
const MAX = internHeader('x-envoy-max-retries');
const STATUSES = internHeader('x-envoy-retriable-status-codes');
const NAMES = internHeader('x-envoy-retriable-header-names');
const PER_TRY = internHeader('x-envoy-upstream-rq-per-try-timeout-ms');
const HEDGE = internHeader('x-envoy-hedge-on-per-try-timeout');

const RETRY_HEADERS: readonly HeaderId[] = RETRY_HEADER_NAMES.map((name) => internHeader(name));
const SET: ReadonlySet<number> = new Set<number>(RETRY_HEADERS);

/** True when `request` has one of them. */
export function hasRetryHeaders(request: Head): boolean {
  const { ids, count } = request;
  for (let i = 0; i < count; i++) if (SET.has(ids[i] ?? UNKNOWN)) return true;
  return false;
}

/** `base` as the fields of `request` change it; they are removed. */
export function withRetryHeaders(base: RetryPlan, request: Head): RetryPlan {
  const plan: { -readonly [Key in keyof RetryPlan]: RetryPlan[Key] } = { ...base };
  const on = request.get(ON);
  if (on !== null) plan.conditions |= readRetryWords(on, 'http').conditions;
  const grpcOn = request.get(GRPC_ON);
  if (grpcOn !== null) plan.conditions |= readRetryWords(grpcOn, 'grpc').conditions;
  const max = wholeNumber(request.get(MAX));
  if (max !== null) plan.retriesMax = max;
  const statuses = numbers(request.get(STATUSES));
  if (statuses.length > 0) plan.statuses = [...plan.statuses, ...statuses];
  const names = request.get(NAMES);
  if (names !== null) plan.responseHeaders = [...plan.responseHeaders, ...presence(names)];
  const perTryMs = wholeNumber(request.get(PER_TRY));
  if (perTryMs !== null) plan.perTryTimeoutMs = perTryMs;
  const hedge = request.get(HEDGE);
  if (hedge === 'true' || hedge === 'false') plan.isHedged = hedge === 'true';
  for (const id of RETRY_HEADERS) request.remove(id);
  return plan;
}

/** Names that the mesh knows nothing of are looked for as text, so that no request can make the table of names grow. */
function presence(list: string): HeaderPredicate[] {
  return list
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '')
    .map((name) => (head) => hasName(head, name));
}

function hasName(head: Head, lowerName: string): boolean {
  for (let i = 0; i < head.count; i++) {
    if (!head.isRemovedAt(i) && head.nameAt(i).toLowerCase() === lowerName) return true;
  }
  return false;
}

function numbers(list: string | null): number[] {
  if (list === null) return [];
  return list.split(',').flatMap((part) => wholeNumber(part.trim()) ?? []);
}

function wholeNumber(text: string | null): number | null {
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : null;
}

/** True when an attempt of `plan` differs from one without any plan. */
export function doesAnything(plan: RetryPlan): boolean {
  return plan.conditions !== 0 || plan.perTryTimeoutMs > 0 || plan.perTryIdleTimeoutMs > 0;
}

/** What is left of a plan whose request must not be retried: the times of the attempt. */
export function withoutRetries(plan: RetryPlan): RetryPlan | null {
  const rest: RetryPlan = { ...plan, conditions: 0, isHedged: false };
  return doesAnything(rest) ? rest : null;
}

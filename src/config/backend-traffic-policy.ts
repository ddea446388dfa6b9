// XBackendTrafficPolicy (gateway.networking.x-k8s.io): a retry constraint and session persistence for all that is sent to
// a Service. It comes to sections like those of a ResiliencePolicy, and follows the same rules of conflict.
import type { Fields } from './fields.ts';
import type { ResiliencePolicySpec, ResilienceSection, ResilienceTarget } from './resilience-policy.ts';
import { readSessionPersistence } from './session-persistence.ts';

/** Retries that begin in an interval, as a share of the requests that do (RetryConstraint). Over it a retry answers 503. */
export interface RetryConstraintSection {
  readonly kind: 'retryConstraint';
  /** 20 by default. */
  readonly percent: number;
  /** 10 s by default. */
  readonly intervalMs: number;
  /** So many in `minIntervalMs` are never refused; 10 in 1 s by default. */
  readonly minCount: number;
  readonly minIntervalMs: number;
}

const PERCENT = 20;
const INTERVAL_MS = 10_000;
const MIN_COUNT = 10;
const SECOND_MS = 1000;
const HOUR_MS = 3_600_000;

export function readBackendTrafficPolicySpec(fields: Fields): ResiliencePolicySpec {
  const targets = fields.list('targetRefs', readTarget).filter((target) => target !== null);
  if (!fields.has('targetRefs'))
    fields.error(
      'targetRefs',
      'the policy has no target',
      'add targetRefs: [{ group: "", kind: Service, name: reviews }]',
    );
  const sections: ResilienceSection[] = [];
  const constraint = fields.object('retryConstraint', readConstraint);
  if (constraint !== null) sections.push(constraint);
  const session = fields.object('sessionPersistence', readSessionPersistence);
  if (session !== null) sections.push({ kind: 'sessionPersistence', session });
  return { targets, sections };
}

function readTarget(fields: Fields): ResilienceTarget | null {
  fields.refuseUnknown();
  const kind = fields.requiredText('kind', 'add kind: Service');
  const group = fields.text('group');
  const name = fields.requiredText('name');
  if (kind === 'Service' && (group === '' || group === 'core')) return { kind, name, sectionName: '' };
  if (kind !== '')
    fields.warning(
      'kind',
      `a target of kind ${kind} in group "${group}" is not supported and the policy has no effect on it`,
      'write group: "" and kind: Service',
    );
  return null;
}

function readConstraint(fields: Fields): RetryConstraintSection {
  const budget = fields.object('budget', (budget) => ({
    percent: budget.integer('percent', { min: 0, max: 100 }),
    intervalMs: intervalOf(budget),
  }));
  const rate = fields.object('minRetryRate', (rate) => ({
    count: rate.integer('count', { min: 1, max: 1_000_000 }),
    intervalMs: intervalOf(rate),
  }));
  return {
    kind: 'retryConstraint',
    percent: budget?.percent ?? PERCENT,
    intervalMs: budget?.intervalMs ?? INTERVAL_MS,
    minCount: rate?.count ?? MIN_COUNT,
    minIntervalMs: rate?.intervalMs ?? SECOND_MS,
  };
}

function intervalOf(fields: Fields): number | null {
  const intervalMs = fields.durationMs('interval', 'gateway');
  if (intervalMs === null || (intervalMs >= SECOND_MS && intervalMs <= HOUR_MS)) return intervalMs;
  fields.error('interval', 'is not between 1s and 1h', 'write a time such as 10s');
  return null;
}

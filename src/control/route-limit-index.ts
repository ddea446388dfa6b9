// Which RateLimitPolicies hold for a rule of a VirtualService or an HTTPRoute. Unlike the sections of a ResiliencePolicy they
// add up: what names the route and what names the rule hold both, each with buckets of its own, in the order of age.
// A target has one bucket for each limit, whatever the number of hosts, ports, rules and matches that lead through it.
import type { RateLimit, RouteKind } from '../config/rate-limit-policy.ts';
import type { RateLimitPolicy } from '../config/resource.ts';

export interface RouteTarget {
  readonly kind: RouteKind;
  readonly namespace: string;
  readonly name: string;
  /** The name of a rule; empty: all of the route. */
  readonly sectionName: string;
}

/** A policy, and as what of it holds. */
export interface RouteHolding {
  readonly policy: RateLimitPolicy;
  readonly target: RouteTarget;
}

const NONE: readonly RouteHolding[] = Object.freeze([]);

export class RouteLimitIndex {
  /** Those that name routes, whether these exist or not; oldest first. */
  readonly policies: readonly RateLimitPolicy[];
  readonly #holdings = new Map<string, RouteHolding[]>();

  /** `policies`: oldest first. */
  constructor(policies: readonly RateLimitPolicy[]) {
    this.policies = policies.filter(({ spec }) => spec.targets.some(({ kind }) => kind !== 'Service'));
    for (const policy of this.policies)
      for (const { kind, name, sectionName } of policy.spec.targets)
        if (kind !== 'Service')
          this.#add({ policy, target: { kind, namespace: policy.meta.namespace, name, sectionName } });
  }

  /** `ruleName`: empty for a rule without a name, for which only what names the whole route holds. */
  ofRoute(
    kind: RouteKind,
    { namespace, name }: { readonly namespace: string; readonly name: string },
    ruleName: string,
  ): readonly RouteHolding[] {
    if (this.policies.length === 0) return NONE;
    const whole = this.#holdings.get(keyOf({ kind, namespace, name, sectionName: '' })) ?? NONE;
    if (ruleName === '') return whole;
    return [...whole, ...(this.#holdings.get(keyOf({ kind, namespace, name, sectionName: ruleName })) ?? NONE)];
  }

  #add(holding: RouteHolding): void {
    const key = keyOf(holding.target);
    const known = this.#holdings.get(key) ?? [];
    this.#holdings.set(key, known);
    // A target that is written twice holds once.
    if (!known.some(({ policy }) => policy === holding.policy)) known.push(holding);
  }
}

/** By which the limit of a route is known to all who share it: `NAMESPACE/POLICY/LIMIT/KIND/ROUTE[/RULE]`. */
export function routeLimitName({ policy: { meta }, target }: RouteHolding, { name }: RateLimit): string {
  const rule = target.sectionName === '' ? '' : `/${target.sectionName}`;
  return `${meta.namespace}/${meta.name}/${name}/${target.kind}/${target.name}${rule}`;
}

/** The target in the name of a limit; null: the limit is none of a route. The route is of the policy's namespace. */
export function routeOfLimit(limitName: string): RouteTarget | null {
  const [namespace = '', , , kind = '', name = '', ...rule] = limitName.split('/');
  if (kind !== 'VirtualService' && kind !== 'HTTPRoute') return null;
  // A Service may be called like a kind of route; then nothing follows.
  return name === '' ? null : { kind, namespace, name, sectionName: rule.join('/') };
}

function keyOf({ kind, namespace, name, sectionName }: RouteTarget): string {
  return `${kind}/${namespace}/${name}/${sectionName}`;
}

// The endpoints of a cluster by `address:port`, for sessions that ask for one of them, and whether they may
// have it. Made when a session first asks: most clusters never meet one.
// Source: Envoy Cluster.CommonLbConfig.override_host_status.
import type { Endpoint } from '../plan/cluster.ts';
import type { ConfiguredHealth } from './cluster-settings.ts';
import type { Member } from './host-set.ts';

/** The healths that a session may keep an endpoint in when nothing is configured. */
export const SESSION_HEALTHS: ReadonlySet<ConfiguredHealth> = new Set(['healthy', 'degraded']);

export class EndpointIndex {
  readonly #byAuthority: ReadonlyMap<string, Member>;
  readonly #allowed: ReadonlySet<ConfiguredHealth>;

  constructor(members: Iterable<Member>, allowed: ReadonlySet<ConfiguredHealth>) {
    this.#allowed = allowed;
    const byAuthority = new Map<string, Member>();
    for (const member of members) {
      if (!byAuthority.has(member.endpoint.authority)) byAuthority.set(member.endpoint.authority, member);
    }
    this.#byAuthority = byAuthority;
  }

  /** Null when there is no such endpoint, or it may not be used. */
  find(authority: string): Endpoint | null {
    const member = this.#byAuthority.get(authority);
    if (member === undefined || !this.#allowed.has(healthOf(member))) return null;
    return member.endpoint;
  }
}

/** What configuration says when it is bad; else what was found out since. */
function healthOf({ endpoint, health }: Member): ConfiguredHealth {
  if (health !== 'healthy' && health !== 'degraded') return health;
  if (!endpoint.isHealthy) return 'unhealthy';
  return health === 'degraded' || endpoint.isDegraded ? 'degraded' : 'healthy';
}

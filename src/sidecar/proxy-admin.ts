// What the admin server sees of a Proxy: AdminSource over its books, clusters and listeners. Reads
// only, but for the few things that an operator may ask for.
import type { Plan } from '../plan/plan.ts';
import { renderMetrics } from '../observe/exposition.ts';
import { CLUSTER_TYPE, LISTENER_TYPE } from '../xds/type-url.ts';
import type { AdminSource, ListenerStatus, PlanStatus, ServerIdentity } from './admin/source.ts';
import type { ContextCertificates } from './admin/certs.ts';
import { explainRequest } from './explain.ts';
import type { Proxy } from './proxy.ts';
import { outlierStatus } from './outlier-status.ts';

export interface AdminOptions {
  readonly version: string;
  readonly commandLine: ServerIdentity['commandLine'];
  /** Ends the process. */
  readonly quit: () => void;
}

export function adminSourceOf(proxy: Proxy, { version, commandLine, quit }: AdminOptions): AdminSource {
  const { books, store, dynamic, bootstrap } = proxy;
  return {
    log: proxy.log,
    identity: {
      version,
      nodeId: bootstrap.node?.id ?? '',
      nodeCluster: bootstrap.node?.cluster ?? '',
      startedMs: proxy.startedMs,
      commandLine,
    },
    state: () => proxy.state,
    ...noticesOf(proxy),
    bootstrap: () => ({ message: bootstrap, origin: 'static', version: '', updatedMs: proxy.startedMs }),
    versions: () => ({
      clusters: dynamic?.version(CLUSTER_TYPE) ?? '',
      listeners: dynamic?.version(LISTENER_TYPE) ?? '',
    }),
    listeners: () => listenersOf(proxy),
    clusters: () =>
      [...store.clusters.values()].flatMap((cluster) => {
        const entry = books.clusters.get(cluster.name);
        if (entry === undefined) return [];
        const { discovery } = cluster.settings;
        const assignment = discovery.kind === 'eds' ? books.endpoints.get(discovery.serviceName) : undefined;
        return [
          {
            config: entry.config,
            cluster,
            assignment: assignment?.config ?? null,
            healthOf: (endpoint) => cluster.healthOf(endpoint),
            isLingering: (endpoint) => cluster.checked.isLingering(endpoint),
            outlierOf: (endpoint) => outlierStatus(proxy, cluster.name, endpoint),
          },
        ];
      }),
    routes: () => books.routes.entries().map(({ config }) => config),
    certificates: () => certificatesOf(proxy),
    secrets: () => proxy.secrets.status(),
    refused: () => [books.clusters, books.listeners, books.routes, books.endpoints].flatMap((book) => book.refused()),
    plans: () => plansOf(proxy),
    explain: (request) => explainRequest(proxy.listeners.live(), request),
    prometheus: (accept) => renderMetrics(proxy.registry, accept),
    stats: () => statsOf(proxy),
    setHealthcheckFailed: (isFailed) => proxy.setHealthcheckFailed(isFailed),
    drainListeners: (options) => proxy.drainListeners(options),
    quit,
  };
}

function listenersOf({ books, listeners }: Proxy): readonly ListenerStatus[] {
  return listeners.live().flatMap(([name, live]) => {
    const entry = books.listeners.get(name);
    if (entry === undefined) return [];
    const bound = live.boundAddress;
    return [
      {
        config: entry.config,
        address: bound?.address ?? live.config.address,
        port: bound?.port ?? live.config.port,
      },
    ];
  });
}

/** Its own identity first, then the contexts of clusters, then those of listeners, as Envoy lists them. */
function certificatesOf({ books, identity }: Proxy): readonly ContextCertificates[] {
  const clusters = books.clusters.entries().flatMap(({ value }) => value.transport?.contexts() ?? []);
  const chains = books.listeners.entries().flatMap(({ value }) => value.config.chains);
  const contexts = [...clusters, ...chains.flatMap(({ transport }) => (transport === null ? [] : [transport]))];
  const configured = contexts.map(({ init: { certificates, trust } }) => ({
    authorities: trust?.value?.authorities ?? [],
    authoritiesPath: trust?.value?.path ?? '',
    chains: certificates.flatMap(({ value }) =>
      value === null ? [] : [{ path: value.path, certificates: value.chain }],
    ),
  }));
  return identity === null ? configured : [{ ...identity.certificates, authoritiesPath: INLINE }, ...configured];
}

/** Envoy's word for what comes from no file. */
const INLINE = '<inline>';

/** The code of an identity is loaded where there is one. */
function noticesOf({ identity, feed }: Proxy): Pick<AdminSource, 'notices'> {
  return identity === null ? {} : { notices: () => identity.notices(feed.awaySinceMs) };
}

function plansOf({ listeners }: Proxy): readonly PlanStatus[] {
  const seen = new Set<Plan>();
  const statuses: PlanStatus[] = [];
  for (const { ref, plans } of listeners.routes()) {
    for (const plan of plans) {
      if (seen.has(plan)) continue;
      seen.add(plan);
      statuses.push({ table: ref.name, plan });
    }
  }
  return statuses;
}

function statsOf({ stats }: Proxy): ReadonlyMap<string, number> {
  return new Map(stats.list().map(({ name, value }) => [name, value]));
}

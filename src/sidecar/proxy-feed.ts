// What keeps a proxy fed: the discovery client with its first subscriptions, and since when the control service is away;
// and clients of SDS servers that contexts ask.
// A workload with an identity asks for its first certificate before, so that its stream is authenticated by it.
import { create } from '@bufbuild/protobuf';
import { NodeSchema } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import type { Bootstrap } from '../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { CLUSTER_TYPE, LISTENER_TYPE, type TypeUrl } from '../xds/type-url.ts';
import type { DynamicPlan } from './compile-bootstrap.ts';
import { DiscoveryClient, type DiscoveryClientOptions } from './discovery.ts';
import type { Limits } from '../base/shared-limits.ts';
import type { Identity } from './identity.ts';
import { LimitReports } from './limit-reports.ts';
import type { DynamicResources } from './proxy-dynamic.ts';
import { SdsClients } from './sds-clients.ts';
import type { SecretStore } from './secrets.ts';

/** The part of a DiscoveryClient that the proxy uses; tests feed updates by hand. */
export interface DiscoveryFeed {
  subscribe(typeUrl: TypeUrl, names: ReadonlySet<string> | '*'): void;
  close(): void;
}

/** Whose feed it is. */
export interface FedProxy {
  readonly bootstrap: Bootstrap;
  readonly secrets: SecretStore;
  readonly identity: Identity | null;
  /** Some may be shared with other processes. */
  readonly limits: Limits;
  readonly clock: Clock;
  readonly log: Log;
}

export interface ProxyFeedOptions {
  /** Makes the discovery client; the real one by default. */
  readonly connect?: (options: DiscoveryClientOptions) => DiscoveryFeed;
  /** Not undefined: a worker thread, whose secrets come from the main thread. */
  readonly hasIdentity?: boolean;
}

export class ProxyFeed {
  readonly #proxy: FedProxy;
  /** Null: nothing is dynamic. */
  readonly #plan: DynamicPlan | null;
  readonly #options: ProxyFeedOptions;
  #feed: DiscoveryFeed | null = null;
  readonly #sds: SdsClients;
  #reports: LimitReports | null = null;
  #isClosed = false;
  /** By the wall clock; null while the control service answers, and before it did for the first time. */
  awaySinceMs: number | null = null;

  constructor(proxy: FedProxy, plan: DynamicPlan | null, options: ProxyFeedOptions) {
    this.#proxy = proxy;
    this.#plan = plan;
    this.#options = options;
    const { secrets, bootstrap, log, clock } = proxy;
    this.#sds = new SdsClients({ secrets, node: bootstrap.node, log, clock });
  }

  /** There is a control service that must hear of the end. */
  get isJoined(): boolean {
    return this.#plan !== null;
  }

  /** Begins at once, or with the first certificate. */
  open(dynamic: DynamicResources | null): void {
    const { identity } = this.#proxy;
    const plan = this.#plan;
    if (this.#options.hasIdentity === undefined) this.#sds.start();
    if (dynamic === null || plan === null) return;
    if (identity === null) this.#connect(dynamic, plan);
    else void identity.first.then(() => (this.#isClosed ? undefined : this.#connect(dynamic, plan)));
  }

  subscribe(typeUrl: TypeUrl, names: ReadonlySet<string>): void {
    this.#feed?.subscribe(typeUrl, names);
  }

  close(): void {
    this.#isClosed = true;
    this.#feed?.close();
    this.#reports?.close();
    this.#sds.close();
  }

  #connect(dynamic: DynamicResources, plan: DynamicPlan): void {
    const { bootstrap, clock, identity, limits } = this.#proxy;
    const log = this.#proxy.log.child('xds');
    const node = bootstrap.node ?? create(NodeSchema);
    const connect = this.#options.connect ?? ((options) => new DiscoveryClient(options));
    const reports = new LimitReports({ limits, node, clock });
    this.#reports = reports;
    this.#feed = connect({
      control: plan.control,
      node,
      variant: plan.variant,
      ...(identity === null ? {} : { access: identity.access }),
      log,
      clock,
      onConnection: (connection, metadata) => reports.connected(connection, metadata),
      onUpdate: (update) => {
        const refused = dynamic.onUpdate(update);
        reports.begin();
        return refused;
      },
      onState: (state) => {
        this.awaySinceMs = state === 'connected' ? null : clock.wall();
        log.info(`control service ${state}`);
      },
    });
    if (plan.hasClusters) this.#feed.subscribe(CLUSTER_TYPE, '*');
    else dynamic.expectNoClusters();
    if (plan.hasListeners) this.#feed.subscribe(LISTENER_TYPE, '*');
    dynamic.followStatics();
  }
}

// What keeps a proxy fed: the discovery client with its first subscriptions, and since when the control service is away.
// A workload with an identity asks for its first certificate before, so that its stream is authenticated by it.
import { create } from '@bufbuild/protobuf';
import { NodeSchema } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import type { Bootstrap } from '../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { CLUSTER_TYPE, LISTENER_TYPE, type TypeUrl } from '../xds/type-url.ts';
import type { DynamicPlan } from './compile-bootstrap.ts';
import { DiscoveryClient, type DiscoveryClientOptions } from './discovery.ts';
import type { Identity } from './identity.ts';
import type { DynamicResources } from './proxy-dynamic.ts';

/** The part of a DiscoveryClient that the proxy uses; tests feed updates by hand. */
export interface DiscoveryFeed {
  subscribe(typeUrl: TypeUrl, names: ReadonlySet<string> | '*'): void;
  close(): void;
}

export interface ProxyFeedOptions {
  readonly bootstrap: Bootstrap;
  readonly plan: DynamicPlan;
  readonly log: Log;
  readonly clock: Clock;
  readonly identity: Identity | null;
  /** Makes the discovery client; the real one by default. */
  readonly connect: ((options: DiscoveryClientOptions) => DiscoveryFeed) | undefined;
}

export class ProxyFeed {
  readonly #options: ProxyFeedOptions;
  #feed: DiscoveryFeed | null = null;
  #isClosed = false;
  /** By the wall clock; null while the control service answers, and before it did for the first time. */
  awaySinceMs: number | null = null;

  constructor(options: ProxyFeedOptions) {
    this.#options = options;
  }

  /** Begins at once, or with the first certificate. */
  open(dynamic: DynamicResources): void {
    const { identity } = this.#options;
    if (identity === null) this.#connect(dynamic);
    else void identity.first.then(() => (this.#isClosed ? undefined : this.#connect(dynamic)));
  }

  subscribe(typeUrl: TypeUrl, names: ReadonlySet<string>): void {
    this.#feed?.subscribe(typeUrl, names);
  }

  close(): void {
    this.#isClosed = true;
    this.#feed?.close();
  }

  #connect(dynamic: DynamicResources): void {
    const { bootstrap, plan, log, clock, identity } = this.#options;
    const connect = this.#options.connect ?? ((options) => new DiscoveryClient(options));
    this.#feed = connect({
      control: plan.control,
      node: bootstrap.node ?? create(NodeSchema),
      variant: plan.variant,
      ...(identity === null ? {} : { access: identity.access }),
      log,
      clock,
      onUpdate: dynamic.onUpdate,
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

// A live cluster: the endpoints that discovery found, and the Picker over them. It outlives its
// settings: an update of either keeps every Endpoint whose address stays, with its counters and its
// requests in flight, so that configuration never resets a balancer or drops a warm pool. What
// leaves is told to the listener of `onEndpoints`, which drains its connections.
//
//   static ──────────────────────────► apply ─► members ─► picker
//   DNS  ── DnsDiscovery.publish ─────►   │
//   EDS  ── updateEndpoints(checked) ─►   └─► removed endpoints ─► onEndpoints
import { assertNever } from '../base/assert.ts';
import type { ClusterId } from '../base/brand.ts';
import { refuses, type Problem } from '../base/problem.ts';
import {
  UNFIT,
  type Aggregate,
  type Cluster,
  type ClusterLimits,
  type Endpoint,
  type Locality,
  type Picker,
  type PoolScope,
  type PriorityHealth,
} from '../plan/cluster.ts';
import { RetryTally } from '../plan/retry-tally.ts';
import type { ClusterLoadAssignment } from '../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { CheckedEndpoints, type CheckVerdict } from './checked-endpoints.ts';
import type { ClusterDependencies } from './cluster-dependencies.ts';
import type { ClusterSettings, ConfiguredHealth, Discovery, EndpointTarget } from './cluster-settings.ts';
import { AggregateChoice } from './aggregate-choice.ts';
import { delayByTimer, DnsDiscovery, type NameState } from './dns-discovery.ts';
import { compileAssignmentPolicy, DEFAULT_POLICY, type AssignmentPolicy } from './assignment-policy.ts';
import { EndpointIndex, SESSION_HEALTHS } from './endpoint-index.ts';
import { hostSetsOf, NO_ENDPOINTS, type Member } from './host-set.ts';
import { localZoneOf, type LocalZone } from './locality-build.ts';
import { compileLoadAssignment } from './load-assignment.ts';
import { followDestinations } from './followed-destinations.ts';
import type { OriginalDestinations } from './original-destinations.ts';
import { clusterPicker, type Trial } from './picker.ts';
import { isSameDiscovery, memberKey, placeTargets, resolveTarget } from './placement.ts';
import { sourceAddressFor } from './upstream-bind.ts';
import { Warmup } from './warmup.ts';

const NO_MEMBERS: ReadonlyMap<string, Member> = new Map();

export class LiveCluster implements Cluster {
  readonly name: ClusterId;
  picker: Picker = NO_ENDPOINTS;
  endpoints: readonly Endpoint[] = [];
  isWarm = false;
  /** Lets ejected endpoints be tried; null without outlier detection. */
  trial: Trial | null = null;
  readonly retryTally = new RetryTally();
  readonly #dependencies: ClusterDependencies;
  #settings: ClusterSettings;
  #members: ReadonlyMap<string, Member> = NO_MEMBERS;
  #healths: ReadonlyMap<Endpoint, ConfiguredHealth> = new Map();
  /** Came with the endpoints of EDS; null: as configured. */
  #policy: AssignmentPolicy | null = null;
  #discovery: DnsDiscovery | null = null;
  #priorities: readonly PriorityHealth[] = [];
  /** Of an aggregate cluster, which has no endpoints of its own; null for others. */
  #aggregate: AggregateChoice | null = null;
  /** For sessions; null until one asks. */
  #index: EndpointIndex | null = null;
  /** The picker of an ORIGINAL_DST cluster, which has its endpoints; null for others. */
  #destinations: OriginalDestinations | null = null;
  /** The endpoints of a LOGICAL_DNS cluster that are answered but not first, and keep their connections. */
  #waiting: ReadonlyMap<string, Member> = NO_MEMBERS;
  readonly #warmup: Warmup;
  #isStarted = false;
  #isClosed = false;
  #warmListeners: (() => void)[] = [];
  #refreshListeners: (() => void)[] = [];
  #endpointListeners: ((removed: readonly Endpoint[]) => void)[] = [];
  /** What active checks mean for the endpoints. */
  readonly checked = new CheckedEndpoints();
  /** The endpoints are known; only their first checks may be missing. */
  #isFound = false;

  constructor(settings: ClusterSettings, dependencies: ClusterDependencies) {
    this.name = settings.name;
    this.#settings = settings;
    this.#dependencies = dependencies;
    this.#warmup = new Warmup(dependencies.clock, dependencies.delay ?? delayByTimer, () => this.refresh());
  }

  get settings(): ClusterSettings {
    return this.#settings;
  }

  get connectTimeoutMs(): number {
    return this.#settings.connectTimeoutMs;
  }

  get idleTimeoutMs(): number {
    return this.#settings.idleTimeoutMs;
  }

  get maxRequestsPerConnection(): number {
    return this.#settings.maxRequestsPerConnection;
  }

  get maxConnectionDurationMs(): number {
    return this.#settings.maxConnectionDurationMs;
  }

  get limits(): ClusterLimits | null {
    return this.#settings.limits ?? null;
  }

  get poolScope(): PoolScope | null {
    return this.#settings.transport?.poolScope ?? null;
  }

  get metadata(): ReadonlyMap<string, string> {
    return this.#settings.metadata;
  }

  get aggregate(): Aggregate | null {
    return this.#aggregate;
  }

  get priorities(): readonly PriorityHealth[] {
    return this.#aggregate === null ? this.#priorities : this.#aggregate.priorities;
  }

  readonly sessionEndpoint = (authority: string): Endpoint | null => {
    const { sessionHealths = SESSION_HEALTHS } = this.#settings;
    this.#index ??= new EndpointIndex(this.#members.values(), sessionHealths);
    return this.#index.find(authority);
  };

  get dropShare(): number {
    return this.assignmentPolicy.dropShare;
  }

  get assignmentPolicy(): AssignmentPolicy {
    return this.#policy ?? this.#settings.assignmentPolicy ?? DEFAULT_POLICY;
  }

  /** Begins discovery. A static cluster is warm when this returns. */
  start(): void {
    if (this.#isStarted || this.#isClosed) return;
    this.#isStarted = true;
    this.#discover();
  }

  /** Ends discovery and forgets the endpoints, all of which are told as removed. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#discovery?.close();
    this.#destinations?.close();
    this.#destinations = null;
    this.#replace(NO_MEMBERS, NO_MEMBERS);
    this.#dependencies.health?.forget(this);
    this.#warmListeners = [];
    this.#endpointListeners = [];
    this.#refreshListeners = [];
    this.checked.close();
  }

  /** Called once, when the first endpoints are known: at once when they are already. */
  onWarm(callback: () => void): void {
    if (this.isWarm) callback();
    else this.#warmListeners.push(callback);
  }

  /** Called whenever the picker was built again: endpoints, their health, or the settings have changed. */
  onRefresh(callback: () => void): void {
    this.#refreshListeners.push(callback);
  }

  /** This cluster as the one that the sidecar itself belongs to (ClusterManager.local_cluster_name). */
  asLocalZone(locality: Locality): LocalZone {
    return localZoneOf([...this.#members.values()], locality);
  }

  /** Called after each change of the endpoints, with those that left: drain their connections. */
  onEndpoints(callback: (removed: readonly Endpoint[]) => void): void {
    this.#endpointListeners.push(callback);
  }

  /** New settings of the same name. Endpoints stay until the new discovery has its first answer. */
  update(settings: ClusterSettings): void {
    const before = this.#settings.discovery;
    this.#settings = settings;
    for (const endpoint of this.endpoints) endpoint.sourceAddress = this.#sourceFor(endpoint.address);
    if (!this.#isStarted || this.#isClosed) return;
    if (!this.#isHealthChecked && this.checked.forget(this.endpoints)) this.refresh();
    if (isSameDiscovery(before, settings.discovery)) this.refresh();
    else this.#discover();
    this.#dependencies.health?.follow(this);
  }

  /** A new assignment from EDS. With an error among the Problems nothing has changed. `path` prefixes the field paths. */
  updateEndpoints(assignment: ClusterLoadAssignment, path = ''): readonly Problem[] {
    const problems: Problem[] = [];
    const targets = compileLoadAssignment(assignment, 'ip', problems, path);
    const policy = compileAssignmentPolicy(assignment, problems, `${path}.policy`);
    if (targets !== null && !refuses(problems) && !this.#isClosed && this.#settings.discovery.kind === 'eds') {
      this.#policy = policy;
      this.#replace(this.#place(targets, 'first-wins'), NO_MEMBERS);
      this.#warm();
    }
    return problems;
  }

  /** The first answer did not come in time: what there is must do. */
  giveUpWaiting(): void {
    this.#warm();
  }

  /** Health as configured, whatever outlier detection or health checks found. */
  healthOf(endpoint: Endpoint): ConfiguredHealth {
    return this.#healths.get(endpoint) ?? 'healthy';
  }

  /** Adds or takes away one reason (UNFIT) for which an endpoint gets no traffic; true when that changed anything. */
  setUnfit(endpoint: Endpoint, reason: number, isUnfit: boolean): boolean {
    const before = endpoint.unfit;
    endpoint.unfit = isUnfit ? before | reason : before & ~reason;
    if (endpoint.unfit === before) return false;
    if ((before === 0) !== (endpoint.unfit === 0)) this.refresh();
    return true;
  }

  /** What active checks have found of an endpoint. */
  judge(endpoint: Endpoint, verdict: CheckVerdict): void {
    if (this.#isClosed) return;
    const isChanged = this.checked.judge(endpoint, verdict);
    const hasPassed = (verdict.unfit & UNFIT.FAILED_CHECK) === 0;
    if (!hasPassed && this.checked.isLingering(endpoint)) this.#dropLingering(endpoint);
    else if (isChanged && this.isWarm) this.refresh();
    this.checked.tell(endpoint, hasPassed);
    if (this.#isFound) this.#warm();
  }

  get #isHealthChecked(): boolean {
    return this.#dependencies.health !== undefined && (this.#settings.healthChecks?.length ?? 0) > 0;
  }

  #dropLingering(gone: Endpoint): void {
    this.#replace(new Map([...this.#members].filter(([, { endpoint }]) => endpoint !== gone)), this.#waiting);
  }

  /** Builds the picker again; call it after `isDegraded`, `weight` or `warmSinceMs` of an endpoint changed. */
  refresh(): void {
    if (this.#destinations !== null) return;
    const { random, zone } = this.#dependencies;
    const now = this.#warmup.watch(this.endpoints, this.#settings.balancing);
    const { assignmentPolicy: policy, trial } = this;
    const context = { settings: this.#settings, policy, random, now, zone: zone?.() ?? null, trial };
    const members = [...this.#members.values()];
    const sets = hostSetsOf(members, policy);
    this.#priorities = sets.map(({ health }) => health);
    this.#index = null;
    this.picker = clusterPicker(members, sets, context);
    for (const callback of this.#refreshListeners) callback();
  }

  #discover(): void {
    const known = this.#discovery?.known ?? new Map<string, readonly string[]>();
    this.#discovery?.close();
    this.#discovery = null;
    this.#destinations?.close();
    this.#destinations = null;
    this.#aggregate = null;
    const { discovery } = this.#settings;
    switch (discovery.kind) {
      case 'static':
        this.#replace(this.#place(discovery.targets, 'all'), NO_MEMBERS);
        this.#warm();
        return;
      case 'eds':
        // The sidecar subscribes to the new name; the endpoints of the old one serve until then.
        this.refresh();
        return;
      case 'strict-dns':
      case 'logical-dns': {
        const isLogical = discovery.kind === 'logical-dns';
        const { delay = delayByTimer, random, resolver, log } = this.#dependencies;
        this.#discovery = new DnsDiscovery(
          {
            targets: isLogical ? [discovery.target] : discovery.targets,
            dns: discovery.dns,
            known,
            keepsOnEmpty: isLogical,
            publish: (states, isSettled) => this.#publish(states, isSettled, isLogical),
          },
          { delay, random, resolver, log },
        );
        this.#discovery.start();
        return;
      }
      case 'aggregate': {
        const { clusterRef, random } = this.#dependencies;
        const members = clusterRef === undefined ? [] : discovery.clusters.map(clusterRef);
        this.#aggregate = new AggregateChoice(members, this.#settings.panicThresholdPercent, random);
        this.#replace(NO_MEMBERS, NO_MEMBERS);
        this.#warm();
        return;
      }
      case 'original-dst':
        this.#replace(NO_MEMBERS, NO_MEMBERS);
        this.#followDestinations(discovery);
        this.#warm();
        return;
      default:
        assertNever(discovery);
    }
  }

  /** Endpoints come with the requests for them, and go when they are used no more. */
  #followDestinations(discovery: Discovery & { readonly kind: 'original-dst' }): void {
    const destinations = followDestinations(discovery, {
      delay: this.#dependencies.delay ?? delayByTimer,
      sourceFor: (address) => this.#sourceFor(address),
      onRemoved: (removed) => {
        for (const callback of this.#endpointListeners) callback(removed);
      },
    });
    this.#destinations = destinations;
    this.picker = destinations;
    this.endpoints = destinations.endpoints;
  }

  #sourceFor(address: string): string {
    return sourceAddressFor(this.#settings.sourceAddresses, address);
  }

  #publish(states: readonly NameState[], isSettled: boolean, isLogical: boolean): void {
    // Until every name was asked once, endpoints of an earlier configuration stay in force.
    if (isSettled || this.#members.size === 0) {
      const resolved = states.map(resolveTarget);
      if (isLogical) this.#replaceLogical(resolved.flat());
      else this.#replace(this.#place(resolved.flat(), 'all'), NO_MEMBERS);
    }
    if (isSettled) this.#warm();
  }

  /** Only the first address takes new requests; the others that are still answered keep their connections. */
  #replaceLogical(targets: readonly EndpointTarget[]): void {
    const known = targets.filter((target, index) => index === 0 || this.#member(memberKey(target, 0)) !== undefined);
    // An answer that never comes (failure at the very first lookup) leaves earlier endpoints alone.
    if (known.length === 0) return;
    const placed = [...this.#place(known, 'first-wins')];
    this.#replace(new Map(placed.slice(0, 1)), new Map(placed.slice(1)));
  }

  #member(key: string): Member | undefined {
    return this.#members.get(key) ?? this.#waiting.get(key);
  }

  #place(targets: readonly EndpointTarget[], duplicates: 'first-wins' | 'all'): Map<string, Member> {
    const known = (key: string): Member | undefined => this.#member(key);
    const onPlaced = (endpoint: Endpoint, target: EndpointTarget, isNew: boolean): void => {
      this.checked.place(endpoint, target.check);
      if (isNew && this.#isHealthChecked) this.checked.begin(endpoint, this.#settings);
    };
    return placeTargets(targets, { known, sourceFor: (address) => this.#sourceFor(address), duplicates, onPlaced });
  }

  #replace(placed: ReadonlyMap<string, Member>, waiting: ReadonlyMap<string, Member>): void {
    const removed: Endpoint[] = [];
    const members = new Map(placed);
    for (const [key, member] of [...this.#members, ...this.#waiting]) {
      if (members.has(key) || waiting.has(key)) continue;
      if (this.#keeps(member.endpoint)) members.set(key, member);
      else removed.push(member.endpoint);
    }
    for (const endpoint of removed) this.checked.drop(endpoint);
    this.#members = members;
    this.#waiting = waiting;
    const list = [...members.values()];
    this.endpoints = Object.freeze(list.map(({ endpoint }) => endpoint));
    this.#healths = new Map(list.map(({ endpoint, health }) => [endpoint, health]));
    this.refresh();
    for (const callback of this.#endpointListeners) callback(removed);
    if (!this.#isClosed) this.#dependencies.health?.follow(this);
  }

  #keeps(endpoint: Endpoint): boolean {
    return !this.#isClosed && this.#isHealthChecked && this.checked.lingers(endpoint, this.#settings);
  }

  #warm(): void {
    if (this.isWarm || this.#isClosed) return;
    this.#isFound = true;
    if (!this.checked.areAllChecked) return;
    const { transport } = this.#settings;
    if (transport !== undefined && transport !== null && !transport.isReady) {
      transport.onReady(() => this.#warm());
      return;
    }
    if (this.#isHealthChecked) this.refresh();
    this.isWarm = true;
    for (const callback of this.#warmListeners.splice(0)) callback();
  }
}

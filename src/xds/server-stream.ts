// The server half of one ADS stream, both variants: requests and views go in, responses come out, in an
// order that breaks nothing at the client. Pure: no sockets, no clock; the owner pulls with `next()`
// after every input and arms one timer while `isWaiting`.
//
//   view ─► CDS ─► EDS ─► (hold until new clusters are acked) ─► LDS ─► RDS, VHDS ─► … acked ─► removals of CDS, EDS, RDS
//
// One message per type is in flight; later changes merge and go out after its answer. A NACK is noted
// and never answered with the same thing. A cluster that is sent is followed by its endpoints, sent
// before or not, because the client warms it anew (envoy#13009, envoy#33607).
import type { DeltaDiscoveryRequest, DiscoveryRequest } from './gen/envoy/service/discovery/v3/discovery_pb.js';
import { hearDelta } from './delta-request.ts';
import type { Heard } from './heard.ts';
import { Retained } from './retained.ts';
import { changeBetween, type ResourceChange } from './resource-change.ts';
import type { EncodedResource, ResourceView } from './resource.ts';
import { hearSotw } from './sotw-request.ts';
import {
  CLUSTER_TYPE,
  ENDPOINT_TYPE,
  LISTENER_TYPE,
  PUSH_ORDER,
  ROUTE_TYPE,
  VIRTUAL_HOST_TYPE,
  type TypeUrl,
} from './type-url.ts';
import type { Offer, Outgoing, Watch } from './watch.ts';

/** gRPC clients refuse messages above 4 MiB by default; this leaves room for names and the envelope. */
export const MESSAGE_BYTES_MAX = 3_500_000;
/** More types than any client asks for. */
export const TYPES_MAX = 32;

type Answered = Extract<Heard, { kind: 'acked' | 'nacked' }>;

const NO_RESOURCES: ReadonlyMap<string, EncodedResource> = new Map();

export class ServerStream {
  readonly #watches = new Map<TypeUrl, Watch>();
  readonly #noncePrefix: string;
  readonly #bytesMax: number;
  #nonces = 0;
  #view: ResourceView | null = null;
  #generation = 0;
  /** Clusters, endpoints and routes that left the view but may still be referred to by what the client has. */
  readonly #retained = new Map<TypeUrl, Retained>([
    [CLUSTER_TYPE, new Retained()],
    [ENDPOINT_TYPE, new Retained()],
    [ROUTE_TYPE, new Retained()],
  ]);
  /** New clusters and their endpoints that listeners and routes wait for, until answered. */
  readonly #awaitedClusters = new Set<string>();
  readonly #awaitedEndpoints = new Set<string>();
  /** New listeners were acknowledged a moment ago; the client may still fetch their routes, and runs the old ones until then. */
  #isSettling = false;
  /** Clusters sent on this stream whose endpoints were not sent since. */
  readonly #rewarmed = new Set<string>();

  constructor(noncePrefix: string, bytesMax = MESSAGE_BYTES_MAX) {
    this.#noncePrefix = noncePrefix;
    this.#bytesMax = bytesMax;
  }

  /** True while listeners and routes wait for new clusters; see `isWaiting`. */
  get isHolding(): boolean {
    return this.#awaitedClusters.size > 0 || this.#awaitedEndpoints.size > 0;
  }

  /** True while something waits that `release()` ends: the owner's timer runs. */
  get isWaiting(): boolean {
    return this.isHolding || this.#isSettling;
  }

  /** True when the client has acknowledged, or refused, everything of the newest view that it asked for. */
  get isSynced(): boolean {
    if (this.#view === null) return false;
    for (const watch of this.#watches.values()) if (watch.isDirty || watch.inFlight !== null) return false;
    return true;
  }

  get watches(): ReadonlyMap<TypeUrl, Watch> {
    return this.#watches;
  }

  get view(): ResourceView | null {
    return this.#view;
  }

  /** Ends every wait; pull with `next()` afterwards. */
  release(): void {
    this.#isSettling = false;
    this.#awaitedClusters.clear();
    this.#awaitedEndpoints.clear();
  }

  hearDelta(request: DeltaDiscoveryRequest): Heard {
    const { typeUrl } = request;
    const mustSend = typeUrl === ENDPOINT_TYPE ? this.#rewarmed : NO_NAMES;
    const named = this.#view?.resources.get(typeUrl) ?? NO_RESOURCES;
    const known = (name: string): string => named.get(name)?.name ?? name;
    return this.#took(typeUrl, hearDelta(this.#watches.get(typeUrl) ?? null, request, { mustSend, known }));
  }

  hearSotw(request: DiscoveryRequest): Heard {
    return this.#took(request.typeUrl, hearSotw(this.#watches.get(request.typeUrl) ?? null, request));
  }

  setView(view: ResourceView): void {
    const previous = this.#view;
    if (view === previous) return;
    this.#view = view;
    this.#generation++;
    const change = (typeUrl: TypeUrl): ResourceChange =>
      changeBetween(previous?.resources.get(typeUrl) ?? NO_RESOURCES, view.resources.get(typeUrl) ?? NO_RESOURCES);
    for (const [typeUrl, watch] of this.#watches) {
      if (previous === null) watch.lookAtAll();
      else if (previous.resources.get(typeUrl) !== view.resources.get(typeUrl)) watch.noteChange(change(typeUrl));
    }
    for (const [typeUrl, retained] of this.#retained) {
      retained.change(change(typeUrl), this.#generation);
      retained.forget(this.#watches.get(typeUrl)?.suspects ?? NO_NAMES);
    }
    if (previous !== null) this.#await(previous, view);
  }

  /** The next response to send, or null when everything is sent or waits for an answer. */
  next(): Outgoing | null {
    if (this.#view === null) return null;
    for (const typeUrl of this.#order()) {
      const watch = this.#watches.get(typeUrl);
      if (watch === undefined || watch.inFlight !== null || !watch.isDirty) continue;
      if (this.isHolding && waitsForClusters(typeUrl)) continue;
      // Hosts are asked for before clusters, and told after them.
      if (typeUrl === VIRTUAL_HOST_TYPE && !this.#watches.has(CLUSTER_TYPE)) continue;
      const message = this.#send(watch);
      if (message !== null) return message;
    }
    return this.#dropRetained() ? this.next() : null;
  }

  #took(typeUrl: TypeUrl, heard: Heard): Heard {
    if (heard.kind === 'unsubscribed') this.#watches.delete(typeUrl);
    else this.#watches.set(typeUrl, heard.watch);
    if (heard.kind === 'nacked' && this.#retained.get(typeUrl)?.forget(heard.watch.suspects) === true) {
      heard.watch.lookAtAll();
    }
    if (heard.kind === 'acked' && typeUrl === LISTENER_TYPE) this.#isSettling = this.#hasRetained();
    if (heard.kind === 'acked' || heard.kind === 'nacked') this.#stopAwaiting(typeUrl, heard);
    return heard;
  }

  #stopAwaiting(typeUrl: TypeUrl, { kind, watch, message }: Answered): void {
    for (const name of message.names) {
      if (typeUrl === CLUSTER_TYPE) this.#awaitedClusters.delete(name);
      if (typeUrl === ENDPOINT_TYPE) this.#awaitedEndpoints.delete(name);
    }
    // Nobody asks for the endpoints of a cluster that was refused.
    if (kind === 'nacked' && typeUrl === CLUSTER_TYPE) {
      for (const name of watch.suspects) this.#awaitedEndpoints.delete(name);
    }
  }

  *#order(): Iterable<TypeUrl> {
    yield* PUSH_ORDER;
    for (const typeUrl of this.#watches.keys()) if (!PUSH_ORDER.includes(typeUrl)) yield typeUrl;
  }

  #send(watch: Watch): Outgoing | null {
    const { typeUrl } = watch;
    const offer = this.#offer(typeUrl);
    const difference = watch.difference(offer, this.#bytesMax);
    if (difference === null) {
      watch.settle(offer);
      return null;
    }
    const { resources, removed } = difference;
    if (typeUrl === CLUSTER_TYPE) {
      // On a new stream this holds back the first listeners and routes, too: a client that comes back
      // asks for everything at once, while traffic runs through it.
      if (watch.isWildcard) for (const { name } of resources) if (!watch.hasSent(name)) this.#awaitCluster(name);
      this.#rewarm(resources.filter((resource) => !watch.holds(resource)));
    }
    if (typeUrl === ENDPOINT_TYPE) for (const { name } of resources) this.#rewarmed.delete(name);
    const nonce = `${this.#noncePrefix}${++this.#nonces}`;
    const names = new Set(resources.map((resource) => resource.name));
    const generation = difference.isPartial ? watch.ackedGeneration : this.#generation;
    watch.note(difference, offer, { nonce, version: offer.version, generation, names });
    return { typeUrl, nonce, version: offer.version, resources, removed };
  }

  #rewarm(clusters: readonly EncodedResource[]): void {
    const endpoints = this.#watches.get(ENDPOINT_TYPE);
    for (const { name } of clusters) {
      this.#rewarmed.add(name);
      endpoints?.resend(name);
    }
  }

  #offer(typeUrl: TypeUrl): Offer {
    const named = this.#view?.resources.get(typeUrl) ?? NO_RESOURCES;
    const retained = this.#retained.get(typeUrl);
    const version = this.#view?.versions.get(typeUrl) ?? '';
    if (retained === undefined || retained.size === 0) {
      return { version, named, get: (name) => named.get(name), all: () => named.values() };
    }
    return {
      // The same version must not stand for two contents, even for the moment before the removal.
      version: `${version}+${retained.size}`,
      named,
      get: (name) => named.get(name) ?? retained.get(name),
      all: () => [...named.values(), ...retained.all()],
    };
  }

  /** Notes what listeners and routes have to wait for, so that a route never names a cluster that is still unknown. */
  #await(previous: ResourceView, view: ResourceView): void {
    const clusters = view.resources.get(CLUSTER_TYPE) ?? NO_RESOURCES;
    const endpoints = view.resources.get(ENDPOINT_TYPE) ?? NO_RESOURCES;
    for (const name of this.#awaitedClusters) if (!clusters.has(name)) this.#awaitedClusters.delete(name);
    for (const name of this.#awaitedEndpoints) if (!endpoints.has(name)) this.#awaitedEndpoints.delete(name);
    // Only a client that takes all clusters will surely ask for the new ones; the others lead themselves.
    if (this.#watches.get(CLUSTER_TYPE)?.isWildcard !== true) return;
    const before = previous.resources.get(CLUSTER_TYPE) ?? NO_RESOURCES;
    if (before === clusters) return;
    for (const { name } of changeBetween(before, clusters).added) {
      if (this.#retained.get(CLUSTER_TYPE)?.get(name) === undefined) this.#awaitCluster(name);
    }
  }

  #awaitCluster(name: string): void {
    this.#awaitedClusters.add(name);
    if (this.#view?.resources.get(ENDPOINT_TYPE)?.has(name) === true) this.#awaitedEndpoints.add(name);
  }

  /** Lets go of what listeners and routes have stopped using; true when that leaves something to send. */
  #dropRetained(): boolean {
    if (this.#isSettling) return false;
    let isDirty = false;
    for (const [typeUrl, retained] of this.#retained) {
      if (retained.size === 0) continue;
      const listeners = this.#settled(LISTENER_TYPE);
      const routes = Math.min(this.#settled(ROUTE_TYPE), this.#settled(VIRTUAL_HOST_TYPE));
      const generation = typeUrl === ROUTE_TYPE ? listeners : Math.min(listeners, routes);
      if (!retained.dropUpTo(generation)) continue;
      const watch = this.#watches.get(typeUrl);
      if (watch === undefined) continue;
      watch.lookAtAll();
      isDirty ||= watch.inFlight === null;
    }
    return isDirty;
  }

  #hasRetained(): boolean {
    for (const retained of this.#retained.values()) if (retained.size > 0) return true;
    return false;
  }

  /** The newest view generation that the client surely runs for this type. After a NACK it runs an older one. */
  #settled(typeUrl: TypeUrl): number {
    const watch = this.#watches.get(typeUrl);
    if (watch === undefined) return this.#generation;
    const isQuiet = !watch.isDirty && watch.inFlight === null && watch.lastError === '';
    return isQuiet ? this.#generation : watch.ackedGeneration;
  }
}

const NO_NAMES: ReadonlySet<string> = new Set();

function waitsForClusters(typeUrl: TypeUrl): boolean {
  return typeUrl === LISTENER_TYPE || typeUrl === ROUTE_TYPE || typeUrl === VIRTUAL_HOST_TYPE;
}

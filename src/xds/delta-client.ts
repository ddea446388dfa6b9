// The delta variant of the client half. It remembers the version of every resource that it accepted, so
// that a new stream transfers only what changed; a refused resource keeps the version it had.
import { create } from '@bufbuild/protobuf';

import { error } from '../base/problem.ts';
import { INVALID_ARGUMENT, type ClientStream, type ClientStreamOptions, type Received } from './client-stream.ts';
import {
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
} from './gen/envoy/service/discovery/v3/discovery_pb.js';
import { StatusSchema } from './gen/google/rpc/status_pb.js';
import { defaultsToWildcard, inRequestOrder, type TypeUrl } from './type-url.ts';
import { formatRefusals, type ReceivedResource, type Refusal } from './update.ts';

interface Interest {
  readonly typeUrl: TypeUrl;
  names: ReadonlySet<string>;
  isWildcard: boolean;
  /** Version by name of what the client holds. */
  readonly held: Map<string, string>;
}

const NO_NAMES: ReadonlySet<string> = new Set();

export class DeltaClient implements ClientStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
  readonly #options: ClientStreamOptions;
  readonly #interests = new Map<TypeUrl, Interest>();
  /** Types of which this stream has seen a request: the first one carries the versions held. */
  readonly #begun = new Set<TypeUrl>();
  #isOpen = false;
  #hasSentNode = false;

  constructor(options: ClientStreamOptions) {
    this.#options = options;
  }

  open(): DeltaDiscoveryRequest[] {
    this.close();
    this.#isOpen = true;
    const requests: DeltaDiscoveryRequest[] = [];
    for (const typeUrl of inRequestOrder(this.#interests.keys())) {
      const interest = this.#interests.get(typeUrl);
      if (interest !== undefined && wantsAny(interest)) requests.push(this.#begin(interest));
    }
    return requests;
  }

  subscribe(typeUrl: TypeUrl, names: ReadonlySet<string> | '*'): DeltaDiscoveryRequest | null {
    const interest = this.#interests.get(typeUrl) ?? { typeUrl, names: NO_NAMES, isWildcard: false, held: new Map() };
    const wanted = names === '*' ? NO_NAMES : new Set(names);
    const isWildcard = names === '*';
    const added = [...wanted].filter((name) => !interest.names.has(name));
    const dropped = [...interest.names].filter((name) => !wanted.has(name));
    if (isWildcard && !interest.isWildcard) added.push('*');
    if (!isWildcard && interest.isWildcard) dropped.push('*');
    if (added.length === 0 && dropped.length === 0) return null;
    this.#interests.set(typeUrl, interest);
    interest.names = wanted;
    interest.isWildcard = isWildcard;
    if (!isWildcard) for (const name of interest.held.keys()) if (!wanted.has(name)) interest.held.delete(name);
    if (!this.#isOpen) return null;
    if (!this.#begun.has(typeUrl)) return this.#begin(interest);
    return this.#request({ typeUrl, resourceNamesSubscribe: added, resourceNamesUnsubscribe: dropped });
  }

  receive(response: DeltaDiscoveryResponse): Received | null {
    const { typeUrl, nonce } = response;
    const interest = this.#interests.get(typeUrl);
    if (interest === undefined) return null;
    const refused: Refusal[] = [];
    const changed: ReceivedResource[] = [];
    const seen = new Set<string>();
    for (const { name, version, resource } of response.resources) {
      const isTwice = seen.has(name);
      seen.add(name);
      if (isTwice) refused.push(refusal(name, 'the response holds this name twice'));
      else if (!interest.isWildcard && !interest.names.has(name)) continue;
      else if (resource === undefined) interest.held.set(name, version);
      else if (resource.typeUrl !== typeUrl) refused.push(refusal(name, `its type is ${resource.typeUrl}`));
      else changed.push({ name, version, resource });
    }
    const removed: string[] = [];
    for (const name of response.removedResources) {
      if (seen.has(name)) refused.push(refusal(name, 'the response both changes and removes it'));
      else if (interest.isWildcard || interest.names.has(name)) removed.push(name);
    }
    return { update: { typeUrl, version: response.systemVersionInfo, changed, removed }, nonce, refused };
  }

  answer(received: Received, refused: readonly Refusal[]): DeltaDiscoveryRequest {
    const { update, nonce } = received;
    const all = [...received.refused, ...refused];
    const bad = new Set(all.map((refusal) => refusal.name));
    const interest = this.#interests.get(update.typeUrl);
    for (const { name, version } of update.changed) {
      // The owner may have changed its subscription while it looked at the update.
      const isWanted = interest?.isWildcard === true || interest?.names.has(name) === true;
      if (isWanted && !bad.has(name)) interest.held.set(name, version);
    }
    for (const name of update.removed) if (!bad.has(name)) interest?.held.delete(name);
    const request = this.#request({ typeUrl: update.typeUrl, responseNonce: nonce });
    if (all.length > 0) {
      request.errorDetail = create(StatusSchema, { code: INVALID_ARGUMENT, message: formatRefusals(all) });
    }
    return request;
  }

  close(): void {
    this.#isOpen = false;
    this.#hasSentNode = false;
    this.#begun.clear();
  }

  #begin(interest: Interest): DeltaDiscoveryRequest {
    const { typeUrl, names, isWildcard, held } = interest;
    this.#begun.add(typeUrl);
    const subscribed = [...names];
    // An empty first list means everything, for the types where it does: the form that every server knows.
    if (isWildcard && !defaultsToWildcard(typeUrl)) subscribed.push('*');
    return this.#request({
      typeUrl,
      resourceNamesSubscribe: subscribed,
      initialResourceVersions: Object.fromEntries(held),
    });
  }

  #request(fields: {
    typeUrl: TypeUrl;
    resourceNamesSubscribe?: string[];
    resourceNamesUnsubscribe?: string[];
    initialResourceVersions?: Record<string, string>;
    responseNonce?: string;
  }): DeltaDiscoveryRequest {
    const request = create(DeltaDiscoveryRequestSchema, fields);
    if (!this.#hasSentNode) request.node = this.#options.node;
    this.#hasSentNode = true;
    return request;
  }
}

function wantsAny(interest: Interest): boolean {
  return interest.isWildcard || interest.names.size > 0;
}

function refusal(name: string, message: string): Refusal {
  return { name, problems: [error('', message)] };
}

// The state-of-the-world variant of the client half. Responses for clusters and listeners hold every
// resource, so absence is removal; responses for the other types hold some. What did not change in its
// bytes is left out of the update, since a server repeats everything for one change.
import { create, fromBinary } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';

import { error } from '../base/problem.ts';
import { INVALID_ARGUMENT, type ClientStream, type ClientStreamOptions, type Received } from './client-stream.ts';
import {
  DiscoveryRequestSchema,
  ResourceSchema,
  type DiscoveryRequest,
  type DiscoveryResponse,
} from './gen/envoy/service/discovery/v3/discovery_pb.js';
import { StatusSchema } from './gen/google/rpc/status_pb.js';
import { resourceName } from './resource-name.ts';
import { DELTA_RESOURCE_TYPE, defaultsToWildcard, inPushOrder, sendsWholeState, type TypeUrl } from './type-url.ts';
import { formatRefusals, type ReceivedResource, type Refusal } from './update.ts';

interface Interest {
  readonly typeUrl: TypeUrl;
  names: ReadonlySet<string> | '*';
  /** `version_info` of the newest response that was accepted; outlives the stream. */
  version: string;
  /** Of the newest response on this stream; empty before the first. */
  nonce: string;
  /** This stream has asked for names: an empty list would now mean none. */
  hasNamed: boolean;
  /** Names that this stream asked for and then let go. */
  readonly dropped: Set<string>;
  /** Bytes by name of what the client holds. */
  readonly held: Map<string, Uint8Array>;
}

export class SotwClient implements ClientStream<DiscoveryRequest, DiscoveryResponse> {
  readonly #options: ClientStreamOptions;
  readonly #interests = new Map<TypeUrl, Interest>();
  #isOpen = false;
  #hasSentNode = false;

  constructor(options: ClientStreamOptions) {
    this.#options = options;
  }

  open(): DiscoveryRequest[] {
    this.close();
    this.#isOpen = true;
    const requests: DiscoveryRequest[] = [];
    for (const typeUrl of inPushOrder(this.#interests.keys())) {
      const interest = this.#interests.get(typeUrl);
      if (interest === undefined) continue;
      if (interest.names === '*' || interest.names.size > 0) requests.push(this.#request(interest));
    }
    return requests;
  }

  subscribe(typeUrl: TypeUrl, names: ReadonlySet<string> | '*'): DiscoveryRequest | null {
    const known = this.#interests.get(typeUrl);
    if (areEqual(known?.names ?? NO_NAMES, names)) return null;
    const interest: Interest = known ?? {
      typeUrl,
      names,
      version: '',
      nonce: '',
      hasNamed: false,
      dropped: new Set(),
      held: new Map(),
    };
    // The server may never learn that something was not wanted in between: a request with an outdated
    // nonce is dropped, and no names can mean everything. Begin anew then, without a nonce.
    if (names === '*' || [...names].some((name) => interest.dropped.has(name))) begin(interest);
    if (interest.names !== '*') for (const name of interest.names) interest.dropped.add(name);
    if (names !== '*') for (const name of names) interest.dropped.delete(name);
    interest.names = names === '*' ? names : new Set(names);
    this.#interests.set(typeUrl, interest);
    if (names !== '*') for (const name of interest.held.keys()) if (!names.has(name)) interest.held.delete(name);
    return this.#isOpen ? this.#request(interest) : null;
  }

  receive(response: DiscoveryResponse): Received | null {
    const { typeUrl, versionInfo: version, nonce } = response;
    const interest = this.#interests.get(typeUrl);
    if (interest === undefined) return null;
    interest.nonce = nonce;
    const refused: Refusal[] = [];
    const changed: ReceivedResource[] = [];
    const present = new Set<string>();
    for (const wrapped of response.resources) {
      const { name, resource } = unwrap(wrapped);
      const isTwice = present.has(name);
      present.add(name);
      if (isTwice) refused.push(refusal(name, 'the response holds this name twice'));
      else if (resource.typeUrl !== typeUrl) refused.push(refusal(name, `its type is ${resource.typeUrl}`));
      else if (interest.names !== '*' && !interest.names.has(name)) continue;
      else if (!areEqualBytes(interest.held.get(name), resource.value)) changed.push({ name, version, resource });
    }
    const removed = sendsWholeState(typeUrl) ? [...interest.held.keys()].filter((name) => !present.has(name)) : [];
    return { update: { typeUrl, version, changed, removed }, nonce, refused };
  }

  answer(received: Received, refused: readonly Refusal[]): DiscoveryRequest {
    const { update } = received;
    const all = [...received.refused, ...refused];
    const bad = new Set(all.map((refusal) => refusal.name));
    const interest = this.#interests.get(update.typeUrl);
    if (interest === undefined) return create(DiscoveryRequestSchema, { typeUrl: update.typeUrl });
    for (const { name, resource } of update.changed) {
      const isWanted = interest.names === '*' || interest.names.has(name);
      if (isWanted && !bad.has(name)) interest.held.set(name, resource.value);
    }
    for (const name of update.removed) if (!bad.has(name)) interest.held.delete(name);
    if (all.length === 0) interest.version = update.version;
    const request = this.#request(interest);
    if (all.length > 0) {
      request.errorDetail = create(StatusSchema, { code: INVALID_ARGUMENT, message: formatRefusals(all) });
    }
    return request;
  }

  close(): void {
    this.#isOpen = false;
    this.#hasSentNode = false;
    for (const interest of this.#interests.values()) {
      begin(interest);
      interest.hasNamed = false;
    }
  }

  #request(interest: Interest): DiscoveryRequest {
    const { typeUrl, names, version: versionInfo, nonce: responseNonce } = interest;
    const resourceNames = names === '*' ? ['*'] : [...names];
    // The empty list is the older way to ask for everything, and the one that every server knows.
    if (names === '*' && defaultsToWildcard(typeUrl) && !interest.hasNamed) resourceNames.pop();
    else interest.hasNamed = true;
    const request = create(DiscoveryRequestSchema, { typeUrl, versionInfo, responseNonce, resourceNames });
    if (!this.#hasSentNode) request.node = this.#options.node;
    this.#hasSentNode = true;
    return request;
  }
}

function begin(interest: Interest): void {
  interest.nonce = '';
  interest.dropped.clear();
}

const NO_NAMES: ReadonlySet<string> = new Set();

/** A server may wrap each resource in a `Resource` that carries its name. */
function unwrap(any: Any): { readonly name: string; readonly resource: Any } {
  if (any.typeUrl === DELTA_RESOURCE_TYPE) {
    try {
      const { name, resource } = fromBinary(ResourceSchema, any.value);
      if (resource !== undefined) return { name: name === '' ? resourceName(resource.value) : name, resource };
    } catch {
      // Falls through: its type is not the one that was asked for, and that is what will be said.
    }
  }
  return { name: resourceName(any.value), resource: any };
}

function refusal(name: string, message: string): Refusal {
  return { name, problems: [error('', message)] };
}

function areEqual(a: ReadonlySet<string> | '*', b: ReadonlySet<string> | '*'): boolean {
  if (a === '*' || b === '*') return a === b;
  return a.size === b.size && [...a].every((name) => b.has(name));
}

function areEqualBytes(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && Buffer.compare(a, b) === 0;
}

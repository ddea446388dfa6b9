// Random sequences of everything that can happen between the two halves of ADS: the desired state
// changes, the client changes what it wants, messages are delivered late and in any interleaving, some
// resources are refused, the stream breaks. After quiet, the client holds exactly what it wants of the
// desired state, except what it refused; and on the way the protocol's invariants hold.
import { fromBinary } from '@bufbuild/protobuf';
import {
  array,
  assert as check,
  boolean,
  constantFrom,
  oneof,
  property,
  record,
  subarray,
  type Arbitrary,
} from 'fast-check';
import { test } from 'vitest';

import { assert } from '../../src/base/assert.ts';
import { error } from '../../src/base/problem.ts';
import { adsWire, type AdsWire } from '../../src/sidecar/discovery-wire.ts';
import { encodeDeltaResponse, encodeResponse } from '../../src/xds/envelope.ts';
import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
} from '../../src/xds/gen/envoy/service/discovery/v3/discovery_pb.js';
import { resourceView, type EncodedResource } from '../../src/xds/resource.ts';
import { ServerStream } from '../../src/xds/server-stream.ts';
import { CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE, type TypeUrl } from '../../src/xds/type-url.ts';
import type { Refusal, Update, Variant } from '../../src/xds/update.ts';
import { aCluster, aListener, aNode, anAssignment, aRoutes } from '../support/xds-builders.ts';

const TYPES = [CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE] as const;
const WHOLE: ReadonlySet<TypeUrl> = new Set([CLUSTER_TYPE, LISTENER_TYPE]);
const NAMES = ['a', 'b', 'c', 'd'] as const;

type Wanted = ReadonlySet<string> | '*';

/** Salt 0 means absent; salt 9 means that the client will refuse it. */
const BAD = '9';

function resourceOf(typeUrl: TypeUrl, name: string, salt: string): EncodedResource {
  if (typeUrl === CLUSTER_TYPE) return aCluster(name, salt);
  if (typeUrl === ENDPOINT_TYPE) return anAssignment(name, 1000 + Number(salt));
  return typeUrl === LISTENER_TYPE ? aListener(name, salt) : aRoutes(name, salt);
}

/** Both halves and the two pipes between them. */
class World {
  readonly variant: Variant;
  #desired: Map<TypeUrl, Map<string, EncodedResource>> = new Map();
  readonly #bad = new Set<string>();
  readonly #held = new Map<TypeUrl, Map<string, string>>(TYPES.map((typeUrl) => [typeUrl, new Map()]));
  readonly #wanted = new Map<TypeUrl, Wanted>();
  readonly #client: AdsWire;
  #server: ServerStream | null = null;
  #toServer: Uint8Array[] = [];
  #toClient: { readonly typeUrl: TypeUrl; readonly bytes: Uint8Array }[] = [];
  #streams = 0;
  nacks = 0;

  constructor(variant: Variant) {
    this.variant = variant;
    this.#client = adsWire(variant, aNode());
  }

  change(typeUrl: TypeUrl, name: string, salt: string): void {
    const next = new Map(this.#desired);
    const named = new Map(next.get(typeUrl));
    if (salt === '0') named.delete(name);
    else {
      const resource = resourceOf(typeUrl, name, salt);
      if (salt === BAD) this.#bad.add(resource.version);
      named.set(name, resource);
    }
    next.set(typeUrl, named);
    this.#desired = next;
    this.#server?.setView(this.#view());
    this.#pump();
  }

  want(typeUrl: TypeUrl, wanted: Wanted): void {
    this.#wanted.set(typeUrl, wanted);
    const held = this.#held.get(typeUrl);
    if (wanted !== '*') for (const name of held?.keys() ?? []) if (!wanted.has(name)) held?.delete(name);
    this.#send(this.#client.subscribe(typeUrl, wanted));
  }

  connect(): void {
    if (this.#server !== null) return;
    this.#server = new ServerStream(`s${++this.#streams}.`, 60);
    this.#server.setView(this.#view());
    for (const request of this.#client.open()) this.#send(request);
  }

  disconnect(): void {
    this.#server = null;
    this.#toServer = [];
    this.#toClient = [];
    this.#client.close();
  }

  deliverRequest(): boolean {
    const request = this.#toServer.shift();
    if (request === undefined || this.#server === null) return false;
    if (this.variant === 'sotw') this.#server.hearSotw(fromBinary(DiscoveryRequestSchema, request));
    else this.#server.hearDelta(fromBinary(DeltaDiscoveryRequestSchema, request));
    this.#pump();
    return true;
  }

  deliverResponse(): boolean {
    const message = this.#toClient.shift();
    if (message === undefined) return false;
    this.#receive(message.bytes);
    return true;
  }

  release(): void {
    this.#server?.release();
    this.#pump();
  }

  /** Delivers everything, then compares. */
  quiet(): void {
    this.connect();
    for (let round = 0; round < 10_000; round++) {
      const isBusy = [this.deliverRequest(), this.deliverResponse()].includes(true);
      if (isBusy) continue;
      if (this.#server?.isWaiting !== true) break;
      this.release();
    }
    assert(this.#toServer.length === 0 && this.#toClient.length === 0, 'it never comes to rest');
    assert(this.#server?.isSynced === true, 'the server does not know that the client is in sync');
    const refusesRoutes = [LISTENER_TYPE, ROUTE_TYPE].some(
      (typeUrl) => (this.#server?.watches.get(typeUrl)?.lastError ?? '') !== '',
    );
    for (const typeUrl of TYPES) this.#compare(typeUrl, refusesRoutes);
  }

  #compare(typeUrl: TypeUrl, refusesRoutes: boolean): void {
    const wanted = this.#wanted.get(typeUrl) ?? new Set<string>();
    const held = this.#held.get(typeUrl) ?? new Map<string, string>();
    const desired = this.#desired.get(typeUrl) ?? new Map<string, EncodedResource>();
    for (const name of NAMES) {
      const isWanted = wanted === '*' || wanted.has(name);
      const version = isWanted ? desired.get(name)?.version : undefined;
      // What was refused leaves whatever good version, or none, stood before.
      if (version !== undefined && this.#bad.has(version)) continue;
      if (version === undefined) {
        // State of the world cannot say that endpoints or routes are gone, and nothing is taken
        // away while the client still runs listeners or routes that it was told to replace.
        if (isWanted && this.variant === 'sotw' && !WHOLE.has(typeUrl)) continue;
        if (isWanted && refusesRoutes && typeUrl !== LISTENER_TYPE) continue;
      }
      assert(held.get(name) === version, `${typeUrl} ${name}: holds ${held.get(name)}, should hold ${version}`);
    }
  }

  #view() {
    return resourceView([...this.#desired.values()].flatMap((named) => [...named.values()]));
  }

  #send(request: Uint8Array | null): void {
    if (request !== null && this.#server !== null) this.#toServer.push(request);
  }

  #pump(): void {
    const server = this.#server;
    if (server === null) return;
    for (let message = server.next(); message !== null; message = server.next()) {
      const { typeUrl } = message;
      const bytes = this.variant === 'delta' ? encodeDeltaResponse(message, '') : encodeResponse(message, '');
      this.#toClient.push({ typeUrl, bytes });
    }
    // In the state-of-the-world variant a fresh first request abandons what was in flight.
    const types = this.#toClient.map((message) => message.typeUrl);
    const isSingle = new Set(types).size === types.length;
    assert(this.variant === 'sotw' || isSingle, 'two messages of one type are in flight');
  }

  #receive(bytes: Uint8Array): void {
    const answer = this.#client.receive(bytes, (update) => this.#take(update));
    assert(answer.kind === 'answered', 'the response cannot be read');
    this.#send(answer.request);
  }

  #take({ typeUrl, changed, removed }: Update): Refusal[] {
    const held = this.#held.get(typeUrl) ?? new Map<string, string>();
    const refused: Refusal[] = [];
    for (const { name, resource } of changed) {
      const known = this.#versionOf(typeUrl, name, resource.value);
      if (this.#bad.has(known)) refused.push({ name, problems: [error('', 'bad')] });
      else held.set(name, known);
    }
    for (const name of removed) held.delete(name);
    if (refused.length > 0) this.nacks++;
    return refused;
  }

  #versionOf(typeUrl: TypeUrl, name: string, value: Uint8Array): string {
    for (let salt = 1; salt < 10; salt++) {
      const resource = resourceOf(typeUrl, name, String(salt));
      if (Buffer.compare(resource.bytes, value) === 0) return resource.version;
    }
    return assertKnown(name);
  }
}

function assertKnown(name: string): never {
  assert(false, `${name} has content that nobody made`);
}

interface Move {
  readonly kind: 'change' | 'want' | 'connect' | 'disconnect' | 'request' | 'response' | 'release' | 'quiet';
  readonly typeUrl: TypeUrl;
  readonly name: string;
  readonly salt: string;
  readonly names: readonly string[];
  readonly isWildcard: boolean;
}

const move: Arbitrary<Move> = record({
  kind: oneof(
    { weight: 6, arbitrary: constantFrom('change' as const) },
    { weight: 3, arbitrary: constantFrom('want' as const) },
    { weight: 2, arbitrary: constantFrom('connect' as const) },
    { weight: 1, arbitrary: constantFrom('disconnect' as const, 'release' as const, 'quiet' as const) },
    { weight: 8, arbitrary: constantFrom('request' as const, 'response' as const) },
  ),
  typeUrl: constantFrom(...TYPES),
  name: constantFrom(...NAMES),
  salt: constantFrom('0', '1', '2', BAD),
  names: subarray([...NAMES]),
  isWildcard: boolean(),
});

function make(world: World, { kind, typeUrl, name, salt, names, isWildcard }: Move): void {
  if (kind === 'change') world.change(typeUrl, name, salt);
  else if (kind === 'want') world.want(typeUrl, isWildcard && WHOLE.has(typeUrl) ? '*' : new Set(names));
  else if (kind === 'connect') world.connect();
  else if (kind === 'disconnect') world.disconnect();
  else if (kind === 'request') world.deliverRequest();
  else if (kind === 'response') world.deliverResponse();
  else if (kind === 'release') world.release();
  else world.quiet();
}

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 1000);

test.each(['delta', 'sotw'] as const)('%s: after quiet the client holds what it wants of what there is', (variant) => {
  check(
    property(array(move, { minLength: 10, maxLength: 80, size: 'max' }), (moves) => {
      const world = new World(variant);
      for (const one of moves) make(world, one);
      world.quiet();
    }),
    { numRuns: RUNS },
  );
});

test.each(['delta', 'sotw'] as const)(
  '%s: a bad version is refused once per stream, whatever else changes',
  (variant) => {
    const names = array(constantFrom('a', 'b', 'c'), { maxLength: 12 });
    check(
      property(names, array(constantFrom('1', '2'), { minLength: 12, maxLength: 12 }), (changed, salts) => {
        const world = new World(variant);
        world.want(ENDPOINT_TYPE, new Set(NAMES));
        world.change(ENDPOINT_TYPE, 'd', BAD);
        world.quiet();
        for (const [index, name] of changed.entries()) {
          world.change(ENDPOINT_TYPE, name, salts[index] ?? '1');
          world.quiet();
        }
        assert(world.nacks === 1, `refused ${world.nacks} times`);
      }),
      { numRuns: Math.ceil(RUNS / 6) },
    );
  },
);

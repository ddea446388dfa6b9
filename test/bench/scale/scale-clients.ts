// Many delta clients in one process, each with a connection of its own, that ask for what a captured sidecar asks for
// and answer at once. They read the envelope of what comes and nothing more, so that they take little of the machine;
// what they note is when each resource arrived.
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { create, toBinary } from '@bufbuild/protobuf';
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import {
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryRequest,
} from '../../../src/xds/gen/envoy/service/discovery/v3/discovery_pb.js';
import {
  CLUSTER_TYPE,
  ENDPOINT_TYPE,
  LISTENER_TYPE,
  ROUTE_TYPE,
  VIRTUAL_HOST_TYPE,
} from '../../../src/xds/type-url.ts';
import { addressOf, hostOf, namespaceOf, perService, SERVICE_PORT, usedBy } from './scale-world.ts';

const WINDOW_BYTES = 1024 * 1024;
const PREFIX_BYTES = 5;
const RETRY_MS = 500;

interface Envelope {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly names: readonly string[];
  readonly versions: readonly string[];
}

/** When each change was made and is waited for. */
interface Expected {
  readonly atMs: number;
  /** How many clients it is for. */
  readonly users: number;
  readonly latenciesMs: number[];
  readonly seen: Set<number>;
}

const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** `uses`: services that a client uses, and fetches; 0: it has everything. */
const [count = 0, services = 0, endpoints = 0, namespaces = 1, port = 0, uses = 0] = process.argv.slice(2).map(Number);
const world = { services, endpoints, namespaces };
/** By resource name: the change that is waited for. */
const expected = new Map<string, Expected>();
let synced = 0;
let bytes = 0;

class Client {
  readonly #index: number;
  /** By type, by name: what a client that comes back says that it has. */
  readonly #held = new Map<string, Map<string, string>>();
  #session: ClientHttp2Session | null = null;
  #stream: ClientHttp2Stream | null = null;
  #chunks: Buffer[] = [];
  #buffered = 0;
  #hasNode = false;
  #isSynced = false;
  #isEnded = false;

  constructor(index: number) {
    this.#index = index;
  }

  open(): void {
    this.#hasNode = false;
    this.#chunks = [];
    this.#buffered = 0;
    const session = connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: WINDOW_BYTES } });
    this.#session = session;
    session.on('error', () => {});
    session.on('connect', () => session.setLocalWindowSize(WINDOW_BYTES));
    session.on('close', () => this.#lost());
    const stream = session.request({
      ':method': 'POST',
      ':path': '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    this.#stream = stream;
    stream.on('error', () => {});
    stream.on('close', () => session.close());
    stream.on('data', (chunk: Buffer) => this.#take(chunk));
    if (uses > 0) {
      const resourceNamesSubscribe = usedBy(this.#index, uses, world).map((service) => hostOf(service, world));
      this.#ask({ typeUrl: VIRTUAL_HOST_TYPE, resourceNamesSubscribe });
    }
    for (const typeUrl of [CLUSTER_TYPE, LISTENER_TYPE]) this.#ask({ typeUrl, resourceNamesSubscribe: [] });
    const clusters = [...(this.#held.get(CLUSTER_TYPE)?.keys() ?? [])].filter((name) => name.startsWith('outbound'));
    if (clusters.length > 0) this.#ask({ typeUrl: ENDPOINT_TYPE, resourceNamesSubscribe: clusters });
    this.#ask({ typeUrl: ROUTE_TYPE, resourceNamesSubscribe: [String(SERVICE_PORT)] });
  }

  end(): void {
    this.#isEnded = true;
    this.#session?.destroy();
  }

  #lost(): void {
    if (this.#isSynced) synced--;
    this.#isSynced = false;
    if (!this.#isEnded) setTimeout(() => this.open(), RETRY_MS * (0.5 + Math.random()));
  }

  #ask(request: { typeUrl: string; resourceNamesSubscribe: string[] }): void {
    const held = Object.fromEntries(this.#held.get(request.typeUrl) ?? []);
    this.#send(create(DeltaDiscoveryRequestSchema, { ...request, initialResourceVersions: held }));
  }

  #send(request: DeltaDiscoveryRequest): void {
    if (!this.#hasNode) {
      const address = addressOf(this.#index);
      const service = Math.floor(this.#index / perService(world));
      const namespace = namespaceOf(service, world);
      request.node = {
        $typeName: 'envoy.config.core.v3.Node',
        id: `sidecar~${address}~s${service}-${this.#index}.${namespace}~${namespace}.svc.cluster.local`,
        cluster: `s${service}.${namespace}`,
        metadata: {
          NAMESPACE: namespace,
          INTERCEPTION_MODE: 'REDIRECT',
          OUTRIGGER: { mode: 'redirect', onDemand: uses > 0 },
        },
        dynamicParameters: {},
        userAgentName: 'outrigger',
        userAgentVersionType: { case: undefined },
        extensions: [],
        clientFeatures: [],
        listeningAddresses: [],
      };
      this.#hasNode = true;
    }
    const message = toBinary(DeltaDiscoveryRequestSchema, request);
    const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
    frame[0] = 0;
    frame.writeUInt32BE(message.length, 1);
    frame.set(message, PREFIX_BYTES);
    if (this.#stream?.destroyed === false) this.#stream.write(frame);
  }

  #take(chunk: Buffer): void {
    bytes += chunk.length;
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    while (this.#buffered >= PREFIX_BYTES) {
      let [head = chunk] = this.#chunks;
      if (head.length < PREFIX_BYTES) {
        head = Buffer.concat(this.#chunks);
        this.#chunks = [head];
      }
      const length = head.readUInt32BE(1);
      if (this.#buffered < PREFIX_BYTES + length) return;
      const all = this.#chunks.length === 1 ? head : Buffer.concat(this.#chunks);
      const rest = all.subarray(PREFIX_BYTES + length);
      this.#chunks = rest.length === 0 ? [] : [rest];
      this.#buffered = rest.length;
      this.#hear(envelopeOf(all.subarray(PREFIX_BYTES, PREFIX_BYTES + length)));
    }
  }

  #hear({ typeUrl, nonce, names, versions }: Envelope): void {
    const atMs = nowMs();
    const held = this.#held.get(typeUrl) ?? new Map<string, string>();
    this.#held.set(typeUrl, held);
    const fresh = names.filter((name) => !held.has(name));
    for (const [index, name] of names.entries()) {
      held.set(name, versions[index] ?? '');
      const waited = expected.get(name);
      if (waited === undefined || waited.seen.has(this.#index)) continue;
      waited.seen.add(this.#index);
      waited.latenciesMs.push(atMs - waited.atMs);
    }
    this.#send(create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce: nonce }));
    if (typeUrl === CLUSTER_TYPE) {
      const outbound = fresh.filter((name) => name.startsWith('outbound'));
      if (outbound.length > 0)
        this.#send(create(DeltaDiscoveryRequestSchema, { typeUrl: ENDPOINT_TYPE, resourceNamesSubscribe: outbound }));
    }
    // Listeners and routes come last, and routes only once the clusters are there.
    if (typeUrl !== (uses > 0 ? VIRTUAL_HOST_TYPE : ROUTE_TYPE) || this.#isSynced) return;
    this.#isSynced = true;
    synced++;
  }
}

function envelopeOf(message: Uint8Array): Envelope {
  const reader = new BinaryReader(message);
  const names: string[] = [];
  const versions: string[] = [];
  let typeUrl = '';
  let nonce = '';
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field === 2 && wire === WireType.LengthDelimited) {
      const end = reader.uint32() + reader.pos;
      let name = '';
      let version = '';
      while (reader.pos < end) {
        const [inner, innerWire] = reader.tag();
        if (inner === 1) version = reader.string();
        else if (inner === 3) name = reader.string();
        else reader.skip(innerWire);
      }
      names.push(name);
      versions.push(version);
    } else if (field === 4) typeUrl = reader.string();
    else if (field === 5) nonce = reader.string();
    else reader.skip(wire);
  }
  return { typeUrl, nonce, names, versions };
}

const clients = Array.from({ length: count }, (_, index) => new Client(index));
for (const [index, client] of clients.entries()) setTimeout(() => client.open(), index / 2);

export type ClientOrder =
  | { readonly kind: 'expect'; readonly name: string; readonly service: number; readonly atMs: number }
  | { readonly kind: 'report' | 'state' | 'end' };

process.on('message', (order: ClientOrder) => {
  if (order.kind === 'expect') {
    const { name, atMs, service } = order;
    const isFor = (index: number): boolean => uses === 0 || usedBy(index, uses, world).includes(service);
    const users = clients.filter((_, index) => isFor(index)).length;
    expected.set(name, { atMs, users, latenciesMs: [], seen: new Set() });
  }
  if (order.kind === 'state') process.send?.({ kind: 'state', synced, bytes });
  else if (order.kind === 'report') {
    const changes = [...expected.values()];
    process.send?.({
      kind: 'report',
      latenciesMs: changes.flatMap(({ latenciesMs }) => latenciesMs),
      missed: changes.map(({ users, latenciesMs }) => users - latenciesMs.length),
    });
    expected.clear();
  } else if (order.kind === 'end') {
    for (const client of clients) client.end();
    process.exit(0);
  }
});

// How connections to the endpoints of one cluster are made: plain, or with the PROXY header and TLS context of the first of its
// transport_socket_matches whose criteria the endpoint's metadata meets, else with the cluster's own. Compiled
// from the Cluster; asked once per connection.
import type { Any } from '@bufbuild/protobuf/wkt';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { toBinary, type JsonObject } from '@bufbuild/protobuf';
import { error, warning, type Problem } from '../base/problem.ts';
import type { Endpoint, PoolScope } from '../plan/cluster.ts';
import type { Slot } from '../tls/slot.ts';
import type { TlsTally } from '../tls/tls-tally.ts';
import { fingerprintOf, UpstreamTls } from '../tls/upstream-tls.ts';
import type { Cluster } from '../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { TransportSocketSchema, type TransportSocket } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import { ProxyProtocolConfig_Version as Version } from '../xds/gen/envoy/config/core/v3/proxy_protocol_pb.js';
import { ProxyProtocolUpstreamTransportSchema } from '../xds/gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.js';
import { RawBufferSchema } from '../xds/gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js';
import {
  UpstreamTlsContextSchema,
  type UpstreamTlsContext,
} from '../xds/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { HttpProtocolOptionsSchema } from '../xds/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import { typeNameOf, unpack } from '../xds/unpack.ts';
import { compileCommonTls, type TlsScope } from './compile-tls.ts';
import type { SecretStore } from './secrets.ts';

/** What comes first on a connection. */
export interface ClusterSocket {
  /** Null is plaintext. */
  readonly tls: UpstreamTls | null;
  /** Of the PROXY header before everything else; null: none. */
  readonly proxyVersion: 1 | 2 | null;
}

const PLAIN: ClusterSocket = { tls: null, proxyVersion: null };

interface Choice {
  /** Key and value as JSON; all must be in the endpoint's `envoy.transport_socket_match` metadata. */
  readonly criteria: readonly (readonly [string, string])[];
  readonly socket: ClusterSocket;
}

/** HttpProtocolOptions.upstream_http_protocol_options. */
export interface AutoNames {
  /** The SNI of a connection is the host of its request. */
  readonly sni: boolean;
  /** The server must have that name. */
  readonly san: boolean;
}

export class ClusterTransport {
  /** Equal for two versions whose connections may be used alike. */
  readonly fingerprint: string;
  readonly names: AutoNames;
  readonly poolScope: PoolScope | null;
  readonly #choices: readonly Choice[];
  readonly #own: ClusterSocket;
  /** What serves until the secrets of this one have come: `transport` null is plaintext. */
  #before: { readonly transport: ClusterTransport | null } | null = null;

  constructor(fingerprint: string, names: AutoNames, choices: readonly Choice[], own: ClusterSocket) {
    this.fingerprint = fingerprint;
    this.names = names;
    const host = names.sni || names.san;
    const client = [own, ...choices.map(({ socket }) => socket)].some(({ proxyVersion }) => proxyVersion !== null);
    this.poolScope = host || client ? { host, client } : null;
    this.#choices = choices;
    this.#own = own;
  }

  /** For connections to this endpoint. */
  of(endpoint: Endpoint): ClusterSocket {
    for (const { criteria, socket } of this.#choices) {
      if (criteria.every(([key, value]) => endpoint.transportMatch.get(key) === value)) return socket;
    }
    return this.#own;
  }

  /** A new version of a cluster that is in use: `transport` serves until this one is ready. */
  follow(transport: ClusterTransport | null): void {
    if (!this.isReady) this.#before = { transport: transport === null ? null : transport.current };
  }

  /** Who makes connections now: this one once it is ready, else the one that it follows; null: plaintext. */
  get current(): ClusterTransport | null {
    if (this.#before === null) return this;
    if (!this.isReady) return this.#before.transport;
    this.#before = null;
    return this;
  }

  /** Every TLS context of the cluster. */
  contexts(): readonly UpstreamTls[] {
    return [this.#own, ...this.#choices.map(({ socket }) => socket)].flatMap(({ tls }) => (tls === null ? [] : [tls]));
  }

  get isReady(): boolean {
    return this.#slots().every(({ isSettled }) => isSettled);
  }

  /** Called once, when every secret has come or is waited for no longer: at once when that is so. */
  onReady(callback: () => void): void {
    let left = 1;
    const settled = (): void => {
      if (--left === 0) callback();
    };
    for (const slot of this.#slots()) {
      left++;
      slot.onSettled(settled);
    }
    settled();
  }

  #slots(): readonly Slot<unknown>[] {
    return this.contexts().flatMap(({ init: { certificates, trust } }) => [
      ...certificates,
      ...(trust === null ? [] : [trust]),
    ]);
  }
}

export interface TransportScope {
  readonly secrets: SecretStore;
  readonly problems: Problem[];
  readonly path: string;
  readonly tally: () => TlsTally;
}

const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** Null for a cluster that sends plaintext to everyone. */
export function compileClusterTransport(cluster: Cluster, scope: TransportScope): ClusterTransport | null {
  const { transportSocket, transportSocketMatches } = cluster;
  if (transportSocket === undefined && transportSocketMatches.length === 0) return null;
  const at = (name: string): string => (scope.path === '' ? name : `${scope.path}.${name}`);
  const names = namesOf(cluster);
  const own = compileSocket(transportSocket, { ...scope, path: at('transport_socket') }, names);
  const choices = transportSocketMatches.map(({ match, transportSocket: socket }, index): Choice => {
    const path = at(`transport_socket_matches[${index}].transport_socket`);
    return { criteria: criteriaOf(match), socket: compileSocket(socket, { ...scope, path }, names) };
  });
  if ([own, ...choices.map(({ socket }) => socket)].every((socket) => socket === PLAIN)) return null;
  const sockets = [transportSocket, ...transportSocketMatches.map((match) => match.transportSocket)];
  const parts = sockets.map((socket) => (socket === undefined ? '' : toBinary(TransportSocketSchema, socket)));
  const rules = JSON.stringify([choices.map(({ criteria }) => criteria), names]);
  return new ClusterTransport(fingerprintOf([...parts, rules]), names, choices, own);
}

/** Metadata that sockets are chosen by, as JSON text so that any value can be compared. */
function criteriaOf(match: JsonObject | undefined): readonly (readonly [string, string])[] {
  return Object.entries(match ?? {}).map(([key, value]) => [key, JSON.stringify(value)] as const);
}

function namesOf(cluster: Cluster): AutoNames {
  const any: Any | undefined = cluster.typedExtensionProtocolOptions[HTTP_OPTIONS];
  const options = any === undefined ? undefined : anyUnpack(any, HttpProtocolOptionsSchema);
  const names = options?.upstreamHttpProtocolOptions ?? cluster.upstreamHttpProtocolOptions;
  return { sni: names?.autoSni ?? false, san: names?.autoSanValidation ?? false };
}

function compileSocket(socket: TransportSocket | undefined, scope: TransportScope, names: AutoNames): ClusterSocket {
  if (socket?.configType.case !== 'typedConfig') return PLAIN;
  const any = socket.configType.value;
  if (typeNameOf(any) === RawBufferSchema.typeName) return PLAIN;
  const path = `${scope.path}.typed_config`;
  const context = unpack(any, UpstreamTlsContextSchema);
  if (context !== null) return { tls: compileContext(context, { ...scope, path }, names), proxyVersion: null };
  const announcing = unpack(any, ProxyProtocolUpstreamTransportSchema);
  if (announcing !== null) {
    const inner = compileSocket(announcing.transportSocket, { ...scope, path: `${path}.transport_socket` }, names);
    if (inner.proxyVersion !== null) {
      scope.problems.push(error(`${path}.transport_socket`, 'one PROXY header is enough', 'write raw_buffer or tls'));
    }
    return { tls: inner.tls, proxyVersion: announcing.config?.version === Version.V2 ? 2 : 1 };
  }
  const remedy = 'write an UpstreamTlsContext, or a ProxyProtocolUpstreamTransport';
  scope.problems.push(error(scope.path, `${typeNameOf(any)} is not the client end of a transport socket`, remedy));
  return PLAIN;
}

function compileContext(context: UpstreamTlsContext, scope: TransportScope, names: AutoNames): UpstreamTls {
  const { problems, path, secrets } = scope;
  const at = `${path}.common_tls_context`;
  const inner: TlsScope = { secrets, problems, path: at };
  const common = compileCommonTls(context.commonTlsContext, inner, 'TLSv1.2');
  const trust = common.trust?.value ?? null;
  const proves = trust === null || trust.authorities.length + trust.hashes.size + trust.keyHashes.size > 0;
  if (common.trust === null || !proves) {
    const text = 'any server is taken for the right one: its certificate is not checked';
    problems.push(warning(at, text, 'write validation_context with trusted_ca and match_typed_subject_alt_names'));
  } else if (trust !== null && trust.names.length + trust.hashes.size + trust.keyHashes.size === 0 && !names.san) {
    const text = 'a server with any name is taken, as long as trusted_ca vouches for it';
    problems.push(warning(at, text, 'write match_typed_subject_alt_names'));
  }
  return new UpstreamTls({
    ...common,
    serverName: context.sni,
    sessionsMax: context.maxSessionKeys ?? 1,
    tally: scope.tally(),
  });
}

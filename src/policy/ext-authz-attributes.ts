// What a gRPC authorization service is told of a request (envoy.service.auth.v3.AttributeContext): both ends of its
// connection with their principals, the request with its chosen fields and its body, the route's extensions, and
// the dynamic metadata that the settings name.
import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf';
import { internHeader } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { CertificateFacts } from '../plan/tls-facts.ts';
import { unicodeText } from '../plan/wire-text.ts';
import type { AddressSchema } from '../xds/gen/envoy/config/core/v3/address_pb.js';
import type { AttributeContextSchema } from '../xds/gen/envoy/service/auth/v3/attribute_context_pb.js';
import type { AuthzField } from './ext-authz-decision.ts';
import { fieldsFor, PARTIAL_BODY, sanitized } from './ext-authz-fields.ts';
import type { AuthzSettings } from './ext-authz-settings.ts';

type Attributes = MessageInitShape<typeof AttributeContextSchema>;

const SERVICE = internHeader('x-envoy-downstream-service-cluster');

/** What is told of the two ends of a connection. */
export interface AuthzPeers {
  readonly includesCertificate: boolean;
  readonly includesTlsSession: boolean;
  readonly destinationLabels: Readonly<Record<string, string>>;
}

type Peers = Pick<Extract<Attributes, { $typeName?: never }>, 'source' | 'destination' | 'tlsSession'>;

/** Of a connection: all that there is to tell. */
export function peersOf({ connection, request }: Exchange, arg: AuthzPeers): Peers {
  const { tls } = connection;
  const certificate = arg.includesCertificate ? (tls?.certificate?.pem ?? '') : '';
  return {
    source: {
      address: addressOf(connection.remoteAddress, connection.remotePort),
      service: sanitizedText(request.get(SERVICE) ?? ''),
      principal: tls === null ? '' : principalOf(tls.certificate),
      certificate: encodeURIComponent(certificate),
    },
    destination: {
      address: addressOf(connection.localAddress, connection.localPort),
      principal: tls === null ? '' : principalOf(tls.ownCertificate),
      labels: { ...arg.destinationLabels },
    },
    ...(arg.includesTlsSession ? { tlsSession: { sni: tls === null ? '' : tls.serverName } } : {}),
  };
}

export function attributesOf(x: Exchange, arg: AuthzSettings): Attributes {
  const metadata = metadataOf(arg.metadataNamespaces, (name) => x.metadata.get(name));
  const route = x.plan?.metadata?.route;
  const routeMetadata = metadataOf(arg.routeMetadataNamespaces, (name) => route?.[name]);
  return {
    ...peersOf(x, arg),
    request: { time: timeOf(x.startWallMs), http: httpOf(x, arg) },
    contextExtensions: { ...arg.contextExtensions },
    metadataContext: metadata,
    routeMetadataContext: routeMetadata,
  };
}

type Http = NonNullable<NonNullable<Attributes['request']>['http']>;

function httpOf(x: Exchange, arg: AuthzSettings): Http {
  const { request } = x;
  const fields = fieldsFor(x, arg);
  const body = arg.body === null ? null : x.heldBody;
  const all: readonly AuthzField[] = body === null ? fields : [...fields, [PARTIAL_BODY, String(x.isHeldPartial)]];
  return {
    id: String(x.epoch),
    method: request.method,
    path: sanitizedText(request.path),
    host: sanitizedText(request.authority),
    scheme: request.scheme,
    // What has come of it so far.
    size: BigInt(x.requestBytes),
    protocol: request.minor === 0 ? 'HTTP/1.0' : 'HTTP/1.1',
    ...(arg.encodesRaw
      ? { headerMap: { headers: all.map(([key, value]) => ({ key, rawValue: Buffer.from(value, 'latin1') })) } }
      : { headers: Object.fromEntries(all.map(([name, value]) => [name, unicodeText(value)])) }),
    ...bodyOf(body, arg),
  };
}

function bodyOf(body: Buffer | null, { body: settings }: AuthzSettings): Pick<Http, 'body' | 'rawBody'> {
  if (body === null || settings === null) return {};
  return settings.packsAsBytes ? { rawBody: Uint8Array.from(body) } : { body: sanitizedText(body.toString('latin1')) };
}

function sanitizedText(wire: string): string {
  return unicodeText(sanitized(wire));
}

function addressOf(address: string, portValue: number): MessageInitShape<typeof AddressSchema> {
  return {
    address: { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: portValue } } },
  };
}

/** Names of URIs first, then of hosts, then the subject. */
function principalOf(certificate: CertificateFacts | null): string {
  if (certificate === null) return '';
  const { uri, dns } = certificate.names;
  return uri[0] ?? dns[0] ?? certificate.subject;
}

function timeOf(wallMs: number): { seconds: bigint; nanos: number } {
  const seconds = Math.floor(wallMs / 1000);
  return { seconds: BigInt(seconds), nanos: Math.floor((wallMs - seconds * 1000) * 1e6) };
}

function metadataOf(
  names: readonly string[],
  read: (name: string) => JsonObject | undefined,
): { filterMetadata: Record<string, JsonObject> } {
  const filterMetadata: Record<string, JsonObject> = {};
  for (const name of names) {
    const fields = read(name);
    if (fields !== undefined) filterMetadata[name] = fields;
  }
  return { filterMetadata };
}

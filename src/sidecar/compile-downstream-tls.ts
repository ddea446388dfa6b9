// Compiles the transport socket of a filter chain: raw, or a DownstreamTlsContext.
import type { Any } from '@bufbuild/protobuf/wkt';
import { error } from '../base/problem.ts';
import { DownstreamTls } from '../tls/downstream-tls.ts';
import type { Slot } from '../tls/slot.ts';
import type { FilterChain } from '../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import { RawBufferSchema } from '../xds/gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js';
import {
  DownstreamTlsContextSchema,
  type DownstreamTlsContext,
} from '../xds/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { typeNameOf, unpack } from '../xds/unpack.ts';
import type { TlsTally } from '../tls/tls-tally.ts';
import { durationMs } from './compile-duration.ts';
import { compileCommonTls, requestOf, type TlsScope } from './compile-tls.ts';

/** Envoy has no limit of its own; without one, a client that never ends its handshake would stay for ever. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Null: plaintext, or refused with Problems. `path` is the chain's. */
export function compileDownstreamTls(chain: FilterChain, scope: TlsScope, tally: TlsTally): DownstreamTls | null {
  const socket = chain.transportSocket?.configType;
  if (socket?.case !== 'typedConfig' || typeNameOf(socket.value) === RawBufferSchema.typeName) return null;
  const any: Any = socket.value;
  const context = unpack(any, DownstreamTlsContextSchema);
  const at = `${scope.path}.transport_socket`;
  if (context === null) {
    const remedy = 'write a DownstreamTlsContext';
    scope.problems.push(error(at, `${typeNameOf(any)} is not the server end of a transport socket`, remedy));
    return null;
  }
  const timeoutMs = durationMs(chain.transportSocketConnectTimeout, HANDSHAKE_TIMEOUT_MS);
  return compileContext(context, { ...scope, path: `${at}.typed_config` }, { tally, timeoutMs });
}

interface ChainFacts {
  readonly tally: TlsTally;
  readonly timeoutMs: number;
}

function compileContext(
  context: DownstreamTlsContext,
  scope: TlsScope,
  { tally, timeoutMs }: ChainFacts,
): DownstreamTls {
  const { problems, path } = scope;
  const common = compileCommonTls(
    context.commonTlsContext,
    { ...scope, path: `${path}.common_tls_context` },
    'TLSv1.3',
  );
  if (common.certificates.length === 0) {
    const at = `${path}.common_tls_context.tls_certificates`;
    problems.push(error(at, 'a server needs a certificate', 'write certificate_chain and private_key'));
  }
  const tickets = context.sessionTicketKeysType;
  let ticketKeys: Slot<Buffer> | null = null;
  if (tickets.case === 'sessionTicketKeys') {
    ticketKeys = scope.secrets.ticketKeys(tickets.value, problems, `${path}.session_ticket_keys`);
  } else if (tickets.case === 'sessionTicketKeysSdsSecretConfig') {
    const request = requestOf(tickets.value, { ...scope, path: `${path}.session_ticket_keys_sds_secret_config` });
    ticketKeys = request === null ? null : scope.secrets.namedTicketKeys(request);
  }
  return new DownstreamTls({
    ...common,
    requiresCertificate: context.requireClientCertificate ?? false,
    requiresServerName: context.requireSni ?? false,
    scansAllOnMismatch: context.fullScanCertsOnSniMismatch ?? false,
    resumes: !(tickets.case === 'disableStatelessSessionResumption' && tickets.value),
    ticketKeys,
    sessionTimeoutSeconds:
      context.sessionTimeout === undefined ? null : Math.ceil(durationMs(context.sessionTimeout, 0) / 1000),
    handshakeTimeoutMs: timeoutMs,
    tally,
  });
}

/** The slots that must be settled before the chain is put in force. */
export function slotsOf({ init }: DownstreamTls): readonly Slot<unknown>[] {
  const { certificates, trust, ticketKeys } = init;
  return [...certificates, ...(trust === null ? [] : [trust]), ...(ticketKeys === null ? [] : [ticketKeys])];
}

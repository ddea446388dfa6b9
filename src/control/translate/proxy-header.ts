// DestinationRule's proxyProtocol: each connection of a cluster begins with a PROXY header that tells the addresses of
// the downstream connection, before TLS if there is any.
import { create } from '@bufbuild/protobuf';
import { TransportSocketSchema } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type { TransportSocket } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { ProxyProtocolConfig_Version as Version } from '../../xds/gen/envoy/config/core/v3/proxy_protocol_pb.js';
import { ProxyProtocolUpstreamTransportSchema } from '../../xds/gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.js';
import { RawBufferSchema } from '../../xds/gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js';
import { pack } from './proto.ts';

/** `inner` undefined is plaintext. */
export function withProxyHeader(inner: TransportSocket | undefined, version: 'V1' | 'V2'): TransportSocket {
  const transport = create(ProxyProtocolUpstreamTransportSchema, {
    config: { version: version === 'V1' ? Version.V1 : Version.V2 },
    transportSocket: inner ?? {
      name: 'envoy.transport_sockets.raw_buffer',
      configType: { case: 'typedConfig', value: pack(RawBufferSchema, create(RawBufferSchema)) },
    },
  });
  return create(TransportSocketSchema, {
    name: 'envoy.transport_sockets.upstream_proxy_protocol',
    configType: { case: 'typedConfig', value: pack(ProxyProtocolUpstreamTransportSchema, transport) },
  });
}

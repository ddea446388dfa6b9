// A static cluster that speaks HTTP/2, as a bootstrap file has it: a control service or a Collector, over gRPC.
const OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

export interface H2Cluster {
  readonly name: string;
  /** An IP address; 127.0.0.1 by default. */
  readonly address?: string;
  readonly port: number;
}

export function h2Cluster({ name, address = '127.0.0.1', port }: H2Cluster): unknown {
  const options = { '@type': `type.googleapis.com/${OPTIONS}`, explicit_http_config: { http2_protocol_options: {} } };
  const endpoint = { address: { socket_address: { address, port_value: port } } };
  return {
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    typed_extension_protocol_options: { [OPTIONS]: options },
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint }] }] },
  };
}

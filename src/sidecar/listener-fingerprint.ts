// Tells whether connections that are open may stay as they are over an update of their listener: they
// may when only the routes of their filter chain changed, because those are swapped under them. The fingerprint is everything
// else that a connection is made with; equal text means equal treatment, and an encoding that differs
// for equal settings costs no more than a gentle change of connections.
import { create, toBinary } from '@bufbuild/protobuf';
import { FilterChainSchema, type FilterChain } from '../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import { ListenerSchema, type Listener } from '../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { HttpConnectionManagerSchema } from '../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { unpack } from '../xds/unpack.ts';

/** All of a listener but its name, address and chains. */
export function frameFingerprint(listener: Listener): string {
  const frame = create(ListenerSchema, { ...listener, name: '', filterChains: [] });
  delete frame.address;
  delete frame.defaultFilterChain;
  return text(toBinary(ListenerSchema, frame));
}

/** All of a chain but the routes of its manager and what connections it takes. */
export function chainFingerprint(chain: FilterChain): string {
  const frame = create(FilterChainSchema, { ...chain, filters: [] });
  delete frame.filterChainMatch;
  const filters = chain.filters.map(({ name, configType }) => {
    if (configType.case !== 'typedConfig') return name;
    const manager = unpack(configType.value, HttpConnectionManagerSchema);
    if (manager === null) return `${name} ${text(configType.value.value)}`;
    const rest = create(HttpConnectionManagerSchema, { ...manager, routeSpecifier: { case: undefined } });
    return `${name} ${text(toBinary(HttpConnectionManagerSchema, rest))}`;
  });
  return [text(toBinary(FilterChainSchema, frame)), ...filters].join('\n');
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

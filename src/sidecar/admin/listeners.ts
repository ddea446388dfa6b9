// `/listeners`: the bound addresses, one `name::address` a line, or as Envoy's ListenerStatuses.
import type { JsonObject } from '@bufbuild/protobuf';
import { formatAddress } from '../../plan/cluster.ts';
import { json, text, type AdminEndpoint } from './endpoint.ts';
import type { ListenerStatus } from './source.ts';

export const listeners: AdminEndpoint = {
  path: '/listeners',
  isPostOnly: false,
  help: 'print listener info',
  parameters: [['format', 'one of (text, json)']],
  answer: ({ source, query }) => {
    const statuses = source.listeners();
    if (query.get('format') !== 'json') return text(statuses.map(formatLine).join(''));
    const written = statuses.map((status) => ({
      name: status.config.message.name,
      local_address: jsonAddress(status),
    }));
    return json(written.length === 0 ? {} : { listener_statuses: written });
  },
};

function formatLine({ config, address, port }: ListenerStatus): string {
  return `${config.message.name}::${port === 0 ? address : formatAddress(address, port)}\n`;
}

/** core.v3.Address in protobuf's JSON. */
export function jsonAddress({ address, port }: { readonly address: string; readonly port: number }): JsonObject {
  if (port === 0) return { pipe: { path: address } };
  return { socket_address: { address, port_value: port } };
}

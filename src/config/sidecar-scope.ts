// Sidecar (networking.istio.io): which hosts the sidecars of a namespace, or of selected workloads,
// need to know, and what becomes of captured connections that lead elsewhere.
import type { Fields } from './fields.ts';
import { readOutboundPolicy } from './mesh-config.ts';
import type { OutboundPolicy } from './mesh-config.ts';

export interface SidecarSpec {
  /** Null selects every workload of the namespace. */
  readonly selector: ReadonlyMap<string, string> | null;
  /** `namespace/host` patterns; null: everything. */
  readonly egressHosts: readonly string[] | null;
  /** Null: what MeshConfig says. */
  readonly outboundPolicy: OutboundPolicy | null;
}

export function readSidecarSpec(fields: Fields): SidecarSpec {
  const egress = fields.list('egress', (listener) => {
    listener.later('port', 'bind', 'captureMode');
    const hosts = listener.texts('hosts');
    for (const host of hosts)
      if (!/^(?:\*|\.|~|[-a-z0-9]+)\/.+$/.test(host))
        listener.error('hosts', `"${host}" is not namespace/host`, 'write ./*, */host or namespace/host');
    return hosts;
  });
  fields.later('ingress', 'inboundConnectionPool');
  const selector = fields.object('workloadSelector', (selector) => selector.textMap('labels'));
  const outboundPolicy = readOutboundPolicy(fields);
  return { selector, egressHosts: fields.has('egress') ? egress.flat() : null, outboundPolicy };
}

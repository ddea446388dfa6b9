// Sidecar (networking.istio.io): which hosts the sidecars of a namespace, or of selected workloads,
// need to know, what becomes of captured connections that lead elsewhere, and what bounds the connections
// to the app behind them.
import { readConnectionPool } from './connection-pool.ts';
import type { ConnectionPool } from './connection-pool.ts';
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
  /** Of the ports of the app; null: they have no limits. */
  readonly inboundPool: ConnectionPool | null;
  /** Of single ports of the app, in place of `inboundPool`. */
  readonly inboundPools: ReadonlyMap<number, ConnectionPool>;
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
  const inboundPools = new Map<number, ConnectionPool>();
  fields.list('ingress', (listener) => {
    listener.later('bind', 'captureMode', 'defaultEndpoint', 'tls');
    const port = listener.object('port', (port) => {
      // They say nothing that is used; a wrong type is one here, too.
      for (const name of ['protocol', 'name']) port.text(name);
      port.port('targetPort');
      return port.port('number');
    });
    const pool = listener.object('connectionPool', readConnectionPool);
    if (port === null) listener.error('port', 'port.number is missing', 'add port: { number: 8080 }');
    else if (pool !== null) inboundPools.set(port, pool);
    return null;
  });
  const inboundPool = fields.object('inboundConnectionPool', readConnectionPool);
  const selector = fields.object('workloadSelector', (selector) => selector.textMap('labels'));
  const outboundPolicy = readOutboundPolicy(fields);
  const egressHosts = fields.has('egress') ? egress.flat() : null;
  return { selector, egressHosts, outboundPolicy, inboundPool, inboundPools };
}

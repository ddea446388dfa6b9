// A sidecar as a process, from a bootstrap that forwards everything on one port to one upstream, and an upstream
// that answers everything at once.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { listen } from '../support/free-port.ts';
import { statusOf } from '../support/until.ts';

const LAUNCHER = fileURLToPath(new URL('../../bin/outrigger.js', import.meta.url));
const MANAGER = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const ROUTER = 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router';

export interface SidecarPorts {
  readonly port: number;
  readonly admin: number;
  readonly upstream: number;
  /** The port of a second listener, for what the app sends (OUTBOUND; the first one is INBOUND then). */
  readonly outbound?: number;
  /** `envoy.resource_limits.listener.ingress.connection_limit`; none by default. */
  readonly connectionLimit?: number;
  /** Of the cluster; Envoy's default when absent. */
  readonly maxRequests?: number;
  /** Further fields of the cluster. */
  readonly cluster?: object;
}

const address = (port: number): object => ({ socket_address: { address: '127.0.0.1', port_value: port } });

/** One listener, one route, one cluster. */
export function forwardingBootstrap({
  port,
  admin,
  upstream,
  outbound,
  connectionLimit = 0,
  maxRequests,
  cluster = {},
}: SidecarPorts): object {
  const thresholds = [{ max_requests: maxRequests, track_remaining: true }];
  const manager = {
    '@type': MANAGER,
    stat_prefix: 'ingress',
    route_config: {
      name: 'all',
      virtual_hosts: [
        { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'upstream' } }] },
      ],
    },
    http_filters: [{ name: 'envoy.filters.http.router', typed_config: { '@type': ROUTER } }],
  };
  const filters = [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }];
  const ingress = { name: 'ingress', address: address(port), filter_chains: [{ filters }] };
  const listeners =
    outbound === undefined
      ? [ingress]
      : [
          { ...ingress, traffic_direction: 'INBOUND' },
          { ...ingress, name: 'egress', address: address(outbound), traffic_direction: 'OUTBOUND' },
        ];
  const limits = { envoy: { resource_limits: { listener: { ingress: { connection_limit: connectionLimit } } } } };
  return {
    ...(connectionLimit === 0 ? {} : { layered_runtime: { layers: [{ name: 'limits', static_layer: limits }] } }),
    admin: { address: address(admin) },
    static_resources: {
      listeners,
      clusters: [
        {
          name: 'upstream',
          type: 'STATIC',
          connect_timeout: '1s',
          ...(maxRequests === undefined ? {} : { circuit_breakers: { thresholds } }),
          load_assignment: {
            cluster_name: 'upstream',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: address(upstream) } }] }],
          },
          ...cluster,
        },
      ],
    },
  };
}

/** A folder for bootstraps and sockets that goes when its owner does. */
export class SidecarFolder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), 'outrigger-sidecar-'));
  readonly #children: Child[] = [];
  #files = 0;

  /** Starts a sidecar; resolves when its admin port says ready. */
  async start(ports: SidecarPorts, flags: readonly string[] = []): Promise<Child> {
    const child = this.launch(ports, flags);
    await untilReady(child, async () => child.stderr().includes('"ready"') && (await isReady(ports.admin)));
    return child;
  }

  /** Starts a sidecar and waits for nothing. */
  launch(ports: SidecarPorts, flags: readonly string[] = []): Child {
    const file = join(this.path, `${++this.#files}.json`);
    writeFileSync(file, JSON.stringify(forwardingBootstrap(ports)));
    const child = startChild(process.execPath, [LAUNCHER, 'sidecar', '-c', file, ...flags]);
    this.#children.push(child);
    return child;
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) if (!child.hasExited()) child.kill('SIGKILL');
    rmSync(this.path, { recursive: true, force: true });
  }
}

export async function isReady(admin: number): Promise<boolean> {
  return (await statusOf(admin, '/ready')) === 200;
}

/** Answers every request with 200 and `ok`. */
export async function startUpstream(): Promise<{ readonly port: number; [Symbol.dispose](): void }> {
  const answer = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
  const server = createServer({ noDelay: true }, (socket) => {
    let text = '';
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1');
      const heads = text.split('\r\n\r\n');
      text = heads.pop() ?? '';
      if (heads.length > 0) socket.write(answer.repeat(heads.length));
    });
  });
  const port = await listen(server);
  return { port, [Symbol.dispose]: () => void server.close() };
}

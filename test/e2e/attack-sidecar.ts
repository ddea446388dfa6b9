// A sidecar of its own process under attack: started from a bootstrap file with the timeouts that an edge
// would have, optionally with few file descriptors, and asked for its counters.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { OUTRIGGER, PROJECT_ROOT } from '../support/real-parts.ts';
import { statusOf } from '../support/until.ts';

export interface AttackSidecar {
  readonly child: Child;
  readonly port: number;
  /** The value of a counter or gauge by its name in `/stats`; 0 when it is not there. */
  stat(name: string): Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface AttackOptions {
  readonly upstreamPort: number;
  /** RLIMIT_NOFILE of the sidecar. */
  readonly descriptorsMax?: number;
  /** Seconds; 0 is off, as in Envoy. */
  readonly headTimeoutSeconds?: number;
  readonly requestTimeoutSeconds?: number;
  readonly streamIdleSeconds?: number;
}

export async function startAttackSidecar(options: AttackOptions): Promise<AttackSidecar> {
  const [admin = 0, port = 0] = await freePorts(2);
  const folder = join(PROJECT_ROOT, '.cache/attack');
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${port}.json`);
  await writeFile(file, JSON.stringify(bootstrapOf(options, admin, port)));
  const command = [process.execPath, OUTRIGGER, 'sidecar', '-c', file, '--log-level', 'error'];
  const limit = options.descriptorsMax === undefined ? '' : `ulimit -n ${options.descriptorsMax} && `;
  const child = startChild('sh', ['-c', `${limit}exec "$@"`, 'sh', ...command]);
  await untilReady(child, async () => (await statusOf(admin, '/ready')) === 200);
  return {
    child,
    port,
    async stat(name) {
      const response = await fetch(`http://127.0.0.1:${admin}/stats`);
      const text = await response.text();
      const line = text.split('\n').find((candidate) => candidate.startsWith(`${name}: `));
      return line === undefined ? 0 : Number(line.slice(name.length + 2));
    },
    [Symbol.asyncDispose]: () => child.stop(),
  };
}

const socket = (port: number): unknown => ({ socket_address: { address: '127.0.0.1', port_value: port } });

function bootstrapOf(options: AttackOptions, admin: number, port: number): unknown {
  const { upstreamPort, headTimeoutSeconds = 0, requestTimeoutSeconds = 0, streamIdleSeconds = 300 } = options;
  const router = {
    name: 'router',
    typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
  };
  const manager = {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    stat_prefix: 'attacked',
    request_headers_timeout: `${headTimeoutSeconds}s`,
    request_timeout: `${requestTimeoutSeconds}s`,
    stream_idle_timeout: `${streamIdleSeconds}s`,
    http_filters: [router],
    route_config: {
      name: 'all',
      virtual_hosts: [
        { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'app', timeout: '0s' } }] },
      ],
    },
  };
  return {
    admin: { address: socket(admin) },
    static_resources: {
      listeners: [
        {
          name: 'attacked',
          address: socket(port),
          filter_chains: [{ filters: [{ name: 'http', typed_config: manager }] }],
        },
      ],
      clusters: [
        {
          name: 'app',
          connect_timeout: '1s',
          type: 'STATIC',
          load_assignment: {
            cluster_name: 'app',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: socket(upstreamPort) } }] }],
          },
        },
      ],
    },
  };
}

// Many AuthorizationPolicies beside each other: each set of policies is translated as the control service does it, into an
// inbound listener of its own; all of them stand in one bootstrap, which a real Envoy and our sidecar are started from.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatProblem } from '../../src/base/problem.ts';
import { printedView, translateFiles } from '../../src/control/offline.ts';
import { readNode } from '../../src/control/mesh-node.ts';
import { startChild, untilReady } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { RawUpstream } from '../support/raw-upstream.ts';
import { PROJECT_ROOT } from '../support/real-parts.ts';
import { statusOf } from '../support/until.ts';
import { commandOf, type Side, type SideName } from './side.ts';

const APP_PORT = 8080;
const LISTENER = `virtualInbound_${APP_PORT}`;

export interface PolicySet {
  /** Names its listener. */
  readonly name: string;
  /** YAML documents: policies of namespace `shop`, and what else they need. */
  readonly yaml: string;
  /** What the app speaks; `http` by default. */
  readonly protocol?: 'http' | 'tcp';
}

/** The listener of the workload `app` of namespace `shop`, as JSON; throws when a policy is refused. */
function listenerOf({ yaml, protocol = 'http', name }: PolicySet, port: number): unknown {
  const { problems, viewOf } = translateFiles([{ file: `${name}.yaml`, text: yaml }]);
  const errors = problems.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw new Error(errors.map(formatProblem).join('\n'));
  const node = readNode({
    id: 'sidecar~127.0.0.1~app.shop~x',
    cluster: 'app.shop',
    userAgent: 'envoy',
    metadata: {
      NAMESPACE: 'shop',
      LABELS: { app: 'app' },
      OUTRIGGER: { service: 'app', apps: [{ port: APP_PORT, protocol, inboundPort: port }] },
    },
  });
  if (typeof node === 'string') throw new Error(node);
  const found = printedView(viewOf(node)).listeners.find((listener) => JSON.stringify(listener).includes(LISTENER));
  return JSON.parse(
    JSON.stringify(found ?? null, (key, value: unknown) => (key === 'name' && value === LISTENER ? name : value))
      .replaceAll('"address":"0.0.0.0"', '"address":"127.0.0.1"')
      .replaceAll('sidecar~127.0.0.1~app.shop~x', 'x'),
  );
}

function endpointAt(port: number): unknown {
  return { endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } };
}

export async function startPolicies(name: SideName, sets: readonly PolicySet[], label: string): Promise<Side> {
  const upstream = await RawUpstream.start(['a']);
  const [admin = 0, ...free] = await freePorts(sets.length + 1);
  const ports = new Map(sets.map((set, index) => [`listen.${set.name}`, free[index] ?? 0]));
  ports.set('admin', admin);
  const cluster = `inbound|${APP_PORT}||`;
  const bootstrap = {
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: admin } } },
    static_resources: {
      listeners: sets.map((set, index) => listenerOf(set, free[index] ?? 0)),
      clusters: [
        {
          name: cluster,
          type: 'STATIC',
          load_assignment: {
            cluster_name: cluster,
            endpoints: [{ lb_endpoints: [endpointAt(upstream.ports.get('a') ?? 0)] }],
          },
        },
      ],
    },
  };
  const folder = join(PROJECT_ROOT, '.cache/peer');
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${label}.${name}.yaml`);
  await writeFile(file, JSON.stringify(bootstrap, null, 1));
  const child = startChild(...commandOf(name, file));
  const stop = async (): Promise<void> => {
    await child.stop();
    await upstream.close();
  };
  try {
    await untilReady(child, async () => (await statusOf(admin, '/ready')) === 200);
  } catch (cause) {
    await stop();
    throw cause;
  }
  return { name, upstream, child, ports, stop };
}

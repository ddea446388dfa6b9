// A sidecar between the one that it replaces and the one that will replace it: one Unix socket path, on which
// it first asks for the listening sockets of whoever is there, and then waits to be asked. Without such a path
// there is neither, and nothing is loaded.
import type { Log } from '../base/log.ts';
import type { HandoverServerOptions } from '../sidecar/handover/handover-server.ts';
import type { SocketRole } from '../sidecar/handover/socket-record.ts';
import type { ListenerHost } from '../sidecar/listener-host.ts';

export interface Succession {
  readonly hasPredecessor: boolean;
  /** Where listeners find inherited sockets; null without a predecessor. */
  readonly host: ListenerHost | null;
  readonly take: (role: SocketRole, address: string, port: number) => number | null;
  /** All that are left for this address. */
  readonly takeAll: (role: SocketRole, address: string, port: number) => readonly number[];
  /** This sidecar serves: the predecessor leaves, and a successor may come. */
  readonly succeed: (options: Pick<HandoverServerOptions, 'sockets' | 'stay' | 'leave'>) => Promise<void>;
  /** This sidecar ends: a predecessor that has not left yet stays, a successor finds nobody. */
  readonly abandon: () => void;
}

const NONE: Succession = {
  hasPredecessor: false,
  host: null,
  take: () => null,
  takeAll: () => [],
  succeed: async () => {},
  abandon: () => {},
};

/** Rejects when somebody is on the path and does not hand over. */
export async function meetPredecessor(path: string | null, log: Log): Promise<Succession> {
  if (path === null) return NONE;
  const { Predecessor } = await import('../sidecar/handover/predecessor.ts');
  const { HandoverServer } = await import('../sidecar/handover/handover-server.ts');
  const { removeLeftover } = await import('../sidecar/unix-path.ts');
  const predecessor = await Predecessor.meet(path);
  if (predecessor !== null) log.info('taking over', { path });
  const take = (role: SocketRole, address: string, port: number): number | null =>
    predecessor?.take(role, address, port) ?? null;
  const takeAll: Succession['takeAll'] = (role, address, port) => {
    const descriptors: number[] = [];
    for (let next = take(role, address, port); next !== null; next = take(role, address, port)) descriptors.push(next);
    return descriptors;
  };
  let close = (): void => predecessor?.abandon();
  return {
    hasPredecessor: predecessor !== null,
    host: predecessor === null ? null : inheritingHost(takeAll),
    take,
    takeAll,
    async succeed(options) {
      await predecessor?.relieve();
      if (predecessor !== null) log.info('took over', { path });
      const server = new HandoverServer({ ...options, path, log });
      await removeLeftover(path);
      await server.listen();
      close = () => server.close();
    },
    abandon: () => close(),
  };
}

function inheritingHost(takeAll: Succession['takeAll']): ListenerHost {
  return {
    limits: null,
    claim(address, port) {
      const descriptors = takeAll('listener', address, port);
      return Promise.resolve(
        descriptors.length === 0 ? { kind: 'bind', port, isShared: false } : { kind: 'inherited', descriptors },
      );
    },
    passOn: () => false,
    opened: () => {},
    closed: () => {},
  };
}

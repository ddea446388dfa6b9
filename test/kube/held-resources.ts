// A delta client that asks a control service for everything, takes what it is sent, and says what it has: by type and name
// the version, which is a hash of the content. It notes what was taken away, and looks at everything that comes.
import { create, type JsonObject } from '@bufbuild/protobuf';
import { systemClock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { DiscoveryClient } from '../../src/sidecar/discovery.ts';
import { NodeSchema } from '../../src/xds/gen/envoy/config/core/v3/base_pb.js';
import { CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE, type TypeUrl } from '../../src/xds/type-url.ts';
import type { Update } from '../../src/xds/update.ts';

const TYPES: readonly TypeUrl[] = [CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE];

export class HeldResources {
  readonly #held = new Map<TypeUrl, Map<string, string>>(TYPES.map((type) => [type, new Map()]));
  readonly #client: DiscoveryClient;
  #lastMs = Infinity;
  disconnections = 0;

  constructor(port: number, namespace: string, onUpdate: (update: Update) => void = () => {}) {
    const address = '192.0.2.200';
    const metadata: JsonObject = {
      NAMESPACE: namespace,
      INTERCEPTION_MODE: 'REDIRECT',
      INSTANCE_IPS: address,
      OUTRIGGER: { mode: 'redirect' },
    };
    const node = create(NodeSchema, {
      id: `sidecar~${address}~watcher.${namespace}~${namespace}.svc.cluster.local`,
      userAgentName: 'outrigger',
      metadata,
    });
    this.#client = new DiscoveryClient({
      control: [{ host: '127.0.0.1', port }],
      node,
      log: silentLog,
      clock: systemClock,
      onState: (state) => {
        if (state === 'disconnected') this.disconnections++;
      },
      onUpdate: (update) => {
        this.#take(update);
        onUpdate(update);
        return [];
      },
    });
    for (const type of TYPES) this.#client.subscribe(type, '*');
  }

  /** `TYPE NAME VERSION` of each, sorted. */
  dump(): readonly string[] {
    const lines: string[] = [];
    for (const [type, held] of this.#held)
      for (const [name, version] of held) lines.push(`${type.split('.').at(-1)} ${name} ${version}`);
    return lines.toSorted();
  }

  /** It was sent something, and nothing for half a second. */
  get isQuiet(): boolean {
    return performance.now() - this.#lastMs > 500;
  }

  close(): void {
    this.#client.close();
  }

  #take({ typeUrl, changed, removed }: Update): void {
    this.#lastMs = performance.now();
    const held = this.#held.get(typeUrl);
    for (const { name, version } of changed) held?.set(name, version);
    for (const name of removed) held?.delete(name);
  }
}

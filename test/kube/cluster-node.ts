// A node of a cluster, for tests: it registers with the API server, takes every pod that nobody runs (there is no
// scheduler), and runs them in network namespaces, as a kubelet and a container runtime would. Needs root.
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { KubeClient } from '../../src/kube/client.ts';
import { recordOf, textOf } from '../../src/kube/json-record.ts';
import { KNOWN_KINDS } from '../../src/kube/known-kinds.ts';
import { keyOf, type KubeObject } from '../../src/kube/kube-object.ts';
import { Reflector } from '../../src/kube/reflector.ts';
import { Doorway } from '../support/doorway.ts';
import { HUB, PodNetwork } from '../support/pod.ts';
import { Agent } from '../support/pod-agent-client.ts';
import { until } from '../support/until.ts';
import type { ApiServer } from './api-server.ts';
import { RunningPod } from './running-pod.ts';

const NAME = 'node-of-namespaces';
const HEARTBEAT_MS = 10_000;
const START_MS = 40_000;

export class ClusterNode {
  readonly #kube: ApiServer;
  readonly #client: KubeClient;
  readonly #network: PodNetwork;
  readonly #pods = new Map<string, RunningPod>();
  readonly #doorways: Doorway[] = [];
  readonly #folder: string;
  readonly #prober: Agent;
  readonly #names = new Map<string, string>();
  readonly #work = new Set<Promise<void>>();
  readonly #failures: string[] = [];
  #reflector: Reflector<KubeObject> | null = null;
  #beating: NodeJS.Timeout | null = null;

  static async start(kube: ApiServer): Promise<ClusterNode> {
    const folder = await mkdtemp(join(tmpdir(), 'outrigger-node-'));
    await chmod(folder, 0o755);
    const network = new PodNetwork([]);
    const prober = await Agent.start('ip', (command) => ['netns', 'exec', network.hub, ...command]);
    const node = new ClusterNode(kube, { folder, network, prober });
    await node.#register();
    return node;
  }

  private constructor(
    kube: ApiServer,
    { folder, network, prober }: { folder: string; network: PodNetwork; prober: Agent },
  ) {
    this.#kube = kube;
    this.#folder = folder;
    this.#network = network;
    this.#prober = prober;
    this.#client = new KubeClient({ access: kube.access() });
  }

  /** Pods reach `port` of the host's loopback as `HUB:inside`, and by this name; a function is asked at each connection. */
  async open(name: string, inside: number, port: number | (() => number)): Promise<void> {
    const portNow = typeof port === 'number' ? () => port : port;
    this.#doorways.push(await Doorway.open(this.#network.hub, { host: HUB, port: inside }, portNow));
    this.#names.set(name, HUB);
  }

  /** From now on what the API server wants is run, but for pods of the namespace `except`. */
  follow(except = ''): void {
    this.#reflector = new Reflector<KubeObject>({
      client: this.#client,
      kind: KNOWN_KINDS.pod,
      keep: (object) => object,
      onChange: ({ key, next }) => {
        if (except === '' || !key.startsWith(`${except}/`)) this.#changed(key, next);
      },
      log: silentLog,
      clock: systemClock,
    });
    this.#reflector.start();
  }

  /** The pod whose name begins so, when it is ready; rejects when a pod of this node failed. */
  async pod(namespace: string, prefix: string): Promise<RunningPod> {
    const key = keyOf({ namespace, name: prefix });
    return await until(
      `${key} is ready`,
      async () => {
        if (this.#failures.length > 0) throw new Error(this.#failures.join('\n'));
        const pod = [...this.#pods].find(([name]) => name.startsWith(key))?.[1];
        return pod !== undefined && pod.agents.length > 0 && (await pod.isReady()) ? pod : null;
      },
      START_MS,
    );
  }

  /** Everything ends that this node began; objects stay. */
  async stop(): Promise<void> {
    if (this.#beating !== null) clearInterval(this.#beating);
    await this.#reflector?.stop();
    await Promise.all([...this.#pods.values()].map(async (pod) => await pod.stop()));
    await Promise.allSettled(this.#work);
    for (const doorway of this.#doorways) doorway.close();
    this.#prober.stop();
    await this.#network.close();
    await this.#client.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #register(): Promise<void> {
    const labels = { 'topology.kubernetes.io/region': 'north', 'topology.kubernetes.io/zone': 'north-1' };
    await this.#kube.call('/api/v1/nodes', { metadata: { name: NAME, labels } });
    const beat = async (): Promise<void> => {
      const now = new Date().toISOString();
      const ready = { type: 'Ready', status: 'True', reason: 'Ready', message: '', lastHeartbeatTime: now };
      await this.#kube.ask('PATCH', `/api/v1/nodes/${NAME}/status`, {
        type: 'application/strategic-merge-patch+json',
        body: { status: { conditions: [ready], addresses: [{ type: 'InternalIP', address: HUB }] } },
      });
    };
    await beat();
    // A node that says nothing has its pods taken for not ready after 50 s.
    this.#beating = setInterval(() => void beat(), HEARTBEAT_MS);
  }

  #changed(key: string, next: KubeObject | null): void {
    const running = this.#pods.get(key);
    const node = next === null ? '' : textOf(recordOf(next['spec'])['nodeName']);
    if (next === null || next.metadata.deletionTimestamp !== undefined) {
      this.#pods.delete(key);
      if (running !== undefined) this.#do(key, this.#end(running));
    } else if (node === '') this.#do(key, this.#bind(next));
    else if (node === NAME && running === undefined) this.#do(key, this.#run(key, next));
  }

  #do(key: string, work: Promise<void>): void {
    const done = work
      .catch((cause: unknown) => void this.#failures.push(`${key}: ${String(cause)}`))
      .finally(() => this.#work.delete(done));
    this.#work.add(done);
  }

  async #bind({ metadata: { namespace, name } }: KubeObject): Promise<void> {
    await this.#kube.ask('POST', `/api/v1/namespaces/${namespace}/pods/${name}/binding`, {
      body: { metadata: { name }, target: { apiVersion: 'v1', kind: 'Node', name: NAME } },
    });
  }

  async #run(key: string, object: KubeObject): Promise<void> {
    const pod = new RunningPod({
      kube: this.#kube,
      object,
      place: this.#network.add(key),
      folder: join(this.#folder, object.metadata.uid),
      hosts: [...this.#names].map(([name, address]) => `${address} ${name}\n`).join(''),
      prober: this.#prober,
    });
    this.#pods.set(key, pod);
    await pod.run();
  }

  async #end(pod: RunningPod): Promise<void> {
    await pod.stop();
    await this.#network.remove(keyOf(pod));
    const path = `/api/v1/namespaces/${pod.namespace}/pods/${pod.name}`;
    await this.#kube.ask('DELETE', path, { body: { gracePeriodSeconds: 0 } });
  }
}

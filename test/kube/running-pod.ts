// One pod on the node of a test, for real: its volumes, its init containers in their order, sidecars among them, its apps,
// its probes, and what the API server is told of it. What runs are the programs of this checkout; an image is only the
// name of one of them. Nothing is started again: what ends ends the pod, and says so in the pod's status.
//
//   address ─▶ volumes ─▶ init containers (to their end, or until a sidecar has started) ─▶ apps ─▶ ready
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { listOf, numberOf, recordOf, textOf, textsOf, type JsonRecord } from '../../src/kube/json-record.ts';
import { startChild, type Child } from '../support/child.ts';
import { HUB, type Pod } from '../support/pod.ts';
import { Agent } from '../support/pod-agent-client.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import type { ApiServer } from './api-server.ts';
import { containerEnv, expanded } from './container-env.ts';
import { placedCommand, type ContainerPlace } from './container-place.ts';
import { PodVolumes } from './pod-volumes.ts';

/** The image whose containers listen as their arguments say (`KIND PORT …`, see pod-agent.ts), and dial for the test. */
export const AGENT_IMAGE = 'test/agent';
/** The image whose containers run the module that is their argument, to its end. */
export const SCRIPT_IMAGE = 'test/script';

export interface RunningPodOptions {
  readonly kube: ApiServer;
  /** As the API server had it when it was bound. */
  readonly object: JsonRecord;
  readonly place: Pod;
  /** Of its own. */
  readonly folder: string;
  /** What names mean in it: lines of /etc/hosts. */
  readonly hosts: string;
  /** In the network of the node, from where a kubelet asks. */
  readonly prober: Agent;
}

interface Sidecar {
  readonly name: string;
  readonly child: Child;
}

export class RunningPod {
  readonly name: string;
  readonly namespace: string;
  readonly place: Pod;
  readonly agents: Agent[] = [];
  readonly sidecars: Sidecar[] = [];
  readonly #scripts: Child[] = [];
  readonly #options: RunningPodOptions;
  readonly #volumes: PodVolumes;
  readonly #object: JsonRecord;
  #isStopped = false;
  #running: Promise<void> = Promise.resolve();
  #probing: Promise<void> = Promise.resolve();

  constructor(options: RunningPodOptions) {
    const { object, place, kube, folder } = options;
    const { name, namespace } = recordOf(object['metadata']);
    this.name = textOf(name);
    this.namespace = textOf(namespace);
    this.place = place;
    this.#options = options;
    const ips = [{ ip: place.ipv4 }];
    this.#object = { ...object, status: { podIP: place.ipv4, podIPs: ips, hostIP: HUB, hostIPs: [{ ip: HUB }] } };
    this.#volumes = new PodVolumes(kube, this.#object, folder);
  }

  /** Its first app's agent. */
  get agent(): Agent {
    const [agent] = this.agents;
    if (agent === undefined) throw new Error(`${this.name} has no agent`);
    return agent;
  }

  /** Resolves when its containers run; rejects, with what was printed, when one does not. */
  async run(): Promise<void> {
    this.#running = this.#run();
    await this.#running;
  }

  async #run(): Promise<void> {
    await this.tell('Pending', {});
    await mkdir(this.#options.folder, { recursive: true, mode: 0o755 });
    await writeFile(this.#hosts, `127.0.0.1 localhost\n${this.place.ipv4} ${this.name}\n${this.#options.hosts}`);
    await this.#volumes.make();
    for (const container of this.#containers('initContainers')) {
      if (this.#isStopped) return;
      if (container['restartPolicy'] === 'Always') await this.#startSidecar(container);
      else await this.#runToEnd(container);
    }
    for (const container of this.#containers('containers')) {
      if (this.#isStopped) return;
      await this.#startApp(container);
    }
    if (this.#isStopped) return;
    await this.tell('Running', { Initialized: true });
    if (this.#scripts.length > 0 && this.agents.length === 0) await this.#finish();
    else this.#probing = this.#probe();
  }

  /** When its scripts have ended the pod has, and its sidecars with it. */
  async #finish(): Promise<void> {
    const codes = await Promise.all(this.#scripts.map(async (script) => await script.exited));
    if (this.#isStopped) return;
    for (const { child } of this.sidecars.toReversed()) await child.stop();
    const isDone = codes.every((code) => code === 0);
    const said = this.#scripts.map((script) => script.output()).join('');
    await this.tell(isDone ? 'Succeeded' : 'Failed', {}, said.slice(0, MESSAGE_MAX));
  }

  /** As a kubelet does: apps first, sidecars when they are gone, last started first. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const { child } of this.sidecars) if (this.agents.length === 0) child.kill('SIGTERM');
    for (const script of this.#scripts) script.kill('SIGKILL');
    await this.#running.catch(() => {});
    const hooks = this.#runHooks();
    const waits = this.#containers('containers').map(({ lifecycle }) => {
      return numberOf(recordOf(recordOf(recordOf(lifecycle)['preStop'])['sleep'])['seconds']);
    });
    await Promise.all([hooks, sleep(Math.max(0, ...waits) * 1000)]);
    for (const agent of this.agents) agent.stop();
    for (const { child } of this.sidecars.toReversed()) await child.stop();
    await this.#probing;
  }

  /** What sidecars run before the pod stops (the hooks of all containers begin together). Rejects when one fails. */
  async #runHooks(): Promise<void> {
    if (this.agents.length === 0) return;
    for (const container of this.#containers('initContainers')) {
      const { exec } = recordOf(recordOf(container['lifecycle'])['preStop']);
      if (container['restartPolicy'] !== 'Always' || exec === undefined) continue;
      // The image's own names of the program.
      const [node, program, ...args] = textsOf(recordOf(exec)['command']);
      if (node !== '/usr/bin/node' || program !== '/app/bin/outrigger.js') throw new Error(`unknown hook: ${program}`);
      const command = placedCommand(this.#placeOf(container), [process.execPath, OUTRIGGER, ...args]);
      const child = startChild('ip', command);
      if ((await child.exited) !== 0) throw new Error(`${this.name}: the hook failed:\n${child.output()}`);
    }
  }

  /** Whether all readiness probes pass now. */
  async isReady(): Promise<boolean> {
    const probes = this.#containers('containers').map(({ readinessProbe }) => readinessProbe);
    const passed = await Promise.all(probes.map(async (probe) => await this.#passes(recordOf(probe))));
    return passed.every(Boolean);
  }

  async tell(phase: string, conditions: Readonly<Record<string, boolean>>, message = ''): Promise<void> {
    const now = new Date().toISOString();
    const path = `/api/v1/namespaces/${this.namespace}/pods/${this.name}/status`;
    const told = Object.entries(conditions).map(([type, holds]) => {
      return { type, status: holds ? 'True' : 'False', lastTransitionTime: now };
    });
    await this.#options.kube.ask('PATCH', path, {
      type: 'application/strategic-merge-patch+json',
      body: { status: { ...recordOf(this.#object['status']), phase, conditions: told, startTime: now, message } },
    });
  }

  get #hosts(): string {
    return join(this.#options.folder, 'hosts');
  }

  #containers(list: 'containers' | 'initContainers'): readonly JsonRecord[] {
    return listOf(recordOf(this.#object['spec'])[list]).map(recordOf);
  }

  #placeOf(container: JsonRecord): ContainerPlace {
    const env = containerEnv(container, this.#object);
    const mounts = this.#volumes.mountsOf(container);
    return { pod: this.place, container, env, mounts, hosts: this.#hosts };
  }

  #start(container: JsonRecord): Child {
    const place = this.#placeOf(container);
    const args = textsOf(container['args']).map((arg) => expanded(arg, place.env));
    return startChild('ip', placedCommand(place, [process.execPath, OUTRIGGER, ...args]));
  }

  async #runToEnd(container: JsonRecord): Promise<void> {
    const child = this.#start(container);
    const code = await child.exited;
    if (code !== 0)
      throw new Error(`${this.name}: ${textOf(container['name'])} ended with ${code}:\n${child.output()}`);
  }

  async #startSidecar(container: JsonRecord): Promise<void> {
    const child = this.#start(container);
    const name = textOf(container['name']);
    this.sidecars.push({ name, child });
    const probe = recordOf(container['startupProbe']);
    for (let failures = 0; !(await this.#passes(probe)); failures++) {
      if (child.hasExited() || failures >= numberOf(probe['failureThreshold']))
        throw new Error(`${this.name}: ${name} did not start:\n${child.output()}`);
      await sleep(PROBE_MS);
    }
  }

  async #startApp(container: JsonRecord): Promise<void> {
    if (container['image'] === SCRIPT_IMAGE) {
      const program = [process.execPath, '--input-type=module', '--eval', ...textsOf(container['args'])];
      this.#scripts.push(startChild('ip', placedCommand(this.#placeOf(container), program)));
      return;
    }
    if (container['image'] !== AGENT_IMAGE) throw new Error(`no program is known as ${textOf(container['image'])}`);
    const place = this.#placeOf(container);
    const agent = await Agent.start('ip', (command) => placedCommand(place, command));
    this.agents.push(agent);
    const [serves = '', port = ''] = textsOf(container['args']);
    if (serves === 'name') await agent.listen('name', Number(port));
  }

  async #probe(): Promise<void> {
    let told: boolean | null = null;
    while (!this.#isStopped) {
      const isReady = await this.isReady();
      if (isReady !== told && !this.#isStopped)
        await this.tell('Running', { Ready: isReady, ContainersReady: isReady });
      told = isReady;
      await sleep(PROBE_MS);
    }
  }

  /** No probe passes. */
  async #passes({ httpGet }: JsonRecord): Promise<boolean> {
    if (httpGet === undefined) return true;
    const { path, port } = recordOf(httpGet);
    const { text } = await this.#options.prober.get(this.place.ipv4, numberOf(port), textOf(path));
    return /^[23]\d\d/.test(text);
  }
}

const MESSAGE_MAX = 1000;
/** Faster than a kubelet, so that the test is. */
const PROBE_MS = 200;

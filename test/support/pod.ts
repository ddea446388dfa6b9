// Pods for tests: network namespaces on a bridge of their own, each with an IPv4 and an IPv6 address, and
// programs in them that run as the user that they would be in a pod. Nothing of the host's own network is
// touched. Names carry the process id, and everything is removed at the end; what a killed run left behind, by the next.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { Agent } from './pod-agent-client.ts';
import { startChild, type Child } from './child.ts';

/** The users of a pod. */
export const APP_UID = 1000;
export const PROXY_UID = 1337;
/** The address of the hub. */
export const HUB = '10.77.0.254';

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const left = new Set<string>();
process.once('exit', () => {
  for (const namespace of left) ip('netns', 'del', namespace);
});

let networks = 0;

export class PodNetwork {
  readonly #hub: string;
  readonly #prefix: string;
  readonly #pods = new Map<string, Pod>();
  #added = 0;

  /** Pods of these names that reach each other. */
  constructor(names: readonly string[]) {
    if (process.getuid?.() !== 0) {
      throw new Error('network namespaces need root: run these tests as root, with CAP_NET_ADMIN and CAP_SYS_ADMIN');
    }
    removeLeftovers();
    this.#prefix = `or${process.pid}n${networks++}`;
    this.#hub = addNamespace(`${this.#prefix}hub`);
    must('-n', this.#hub, 'link', 'add', 'hub', 'type', 'bridge');
    must('-n', this.#hub, 'link', 'set', 'hub', 'up');
    must('-n', this.#hub, 'address', 'add', `${HUB}/24`, 'dev', 'hub');
    must('-n', this.#hub, 'link', 'set', 'lo', 'up');
    for (const name of names) this.add(name);
  }

  /** One more, that reaches those that are there. */
  add(name: string): Pod {
    const number = ++this.#added;
    // Names of pods may be longer and have hyphens.
    const pod = new Pod(name, addNamespace(`${this.#prefix}pod${number}`), number);
    const cable = `to${number}`;
    must('-n', this.#hub, 'link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pod.namespace);
    must('-n', this.#hub, 'link', 'set', cable, 'master', 'hub', 'up');
    must('-n', pod.namespace, 'link', 'set', 'lo', 'up');
    must('-n', pod.namespace, 'link', 'set', 'eth0', 'up');
    must('-n', pod.namespace, 'address', 'add', `${pod.ipv4}/24`, 'dev', 'eth0');
    must('-n', pod.namespace, 'address', 'add', `${pod.ipv6}/64`, 'dev', 'eth0', 'nodad');
    must('-n', pod.namespace, 'route', 'add', 'default', 'via', HUB);
    // As in Kubernetes: any user of the pod may listen on any port.
    pod.run('sh', '-c', 'echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start');
    this.#pods.set(name, pod);
    return pod;
  }

  /** The namespace that joins them, as a node: its address is the one that pods have for their way out. */
  get hub(): string {
    return this.#hub;
  }

  /** Ends what runs in one, and takes it away. */
  async remove(name: string): Promise<void> {
    const pod = this.pod(name);
    this.#pods.delete(name);
    await pod.stop();
    dropNamespace(pod.namespace);
  }

  pod(name: string): Pod {
    const pod = this.#pods.get(name);
    if (pod === undefined) throw new Error(`no pod is named ${name}`);
    return pod;
  }

  /** Ends what runs in the pods, and the pods. */
  async close(): Promise<void> {
    for (const name of this.#pods.keys()) await this.remove(name);
    dropNamespace(this.#hub);
  }
}

export class Pod {
  readonly name: string;
  readonly namespace: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly #children: Child[] = [];
  readonly #agents: Agent[] = [];

  constructor(name: string, namespace: string, number: number) {
    this.name = name;
    this.namespace = namespace;
    this.ipv4 = `10.77.0.${number}`;
    this.ipv6 = `fd77::${number}`;
  }

  /** Runs a program to its end, as root: the pod's init container. */
  run(...command: readonly string[]): Ran {
    const { status, stdout, stderr } = spawnSync('ip', ['netns', 'exec', this.namespace, ...command], {
      encoding: 'utf8',
    });
    return { status, stdout, stderr };
  }

  /** Starts a program as a user of the pod. */
  start(uid: number, ...command: readonly string[]): Child {
    const child = startChild('ip', this.#asUser(uid, command));
    this.#children.push(child);
    return child;
  }

  /** Ends with the pod. */
  keep(agent: Agent): void {
    this.#agents.push(agent);
  }

  /** A program in the pod that listens and connects as the test says. */
  async agent(uid: number = APP_UID): Promise<Agent> {
    const agent = await Agent.start('ip', (command) => this.#asUser(uid, command));
    this.keep(agent);
    return agent;
  }

  async stop(): Promise<void> {
    for (const agent of this.#agents) agent.stop();
    await Promise.all(this.#children.map((child) => child.stop()));
  }

  #asUser(uid: number, command: readonly string[]): readonly string[] {
    const user = ['setpriv', '--reuid', String(uid), '--regid', String(uid), '--clear-groups'];
    return ['netns', 'exec', this.namespace, ...user, ...command];
  }
}

function addNamespace(name: string): string {
  must('netns', 'add', name);
  left.add(name);
  return name;
}

function dropNamespace(name: string): void {
  ip('netns', 'del', name);
  left.delete(name);
}

/** A run that was killed could not clean up: whose process is gone, whose namespaces may go. */
function removeLeftovers(): void {
  for (const line of ip('netns', 'list').stdout.split('\n')) {
    const [, name = '', pid = ''] = /^(or(\d+)n\w+)/.exec(line) ?? [];
    if (name !== '' && !existsSync(`/proc/${pid}`)) ip('netns', 'del', name);
  }
}

function ip(...args: readonly string[]): Ran {
  const { status, stdout, stderr, error } = spawnSync('ip', [...args], { encoding: 'utf8' });
  if (error !== undefined) throw new Error(`${error.message}: install iproute2`);
  return { status, stdout, stderr };
}

function must(...args: readonly string[]): void {
  const { status, stderr } = ip(...args);
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr.trim()}`);
}

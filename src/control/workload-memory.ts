// Remembers across a crash which workloads had joined, so that a control service that comes back does not
// tell the first sidecar to reconnect that all others are gone. A cache, not state: it may be lost, what
// it says is believed only while the workload's port accepts connections, and an orderly stop removes it.
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import type { Log } from '../base/log.ts';
import { SIDECAR_ABILITIES } from './mesh-node.ts';
import type { MeshNode } from './mesh-node.ts';
import { readNode } from './mesh-node.ts';

const PROBE_MS = 300;
const WORKLOADS_MAX = 10_000;

export class WorkloadMemory {
  readonly #file: string;
  readonly #log: Log;
  #writing: Promise<void> = Promise.resolve();
  #waiting: readonly MeshNode[] | null = null;

  constructor(file: string, log: Log) {
    this.#file = file;
    this.#log = log;
  }

  /** The remembered workloads that still listen. */
  async recall(): Promise<readonly MeshNode[]> {
    const text = await readFile(this.#file, 'utf8').catch(() => '');
    if (text === '') return [];
    const nodes: MeshNode[] = [];
    try {
      const parsed: unknown = JSON.parse(text);
      for (const entry of Array.isArray(parsed) ? parsed.slice(0, WORKLOADS_MAX) : []) {
        const node = nodeOf(entry);
        if (node !== null) nodes.push(node);
      }
    } catch {
      this.#log.warning('what was remembered of the workloads cannot be read', { file: this.#file });
    }
    const alive = await Promise.all(nodes.map((node) => listens(node)));
    return nodes.filter((_, index) => alive[index] === true);
  }

  /** Writes soon; only the newest of several waits. */
  remember(nodes: readonly MeshNode[]): void {
    const isIdle = this.#waiting === null;
    this.#waiting = nodes;
    if (isIdle) this.#writing = this.#writing.then(() => this.#write());
  }

  async forget(): Promise<void> {
    this.#waiting = null;
    await this.#writing;
    await rm(this.#file, { force: true });
  }

  async #write(): Promise<void> {
    const nodes = this.#waiting;
    this.#waiting = null;
    if (nodes === null) return;
    try {
      await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 });
      await writeFile(`${this.#file}.new`, JSON.stringify(nodes.map(infoOf)), { mode: 0o600 });
      await rename(`${this.#file}.new`, this.#file);
    } catch (cause) {
      this.#log.warning('cannot remember the workloads', { file: this.#file, cause: String(cause) });
    }
  }
}

/** A node in the form it came in. */
function infoOf(node: MeshNode): unknown {
  const { id, ip, namespace, workload, service, version, labels, apps, outboundPort } = node;
  const metadata = {
    NAMESPACE: namespace,
    WORKLOAD_NAME: workload,
    INSTANCE_IPS: ip,
    LABELS: Object.fromEntries(labels),
    OUTRIGGER: { service, version, apps, outboundPort },
  };
  return { id, metadata };
}

function nodeOf(entry: unknown): MeshNode | null {
  if (typeof entry !== 'object' || entry === null || !('id' in entry) || !('metadata' in entry)) return null;
  const { id, metadata } = entry;
  if (typeof id !== 'string' || typeof metadata !== 'object' || metadata === null) return null;
  const node = readNode({ id, cluster: '', metadata: Object.fromEntries(Object.entries(metadata)) });
  return typeof node === 'string' ? null : { ...node, abilities: SIDECAR_ABILITIES };
}

function listens(node: MeshNode): Promise<boolean> {
  const [app] = node.apps;
  if (app === undefined) return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = connect({ host: node.ip, port: app.inboundPort });
    const end = (isOpen: boolean): void => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.setTimeout(PROBE_MS, () => end(false));
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}

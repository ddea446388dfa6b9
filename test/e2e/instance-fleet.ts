// Instances of one service, each a process, behind one sidecar process that retries and ejects; and a steady load
// through it.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { PacedLoad } from '../support/paced-load.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { forwardingBootstrap, isReady } from './sidecar-process.ts';

export interface FleetOptions {
  readonly instances: number;
  /** Fields of the cluster, beside its name and its endpoints. */
  readonly cluster: Readonly<Record<string, unknown>>;
  readonly retryPolicy: Readonly<Record<string, unknown>>;
}

const APP = join(import.meta.dirname, 'instance-app.ts');

export class InstanceFleet implements AsyncDisposable {
  readonly port: number;
  readonly #folder = mkdtempSync(join(tmpdir(), 'outrigger-fleet-'));
  readonly #ports: readonly number[];
  readonly #admin: number;
  readonly #instances: Child[] = [];
  #sidecar: Child | null = null;

  static async start(options: FleetOptions): Promise<InstanceFleet> {
    const [port = 0, admin = 0, ...ports] = await freePorts(2 + options.instances);
    const fleet = new InstanceFleet(port, admin, ports);
    try {
      await fleet.#start(options);
    } catch (cause) {
      await fleet[Symbol.asyncDispose]();
      throw cause;
    }
    return fleet;
  }

  private constructor(port: number, admin: number, ports: readonly number[]) {
    this.port = port;
    this.#admin = admin;
    this.#ports = ports;
  }

  async #start(options: FleetOptions): Promise<void> {
    for (const port of this.#ports) {
      const instance = startChild(process.execPath, [APP, `${port}`]);
      this.#instances.push(instance);
      await untilReady(instance, () => Promise.resolve(instance.stdout().includes('listening')));
    }
    const file = join(this.#folder, 'bootstrap.json');
    writeFileSync(file, JSON.stringify(this.#bootstrap(options)));
    this.#sidecar = startChild(process.execPath, [OUTRIGGER, 'sidecar', '-c', file, '--log-level', 'warning']);
    await untilReady(this.#sidecar, () => isReady(this.#admin));
  }

  #bootstrap({ cluster, retryPolicy }: FleetOptions): unknown {
    const endpoints = this.#ports.map((port) => ({
      endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } },
    }));
    const text = JSON.stringify(forwardingBootstrap({ port: this.port, admin: this.#admin, upstream: 1 }));
    return JSON.parse(text, (key, value: unknown) => {
      if (key === 'route') return { cluster: 'upstream', retry_policy: retryPolicy };
      if (key !== 'clusters') return value;
      const assignment = { cluster_name: 'upstream', endpoints: [{ lb_endpoints: endpoints }] };
      return [{ name: 'upstream', type: 'STATIC', connect_timeout: '1s', load_assignment: assignment, ...cluster }];
    });
  }

  load(perSecond: number): PacedLoad {
    return new PacedLoad({ perSecond, connections: 100, ports: () => [this.port] });
  }

  /** Requests that each instance that lives has had. */
  async counts(): Promise<readonly number[]> {
    return Promise.all(
      this.#ports.map(async (port, index) => {
        if (this.#instances[index]?.hasExited() === true) return 0;
        const { body } = await request(`http://127.0.0.1:${port}/count`);
        return Number(await body.text());
      }),
    );
  }

  async tell(instance: number, mood: 'fail' | 'heal'): Promise<void> {
    const { body } = await request(`http://127.0.0.1:${this.#ports[instance]}/${mood}`, { method: 'POST' });
    await body.dump();
  }

  kill(instance: number): void {
    this.#instances[instance]?.kill('SIGKILL');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#sidecar, ...this.#instances].map(async (child) => child?.stop()));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

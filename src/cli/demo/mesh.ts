// The whole mesh of the demo as processes on this machine: a control service, and for each workload an app
// and its sidecar, tied together by free ports. Starting either gives a mesh in which every sidecar is ready,
// or stops what had started and throws a MeshFailure that says which process failed, with its last lines.
import { request } from 'undici';
import { LAUNCHER, WORKLOADS, type Workload } from './bookshop.ts';
import { Child, type LineListener } from './child.ts';
import { freePorts } from './free-port.ts';
import { Identities } from './identities.ts';

export interface MeshOptions {
  /** The directory that the control service reads and watches. */
  readonly rulesDirectory: string;
  /** Where visitors enter (the inbound port of the frontend's sidecar); 0 takes a free one. */
  readonly doorPort: number;
  /** Told when a process ends that should not have. */
  readonly onDeath: (child: Child) => void;
}

export interface Member {
  readonly workload: Workload;
  readonly app: Child;
  readonly sidecar: Child;
  readonly appPort: number;
  readonly inboundPort: number;
  readonly outboundPort: number;
  readonly adminPort: number;
}

/** The mesh could not start, or lost a process; the message is meant for a person. */
export class MeshFailure extends Error {
  override readonly name = 'MeshFailure';
}

const READY_TIMEOUT_MS = 30_000;
const POLL_MS = 50;
const PORTS_PER_MEMBER = 4;
/** xDS, pages, and xDS over TLS. */
const CONTROL_PORTS = 3;

export class Mesh {
  readonly xdsPort: number;
  readonly httpPort: number;
  /** Where sidecars join, over TLS. */
  readonly securePort: number;
  readonly #identities: Identities;
  #control: Child;
  #members: readonly Member[] = [];
  readonly #options: MeshOptions;
  readonly #lineListeners = new Set<LineListener>();

  /** Starts everything and resolves when every sidecar says that it is ready. */
  static async start(options: MeshOptions): Promise<Mesh> {
    const ports = await freePorts(CONTROL_PORTS + WORKLOADS.length * PORTS_PER_MEMBER);
    const identities = await Identities.make([...new Set(WORKLOADS.map(({ service }) => service))]);
    const memberPorts = ports.slice(CONTROL_PORTS);
    const mesh = new Mesh(options, ports, identities);
    try {
      await mesh.#startMembers(memberPorts);
    } catch (error) {
      await mesh.stop();
      throw error;
    }
    return mesh;
  }

  private constructor(
    options: MeshOptions,
    [xds = 0, http = 0, secure = 0]: readonly number[],
    identities: Identities,
  ) {
    this.#options = options;
    this.#identities = identities;
    this.xdsPort = xds;
    this.httpPort = http;
    this.securePort = secure;
    this.#control = this.#startControl();
  }

  get members(): readonly Member[] {
    return this.#members;
  }

  get control(): Child {
    return this.#control;
  }

  /** The member of this service, of the first version unless one is given. */
  member(service: string, version?: string): Member {
    const found = this.#members.find(
      ({ workload }) => workload.service === service && (version === undefined || workload.version === version),
    );
    if (found === undefined) throw new MeshFailure(`the demo has no workload ${service} ${version ?? ''}`);
    return found;
  }

  /** Calls `listener` with each line that the control service writes, also after a restart. */
  onControlLine(listener: LineListener): void {
    this.#lineListeners.add(listener);
    this.#control.onLine(listener);
  }

  /** Kills the control service as a crash would. */
  async killControl(): Promise<void> {
    await this.#control.kill();
  }

  /** Starts the control service again, on the ports it had. */
  restartControl(): void {
    this.#control = this.#startControl();
    for (const listener of this.#lineListeners) this.#control.onLine(listener);
  }

  async stop(): Promise<void> {
    const sidecars = this.#members.map((member) => member.sidecar.stop());
    const apps = this.#members.map((member) => member.app.stop());
    await Promise.all([...sidecars, ...apps, this.#control.stop()]);
    await this.#identities.remove();
  }

  #startControl(): Child {
    const { rulesDirectory } = this.#options;
    const xds = `127.0.0.1:${this.xdsPort}`;
    const http = `127.0.0.1:${this.httpPort}`;
    const secure = `127.0.0.1:${this.securePort}`;
    const own = { rules: rulesDirectory, xds, http, secure, 'ca-dir': this.#identities.authorityFolder };
    return this.#watch(
      new Child({
        name: 'control service',
        args: [LAUNCHER, 'control', ...flags(own)],
        environment: {},
      }),
    );
  }

  async #startMembers(ports: readonly number[]): Promise<void> {
    this.#members = WORKLOADS.map((workload, i) => this.#startMember(workload, ports.slice(i * PORTS_PER_MEMBER)));
    await Promise.all(this.#members.map((member) => this.#untilReady(member)));
  }

  #startMember(workload: Workload, ports: readonly number[]): Member {
    const { service, version, title, script } = workload;
    const [appPort = 0, freeInboundPort = 0, outboundPort = 0, adminPort = 0] = ports;
    const isDoor = service === 'frontend' && this.#options.doorPort !== 0;
    const inboundPort = isDoor ? this.#options.doorPort : freeInboundPort;
    const appProcess = new Child({
      name: `${title} app`,
      args: [script],
      environment: { PORT: String(appPort), OUTBOUND: `127.0.0.1:${outboundPort}`, VERSION: version },
    });
    const control = `127.0.0.1:${this.securePort}`;
    const tokenFile = this.#identities.tokenFile(service);
    const [app, inbound, outbound, admin] = [`${appPort}/http`, `${inboundPort}`, `${outboundPort}`, `${adminPort}`];
    const sidecar = new Child({
      name: `${title} sidecar`,
      args: [
        LAUNCHER,
        'sidecar',
        ...flags({ control, service, version, app, inbound, outbound, admin, address: '127.0.0.1' }),
        ...flags({ 'token-file': tokenFile }),
      ],
      environment: {},
    });
    this.#watch(appProcess);
    this.#watch(sidecar);
    return { workload, app: appProcess, sidecar, appPort, inboundPort, outboundPort, adminPort };
  }

  #watch(child: Child): Child {
    void this.#reportDeath(child);
    return child;
  }

  async #reportDeath(child: Child): Promise<void> {
    await child.ended;
    if (!child.isStopping) this.#options.onDeath(child);
  }

  async #untilReady(member: Member): Promise<void> {
    const deadlineMs = performance.now() + READY_TIMEOUT_MS;
    for (;;) {
      for (const child of [this.#control, member.app, member.sidecar]) {
        if (!child.isRunning) throw new MeshFailure(child.obituary());
      }
      const isReady = await answers(`http://127.0.0.1:${member.adminPort}/ready`);
      if (isReady && (await answers(`http://127.0.0.1:${member.appPort}/health`))) return;
      if (performance.now() > deadlineMs) {
        const tail = member.sidecar.lines.slice(-5).join('\n    ');
        throw new MeshFailure(`${member.sidecar.name} was not ready in ${READY_TIMEOUT_MS} ms; it said:\n    ${tail}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}

function flags(values: Readonly<Record<string, string>>): string[] {
  return Object.entries(values).flatMap(([name, value]) => [`--${name}`, value]);
}

async function answers(url: string): Promise<boolean> {
  try {
    const answer = await request(url, { headersTimeout: 1_000, bodyTimeout: 1_000 });
    await answer.body.dump();
    return answer.statusCode === 200;
  } catch {
    // Not listening yet; the caller asks again until its own deadline.
    return false;
  }
}

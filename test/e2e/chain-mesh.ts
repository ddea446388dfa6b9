// A control service and a chain of services in a mesh: the sidecars are processes of their own, the applications live
// here, so that a test decides what they pass on and what they answer. Each calls the next one through its sidecar.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { statusOf, until } from '../support/until.ts';

/** What an application of the chain does with a request. */
export interface AppBehaviour {
  /** Fields of its request that it passes on. */
  readonly passesOn: readonly string[];
  /** Fields of its own that it sends. */
  readonly adds?: Readonly<Record<string, string>>;
  /** Before it calls the next one. */
  readonly worksMs?: number;
  /** What the last one answers; `null`: nothing, ever. Others answer what they got. */
  readonly status?: number | null;
}

interface Member {
  readonly server: Server;
  readonly seen: IncomingHttpHeaders[];
  readonly outbound: number;
}

const PORTS = 3;

export class ChainMesh implements AsyncDisposable {
  behaviour: AppBehaviour = { passesOn: [], status: 200 };
  readonly #folder = mkdtempSync(join(tmpdir(), 'outrigger-layers-'));
  readonly #children: Child[] = [];
  readonly #members: Member[] = [];
  readonly #names: readonly string[];
  #entry = 0;
  #admin = 0;

  private constructor(names: readonly string[]) {
    this.#names = names;
  }

  /** `rules` is YAML beside the Services of `names`, which call each other in this order. */
  static async start(names: readonly string[], rules = ''): Promise<ChainMesh> {
    const mesh = new ChainMesh(names);
    try {
      await mesh.#start(rules);
    } catch (cause) {
      await mesh[Symbol.asyncDispose]();
      throw cause;
    }
    return mesh;
  }

  async #start(rules: string): Promise<void> {
    writeFileSync(join(this.#folder, 'services.yaml'), this.#names.map(serviceYaml).join('---\n'));
    writeFileSync(join(this.#folder, 'rules.yaml'), rules);
    const [xds = 0, http = 0, ...ports] = await freePorts(2 + this.#names.length * PORTS);
    const places = ['--xds', `127.0.0.1:${xds}`, '--http', `127.0.0.1:${http}`];
    const control = this.#run('control', '--rules', this.#folder, ...places, '--settle-ms', '0');
    await untilReady(control, async () => (await statusOf(http, '/ready')) === 200);
    for (const [index, name] of this.#names.entries()) {
      const [inbound = 0, outbound = 0, admin = 0] = ports.slice(index * PORTS, (index + 1) * PORTS);
      if (index === 0) {
        this.#entry = inbound;
        this.#admin = admin;
      }
      const app = await this.#startApp(this.#names[index + 1] ?? '', outbound);
      const mesh = ['--control', `127.0.0.1:${xds}`, '--service', name, '--app', `${app}`, '--address', '127.0.0.1'];
      const own = ['--inbound', `${inbound}`, '--outbound', `${outbound}`, '--admin', `${admin}`];
      const sidecar = this.#run('sidecar', ...mesh, ...own, '--log-level', 'warning');
      await untilReady(sidecar, async () => (await statusOf(admin, '/ready')) === 200);
    }
    // Each sidecar is told of the others that joined.
    await until('the chain answers', async () => (await statusOf(this.#entry, '/')) === 200);
  }

  #run(...args: string[]): Child {
    const child = startChild(process.execPath, [OUTRIGGER, ...args]);
    this.#children.push(child);
    return child;
  }

  async #startApp(next: string, outbound: number): Promise<number> {
    const seen: IncomingHttpHeaders[] = [];
    const server = createServer((incoming, outgoing) => {
      seen.push(incoming.headers);
      const answer = (status: number | null): void => {
        if (status !== null) outgoing.writeHead(status).end();
      };
      if (next === '') answer(this.behaviour.status ?? null);
      else void this.#call(next, outbound, incoming.headers).then(answer);
    });
    this.#members.push({ server, seen, outbound });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address: AddressInfo | string | null = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  async #call(next: string, port: number, headers: IncomingHttpHeaders): Promise<number> {
    const { passesOn, adds, worksMs = 0 } = this.behaviour;
    if (worksMs > 0) await sleep(worksMs);
    const kept = Object.entries(headers).filter(([name]) => passesOn.includes(name));
    return statusFrom(port, { ...Object.fromEntries(kept), ...adds, host: next });
  }

  /** Puts other rules in force, and waits until the first sidecar has what says `mark`. */
  async write(rules: string, mark: string): Promise<void> {
    writeFileSync(join(this.#folder, 'rules.yaml'), rules);
    await until('the rules are in force', async () => {
      const response = await fetch(`http://127.0.0.1:${this.#admin}/plan`);
      return (await response.text()).includes(mark);
    });
  }

  /** The statistic `http.outbound.NAME` of the first sidecar. */
  async statOf(name: string): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.#admin}/stats?filter=http.outbound.${name}`);
    const line = (await response.text()).split('\n').find((text) => text.startsWith(`http.outbound.${name}: `));
    return Number(line?.split(': ')[1] ?? NaN);
  }

  /** Where the first service is asked. */
  get entry(): number {
    return this.#entry;
  }

  /** Requests that the last application has had since the last question of `ask`. */
  get asked(): number {
    return this.#members.at(-1)?.seen.length ?? 0;
  }

  /** Asks the first service; the status, and what each application has seen of it. */
  async ask(): Promise<{ readonly status: number; readonly seen: readonly (readonly IncomingHttpHeaders[])[] }> {
    for (const member of this.#members) member.seen.length = 0;
    const status = await statusFrom(this.#entry, { host: this.#names[0] ?? '' });
    return { status, seen: this.#members.map(({ seen }) => [...seen]) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.map((child) => child.stop()));
    for (const { server } of this.#members) {
      server.closeAllConnections();
      server.close();
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function statusFrom(port: number, headers: Record<string, string | string[] | undefined>): Promise<number> {
  return new Promise((resolve) => {
    const call = request({ host: '127.0.0.1', port, headers, agent: false }, (response) => {
      response.resume();
      response.once('close', () => resolve(response.statusCode ?? 0));
    });
    call.once('error', () => resolve(0));
    call.end();
  });
}

function serviceYaml(name: string): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: default }
spec:
  selector: { app: ${name} }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
`;
}

// A control service, and services in a chain, each an application process and its sidecar process. Whoever asks the
// first one at `entry` is passed on to the last.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { statusOf, until } from '../support/until.ts';

export interface ChainOptions {
  /** In the order of the calls. */
  readonly services: readonly string[];
  /** The rules of one service, as YAML, beside its Service. */
  readonly rulesOf: (service: string) => string;
}

const APP = join(import.meta.dirname, 'chain-app.ts');
const PORTS_PER_SERVICE = 4;

export class ServiceChain implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'outrigger-chain-'));
  readonly #children: Child[] = [];
  readonly #appPorts = new Map<string, number>();
  readonly #adminPorts = new Map<string, number>();
  /** The inbound port of the first service's sidecar. */
  entry = 0;

  static async start(options: ChainOptions): Promise<ServiceChain> {
    const chain = new ServiceChain();
    try {
      await chain.#start(options);
    } catch (cause) {
      await chain[Symbol.asyncDispose]();
      throw cause;
    }
    return chain;
  }

  async #start({ services, rulesOf }: ChainOptions): Promise<void> {
    for (const service of services) {
      writeFileSync(join(this.#folder, `${service}.yaml`), `${serviceYaml(service)}---\n${rulesOf(service)}`);
    }
    const [xds = 0, http = 0, ...ports] = await freePorts(2 + services.length * PORTS_PER_SERVICE);
    const places = ['--xds', `127.0.0.1:${xds}`, '--http', `127.0.0.1:${http}`];
    const control = this.#run(OUTRIGGER, 'control', '--rules', this.#folder, ...places, '--settle-ms', '0');
    await untilReady(control, async () => (await statusOf(http, '/ready')) === 200);
    await Promise.all(
      services.map(async (service, index) => {
        const own = ports.slice(index * PORTS_PER_SERVICE, (index + 1) * PORTS_PER_SERVICE);
        await this.#startService(service, services[index + 1] ?? '', { xds, own, isFirst: index === 0 });
      }),
    );
    // Each sidecar is told of the others that joined.
    await until('the chain answers', async () => (await statusOf(this.entry, '/')) === 200);
  }

  async #startService(
    service: string,
    next: string,
    { xds, own, isFirst }: { readonly xds: number; readonly own: readonly number[]; readonly isFirst: boolean },
  ): Promise<void> {
    const [app = 0, inbound = 0, outbound = 0, admin = 0] = own;
    this.#appPorts.set(service, app);
    this.#adminPorts.set(service, admin);
    if (isFirst) this.entry = inbound;
    const application = this.#run(APP, `${app}`, `${outbound}`, next);
    await untilReady(application, () => Promise.resolve(application.stdout().includes('listening')));
    const ports = ['--inbound', `${inbound}`, '--outbound', `${outbound}`, '--admin', `${admin}`];
    const mesh = ['--control', `127.0.0.1:${xds}`, '--service', service, '--app', `${app}`, '--address', '127.0.0.1'];
    const sidecar = this.#run(OUTRIGGER, 'sidecar', ...mesh, ...ports, '--log-level', 'warning');
    await untilReady(sidecar, async () => (await statusOf(admin, '/ready')) === 200);
  }

  #run(...args: string[]): Child {
    const child = startChild(process.execPath, args);
    this.#children.push(child);
    return child;
  }

  /** Tells the application of `service` to answer 503, or to answer again. */
  async tell(service: string, mood: 'fail' | 'heal'): Promise<void> {
    const { body } = await request(`http://127.0.0.1:${this.#appPorts.get(service)}/${mood}`, { method: 'POST' });
    await body.dump();
  }

  /** Requests that the application of `service` has had. */
  async countOf(service: string): Promise<number> {
    const { body } = await request(`http://127.0.0.1:${this.#appPorts.get(service)}/count`);
    return Number(await body.text());
  }

  /** A page of the sidecar of `service`. */
  async adminOf(service: string, path: string): Promise<string> {
    const { body } = await request(`http://127.0.0.1:${this.#adminPorts.get(service)}${path}`);
    return body.text();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.map((child) => child.stop()));
    rmSync(this.#folder, { recursive: true, force: true });
  }
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

// A mesh with identities, as processes: a control service with an authority of its own, and sidecars that join over TLS by
// tokens. Applications belong to the test. All ports are of 127.0.0.1.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startChild, untilReady, type Child } from './child.ts';
import { freePorts } from './free-port.ts';
import { OUTRIGGER } from './real-parts.ts';
import { statusOf, until } from './until.ts';

export interface MemberOptions {
  /** `NAME` or `NAME.NAMESPACE`; the service account is NAME. */
  readonly service: string;
  /** `PORT/PROTOCOL` of its app; none when it only calls. */
  readonly app?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
  /** Takes the ports of this one, which hands over to it and ends. */
  readonly replaces?: Member;
}

export interface Member {
  readonly child: Child;
  readonly admin: number;
  readonly inbound: number;
  readonly outbound: number;
}

export class SecureMesh implements AsyncDisposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'outrigger-secure-'));
  readonly members = new Map<string, Member>();
  readonly #children: Child[] = [];
  #control: Child | null = null;
  #secure = 0;
  #http = 0;
  #rules = 0;
  #controlArgs: readonly string[] = [];

  static async start(rules: string, flags: readonly string[] = []): Promise<SecureMesh> {
    const mesh = new SecureMesh();
    try {
      await mesh.#start(rules, flags);
    } catch (cause) {
      await mesh[Symbol.asyncDispose]();
      throw cause;
    }
    return mesh;
  }

  async #start(rules: string, flags: readonly string[]): Promise<void> {
    this.write(rules);
    const [secure = 0, xds = 0, http = 0] = await freePorts(3);
    this.#secure = secure;
    this.#http = http;
    const places = ['--secure', `127.0.0.1:${secure}`, '--xds', `127.0.0.1:${xds}`, '--http', `127.0.0.1:${http}`];
    const folders = ['--rules', join(this.folder), '--ca-dir', this.caFolder];
    this.#controlArgs = ['control', ...folders, ...places, '--settle-ms', '0', ...flags];
    await this.startControl();
  }

  /** Also after it was ended: on the same ports, with the same authority. */
  async startControl(): Promise<void> {
    const control = this.#run(...this.#controlArgs);
    this.#control = control;
    await untilReady(control, async () => (await statusOf(this.#http, '/ready')) === 200);
  }

  get caFolder(): string {
    return join(this.folder, 'ca');
  }

  get control(): Child {
    if (this.#control === null) throw new Error('the mesh has not started');
    return this.#control;
  }

  /** HOST:PORT of the control service's TLS. */
  get secure(): string {
    return `127.0.0.1:${this.#secure}`;
  }

  /** The port of the control service's pages. */
  get pages(): number {
    return this.#http;
  }

  /** Adds rules in a file of their own; returns its path. */
  write(yaml: string): string {
    const file = join(this.folder, `rules-${++this.#rules}.yaml`);
    writeFileSync(file, yaml);
    return file;
  }

  /** A file with a token for `NAMESPACE/ACCOUNT`. */
  token(account: string): string {
    const file = join(this.folder, `${account.replace('/', '.')}.token`);
    const args = [OUTRIGGER, 'token', 'create', '--ca-dir', this.caFolder, account];
    writeFileSync(file, execFileSync(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] }));
    return file;
  }

  /** Resolves when the sidecar is ready. */
  async join({ service, app = '', labels = {}, flags = [], replaces }: MemberOptions): Promise<Member> {
    const [name = '', namespace = 'default'] = service.split('.');
    const free = await freePorts(replaces === undefined ? 3 : 0);
    const { admin, inbound, outbound } = replaces ?? {
      admin: free[0] ?? 0,
      inbound: free[1] ?? 0,
      outbound: free[2] ?? 0,
    };
    const own: Readonly<Record<string, string | number>> = {
      control: this.secure,
      'token-file': this.token(`${namespace}/${name}`),
      service: `${name}.${namespace}`,
      address: '127.0.0.1',
      inbound,
      outbound,
      admin,
      app: app === '' ? '9/http' : app,
      'log-level': 'warning',
    };
    const given = Object.entries(own).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
    const labelled = Object.entries(labels).flatMap(([key, value]) => ['--label', `${key}=${value}`]);
    const child = this.#run('sidecar', ...given, ...labelled, ...flags);
    await untilReady(
      child,
      async () => replaces?.child.hasExited() !== false && (await statusOf(admin, '/ready')) === 200,
    );
    const member = { child, admin, inbound, outbound };
    this.members.set(service, member);
    return member;
  }

  /** Resolves when every sidecar knows all the others that have joined. */
  async settle(): Promise<void> {
    for (const [name, { admin }] of this.members)
      for (const other of this.members.keys()) {
        const [service = '', namespace = 'default'] = other.split('.');
        await until(`${name} knows ${other}`, async () => {
          const text = await (await fetch(`http://127.0.0.1:${admin}/clusters`)).text();
          return text.includes(`||${service}.${namespace}.svc.`);
        });
      }
  }

  #run(...args: readonly string[]): Child {
    const child = startChild(process.execPath, [OUTRIGGER, ...args]);
    this.#children.push(child);
    return child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.map((child) => child.stop()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

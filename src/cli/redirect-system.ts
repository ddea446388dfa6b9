// Runs the system's own iptables programs: what is in force is read with iptables-save, what changes goes
// through iptables-restore without a flush, so that each family changes in one step or not at all. Their
// complaints become sentences with a remedy. Waits for the lock of the legacy programs.
import { spawn } from 'node:child_process';
import type { Backend } from './redirect-flags.ts';
import type { Family } from './redirect-plan.ts';

/** The programs cannot do it here; the message says why and what helps. */
export class RedirectFailed extends Error {
  override readonly name = 'RedirectFailed';
  /** True when this family has no table nat at all. */
  readonly isAbsent: boolean;

  constructor(message: string, isAbsent: boolean) {
    super(message);
    this.isAbsent = isAbsent;
  }
}

const LOCK_WAIT_SECONDS = '30';

interface Outcome {
  readonly code: number;
  readonly output: string;
  readonly complaint: string;
}

export class RedirectSystem {
  readonly #backend: Backend;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** The table nat as iptables-save prints it. */
  async save(family: Family): Promise<string> {
    return this.#run(this.#program(family, 'save'), ['-t', 'nat'], '');
  }

  /** Puts a script in force, all of it or nothing. */
  async restore(family: Family, script: string): Promise<void> {
    await this.#run(this.#program(family, 'restore'), ['--noflush', '--wait', LOCK_WAIT_SECONDS], script);
  }

  /** Adds or removes an address of the loopback interface. What is so already is left so. */
  async loopbackAddress(action: 'add' | 'del', address: string): Promise<void> {
    const outcome = await execute('ip', ['-6', 'address', action, address, 'dev', 'lo'], '');
    if (outcome.code === 0 || /File exists|Cannot assign|already assigned|not found/i.test(outcome.complaint)) return;
    throw explain('ip', outcome);
  }

  #program(family: Family, verb: 'save' | 'restore'): string {
    const name = family === 'ipv4' ? 'iptables' : 'ip6tables';
    return this.#backend === 'auto' ? `${name}-${verb}` : `${name}-${this.#backend}-${verb}`;
  }

  async #run(program: string, args: readonly string[], input: string): Promise<string> {
    const outcome = await execute(program, args, input);
    if (outcome.code !== 0) throw explain(program, outcome);
    return outcome.output;
  }
}

const NOT_FOUND = 127;

function explain(program: string, { code, complaint }: Outcome): RedirectFailed {
  if (code === NOT_FOUND) {
    const help = program === 'ip' ? 'install iproute2' : 'install iptables, or try --backend';
    return new RedirectFailed(`${program} was not found: ${help}`, true);
  }
  const said = complaint.split('\n').filter((line) => line.trim() !== '')[0] ?? `exit code ${code}`;
  if (/permission denied|not permitted|must be root/i.test(complaint)) {
    const help =
      'run it as root with NET_ADMIN and NET_RAW (in Kubernetes: securityContext.capabilities.add: [NET_ADMIN, NET_RAW])';
    return new RedirectFailed(`${said}: ${help}`, false);
  }
  if (/does not exist|can't initialize|not supported|incompatible/i.test(complaint)) {
    const help = 'the kernel lacks nat for this family: load its module, or try --backend nft or legacy';
    return new RedirectFailed(`${said}: ${help}`, true);
  }
  return new RedirectFailed(`${program}: ${said}`, false);
}

/** A program's end; one that cannot be started ends with 127, as a shell has it. */
function execute(program: string, args: readonly string[], input: string): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: 'pipe', env: { ...process.env, LC_ALL: 'C' } });
    let output = '';
    let complaint = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
    child.once('error', (cause) => resolve({ code: NOT_FOUND, output, complaint: cause.message }));
    child.once('close', (code) => resolve({ code: code ?? 1, output, complaint }));
    // A program that refuses at once does not read what it is sent.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

// A program that a test runs: its pid, what it has printed so far, and an end that is certain. Every
// child still alive when the test process exits is killed by its pid; nothing is ever killed by name.
import { spawn, type ChildProcess } from 'node:child_process';

const alive = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

const OUTPUT_CHARACTERS_MAX = 4_000_000;
const STOP_TIMEOUT_MS = 8000;

export interface ChildOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export interface Child {
  readonly pid: number;
  readonly name: string;
  stdout(): string;
  stderr(): string;
  /** Standard output and error in order of arrival. */
  output(): string;
  /** Resolves to the exit code (128 + signal number is not used: a signal gives -1). */
  readonly exited: Promise<number>;
  hasExited(): boolean;
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, then SIGKILL after 8 s; resolves when it is gone. */
  stop(): Promise<void>;
}

export function startChild(command: string, args: readonly string[], options: ChildOptions = {}): Child {
  const child = spawn(command, [...args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  alive.add(child);
  const text = { stdout: '', stderr: '', output: '' };
  const keep = (which: 'stdout' | 'stderr') => (data: Buffer) => {
    const more = data.toString();
    text[which] = (text[which] + more).slice(-OUTPUT_CHARACTERS_MAX);
    text.output = (text.output + more).slice(-OUTPUT_CHARACTERS_MAX);
  };
  child.stdout.on('data', keep('stdout'));
  child.stderr.on('data', keep('stderr'));
  let isOver = false;
  const exited = new Promise<number>((done) => {
    const finish = (code: number): void => {
      isOver = true;
      alive.delete(child);
      done(code);
    };
    child.once('exit', (code) => finish(code ?? -1));
    child.once('error', (cause) => {
      text.output += `${command}: ${cause.message}\n`;
      finish(-1);
    });
  });
  return {
    pid: child.pid ?? -1,
    name: command,
    stdout: () => text.stdout,
    stderr: () => text.stderr,
    output: () => text.output,
    exited,
    hasExited: () => isOver,
    kill: (signal) => {
      child.kill(signal);
    },
    async stop() {
      if (isOver) return;
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** Waits until `probe` holds; rejects at once, with what the child printed, when the child ends before. */
export async function untilReady(child: Child, probe: () => Promise<boolean>, timeoutMs = 15_000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await probe())) {
    if (child.hasExited()) throw new Error(`${child.name} ended before it was ready:\n${child.output()}`);
    if (performance.now() > deadlineMs) {
      throw new Error(`${child.name} was not ready within ${timeoutMs} ms:\n${child.output()}`);
    }
    await new Promise((done) => setTimeout(done, 10));
  }
}

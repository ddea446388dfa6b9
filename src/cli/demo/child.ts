// A process that lives no longer than the demo: it is told to stop when the demo stops, and notices by
// itself (tether.ts watches its standard input) when the demo dies without a word. Keeps the last lines
// that it wrote, so that a death can be explained; refuses to start twice.
import { spawn, type ChildProcess } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { inCheckout } from './checkout.ts';

const LINES_KEPT = 200;
const STOP_GRACE_MS = 5_000;
/** Always the source: the bundle holds only what commands import. */
const TETHER = pathToFileURL(inCheckout('src/cli/demo/tether.ts')).href;

export interface ChildCommand {
  /** As it is called in messages, for example `reviews v2 sidecar`. */
  readonly name: string;
  /** Arguments of Node: a script and what it takes. */
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

export type LineListener = (line: string) => void;

export class Child {
  readonly name: string;
  readonly pid: number;
  /** Resolves when the process has ended, with how. */
  readonly ended: Promise<string>;
  readonly #process: ChildProcess;
  readonly #lines: string[] = [];
  readonly #listeners = new Set<LineListener>();
  #isStopping = false;
  #ending: string | null = null;

  constructor(command: ChildCommand) {
    this.name = command.name;
    const nodeOptions = `${process.env['NODE_OPTIONS'] ?? ''} --import=${TETHER}`.trim();
    this.#process = spawn(process.execPath, [...command.args], {
      cwd: inCheckout('.'),
      env: { ...process.env, ...command.environment, NODE_OPTIONS: nodeOptions },
      stdio: ['pipe', 'pipe', 'pipe'],
      // A group of its own: Ctrl-C is the demo's to hear, and it ends the rest in good order.
      detached: true,
    });
    this.pid = this.#process.pid ?? 0;
    // A child that ends while we hold its standard input open is no error of ours.
    this.#process.stdin?.on('error', () => {});
    this.#follow(this.#process.stdout);
    this.#follow(this.#process.stderr);
    this.ended = new Promise((resolve) => {
      const end = (how: string): void => {
        this.#ending ??= how;
        resolve(this.#ending);
      };
      this.#process.once('error', (error) => end(`could not start: ${error.message}`));
      this.#process.once('close', (code, signal) => end(signal === null ? `exit code ${code}` : `signal ${signal}`));
    });
  }

  get isRunning(): boolean {
    return this.#ending === null;
  }

  /** True once the demo itself asked it to end: its end is then no news. */
  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** The newest lines of its output, oldest first; 200 are kept. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  /** Calls `listener` with each line it writes from now on; the result ends that. */
  onLine(listener: LineListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Asks it to end and waits for it; after 5 s it is killed. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    if (!this.isRunning) return;
    this.#process.kill('SIGTERM');
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), STOP_GRACE_MS);
    await this.ended;
    clearTimeout(timer);
  }

  /** Ends it at once, as a crash would. */
  async kill(): Promise<void> {
    this.#isStopping = true;
    if (!this.isRunning) return;
    this.#process.kill('SIGKILL');
    await this.ended;
  }

  /** What to tell a person about its end: how, and the last lines it wrote. */
  obituary(): string {
    const tail = this.#lines.slice(-8).map((line) => `    ${line}`);
    const how = this.#ending ?? 'still running';
    return [`${this.name} ended (${how}); its last lines:`, ...(tail.length === 0 ? ['    (none)'] : tail)].join('\n');
  }

  #follow(stream: NodeJS.ReadableStream | null): void {
    let rest = '';
    stream?.setEncoding('utf8');
    stream?.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#take(line);
    });
    stream?.on('end', () => {
      if (rest !== '') this.#take(rest);
    });
  }

  #take(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > LINES_KEPT) this.#lines.shift();
    for (const listener of this.#listeners) listener(line);
  }
}

// The test's end of an agent inside a pod: it asks for a listener or for a connection, and gets what came of
// it. One question has one answer; an agent that dies fails what is still asked.
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { AgentAnswer, AgentQuestion, AgentTask, Dialled } from './pod-agent.ts';

const PROGRAM = join(import.meta.dirname, 'pod-agent.ts');

export interface DialOptions {
  readonly text?: string;
  /** Read until this was seen; without it, to the end. */
  readonly until?: string;
  readonly from?: string;
}

type Waiter = { readonly done: (answer: AgentAnswer) => void; readonly failed: (cause: Error) => void };

export class Agent {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiter>();
  #asked = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (answer: AgentAnswer) => {
      this.#waiting.get(answer.id)?.done(answer);
      this.#waiting.delete(answer.id);
    });
    child.once('exit', (code) => {
      for (const { failed } of this.#waiting.values()) failed(new Error(`the agent ended with ${code}`));
    });
  }

  static async start(command: string, wrap: (command: readonly string[]) => readonly string[]): Promise<Agent> {
    const child = spawn(command, [...wrap([process.execPath, PROGRAM])], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const agent = new Agent(child);
    await agent.#ask({ kind: 'hello' });
    return agent;
  }

  /** What listens: see pod-agent.ts. */
  async listen(serves: (AgentTask & { readonly kind: 'listen' })['serves'], port: number): Promise<void> {
    const { error } = await this.#ask({ kind: 'listen', serves, port });
    if (error !== '') throw new Error(`cannot listen on ${port}: ${error}`);
  }

  /** Dials, writes `text` when there is some, and reads to the end or to `until`. */
  async dial(host: string, port: number, options: DialOptions = {}): Promise<Dialled> {
    const { error, text } = await this.#ask({ kind: 'dial', host, port, text: '', until: '', from: '', ...options });
    return { error, text };
  }

  /** A GET on a connection of its own: status line and body. */
  async get(host: string, port: number, path = '/', authority = host): Promise<Dialled> {
    const named = authority.includes(':') && !authority.startsWith('[') ? `[${authority}]` : authority;
    const text = `GET ${path} HTTP/1.1\r\nHost: ${named}\r\nConnection: close\r\n\r\n`;
    const answer = await this.dial(host, port, { text });
    const [head = '', body = ''] = answer.text.split('\r\n\r\n');
    return { error: answer.error, text: `${head.split(' ')[1] ?? ''} ${body}`.trim() };
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }

  #ask(task: AgentTask): Promise<AgentAnswer> {
    const id = ++this.#asked;
    return new Promise((done, failed) => {
      this.#waiting.set(id, { done, failed });
      const question: AgentQuestion = { id, task };
      this.#child.send(question);
    });
  }
}

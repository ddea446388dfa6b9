// Reads single flags of a command into values, and collects what is wrong with them: all of it is told at once.
import { LOG_LEVELS, type LogLevel } from '../base/log.ts';
import type { ControlAddress } from '../sidecar/discovery.ts';
import type { DrainStrategy } from '../sidecar/proxy.ts';

/** Options as commander hands them over: text, lists of text, flags. */
export type Flags = Readonly<Record<string, string | string[] | boolean | undefined>>;

/** sockaddr_un of Linux, without the zero at the end. */
const SOCKET_PATH_BYTES_MAX = 107;

export class FlagReader {
  readonly mistakes: string[];
  readonly #flags: Flags;

  constructor(flags: Flags, mistakes: string[]) {
    this.#flags = flags;
    this.mistakes = mistakes;
  }

  has(name: string): boolean {
    return this.#flags[name] !== undefined && this.#flags[name] !== false;
  }

  text(name: string): string {
    const value = this.#flags[name];
    return typeof value === 'string' ? value : '';
  }

  list(name: string): readonly string[] {
    const value = this.#flags[name];
    return Array.isArray(value) ? value : [];
  }

  number(name: string, fallback: number, [least, most]: readonly [number, number]): number {
    const text = this.text(name);
    if (text === '') return fallback;
    const value = Number(text);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    this.mistakes.push(`--${flag}: ${JSON.stringify(text)} is not a whole number from ${least} to ${most}`);
    return fallback;
  }

  strategy(): DrainStrategy {
    const text = this.text('drainStrategy') || 'gradual';
    if (text !== 'gradual' && text !== 'immediate') this.mistakes.push('--drain-strategy: write gradual or immediate');
    return text === 'immediate' ? 'immediate' : 'gradual';
  }

  /** A path that the kernel takes for a Unix socket; null without one. */
  path(name: string): string | null {
    if (!this.has(name)) return null;
    const text = this.text(name);
    if (text === '' || Buffer.byteLength(text) > SOCKET_PATH_BYTES_MAX) {
      this.mistakes.push(`--${name}: a path of 1 to ${SOCKET_PATH_BYTES_MAX} bytes is needed`);
    }
    return text;
  }

  level(): LogLevel {
    const text = this.text('logLevel') === 'warn' ? 'warning' : this.text('logLevel') || 'info';
    const level = LOG_LEVELS.find((known) => known === text);
    if (level === undefined) this.mistakes.push(`--log-level: write one of ${LOG_LEVELS.join(', ')}`);
    return level ?? 'info';
  }

  /** HOST:PORT of the control service. */
  control(): ControlAddress {
    const text = this.text('control');
    const match = /^(?:\[(?<v6>[0-9a-f:.]+)\]|(?<host>[^:[\]]+)):(?<port>\d{1,5})$/i.exec(text);
    const host = match?.groups?.['v6'] ?? match?.groups?.['host'];
    const port = Number(match?.groups?.['port']);
    if (text !== '' && (host === undefined || port < 1 || port > 65_535)) {
      this.mistakes.push(`--control: ${JSON.stringify(text)} is not HOST:PORT`);
    }
    return { host: host ?? '', port };
  }

  /** Who may open a Unix socket on which secrets are served. */
  socketMode(name: string): number {
    const text = this.text(name) || '0600';
    if (text !== '0600' && text !== '0660') this.mistakes.push('--sds-mode: write 0600 or 0660');
    return text === '0660' ? 0o660 : 0o600;
  }
}

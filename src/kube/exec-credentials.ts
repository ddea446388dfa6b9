// Credentials that a program prints (client.authentication.k8s.io ExecCredential), as kubeconfigs of clouds and of OIDC
// logins name them: run when they are first needed, kept until shortly before they end, run again when the server
// refuses them. Only what a person runs does this. What the program prints on standard error is the person's to read;
// what it prints on standard output is never shown.
import { spawn } from 'node:child_process';
import { Buffer } from 'node:buffer';
import type { Clock } from '../base/clock.ts';
import { Concealed } from '../base/concealed.ts';
import { isHeaderValue, type KubeCredentials, type Shown } from './credentials.ts';
import { isJsonRecord, recordOf, textOf, type JsonRecord } from './json-record.ts';

export interface ExecOptions {
  readonly apiVersion: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Beside our own environment. */
  readonly environment: Readonly<Record<string, string>>;
  readonly installHint: string;
  readonly isInteractive: boolean;
  /** `spec.cluster` of what it is told; null: nothing. */
  readonly cluster: JsonRecord | null;
  readonly clock: Clock;
  /** Somebody may have to log in; 5 minutes by default. */
  readonly timeoutMs?: number;
}

export const EXEC_VERSIONS: readonly string[] = [
  'client.authentication.k8s.io/v1',
  'client.authentication.k8s.io/v1beta1',
];
const TIMEOUT_MS = 300_000;
const OUTPUT_BYTES_MAX = 1024 * 1024;
/** Before the end, so that nothing is shown that ends on its way. */
const EARLY_MS = 10_000;
/** After a failure the program is left alone, because every call would run it. */
const FAILED_FOR_MS = 2_000;

export class ExecCredentials implements KubeCredentials {
  readonly #options: ExecOptions;
  #shown: Shown | string | null = null;
  /** Unix epoch; Infinity: until it is refused. */
  #untilWallMs = 0;
  #running: Promise<Shown | string> | null = null;

  constructor(options: ExecOptions) {
    this.#options = options;
  }

  async show(): Promise<Shown | string> {
    if (this.#shown !== null && this.#options.clock.wall() < this.#untilWallMs) return this.#shown;
    this.#running ??= this.#renew();
    return await this.#running;
  }

  onRefused(): void {
    if (typeof this.#shown !== 'string') this.#shown = null;
  }

  async #renew(): Promise<Shown | string> {
    const { clock } = this.#options;
    const output = await this.#run();
    const read = typeof output === 'string' ? output : readCredential(output.text);
    if (typeof read === 'string') {
      this.#shown = `${this.#options.command}: ${read}`;
      this.#untilWallMs = clock.wall() + FAILED_FOR_MS;
    } else {
      this.#shown = read.shown;
      this.#untilWallMs = read.expiresWallMs - EARLY_MS;
    }
    this.#running = null;
    return this.#shown;
  }

  /** What it printed, or what went wrong. */
  #run(): Promise<{ readonly text: string } | string> {
    const { apiVersion, command, args, environment, isInteractive, cluster, installHint } = this.#options;
    const spec = { interactive: isInteractive, ...(cluster === null ? {} : { cluster }) };
    const info = JSON.stringify({ apiVersion, kind: 'ExecCredential', spec });
    return new Promise((finish) => {
      const child = spawn(command, [...args], {
        env: { ...process.env, ...environment, KUBERNETES_EXEC_INFO: info },
        stdio: [isInteractive ? 'inherit' : 'ignore', 'pipe', 'inherit'],
        timeout: this.#options.timeoutMs ?? TIMEOUT_MS,
        killSignal: 'SIGKILL',
      });
      const chunks: Buffer[] = [];
      let bytes = 0;
      child.stdout.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes <= OUTPUT_BYTES_MAX) chunks.push(chunk);
        else child.kill('SIGKILL');
      });
      child.once('error', (cause) =>
        finish(`cannot be run: ${cause.message}${installHint === '' ? '' : `\n${installHint}`}`),
      );
      child.once('close', (code, signal) => {
        if (bytes > OUTPUT_BYTES_MAX) finish('printed too much');
        else if (code === 0) finish({ text: Buffer.concat(chunks).toString('utf8') });
        else finish(code === null ? `was ended by ${signal}` : `ended with ${code}`);
      });
    });
  }
}

/** Or what is wrong with it, without what stands in it. */
export function readCredential(text: string): { readonly shown: Shown; readonly expiresWallMs: number } | string {
  let credential: unknown;
  try {
    credential = JSON.parse(text);
  } catch {
    return 'printed no JSON';
  }
  const { apiVersion, kind, status } = recordOf(credential);
  if (kind !== 'ExecCredential' || !EXEC_VERSIONS.includes(textOf(apiVersion))) return 'printed no ExecCredential';
  if (!isJsonRecord(status)) return 'printed an ExecCredential without a status';
  const token = textOf(status['token']);
  const chainPem = textOf(status['clientCertificateData']);
  const keyPem = textOf(status['clientKeyData']);
  if ((chainPem === '') !== (keyPem === '')) return 'printed a certificate without its key, or a key alone';
  if (token === '' && chainPem === '') return 'printed neither a token nor a certificate';
  if (token !== '' && !isHeaderValue(token)) return 'printed a token that cannot be sent';
  const expires = textOf(status['expirationTimestamp']);
  const expiresWallMs = expires === '' ? Infinity : Date.parse(expires);
  if (Number.isNaN(expiresWallMs)) return 'printed an expirationTimestamp that is no time';
  const shown = {
    token: token === '' ? null : new Concealed(token),
    certificate: chainPem === '' ? null : { chainPem, keyPem: new Concealed(keyPem) },
  };
  return { shown, expiresWallMs };
}

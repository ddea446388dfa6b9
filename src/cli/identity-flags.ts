// The flags by which a workload proves who it is, for every command that asks the control service for a certificate.
// With none of them, and without the paths that Kubernetes mounts, there is no identity and nothing is loaded for one.
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import type { ControlAddress } from '../sidecar/discovery.ts';

export interface IdentitySettings {
  readonly tokenFile: string;
  readonly rootFile: string | null;
  /** Lower-case hex. */
  readonly rootHash: string | null;
  /** Empty: what the token says, else `default`. */
  readonly serviceAccount: string;
  /** Empty: whatever the authority says. */
  readonly trustDomain: string;
  readonly certificateSeconds: number;
}

/** What this reads flags by. */
export interface IdentityFlagReader {
  readonly mistakes: string[];
  has(name: string): boolean;
  text(name: string): string;
  number(name: string, fallback: number, range: readonly [number, number]): number;
}

/** Where Istio's injector mounts them; relative to the working directory first, as Istio has it. */
const TOKEN_PATH = 'var/run/secrets/tokens/istio-token';
const ROOT_PATH = 'var/run/secrets/istio/root-cert.pem';
/** Of a control service in plaintext, by Istio's convention. */
const PLAINTEXT_PORT = 15_010;
const DAY_SECONDS = 86_400;
const SECONDS: readonly [number, number] = [2, 365 * DAY_SECONDS];

export function addIdentityFlags(command: Command): Command {
  return command
    .option('--token-file <file>', 'a token that proves who this workload is; read again at each use')
    .option('--ca-root <file>', 'PEM of the roots by which the control service is verified')
    .option('--ca-hash <sha256:hex>', 'the hash of such a root instead; by default what a join token says')
    .option('--service-account <name>', 'the account of the workload; by default what the token says')
    .option('--trust-domain <domain>', 'refuse a certificate of another trust domain')
    .option('--certificate-seconds <n>', 'the life of the certificates that are asked for', String(DAY_SECONDS));
}

/** Null: no identity. Mistakes are added to the reader's. */
export function readIdentity(reader: IdentityFlagReader, control: ControlAddress): IdentitySettings | null {
  const certificateSeconds = reader.number('certificateSeconds', DAY_SECONDS, SECONDS);
  const isPlaintext = control.port === PLAINTEXT_PORT;
  const tokenFile = reader.text('tokenFile') || (isPlaintext ? null : mounted(TOKEN_PATH));
  if (tokenFile === null) {
    for (const [name, flag] of DEPENDENT) {
      if (reader.has(name)) reader.mistakes.push(`${flag} needs --token-file FILE: there is no identity without one`);
    }
    return null;
  }
  const hash = reader.text('caHash');
  const hex = /^(?:sha256:)?([0-9a-f]{64})$/i.exec(hash)?.[1];
  if (hash !== '' && hex === undefined) reader.mistakes.push('--ca-hash: write sha256: and 64 hexadecimal digits');
  if (hash !== '' && reader.has('caRoot')) reader.mistakes.push('--ca-root and --ca-hash exclude each other');
  for (const [name, flag, pattern] of NAMES) {
    const text = reader.text(name);
    if (text !== '' && !pattern.test(text)) reader.mistakes.push(`${flag}: ${JSON.stringify(text)} is no name`);
  }
  return {
    tokenFile,
    rootFile: reader.text('caRoot') || (hash === '' ? mounted(ROOT_PATH) : null),
    rootHash: hex?.toLowerCase() ?? null,
    serviceAccount: reader.text('serviceAccount'),
    trustDomain: reader.text('trustDomain'),
    certificateSeconds,
  };
}

const DEPENDENT = [
  ['caRoot', '--ca-root'],
  ['caHash', '--ca-hash'],
  ['trustDomain', '--trust-domain'],
] as const;

/** As tls/spiffe-id.ts has them. */
const NAMES = [
  ['serviceAccount', '--service-account', /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/],
  ['trustDomain', '--trust-domain', /^[a-z0-9._-]{1,255}$/],
] as const;

function mounted(path: string): string | null {
  return [`./${path}`, `/${path}`].find((candidate) => existsSync(candidate)) ?? null;
}

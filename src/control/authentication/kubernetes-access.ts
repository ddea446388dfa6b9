// Where the API server is and how we show who we are: given by flags, or as every pod finds it. The token is read from
// its file for each question, because the kubelet replaces it.
import { readFile } from 'node:fs/promises';

export interface KubernetesAccess {
  /** `https://host:port`. */
  readonly url: string;
  /** PEM of the authorities that may have signed its certificate; empty: those of the system. */
  readonly authority: string;
  /** Empty: we show no token. */
  readonly tokenFile: string;
}

export interface KubernetesFlags {
  /** An URL, or `in-cluster`. */
  readonly server: string;
  readonly tokenFile: string;
  readonly authorityFile: string;
}

const MOUNTED = '/var/run/secrets/kubernetes.io/serviceaccount';

/** What the flags come to, or what is wrong with them. */
export async function kubernetesAccess(
  { server, tokenFile, authorityFile }: KubernetesFlags,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<KubernetesAccess | string> {
  const isInside = server === 'in-cluster';
  const url = isInside ? insideUrl(environment) : server;
  if (url === '') return 'in-cluster: KUBERNETES_SERVICE_HOST is not set, so this is no pod';
  const read = URL.canParse(url) ? new URL(url) : null;
  if (read === null || read.protocol !== 'https:' || read.username !== '' || read.password !== '')
    return 'takes https://host:port, without a user or password';
  const path = authorityFile === '' && isInside ? `${MOUNTED}/ca.crt` : authorityFile;
  const authority = path === '' ? '' : await readFile(path, 'utf8').catch(() => null);
  if (authority === null) return `the file ${path} cannot be read`;
  return { url: read.origin, authority, tokenFile: tokenFile === '' && isInside ? `${MOUNTED}/token` : tokenFile };
}

function insideUrl(environment: Readonly<Record<string, string | undefined>>): string {
  const host = environment['KUBERNETES_SERVICE_HOST'] ?? '';
  if (host === '') return '';
  const port = environment['KUBERNETES_SERVICE_PORT'] ?? '443';
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

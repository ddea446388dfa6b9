// Where the API server is and how we show who we are: given by flags, as every pod finds it, or by a kubeconfig
// (kubeconfig.ts). What is shown is concealed: an access can be logged.
import { readFile } from 'node:fs/promises';
import { systemClock, type Clock } from '../base/clock.ts';
import { NO_CREDENTIALS, TokenFile, type KubeCredentials } from './credentials.ts';

export interface KubeAccess {
  /** `https://host:port`, with the path before `/api` when there is one. */
  readonly url: string;
  /** PEM of the authorities that may have signed its certificate; empty: those of the system. */
  readonly authority: string;
  /** Where they are read again for each connection; empty: they stay as they are. */
  readonly authorityFile: string;
  /** The name that its certificate must have; empty: the host of the URL. */
  readonly serverName: string;
  /** Its certificate is not looked at. Only when a person has asked for that. */
  readonly isUnverified: boolean;
  readonly credentials: KubeCredentials;
  /** Where names without a namespace belong: that of the context or of our pod, or `default`. */
  readonly namespace: string;
}

export interface KubeFlags {
  /** An URL, or `in-cluster`. */
  readonly server: string;
  readonly tokenFile: string;
  readonly authorityFile: string;
}

const MOUNTED = '/var/run/secrets/kubernetes.io/serviceaccount';

export function plainAccess(given: Partial<KubeAccess> & { readonly url: string }): KubeAccess {
  return {
    authority: '',
    authorityFile: '',
    serverName: '',
    isUnverified: false,
    credentials: NO_CREDENTIALS,
    namespace: 'default',
    ...given,
  };
}

/** What the flags come to, or what is wrong with them. */
export async function flaggedAccess(
  { server, tokenFile, authorityFile }: KubeFlags,
  environment: Readonly<Record<string, string | undefined>>,
  clock: Clock = systemClock,
): Promise<KubeAccess | string> {
  const isInside = server === 'in-cluster';
  const url = isInside ? insideUrl(environment) : server;
  if (url === '') return 'in-cluster: KUBERNETES_SERVICE_HOST is not set, so this is no pod';
  const read = URL.canParse(url) ? new URL(url) : null;
  if (read === null || read.protocol !== 'https:' || read.username !== '' || read.password !== '')
    return 'takes https://host:port, without a user or password';
  const path = authorityFile === '' && isInside ? `${MOUNTED}/ca.crt` : authorityFile;
  const authority = path === '' ? '' : await readFile(path, 'utf8').catch(() => null);
  if (authority === null) return `the file ${path} cannot be read`;
  const token = tokenFile === '' && isInside ? `${MOUNTED}/token` : tokenFile;
  const namespace = isInside ? await readFile(`${MOUNTED}/namespace`, 'utf8').catch(() => '') : '';
  return plainAccess({
    url: read.origin,
    authority,
    authorityFile: path,
    credentials: token === '' ? NO_CREDENTIALS : new TokenFile(token, clock),
    namespace: namespace.trim() || 'default',
  });
}

function insideUrl(environment: Readonly<Record<string, string | undefined>>): string {
  const host = environment['KUBERNETES_SERVICE_HOST'] ?? '';
  if (host === '') return '';
  const port = environment['KUBERNETES_SERVICE_PORT'] ?? '443';
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

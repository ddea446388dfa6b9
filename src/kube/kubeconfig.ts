// The kubeconfig files of a person: where their cluster is and how they log in. Files of KUBECONFIG are merged as
// kubectl does (the first that names something wins); paths are relative to their file. What we would have to ignore
// (passwords, login plugins of old, impersonation, proxies) is refused with what to write instead, and a certificate goes
// unverified only when the caller allows that too. No secret stands in what is said to be wrong.
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { Buffer } from 'node:buffer';
import { systemClock, type Clock } from '../base/clock.ts';
import { Concealed } from '../base/concealed.ts';
import { plainAccess, type KubeAccess } from './access.ts';
import { fixedCredentials, isHeaderValue, NO_CREDENTIALS, TokenFile, type KubeCredentials } from './credentials.ts';
import { EXEC_VERSIONS, ExecCredentials } from './exec-credentials.ts';
import { isJsonRecord, listOf, recordOf, textOf, textsOf, type JsonRecord } from './json-record.ts';

export interface KubeconfigOptions {
  /** Empty: the files of KUBECONFIG, or `~/.kube/config`. */
  readonly path?: string;
  /** Empty: the current one. */
  readonly context?: string;
  /** A cluster with insecure-skip-tls-verify may be talked to. */
  readonly allowsUnverified?: boolean;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
}

interface Entry {
  readonly fields: JsonRecord;
  /** Where its relative paths begin. */
  readonly folder: string;
}

interface Merged {
  readonly clusters: Map<string, Entry>;
  readonly users: Map<string, Entry>;
  readonly contexts: Map<string, Entry>;
  currentContext: string;
}

const FILE_BYTES_MAX = 16 * 1024 * 1024;

/** The access of a context, or what is wrong with it. */
export async function kubeconfigAccess(options: KubeconfigOptions = {}): Promise<KubeAccess | string> {
  const { path = '', context: wanted = '', environment = process.env } = options;
  const merged = await readFiles(path, environment['KUBECONFIG'] ?? '');
  if (typeof merged === 'string') return merged;
  const name = wanted || merged.currentContext;
  if (name === '') return 'the kubeconfig has no current-context: choose one with `kubectl config use-context`';
  const context = merged.contexts.get(name);
  if (context === undefined) return `the kubeconfig has no context "${name}"`;
  const clusterName = textOf(context.fields['cluster']);
  const cluster = merged.clusters.get(clusterName);
  if (cluster === undefined) return `the kubeconfig has no cluster "${clusterName}", which the context "${name}" names`;
  const userName = textOf(context.fields['user']);
  const user = merged.users.get(userName) ?? null;
  if (user === null && userName !== '')
    return `the kubeconfig has no user "${userName}", which the context "${name}" names`;
  const where = await readCluster(cluster, clusterName, options.allowsUnverified ?? false);
  if (typeof where === 'string') return where;
  const credentials = user === null ? NO_CREDENTIALS : await readUser(user, userName, { cluster, options });
  if (typeof credentials === 'string') return credentials;
  return plainAccess({ ...where, credentials, namespace: textOf(context.fields['namespace']) || 'default' });
}

async function readFiles(path: string, listed: string): Promise<Merged | string> {
  const many = listed.split(':').filter((entry) => entry !== '');
  const paths = path !== '' ? [path] : many.length > 0 ? many : [join(homedir(), '.kube', 'config')];
  const merged: Merged = { clusters: new Map(), users: new Map(), contexts: new Map(), currentContext: '' };
  let found = 0;
  const { parse } = await import('yaml');
  for (const file of paths) {
    const text = await readFile(file, 'utf8').catch(() => null);
    // kubectl passes over files of the list that are not there.
    if (text === null) continue;
    found++;
    if (text.length > FILE_BYTES_MAX) return `${file} is too long`;
    let config: unknown;
    try {
      config = parse(text, { prettyErrors: false });
    } catch {
      return `${file} is no YAML`;
    }
    if (config !== null && !isJsonRecord(config)) return `${file} is no kubeconfig`;
    merge(recordOf(config), dirname(resolve(file)), merged);
  }
  return found === 0 ? `there is no kubeconfig at ${paths.join(', ')}` : merged;
}

function merge(config: JsonRecord, folder: string, into: Merged): void {
  into.currentContext ||= textOf(config['current-context']);
  const kinds = [
    ['clusters', 'cluster', into.clusters],
    ['users', 'user', into.users],
    ['contexts', 'context', into.contexts],
  ] as const;
  for (const [list, field, entries] of kinds)
    for (const item of listOf(config[list])) {
      const entry = recordOf(item);
      const name = textOf(entry['name']);
      if (name !== '' && !entries.has(name)) entries.set(name, { fields: recordOf(entry[field]), folder });
    }
}

async function readCluster(
  cluster: Entry,
  name: string,
  allowsUnverified: boolean,
): Promise<Pick<KubeAccess, 'url' | 'authority' | 'authorityFile' | 'serverName' | 'isUnverified'> | string> {
  const { fields } = cluster;
  const what = `the cluster "${name}" of the kubeconfig`;
  const server = textOf(fields['server']);
  const url = URL.canParse(server) ? new URL(server) : null;
  if (url === null || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    return `${what}: server is no https://host:port`;
  const isLoopback = ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback))
    return `${what}: server is not https (plaintext is taken only to this machine)`;
  if (textOf(fields['proxy-url']) !== '') return `${what}: proxy-url is not supported: use a cluster without it`;
  const isUnverified = fields['insecure-skip-tls-verify'] === true;
  if (isUnverified && !allowsUnverified)
    return `${what}: insecure-skip-tls-verify is refused: give certificate-authority-data, or allow it by flag`;
  const file = textOf(fields['certificate-authority']);
  const authorityFile = file === '' || hasText(fields, 'certificate-authority-data') ? '' : within(cluster, file);
  const authority = await pemOf(cluster, 'certificate-authority');
  if (authority === null) return `${what}: certificate-authority cannot be read`;
  return {
    url: `${url.origin}${url.pathname.replace(/\/+$/, '')}`,
    authority,
    authorityFile,
    serverName: textOf(fields['tls-server-name']),
    isUnverified,
  };
}

async function readUser(
  user: Entry,
  name: string,
  around: { readonly cluster: Entry; readonly options: KubeconfigOptions },
): Promise<KubeCredentials | string> {
  const { fields } = user;
  const what = `the user "${name}" of the kubeconfig`;
  for (const [field, instead] of REFUSED_FIELDS)
    if (fields[field] !== undefined) return `${what}: ${field} is not supported: ${instead}`;
  const [chainPem, keyPem] = [await pemOf(user, 'client-certificate'), await pemOf(user, 'client-key')];
  if (chainPem === null || keyPem === null) return `${what}: client-certificate or client-key cannot be read`;
  if ((chainPem === '') !== (keyPem === '')) return `${what}: client-certificate and client-key belong together`;
  const token = textOf(fields['token']).trim();
  if (token !== '' && !isHeaderValue(token)) return `${what}: token is none`;
  const certificate = chainPem === '' ? null : { chainPem, keyPem: new Concealed(keyPem) };
  const tokenFile = textOf(fields['tokenFile']);
  // As with kubectl, the file comes before the token, and both before a program.
  if (tokenFile !== '' && certificate === null)
    return new TokenFile(within(user, tokenFile), around.options.clock ?? systemClock);
  if (tokenFile !== '') return `${what}: tokenFile and client-certificate together are not supported: leave one`;
  if (token !== '' || certificate !== null)
    return fixedCredentials({ token: token === '' ? null : new Concealed(token), certificate });
  return isJsonRecord(fields['exec']) ? await readExec(user, what, around) : NO_CREDENTIALS;
}

const REFUSED_FIELDS: readonly (readonly [string, string])[] = [
  ['username', 'use a token, a certificate or exec'],
  ['password', 'use a token, a certificate or exec'],
  ['auth-provider', 'Kubernetes removed it in 1.26: use exec (for OIDC: kubelogin)'],
  ['as', 'use the credentials of that user'],
  ['as-uid', 'use the credentials of that user'],
  ['as-groups', 'use the credentials of that user'],
  ['as-user-extra', 'use the credentials of that user'],
];

async function readExec(
  user: Entry,
  what: string,
  { cluster, options }: { readonly cluster: Entry; readonly options: KubeconfigOptions },
): Promise<KubeCredentials | string> {
  const exec = recordOf(user.fields['exec']);
  const apiVersion = textOf(exec['apiVersion']);
  if (!EXEC_VERSIONS.includes(apiVersion))
    return `${what}: exec.apiVersion "${apiVersion}" is not one of ${EXEC_VERSIONS.join(', ')}`;
  const command = textOf(exec['command']);
  if (command === '') return `${what}: exec.command is missing`;
  const mode = textOf(exec['interactiveMode']) || 'IfAvailable';
  if (mode === 'Always' && !process.stdin.isTTY) return `${what}: exec needs a terminal to log in at`;
  const environment: Record<string, string> = {};
  for (const entry of listOf(exec['env'])) {
    const { name, value } = recordOf(entry);
    if (textOf(name) !== '') environment[textOf(name)] = textOf(value);
  }
  return new ExecCredentials({
    apiVersion,
    command: command.includes('/') ? within(user, command) : command,
    args: textsOf(exec['args']),
    environment,
    installHint: textOf(exec['installHint']),
    isInteractive: mode !== 'Never' && process.stdin.isTTY,
    cluster: exec['provideClusterInfo'] === true ? await clusterInfo(cluster) : null,
    clock: options.clock ?? systemClock,
  });
}

async function clusterInfo(cluster: Entry): Promise<JsonRecord> {
  const authority = (await pemOf(cluster, 'certificate-authority')) ?? '';
  const serverName = textOf(cluster.fields['tls-server-name']);
  const config = listOf(cluster.fields['extensions'])
    .map((entry) => recordOf(entry))
    .find((entry) => entry['name'] === 'client.authentication.k8s.io/exec');
  return {
    server: textOf(cluster.fields['server']),
    ...(authority === '' ? {} : { 'certificate-authority-data': Buffer.from(authority).toString('base64') }),
    ...(serverName === '' ? {} : { 'tls-server-name': serverName }),
    ...(cluster.fields['insecure-skip-tls-verify'] === true ? { 'insecure-skip-tls-verify': true } : {}),
    ...(config === undefined ? {} : { config: config['extension'] }),
  };
}

/** `NAME-data` in base64 or the file `NAME`; empty when there is neither, null when the file cannot be read. */
async function pemOf(entry: Entry, name: string): Promise<string | null> {
  if (hasText(entry.fields, `${name}-data`))
    return Buffer.from(textOf(entry.fields[`${name}-data`]), 'base64').toString('utf8');
  const file = textOf(entry.fields[name]);
  return file === '' ? '' : await readFile(within(entry, file), 'utf8').catch(() => null);
}

function hasText(fields: JsonRecord, name: string): boolean {
  return textOf(fields[name]) !== '';
}

function within({ folder }: Entry, path: string): string {
  return isAbsolute(path) ? path : join(folder, path);
}

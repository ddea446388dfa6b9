// Runs `outrigger cni install`: puts the plugin on the node, keeps it there, and takes it away at the end, unless its DaemonSet
// goes on (an update, a restart): pods that begin meanwhile need it, and a plugin whose account is gone would keep every
// pod of the node from beginning. Exit codes: 0 ended as asked, 1 it could not begin, 64 wrong usage.
import { watch } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createLog, type Log } from '../../base/log.ts';
import type { KubeAccess } from '../../kube/access.ts';
import { KubeClient } from '../../kube/client.ts';
import { givenAccess } from '../../kube/given-access.ts';
import { KNOWN_KINDS } from '../../kube/known-kinds.ts';
import type { CniInstallFlags } from '../cni.ts';
import { NodeFolder } from './node-folder.ts';
import { NodeInstallation, type NodeState } from './node-installation.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 64;
const MOUNTED = '/var/run/secrets/kubernetes.io/serviceaccount';
/** Tokens of pods are replaced long before they end. */
const LOOK_MS = 10_000;
const SETTLE_MS = 100;

export async function runCniInstall(flags: CniInstallFlags): Promise<number> {
  const log = createLog('cni');
  const daemonSet = /^([^/]+)\/([^/]+)$/.exec(flags.daemonSet ?? '');
  if (flags.daemonSet !== undefined && daemonSet === null) return wrong('--daemon-set takes namespace/name');
  const isInside = flags.kube === 'in-cluster';
  if (!isInside && flags.kubeTokenFile === undefined) return wrong('--kube with an URL needs --kube-token-file');
  const tokenFile = flags.kubeTokenFile ?? `${MOUNTED}/token`;
  const authorityFile = flags.kubeCa ?? (isInside ? `${MOUNTED}/ca.crt` : '');
  const access = await givenAccess({ server: flags.kube, tokenFile, authorityFile });
  if (typeof access === 'string') return wrong(`--kube ${access}`);
  const folder = (path: string): NodeFolder => new NodeFolder(flags.root, path);
  const networks = folder(flags.netDir);
  const installation = new NodeInstallation({
    binaries: folder(flags.binDir),
    networks,
    home: folder(flags.homeDir),
    image: flags.image,
    server: access.url,
    tokenFile,
    authorityFile,
    excludedNamespaces: flags.excludeNamespaces.split(',').filter((name) => name !== ''),
  });
  const keeper = new Keeper(installation, networks, log);
  const first = await keeper.look();
  if (first === null) return EXIT_FAILED;
  const server = flags.readiness === undefined ? null : await serveReadiness(keeper, flags.readiness);
  if (typeof server === 'string') return wrong(server);
  keeper.start();
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
  server?.close();
  await keeper.stop();
  const [, namespace = '', name = ''] = daemonSet ?? [];
  if (daemonSet !== null && (await goesOn(access, { namespace, name }))) log.info('the plugin stays for the next', {});
  else log.info('the plugin was taken away', { files: (await installation.remove()).join(' ') });
  return 0;
}

class Keeper {
  readonly #installation: NodeInstallation;
  readonly #networks: NodeFolder;
  readonly #log: Log;
  #said = '';
  #looking: Promise<NodeState | null> = Promise.resolve(null);
  #stop: () => void = () => {};
  isInstalled = false;
  reason = '';

  constructor(installation: NodeInstallation, networks: NodeFolder, log: Log) {
    this.#installation = installation;
    this.#networks = networks;
    this.#log = log;
  }

  /** One look at a time. Null: the node cannot be written. */
  async look(): Promise<NodeState | null> {
    this.#looking = this.#looking.then(async () => await this.#lookNow());
    return await this.#looking;
  }

  async #lookNow(): Promise<NodeState | null> {
    try {
      const state = await this.#installation.ensure();
      this.isInstalled = state.kind === 'installed';
      this.reason = state.kind === 'waiting' ? state.reason : '';
      if (state.kind === 'waiting') this.#say('waiting', state.reason);
      else if (state.changed.length > 0 || this.#said !== '')
        this.#log.info('installed', { files: state.changed.join(' ') });
      if (state.kind === 'installed') this.#said = '';
      return state;
    } catch (cause) {
      this.isInstalled = false;
      this.reason = cause instanceof Error ? cause.message : String(cause);
      this.#say('the node cannot be written', this.reason);
      return null;
    }
  }

  #say(what: string, reason: string): void {
    if (this.#said !== reason) this.#log.warning(what, { reason });
    this.#said = reason;
  }

  start(): void {
    const timer = setInterval(() => void this.look(), LOOK_MS);
    let settling: NodeJS.Timeout | null = null;
    const watcher = watch(this.#networks.reached, () => {
      settling ??= setTimeout(() => {
        settling = null;
        void this.look();
      }, SETTLE_MS);
    });
    // The folder may go and come: then the timer looks.
    watcher.on('error', () => watcher.close());
    this.#stop = () => {
      clearInterval(timer);
      if (settling !== null) clearTimeout(settling);
      watcher.close();
    };
  }

  async stop(): Promise<void> {
    this.#stop();
    await this.#looking;
  }
}

/** Nobody knows, when it cannot be asked: a node that takes pods without us is the lesser evil. */
async function goesOn(access: KubeAccess, place: { namespace: string; name: string }): Promise<boolean> {
  const client = new KubeClient({ access, userAgent: 'outrigger-cni' });
  const found = await client.get(KNOWN_KINDS.daemonSet, place);
  await client.close();
  return found.kind === 'done' && found.value.metadata.deletionTimestamp === undefined;
}

/** A text says why it cannot listen. */
async function serveReadiness(keeper: Keeper, port: string): Promise<Server | string> {
  const wanted = Number(port);
  if (!/^\d{1,5}$/.test(port) || wanted > 65_535) return `--readiness "${port}" is not a port`;
  const server = createServer((request, response) => {
    response.statusCode = request.url === '/readyz' ? (keeper.isInstalled ? 200 : 503) : 404;
    response.end(`${keeper.isInstalled ? 'installed' : keeper.reason}\n`);
  });
  return await new Promise((resolve) => {
    server.once('error', (cause) => resolve(`--readiness: ${cause.message}`));
    server.listen(wanted, () => resolve(server));
  });
}

function wrong(message: string): number {
  process.stderr.write(`outrigger cni install: ${message}\n`);
  return EXIT_USAGE;
}

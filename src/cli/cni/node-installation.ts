// What of us is on a node: the plugin's program, the kubeconfig that it shows the API server, and its entry in the network's
// configuration, which comes last, when all that it names is there, and goes first. Looked at again and again: networks
// are set up after us, and rewritten; tokens are replaced. Only what differs is written.
import { readFile } from 'node:fs/promises';
import type { NodeFolder } from './node-folder.ts';
import { putProgram, removeProgram } from './node-program.ts';
import { withoutPlugin, withPlugin } from './network-list.ts';

const KUBECONFIG = 'outrigger-cni.kubeconfig';
/** A configuration of one plugin, while a list stands for it. */
const KEPT = '.before-outrigger';
const CONFIGURATION = /\.(conflist|conf|json)$/;

export interface NodeInstallationOptions {
  /** Where runtimes look for plugins, and for the configuration of networks. */
  readonly binaries: NodeFolder;
  readonly networks: NodeFolder;
  /** Where copies of the image are put. */
  readonly home: NodeFolder;
  /** The root of the image; empty: nothing is copied. */
  readonly image: string;
  readonly server: string;
  readonly tokenFile: string;
  /** Empty: the authorities of the system. */
  readonly authorityFile: string;
  readonly excludedNamespaces: readonly string[];
}

export type NodeState =
  | { readonly kind: 'installed'; readonly changed: readonly string[] }
  /** It is tried again: something is missing, or in a way that we do not understand. */
  | { readonly kind: 'waiting'; readonly reason: string };

export class NodeInstallation {
  readonly #options: NodeInstallationOptions;

  constructor(options: NodeInstallationOptions) {
    this.#options = options;
  }

  /** Rejects when the node's folders cannot be written. */
  async ensure(): Promise<NodeState> {
    const { networks, tokenFile, authorityFile } = this.#options;
    await putProgram(this.#options);
    const token = (await readFile(tokenFile, 'utf8').catch(() => '')).trim();
    if (token === '') return waiting(`there is no token in ${tokenFile}`);
    const authority = authorityFile === '' ? '' : await readFile(authorityFile, 'utf8').catch(() => '');
    if (authorityFile !== '' && authority === '') return waiting(`there are no authorities in ${authorityFile}`);
    await networks.make();
    const changed: string[] = [];
    if (await networks.write(KUBECONFIG, this.#kubeconfig(token, authority), 0o600)) changed.push(KUBECONFIG);
    // Runtimes take the first one.
    const name = (await networks.names()).find((one) => CONFIGURATION.test(one) && !one.startsWith('.'));
    if (name === undefined) return waiting(`no network is configured in ${networks.path} yet`);
    const listed = withPlugin((await networks.read(name)) ?? '', {
      kubeconfig: `${networks.path}/${KUBECONFIG}`,
      excludeNamespaces: [...this.#options.excludedNamespaces],
    });
    if (listed.kind === 'refused') return waiting(`${networks.path}/${name}: ${listed.reason}`);
    if (!listed.isChanged) return { kind: 'installed', changed };
    const list = listNameOf(name);
    await networks.write(list, listed.text, 0o644);
    if (list !== name) await networks.move(name, `${name}${KEPT}`);
    return { kind: 'installed', changed: [...changed, list] };
  }

  /** The names of the files that were changed; what was not ours is as it was. */
  async remove(): Promise<readonly string[]> {
    const { networks } = this.#options;
    const changed: string[] = [];
    const names = await networks.names();
    for (const name of names) {
      if (!CONFIGURATION.test(name)) continue;
      const listed = withoutPlugin((await networks.read(name)) ?? '');
      if (listed.kind === 'refused' || !listed.isChanged) continue;
      const kept = names.find((one) => one.endsWith(KEPT) && listNameOf(one.slice(0, -KEPT.length)) === name);
      if (kept === undefined) await networks.write(name, listed.text, 0o644);
      else {
        await networks.move(kept, kept.slice(0, -KEPT.length));
        await networks.remove(name);
      }
      changed.push(name);
    }
    await networks.remove(KUBECONFIG);
    await removeProgram(this.#options);
    return changed;
  }

  #kubeconfig(token: string, authority: string): string {
    const name = 'outrigger-cni';
    const cluster = {
      server: this.#options.server,
      ...(authority === '' ? {} : { 'certificate-authority-data': Buffer.from(authority).toString('base64') }),
    };
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name, cluster }],
      users: [{ name, user: { token } }],
      contexts: [{ name, context: { cluster: name, user: name } }],
      'current-context': name,
    };
    return `${JSON.stringify(config, null, 2)}\n`;
  }
}

function listNameOf(name: string): string {
  return name.endsWith('.conflist') ? name : name.replace(CONFIGURATION, '.conflist');
}

function waiting(reason: string): NodeState {
  return { kind: 'waiting', reason };
}

// Connections to the API server: HTTP/1.1 over TLS (or plaintext, for tests and `kubectl proxy`), with what proves who
// both ends are as it is when the connection is made, so that rotated authorities and certificates need no restart.
// A peer whose network is gone is found out by TCP keep-alive after some 25 s.
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import type { buildConnector } from 'undici';
import type { KubeAccess } from './access.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_AFTER_MS = 15_000;

interface Material {
  readonly authority: string;
  readonly chain: string;
  readonly key: string;
}

type Build = (options: buildConnector.BuildOptions) => buildConnector.connector;

export class Dialer {
  readonly #access: KubeAccess;
  readonly #build: Build;
  #last: { readonly material: Material; readonly connector: buildConnector.connector } | null = null;

  constructor(access: KubeAccess, build: Build) {
    this.#access = access;
    this.#build = build;
  }

  readonly dial: buildConnector.connector = (options, callback) => {
    void this.#dial(options, callback);
  };

  async #dial(options: buildConnector.Options, callback: buildConnector.Callback): Promise<void> {
    try {
      const connector = await this.#connector();
      connector(options, this.#kept(callback));
    } catch (cause) {
      // A certificate or an authority that is none.
      callback(cause instanceof Error ? cause : new Error(String(cause)), null);
    }
  }

  /** Node sets the interval to one second and the count to ten. */
  #kept(callback: buildConnector.Callback): buildConnector.Callback {
    return (...[cause, socket]) => {
      // With a cause there is no socket at all, whatever the types say.
      if (cause !== null) {
        callback(cause, null);
        return;
      }
      const kept: Socket = socket;
      kept.setKeepAlive(true, KEEP_ALIVE_AFTER_MS);
      callback(null, socket);
    };
  }

  async #connector(): Promise<buildConnector.connector> {
    const material = await this.#material();
    const last = this.#last;
    if (last !== null && isSame(last.material, material)) return last.connector;
    const { serverName, isUnverified } = this.#access;
    const { authority, chain, key } = material;
    const connector = this.#build({
      allowH2: false,
      timeout: CONNECT_TIMEOUT_MS,
      ...(authority === '' ? {} : { ca: authority }),
      ...(chain === '' ? {} : { cert: chain, key }),
      ...(serverName === '' ? {} : { servername: serverName }),
      ...(isUnverified ? { rejectUnauthorized: false } : {}),
    });
    this.#last = { material, connector };
    return connector;
  }

  async #material(): Promise<Material> {
    const { authority, authorityFile, credentials } = this.#access;
    // A file that is being replaced may be missing for a moment: what is known still holds.
    const read = authorityFile === '' ? '' : await readFile(authorityFile, 'utf8').catch(() => '');
    const shown = await credentials.show();
    const certificate = typeof shown === 'string' ? null : shown.certificate;
    return {
      authority: read === '' ? (this.#last?.material.authority ?? authority) : read,
      chain: certificate?.chainPem ?? '',
      key: certificate?.keyPem.reveal() ?? '',
    };
  }
}

function isSame(left: Material, right: Material): boolean {
  return left.authority === right.authority && left.chain === right.chain && left.key === right.key;
}

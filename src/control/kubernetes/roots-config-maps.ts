// The ConfigMap `istio-ca-root-cert` of every namespace: pods mount the roots of the mesh from it, to know the control
// service before they have anything of their own. It is put right when roots change, when a namespace comes, and when
// somebody changed it. Namespaces that are going away are left alone.
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import type { KubeClient } from '../../kube/client.ts';
import { recordOf, textOf } from '../../kube/json-record.ts';
import { MADE_BY_US } from '../../kube/made-by-us.ts';
import { KNOWN_KINDS } from '../../kube/known-kinds.ts';
import { Reflector } from '../../kube/reflector.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';

export interface RootsConfigMapsOptions {
  readonly client: KubeClient;
  readonly authority: CertificateAuthority;
  readonly log: Log;
  readonly clock: Clock;
}

export const ROOTS_CONFIG_MAP = 'istio-ca-root-cert';
const ENTRY = 'root-cert.pem';
const FIELD_MANAGER = 'outrigger-control';
const QUIET_MS = 100;
const RETRY_MS = 5_000;

export class RootsConfigMaps {
  readonly #options: RootsConfigMapsOptions;
  readonly #namespaces: Reflector<true>;
  readonly #maps: Reflector<string>;
  #unlisten: () => void = () => {};
  #timer: NodeJS.Timeout | null = null;
  #isEnded = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: RootsConfigMapsOptions) {
    this.#options = options;
    const { client, log, clock } = options;
    const onChange = (): void => this.#soon(QUIET_MS);
    this.#namespaces = new Reflector<true>({
      client,
      log,
      clock,
      onChange,
      kind: KNOWN_KINDS.namespace,
      keep: ({ metadata }) => (metadata.deletionTimestamp === undefined ? true : null),
    });
    this.#maps = new Reflector<string>({
      client,
      log,
      clock,
      onChange,
      kind: KNOWN_KINDS.configMap,
      fieldSelector: `metadata.name=${ROOTS_CONFIG_MAP}`,
      keep: (object) => textOf(recordOf(object['data'])[ENTRY]),
    });
  }

  start(): void {
    this.#unlisten = this.#options.authority.onRootsChanged(() => this.#soon(0));
    this.#namespaces.start();
    this.#maps.start();
  }

  async stop(): Promise<void> {
    this.#isEnded = true;
    this.#unlisten();
    if (this.#timer !== null) clearTimeout(this.#timer);
    await Promise.all([this.#namespaces.stop(), this.#maps.stop(), this.#writing]);
  }

  #soon(delayMs: number): void {
    if (this.#isEnded || this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#writing = this.#writing.then(async () => await this.#writeAll());
    }, delayMs).unref();
  }

  async #writeAll(): Promise<void> {
    if (!this.#namespaces.isSynced || !this.#maps.isSynced) return this.#soon(QUIET_MS);
    const { authority, client, log } = this.#options;
    const roots = authority.trustBundlePem.join('');
    for (const namespace of this.#namespaces.objects.keys()) {
      if (this.#isEnded) return undefined;
      if (this.#maps.objects.get(`${namespace}/${ROOTS_CONFIG_MAP}`) === roots) continue;
      const metadata = { namespace, name: ROOTS_CONFIG_MAP, labels: MADE_BY_US };
      const options = { fieldManager: FIELD_MANAGER, isForced: true };
      const answer = await client.apply(KNOWN_KINDS.configMap, { metadata, data: { [ENTRY]: roots } }, options);
      if (answer.kind === 'done' || answer.failure.status === 404) continue;
      log.warning('the roots cannot be written', { namespace, cause: answer.failure.message });
      this.#soon(RETRY_MS);
    }
    return undefined;
  }
}

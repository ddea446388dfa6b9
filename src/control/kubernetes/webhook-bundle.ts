// The caBundle of our webhook configurations: API servers trust what we show only by it. It is put right at the start, when
// roots change, and once a minute, for whoever applies the configuration again may have emptied it. Every control service
// does it; equal bundles write nothing. Configurations that are not there are nobody's concern. The validator begins open
// (failurePolicy Ignore) and is closed here once it has proven itself (webhook-proof.ts).
import type { Log } from '../../base/log.ts';
import type { KubeClient } from '../../kube/client.ts';
import { listOf, recordOf, textOf } from '../../kube/json-record.ts';
import type { KubeKind } from '../../kube/kind-path.ts';
import { KNOWN_KINDS } from '../../kube/known-kinds.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import { isProven } from './webhook-proof.ts';

export const INJECTOR = 'outrigger-injector';
export const VALIDATOR = 'outrigger-validator';

const CONFIGURATIONS: readonly (readonly [KubeKind, string])[] = [
  [KNOWN_KINDS.mutatingWebhookConfiguration, INJECTOR],
  [KNOWN_KINDS.validatingWebhookConfiguration, VALIDATOR],
];
/** On the configuration, for those who want rules to be taken unseen rather than not at all. */
const STAY_OPEN = 'outrigger.dev/stay-open';
const LOOK_MS = 60_000;

export interface WebhookBundleOptions {
  readonly client: KubeClient;
  readonly authority: CertificateAuthority;
  /** Of the control service; the proof is made in it. */
  readonly namespace: string;
  readonly log: Log;
}

export class WebhookBundle {
  readonly #options: WebhookBundleOptions;
  #look: NodeJS.Timeout | null = null;
  #unlisten: () => void = () => {};
  #writing: Promise<void> = Promise.resolve();

  constructor(options: WebhookBundleOptions) {
    this.#options = options;
  }

  start(): void {
    const again = (): void => {
      this.#writing = this.#writing.then(async () => await this.#writeAll());
    };
    this.#unlisten = this.#options.authority.onRootsChanged(again);
    this.#look = setInterval(again, LOOK_MS).unref();
    again();
  }

  async stop(): Promise<void> {
    this.#unlisten();
    if (this.#look !== null) clearInterval(this.#look);
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    for (const [kind, name] of CONFIGURATIONS) await this.#write(kind, name);
    await this.#close();
  }

  /** Until it is closed, once after every look. */
  async #close(): Promise<void> {
    const { client, namespace, log } = this.#options;
    const [kind, name] = [KNOWN_KINDS.validatingWebhookConfiguration, VALIDATOR];
    const answer = await client.get(kind, { namespace: '', name });
    // What cannot be read was told above.
    if (answer.kind === 'failed' || answer.value.metadata.annotations[STAY_OPEN] === 'true') return;
    const patch = listOf(answer.value['webhooks']).flatMap((webhook, index) => {
      if (recordOf(webhook)['failurePolicy'] !== 'Ignore') return [];
      const test = { op: 'test', path: `/webhooks/${index}/name`, value: recordOf(webhook)['name'] } as const;
      return [test, { op: 'replace', path: `/webhooks/${index}/failurePolicy`, value: 'Fail' } as const];
    });
    if (patch.length === 0 || !(await isProven(client, namespace, log))) return;
    const patched = await client.patchJson(kind, { namespace: '', name }, patch);
    if (patched.kind === 'failed')
      log.warning('the validator cannot be closed', { name, cause: patched.failure.message });
    else log.info('the validator has proven itself, and is closed', { name });
  }

  async #write(kind: KubeKind, name: string): Promise<void> {
    const { client, authority, log } = this.#options;
    const bundle = Buffer.from(authority.trustBundlePem.join('')).toString('base64');
    const answer = await client.get(kind, { namespace: '', name });
    if (answer.kind === 'failed') {
      if (answer.failure.status !== 404)
        log.warning('a webhook configuration cannot be read', { name, cause: answer.failure.message });
      return;
    }
    const patch = listOf(answer.value['webhooks']).flatMap((webhook, index) => {
      const isSame = textOf(recordOf(recordOf(webhook)['clientConfig'])['caBundle']) === bundle;
      // By its name: somebody may have changed their order meanwhile.
      const test = { op: 'test', path: `/webhooks/${index}/name`, value: recordOf(webhook)['name'] } as const;
      const add = { op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value: bundle } as const;
      return isSame ? [] : [test, add];
    });
    if (patch.length === 0) return;
    const patched = await client.patchJson(kind, { namespace: '', name }, patch);
    if (patched.kind === 'failed')
      log.warning('a webhook configuration cannot be written', { name, cause: patched.failure.message });
    else log.info('the webhooks are trusted', { name });
  }
}

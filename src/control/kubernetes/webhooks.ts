// The webhooks of one control service: the port, what is answered on it, and that API servers trust it.
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { InjectionOptions } from '../injection/pod-injection.ts';
import { injectionVerdict } from './injection-webhook.ts';
import { validationVerdict, type Trial } from './validation-webhook.ts';
import { WebhookBundle } from './webhook-bundle.ts';
import { WebhookServer } from './webhook-server.ts';

export interface WebhooksOptions {
  readonly authority: CertificateAuthority;
  readonly client: KubeClient;
  /** Of the control service. */
  readonly namespace: string;
  /** `host:port`; port 0 picks one. */
  readonly address: string;
  readonly names: readonly string[];
  readonly injection: InjectionOptions;
  readonly trial: Trial;
  readonly log: Log;
  readonly clock: Clock;
}

export class Webhooks {
  readonly #server: WebhookServer;
  readonly #bundle: WebhookBundle;

  constructor({ authority, client, namespace, address, names, injection, trial, log, clock }: WebhooksOptions) {
    const handlers = new Map([
      ['/inject', (request: Parameters<typeof injectionVerdict>[0]) => injectionVerdict(request, injection)],
      ['/validate', (request: Parameters<typeof injectionVerdict>[0]) => validationVerdict(request, trial)],
    ]);
    this.#server = new WebhookServer({ authority, address, names, handlers, log, clock });
    this.#bundle = new WebhookBundle({ client, authority, namespace, log });
  }

  /** Resolves with the bound address. */
  async start(): Promise<string> {
    const address = await this.#server.start();
    this.#bundle.start();
    return address;
  }

  async stop(): Promise<void> {
    await Promise.all([this.#bundle.stop(), this.#server.stop()]);
  }
}

// What the metrics say of the workload's own certificate: when it ends, how often it was renewed, how often it was not and
// why. Istio's own name for what is left of it stands beside ours. Written when something happens, and at each look.
import type { Registry } from '../observe/registry.ts';
import { FAILURES, type FailureReason } from './certificate-request.ts';
import type { Lifetime } from './identity-lifetime.ts';

export class IdentityMetrics {
  readonly #registry: Registry;
  readonly #expiration: number;
  readonly #left: number;
  readonly #istioLeft: number;
  readonly #renewals: number;
  readonly #failures: ReadonlyMap<FailureReason, number>;

  constructor(registry: Registry) {
    this.#registry = registry;
    const gauge = (name: string, help: string): number => registry.gauge(name, help);
    this.#expiration = gauge(
      'outrigger_certificate_expiration_seconds',
      'When the certificate of this workload expires, in seconds since the Unix epoch; 0 before the first.',
    );
    this.#left = gauge(
      'outrigger_certificate_remaining_seconds',
      'How long the certificate of this workload is valid yet; negative once it has expired.',
    );
    this.#istioLeft = registry
      .family({
        name: 'istio_agent_cert_expiry_seconds',
        help: 'The same under the name of the Istio agent.',
        kind: 'gauge',
        labelNames: ['resource_name'],
      })
      .slot(['default']);
    this.#renewals = registry.counter(
      'outrigger_certificate_renewals_total',
      'Certificates that took the place of another.',
    );
    const failures = registry.family({
      name: 'outrigger_certificate_failures_total',
      help: 'Attempts to get a certificate that failed, by reason.',
      kind: 'counter',
      labelNames: ['reason'],
    });
    this.#failures = new Map(FAILURES.map((reason) => [reason, failures.slot([reason])]));
  }

  renewed(): void {
    this.#registry.add(this.#renewals, 1);
  }

  failed(reason: FailureReason): void {
    const slot = this.#failures.get(reason);
    if (slot !== undefined) this.#registry.add(slot, 1);
  }

  look({ expiresAtMs, leftMs }: Lifetime): void {
    this.#registry.set(this.#expiration, Math.floor(expiresAtMs / 1000));
    const leftSeconds = Math.round(leftMs / 1000);
    this.#registry.set(this.#left, leftSeconds);
    this.#registry.set(this.#istioLeft, leftSeconds);
  }
}

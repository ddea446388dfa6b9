// What only one of several control services does: the status of rules, and the roots in every namespace. A Lease says which;
// all of them serve sidecars and answer webhooks.
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import type { KubeClient } from '../../kube/client.ts';
import { LeaseElector, type LeaseTiming } from '../../kube/lease-elector.ts';
import type { ControlService } from '../control.ts';
import type { KubernetesRules } from './kubernetes-rules.ts';
import { Heard } from './heard.ts';
import { ProxyRecords, type ProxyCount } from './proxy-records.ts';
import { RootsConfigMaps } from './roots-config-maps.ts';
import { StatusWriter } from './status-writer.ts';

export interface LeadershipOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly control: ControlService;
  readonly rules: KubernetesRules;
  readonly log: Log;
  readonly clock: Clock;
  readonly timing?: Partial<LeaseTiming>;
}

export const LEASE = 'outrigger-leader';
/** Another leads within 13 s of a leader's death; the usual 15 s would come close to 20. */
const TIMING: LeaseTiming = { leaseMs: 10_000, renewMs: 7_000, retryMs: 1_500 };

export class Leadership {
  readonly #options: LeadershipOptions;
  readonly #elector: LeaseElector;
  readonly #instance = `${hostname()}-${randomBytes(4).toString('hex')}`;
  readonly #proxies: ProxyRecords;
  #status: StatusWriter | null = null;
  #roots: RootsConfigMaps | null = null;

  constructor(options: LeadershipOptions) {
    this.#options = options;
    const { client, namespace, log, clock, timing, control, rules } = options;
    this.#proxies = new ProxyRecords({
      client,
      namespace,
      instance: this.#instance,
      own: () => {
        const count = progressOf(control);
        return count === null ? null : { ...count, heard: Heard.of(rules.objects()) };
      },
      log,
      clock,
    });
    this.#elector = new LeaseElector({
      client,
      lease: { namespace, name: LEASE },
      identity: this.#instance,
      onStarted: () => this.#lead(),
      onStopped: async () => await this.#follow(),
      log,
      clock,
      timing: { ...TIMING, ...timing },
    });
  }

  get isLeading(): boolean {
    return this.#elector.isLeading;
  }

  start(): void {
    this.#proxies.start();
    this.#elector.start();
  }

  /** Gives the duty back, so that another need not wait for it. */
  async stop(): Promise<void> {
    await this.#elector.stop();
    await this.#follow();
    await this.#proxies.stop();
  }

  #lead(): void {
    const { client, control, rules, log, clock } = this.#options;
    log.info('this control service leads', { instance: this.#instance });
    this.#status = new StatusWriter({
      client,
      instance: this.#instance,
      rules: () => rules.objects(),
      problems: () => control.problems,
      progress: () => this.#proxies.counts(),
      log,
      clock,
    });
    this.#status.start();
    const { authority } = control;
    if (authority === null) return;
    this.#roots = new RootsConfigMaps({ client, authority, log, clock });
    this.#roots.start();
  }

  async #follow(): Promise<void> {
    const [status, roots] = [this.#status, this.#roots];
    this.#status = null;
    this.#roots = null;
    await Promise.all([status?.stop(), roots?.stop()]);
  }
}

/** Null: what was heard last is not translated yet. */
function progressOf(control: ControlService): ProxyCount | null {
  if (!control.isCurrent) return null;
  const all = control.discovery.syncStatus();
  return {
    synced: all.filter(({ types }) => types.every(({ state }) => state === 'synced')).length,
    connected: all.length,
  };
}

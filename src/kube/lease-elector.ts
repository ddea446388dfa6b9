// One of many does what only one may do: a Lease (coordination.k8s.io/v1) says who. Clocks of others are not trusted: a
// lease has run out when it has not changed for its duration by our own clock since we first saw it so. The duty is
// given up when renewing has failed for `renewMs`, counted from before the last renewal was sent, which is sooner than
// anybody else may take it; and it is given back at the end. `isLeading` asks the clock, so that a process that stood
// still does not believe what was true before. Rights that it needs: get, create and update of leases.
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { KubeClient } from './client.ts';
import { numberOf, recordOf, textOf, type JsonRecord } from './json-record.ts';
import { MADE_BY_US } from './made-by-us.ts';
import { formatFailure, type KubeFailure } from './kube-answer.ts';
import type { KubeName } from './kind-path.ts';
import type { KubeObject } from './kube-object.ts';
import { KNOWN_KINDS } from './known-kinds.ts';
import { pause } from './pause.ts';

export interface LeaseTiming {
  /** Others wait so long without a renewal; 15 s. A whole number of seconds. */
  readonly leaseMs: number;
  /** We give up after so long without one; 10 s. Less than `leaseMs`. */
  readonly renewMs: number;
  /** Between two tries, up to a fifth longer when we are not the holder; 2 s. */
  readonly retryMs: number;
}

export interface LeaseElectorOptions {
  readonly client: Pick<KubeClient, 'get' | 'create' | 'replace'>;
  readonly lease: KubeName;
  /** Who we are: no other process may have it, not even one that we were before. */
  readonly identity: string;
  readonly onStarted: () => void;
  /** The duty is lost or given back. When it is given back, the lease is released after this has resolved. */
  readonly onStopped: () => void | Promise<void>;
  readonly log: Log;
  readonly clock: Clock;
  /** `Math.random` by default. */
  readonly random?: () => number;
  readonly timing?: Partial<LeaseTiming>;
}

const DEFAULT_TIMING: LeaseTiming = { leaseMs: 15_000, renewMs: 10_000, retryMs: 2_000 };
/** What others may write as their duration, in units of ours. */
const FOREIGN_LEASES_MAX = 10;

type Attempt =
  | { readonly kind: 'held' }
  | { readonly kind: 'others'; readonly holder: string }
  /** It is not as we thought: it is read again soon. */
  | { readonly kind: 'stale' }
  | { readonly kind: 'unknown' };

export class LeaseElector {
  readonly #options: LeaseElectorOptions;
  readonly #timing: LeaseTiming;
  readonly #random: () => number;
  readonly #ending = new AbortController();
  #run: Promise<void> | null = null;
  #ended: Promise<void> = Promise.resolve();
  #isHolder = false;
  /** When the last renewal that succeeded was sent. */
  #renewedMs = -Infinity;
  #loseTimer: NodeJS.Timeout | undefined;
  /** What was read last, and when it was first seen to be so. */
  #seen: { readonly object: KubeObject; readonly record: string; readonly sinceMs: number } | null = null;
  #complaint = '';
  #transitions = 0;

  constructor(options: LeaseElectorOptions) {
    this.#options = options;
    this.#timing = { ...DEFAULT_TIMING, ...options.timing };
    this.#random = options.random ?? Math.random;
  }

  /** True only while nobody else can have taken the lease. */
  get isLeading(): boolean {
    return this.#isHolder && this.#options.clock.now() - this.#renewedMs < this.#timing.renewMs;
  }

  /** Who holds it as far as we know; empty: nobody, or not asked yet. */
  get holder(): string {
    return holderOf(this.#seen?.object ?? null);
  }

  /** How often the duty came to us. */
  get transitions(): number {
    return this.#transitions;
  }

  start(): void {
    this.#run ??= this.#loop();
  }

  /** Gives the duty back, so that others need not wait for the lease to run out. */
  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#run;
    const wasLeading = this.isLeading;
    await this.#ended;
    await this.#end('given back');
    if (wasLeading) await this.#release();
  }

  async #loop(): Promise<void> {
    const { retryMs } = this.#timing;
    while (!this.#ending.signal.aborted) {
      const attempt = await this.#attempt();
      if (this.#ending.signal.aborted) return;
      if (attempt.kind === 'others') await this.#end(`taken by ${attempt.holder}`);
      if (attempt.kind === 'held') {
        // What ended the duty may still be at it.
        await this.#ended;
        if (this.#options.clock.now() - this.#renewedMs < this.#timing.renewMs) this.#begin();
      }
      const waitMs = this.#isHolder ? retryMs : retryMs * (1 + 0.2 * this.#random());
      await pause(this.#isHolder && attempt.kind === 'stale' ? waitMs / 10 : waitMs, this.#ending.signal);
    }
  }

  #begin(): void {
    const { onStarted, log, lease, clock } = this.#options;
    clearTimeout(this.#loseTimer);
    const leftMs = this.#timing.renewMs - (clock.now() - this.#renewedMs);
    this.#loseTimer = setTimeout(
      () => {
        this.#ended = this.#end('not renewed in time');
      },
      Math.max(0, leftMs),
    );
    if (this.#isHolder) return;
    this.#isHolder = true;
    this.#transitions++;
    log.info(`leading: the lease ${lease.namespace}/${lease.name} is ours`);
    this.#guard(onStarted);
  }

  async #end(why: string): Promise<void> {
    clearTimeout(this.#loseTimer);
    if (!this.#isHolder) return;
    this.#isHolder = false;
    const { onStopped, log, lease } = this.#options;
    log.info(`leading no more: the lease ${lease.namespace}/${lease.name} is ${why}`);
    try {
      await onStopped();
    } catch (cause) {
      log.error('a fault in what ends the duty', { cause: String(cause) });
    }
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (cause) {
      this.#options.log.error('a fault in what begins the duty', { cause: String(cause) });
    }
  }

  /** Never rejects. Ends within two times `retryMs`, or the deadline of a slow call. */
  async #attempt(): Promise<Attempt> {
    const { client, lease, clock } = this.#options;
    // As the holder we know what we wrote, and write over it; a conflict says that somebody else did.
    if (!this.#isHolder || this.#seen === null) {
      const timeoutMs = this.#callMs();
      const answer = await client.get(KNOWN_KINDS.lease, lease, { timeoutMs });
      if (answer.kind === 'done') this.#see(answer.value);
      else if (answer.failure.status === 404) return await this.#create();
      else return this.#fail(answer.failure);
    }
    const seen = this.#seen;
    if (seen === null) return { kind: 'unknown' };
    const holder = holderOf(seen.object);
    const isOthers = holder !== '' && holder !== this.#options.identity;
    if (isOthers && clock.now() < seen.sinceMs + this.#durationMs(seen.object)) return { kind: 'others', holder };
    return await this.#write(seen.object);
  }

  async #create(): Promise<Attempt> {
    const { client, lease, clock } = this.#options;
    const sentMs = clock.now();
    const now = microTime(clock.wall());
    const spec = { ...this.#spec(now), acquireTime: now, leaseTransitions: 0 };
    const object = { metadata: { name: lease.name, namespace: lease.namespace, labels: MADE_BY_US }, spec };
    return this.#wrote(await client.create(KNOWN_KINDS.lease, object, { timeoutMs: this.#callMs() }), sentMs);
  }

  async #write(object: KubeObject): Promise<Attempt> {
    const { client, identity, clock } = this.#options;
    const sentMs = clock.now();
    const now = microTime(clock.wall());
    const old = recordOf(object['spec']);
    const isOurs = holderOf(object) === identity;
    const spec = {
      ...old,
      ...this.#spec(now),
      acquireTime: isOurs ? old['acquireTime'] : now,
      leaseTransitions: numberOf(old['leaseTransitions']) + (isOurs ? 0 : 1),
    };
    const next = { ...object, metadata: { ...object.metadata }, spec };
    return this.#wrote(await client.replace(KNOWN_KINDS.lease, next, { timeoutMs: this.#callMs() }), sentMs);
  }

  #wrote(answer: Awaited<ReturnType<KubeClient['get']>>, sentMs: number): Attempt {
    if (answer.kind === 'done') {
      this.#see(answer.value);
      this.#renewedMs = sentMs;
      this.#complaint = '';
      return { kind: 'held' };
    }
    const { status } = answer.failure;
    if (status !== 404 && status !== 409) return this.#fail(answer.failure);
    // Somebody else was faster, or the lease was removed.
    this.#seen = null;
    return { kind: 'stale' };
  }

  #see(object: KubeObject): void {
    const record = JSON.stringify(object['spec']);
    const isSame = this.#seen?.record === record;
    const sinceMs = isSame ? (this.#seen?.sinceMs ?? 0) : this.#options.clock.now();
    this.#seen = { object, record, sinceMs };
  }

  async #release(): Promise<void> {
    const seen = this.#seen;
    if (seen === null) return;
    const { client, clock, identity } = this.#options;
    if (holderOf(seen.object) !== identity) return;
    const now = microTime(clock.wall());
    const spec = { ...recordOf(seen.object['spec']), holderIdentity: '', leaseDurationSeconds: 1, renewTime: now };
    const next = { ...seen.object, metadata: { ...seen.object.metadata }, spec };
    const answer = await client.replace(KNOWN_KINDS.lease, next, { timeoutMs: this.#callMs() });
    if (answer.kind === 'failed') this.#fail(answer.failure);
  }

  #spec(now: string): JsonRecord {
    const { identity } = this.#options;
    return { holderIdentity: identity, leaseDurationSeconds: this.#timing.leaseMs / 1000, renewTime: now };
  }

  /** As the holder wrote it, within reason. */
  #durationMs(object: KubeObject): number {
    const { leaseMs } = this.#timing;
    const writtenMs = numberOf(recordOf(object['spec'])['leaseDurationSeconds']) * 1000;
    return Math.min(writtenMs > 0 ? writtenMs : leaseMs, FOREIGN_LEASES_MAX * leaseMs);
  }

  #callMs(): number {
    return Math.max(this.#timing.retryMs, this.#timing.renewMs / 2);
  }

  #fail(failure: KubeFailure): Attempt {
    const { log, lease } = this.#options;
    if (failure.reason !== this.#complaint)
      log.warning(`the lease ${lease.namespace}/${lease.name}: ${formatFailure(failure)}`);
    this.#complaint = failure.reason;
    return { kind: 'unknown' };
  }
}

function holderOf(object: KubeObject | null): string {
  return textOf(recordOf(object?.['spec'])['holderIdentity']);
}

/** RFC 3339 with microseconds, as the kinds with a MicroTime want it. */
export function microTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace('Z', '000Z');
}

// How many proxies each control service has, and what it has heard: a Lease of its own for each in the namespace of the
// control service, written when something is different, at most once a second, and every 5 s to show that it lives. The one
// that leads adds them up; all follow them, so that it knows at once whose are old. A record that is no longer renewed counts for nothing, and is taken away after a while.
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import type { KubeClient } from '../../kube/client.ts';
import { isJsonRecord, numberOf, recordOf, textOf } from '../../kube/json-record.ts';
import type { KubeKind } from '../../kube/kind-path.ts';
import type { KubeObject } from '../../kube/kube-object.ts';
import { KNOWN_KINDS } from '../../kube/known-kinds.ts';
import { microTime } from '../../kube/lease-elector.ts';
import { MADE_BY_US } from '../../kube/made-by-us.ts';
import { Reflector } from '../../kube/reflector.ts';
import { Heard } from './heard.ts';

export interface ProxyCount {
  /** Proxies that have answered everything that they were sent. */
  readonly synced: number;
  readonly connected: number;
}

export interface ProxyRecordsOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Which process: part of a name. */
  readonly instance: string;
  /** Of this process; null: what was heard last is not translated yet. */
  readonly own: () => (ProxyCount & { readonly heard: Heard }) | null;
  readonly log: Log;
  readonly clock: Clock;
  /** Between two looks; 1 s by default. */
  readonly lookMs?: number;
  /** A record that has not changed for so long is that of a dead one; 12 s by default. */
  readonly freshMs?: number;
}

interface Written extends ProxyCount {
  readonly name: string;
  readonly heard: Heard;
  /** When it was seen, by our own clock: those of others are not trusted. */
  readonly seenMs: number;
}

/** On each record, to find them. */
const LABEL = 'outrigger.dev/record';
const LABEL_VALUE = 'proxies';
const ANNOTATION = 'outrigger.dev/proxies';
const FIELD_MANAGER = 'outrigger-control';
const LOOK_MS = 1_000;
const RENEW_MS = 5_000;
const FRESH_MS = 12_000;
/** Times `freshMs`. */
const REMOVED_AFTER = 10;
/** Where the records of others cannot be read, nobody waits for them longer. */
const PATIENCE_MS = 15_000;

export class ProxyRecords {
  readonly #options: ProxyRecordsOptions;
  readonly #name: string;
  #others: Reflector<Written> | null = null;
  #sinceMs = 0;
  #isSynced = false;
  #timer: NodeJS.Timeout | null = null;
  #isEnded = false;
  #writing: Promise<void> = Promise.resolve();
  #text = '';
  #writtenMs = -Infinity;

  constructor(options: ProxyRecordsOptions) {
    this.#options = options;
    this.#name = `outrigger-proxies-${options.instance.toLowerCase()}`;
  }

  start(): void {
    this.#follow();
    this.#tick();
  }

  #tick(): void {
    this.#timer = setTimeout(() => {
      this.#writing = this.#look().finally(() => {
        if (!this.#isEnded) this.#tick();
      });
    }, this.#options.lookMs ?? LOOK_MS).unref();
  }

  /** Takes the record back. */
  async stop(): Promise<void> {
    this.#isEnded = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#others?.stop();
    await this.#writing;
    if (this.#text !== '') await this.#remove(this.#name);
  }

  #follow(): void {
    const { client, namespace, log, clock } = this.#options;
    this.#sinceMs = clock.now();
    this.#others = new Reflector<Written>({
      client,
      namespace,
      labelSelector: `${LABEL}=${LABEL_VALUE}`,
      kind: KNOWN_KINDS.lease,
      keep: (lease) => (lease.metadata.name === this.#name ? null : readRecord(lease, clock.now())),
      onChange: () => {},
      onSynced: () => {
        this.#isSynced = true;
      },
      log,
      clock,
    });
    this.#others.start();
  }

  /** Of all control services, for an object by the version in which it was new; null: nothing can be said. */
  counts(): ((kind: KubeKind, version: string) => ProxyCount) | null {
    const { own, clock, freshMs = FRESH_MS } = this.#options;
    const mine = own();
    const nowMs = clock.now();
    if (mine === null || !(this.#isSynced || nowMs - this.#sinceMs > PATIENCE_MS)) return null;
    const others = [...(this.#others?.objects.values() ?? [])].filter(({ seenMs }) => nowMs - seenMs < freshMs);
    return (kind, version) =>
      others.reduce<ProxyCount>(
        (sum, { synced, connected, heard }) => ({
          synced: sum.synced + (heard.has(kind, version) ? synced : 0),
          connected: sum.connected + connected,
        }),
        mine,
      );
  }

  async #look(): Promise<void> {
    const { own, clock, freshMs = FRESH_MS } = this.#options;
    const nowMs = clock.now();
    for (const { name, seenMs } of this.#others?.objects.values() ?? [])
      if (nowMs - seenMs > REMOVED_AFTER * freshMs) await this.#remove(name);
    const mine = own();
    if (mine === null) return;
    const { synced, connected, heard } = mine;
    const text = JSON.stringify({ synced, connected, heard: heard.shown() });
    if (text === this.#text && nowMs - this.#writtenMs < RENEW_MS) return;
    await this.#write(text, nowMs);
  }

  async #write(text: string, nowMs: number): Promise<void> {
    const { client, namespace, instance, clock, log } = this.#options;
    const labels = { ...MADE_BY_US, [LABEL]: LABEL_VALUE };
    const answer = await client.apply(
      KNOWN_KINDS.lease,
      {
        metadata: { namespace, name: this.#name, labels, annotations: { [ANNOTATION]: text } },
        spec: {
          holderIdentity: instance,
          leaseDurationSeconds: Math.ceil(FRESH_MS / 1000),
          renewTime: microTime(clock.wall()),
        },
      },
      { fieldManager: FIELD_MANAGER, isForced: true },
    );
    // What cannot be written is tried again like something that is the same.
    this.#writtenMs = nowMs;
    this.#text = text;
    if (answer.kind === 'failed')
      log.info('the number of proxies cannot be written', { cause: answer.failure.message });
  }

  async #remove(name: string): Promise<void> {
    const { client, namespace } = this.#options;
    await client.remove(KNOWN_KINDS.lease, { namespace, name });
  }
}

/** Null: it is none, or says nothing that can be read. */
function readRecord({ metadata }: KubeObject, nowMs: number): Written | null {
  try {
    const said: unknown = JSON.parse(metadata.annotations[ANNOTATION] ?? '');
    if (!isJsonRecord(said)) return null;
    const { synced, connected, heard } = said;
    const versions = Object.entries(recordOf(heard)).map(([kind, version]) => [kind, textOf(version)] as const);
    const count = { synced: numberOf(synced), connected: numberOf(connected) };
    return { name: metadata.name, ...count, heard: new Heard(versions), seenMs: nowMs };
  } catch {
    return null;
  }
}

// Keeps the addresses of a DNS cluster's names fresh. Each name has its own timer. A lookup that
// fails keeps what was known; one that answers with nothing empties a strict cluster (the name has
// no addresses) and leaves a logical one as it is, as Envoy has it.
//
//   waiting ──timer──► asking ──answer──► waiting (refresh rate or TTL, plus up to a tenth)
//      ▲                  └────failure──► waiting (failure rate, growing)
import type { Log } from '../base/log.ts';
import { createBackoff, type Backoff } from '../base/backoff.ts';
import type { DnsSettings, EndpointTarget } from './cluster-settings.ts';
import { lookupName } from './name-lookup.ts';
import type { ResolvedAddress, Resolver } from './resolver.ts';

/** Calls back once after the delay; returns how to call that off. */
export type Delay = (callback: () => void, delayMs: number) => () => void;

export interface DnsDependencies {
  readonly resolver: Resolver;
  readonly random: () => number;
  readonly log: Log;
  readonly delay: Delay;
}

/** A name and what was last found under it. */
export interface NameState {
  readonly target: EndpointTarget;
  readonly addresses: readonly string[];
}

export interface DnsDiscoveryInit {
  readonly targets: readonly EndpointTarget[];
  readonly dns: DnsSettings;
  /** What an earlier discovery found under a name: it holds while lookups fail. */
  readonly known: ReadonlyMap<string, readonly string[]>;
  /** True: an empty answer changes nothing (LOGICAL_DNS). */
  readonly keepsOnEmpty: boolean;
  /** Called when the addresses of a name changed, and once when every name was asked for the first time. */
  readonly publish: (states: readonly NameState[], isSettled: boolean) => void;
}

/** Refreshes of many sidecars must not stay in step: each waits up to this part longer. */
const JITTER = 0.1;

interface Watch {
  readonly target: EndpointTarget;
  readonly backoff: Backoff;
  addresses: readonly string[];
  wasAsked: boolean;
  callOff: () => void;
}

export class DnsDiscovery {
  readonly #init: DnsDiscoveryInit;
  readonly #dependencies: DnsDependencies;
  readonly #watches: readonly Watch[];
  #isClosed = false;

  constructor(init: DnsDiscoveryInit, dependencies: DnsDependencies) {
    this.#init = init;
    this.#dependencies = dependencies;
    const { failureBaseMs, failureMaxMs } = init.dns;
    this.#watches = init.targets.map((target) => ({
      target,
      backoff: createBackoff({ baseMs: failureBaseMs, maxMs: failureMaxMs, random: dependencies.random }),
      addresses: init.known.get(target.address) ?? [],
      wasAsked: false,
      callOff: () => {},
    }));
  }

  start(): void {
    if (this.#watches.length === 0) this.#init.publish([], true);
    for (const watch of this.#watches) void this.#ask(watch);
  }

  /** The last good addresses of each name. */
  get known(): ReadonlyMap<string, readonly string[]> {
    return new Map(this.#watches.map(({ target, addresses }) => [target.address, addresses]));
  }

  close(): void {
    this.#isClosed = true;
    for (const watch of this.#watches) watch.callOff();
  }

  async #ask(watch: Watch): Promise<void> {
    const { dns, keepsOnEmpty } = this.#init;
    const { resolver, log } = this.#dependencies;
    // A Unix path has no name to look up.
    const { address: name, port } = watch.target;
    const result =
      port === 0
        ? { kind: 'answer' as const, addresses: [{ address: name, ttlSeconds: 0 }] }
        : await lookupName(resolver, name, dns);
    if (this.#isClosed) return;
    if (result.kind === 'failure') {
      log.warning('name lookup failed; its last addresses stay', { name, cause: result.cause });
      this.#settle(watch, watch.addresses, this.#failureDelayMs(watch));
      return;
    }
    watch.backoff.reset();
    const isKept = result.addresses.length === 0 && keepsOnEmpty;
    const addresses = isKept ? watch.addresses : unique(result.addresses);
    this.#settle(watch, addresses, this.#refreshDelayMs(result.addresses));
  }

  #settle(watch: Watch, addresses: readonly string[], delayMs: number): void {
    const isChanged =
      addresses.length !== watch.addresses.length || addresses.some((one, i) => one !== watch.addresses[i]);
    const isFirst = !watch.wasAsked;
    watch.addresses = addresses;
    watch.wasAsked = true;
    watch.callOff = this.#dependencies.delay(() => void this.#ask(watch), delayMs);
    const isSettled = this.#watches.every(({ wasAsked }) => wasAsked);
    if (isChanged || (isFirst && isSettled)) this.#init.publish(this.#watches, isSettled);
  }

  #refreshDelayMs(addresses: readonly ResolvedAddress[]): number {
    const { refreshMs, respectsTtl } = this.#init.dns;
    const ttlSeconds = addresses.reduce((least, one) => Math.min(least, one.ttlSeconds), Infinity);
    const baseMs = respectsTtl && ttlSeconds > 0 && ttlSeconds !== Infinity ? ttlSeconds * 1000 : refreshMs;
    return baseMs * (1 + JITTER * this.#dependencies.random());
  }

  #failureDelayMs(watch: Watch): number {
    const { refreshMs, failureBaseMs, failureMaxMs } = this.#init.dns;
    // Without a failure rate of its own the cluster goes on at its usual rate.
    const isUsual = failureBaseMs === refreshMs && failureMaxMs === refreshMs;
    return isUsual ? this.#refreshDelayMs([]) : watch.backoff.next();
  }
}

function unique(found: readonly ResolvedAddress[]): readonly string[] {
  return [...new Set(found.map(({ address }) => address))];
}

/** The Delay of Node, which does not keep the process alive. */
export function delayByTimer(callback: () => void, delayMs: number): () => void {
  const timer = setTimeout(callback, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
}

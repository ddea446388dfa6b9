// What one stream knows about one type: which names the client asked for, which versions it was sent,
// and the one message that may be in flight. Used by the server half of both variants; the only
// difference is how a change is told: delta by changes and removals, state-of-the-world by everything
// (clusters and listeners) or by changes alone (the rest). Pure: no sockets, no clock.
import type { NamedResources, ResourceChange } from './resource-change.ts';
import type { EncodedResource } from './resource.ts';
import { ABSENT, SentVersions, UNSURE } from './sent-versions.ts';
import { mayBeRemoved, SECRET_TYPE, sendsWholeState, type TypeUrl } from './type-url.ts';
import type { Variant } from './update.ts';

/** One response, not yet in bytes. */
export interface Outgoing {
  readonly typeUrl: TypeUrl;
  readonly nonce: string;
  readonly version: string;
  readonly resources: readonly EncodedResource[];
  /** Always empty in the state-of-the-world variant. */
  readonly removed: readonly string[];
}

export interface InFlight {
  readonly nonce: string;
  readonly version: string;
  /** The stream's view generation that the message was made from. */
  readonly generation: number;
  readonly names: ReadonlySet<string>;
}

/** The resources of one type as a stream may send them now. */
export interface Offer {
  readonly version: string;
  /** Those of the view; `get` and `all` may know more. */
  readonly named: NamedResources;
  get(name: string): EncodedResource | undefined;
  all(): Iterable<EncodedResource>;
}

export interface Difference {
  readonly resources: EncodedResource[];
  readonly removed: string[];
  /** True when there was more than one message may hold: the rest follows after the ACK. */
  readonly isPartial: boolean;
}

export class Watch {
  readonly typeUrl: TypeUrl;
  readonly variant: Variant;
  readonly names = new Set<string>();
  isWildcard = false;
  /** Once names were asked for, an empty state-of-the-world list means none and no longer everything. */
  hasNamed = false;
  /** The first request of a type, and one that adds names, is answered even when there is nothing to say. */
  mustAnswer = true;
  /** True while there may be something to send. */
  isDirty = true;
  inFlight: InFlight | null = null;
  lastNonce = '';
  sentVersion = '';
  ackedVersion = '';
  /** `error_detail` of the newest answer; empty after an ACK. */
  lastError = '';
  /** The newest generation whose message was acknowledged. */
  ackedGeneration = 0;
  /** Names of the newest refused messages that the client has never accepted in any version. */
  readonly suspects = new Set<string>();
  /** Names that the client asked for, or was sent, and has accepted in no version yet. */
  readonly #unaccepted = new Set<string>();
  readonly #sent = new SentVersions((name) => this.#wants(name));
  /** Names that may have to be sent or taken away; null: any may. With many resources and many streams, few do. */
  #doubtful: Set<string> | null = null;

  constructor(typeUrl: TypeUrl, variant: Variant) {
    this.typeUrl = typeUrl;
    this.variant = variant;
  }

  /** Adds a name. It is sent even if it was sent before: a client that asks again may have dropped it. */
  add(name: string): void {
    if (!this.hasSent(name)) this.#unaccepted.add(name);
    this.names.add(name);
    this.hasNamed = true;
    this.#doubt(name);
  }

  /** Takes a name away. Needs no answer, except that a wildcard watch must say whether the name still stands. */
  remove(name: string): void {
    if (!this.names.delete(name)) return;
    if (!this.isWildcard) {
      this.#forget(name);
      return;
    }
    if (this.variant === 'sotw') return;
    this.#doubt(name);
  }

  setWildcard(isWildcard: boolean): void {
    // Secrets are given to those who know their names.
    if (this.isWildcard === isWildcard || this.typeUrl === SECRET_TYPE) return;
    this.#sent.unshare();
    this.isWildcard = isWildcard;
    if (isWildcard) {
      this.mustAnswer = true;
      this.lookAtAll();
      return;
    }
    for (const name of this.#sentNames()) if (!this.names.has(name)) this.#forget(name);
  }

  /** The client says that it holds this version already (`initial_resource_versions`). */
  claim(name: string, version: string): void {
    this.#sent.set(name, version === ABSENT ? UNSURE : version);
    this.#unaccepted.delete(name);
    this.lookAtAll();
  }

  /** There may be something to send, whatever its name. */
  lookAtAll(): void {
    this.#doubtful = null;
    this.isDirty = true;
  }

  /** The resources that are offered changed, and nothing else. */
  noteChange({ changed, removed }: ResourceChange): void {
    const doubtful = this.#doubtful;
    if (doubtful === null || (this.variant === 'sotw' && sendsWholeState(this.typeUrl))) {
      this.lookAtAll();
      return;
    }
    for (const { name } of changed) if (this.#wants(name)) doubtful.add(name);
    for (const { name } of removed) if (this.#wants(name)) doubtful.add(name);
    if (doubtful.size > 0) this.isDirty = true;
  }

  /** There was nothing to send. */
  settle(offer: Offer): void {
    this.isDirty = false;
    this.#share(offer);
  }

  /** Makes the next message carry `name` even though it has not changed; true when it was sent before. */
  resend(name: string): boolean {
    if (this.#sent.get(name) === undefined) return false;
    this.#doubt(name);
    return true;
  }

  /** True when the client was sent some version of `name`, or says that it has one. */
  hasSent(name: string): boolean {
    const version = this.#sent.get(name);
    return version !== undefined && version !== ABSENT;
  }

  holds(resource: EncodedResource): boolean {
    return this.#sent.get(resource.name) === resource.version;
  }

  /** The message in flight was acknowledged. */
  accept(message: InFlight): void {
    this.#answered(message);
    this.lastError = '';
    this.ackedVersion = message.version;
    this.ackedGeneration = message.generation;
    for (const name of message.names) {
      this.#unaccepted.delete(name);
      this.suspects.delete(name);
    }
  }

  /** The message in flight was refused. Which of its resources was to blame is not known for sure. */
  refuse(message: InFlight, error: string): void {
    this.#answered(message);
    this.lastError = error;
    for (const name of message.names) if (this.#unaccepted.has(name)) this.suspects.add(name);
  }

  /** What must be sent so that the client has `offer`; null when it has. At most `bytesMax`, but at least one resource. */
  difference(offer: Offer, bytesMax: number): Difference | null {
    const difference =
      this.variant === 'sotw' && sendsWholeState(this.typeUrl)
        ? this.#wholeState(offer)
        : this.#changes(offer, bytesMax);
    if (difference === null && this.mustAnswer) return { resources: [], removed: [], isPartial: false };
    return difference;
  }

  /** Notes that `difference` from `offer` goes out as `message`. */
  note(difference: Difference, offer: Offer, message: InFlight): void {
    this.inFlight = message;
    this.lastNonce = message.nonce;
    this.sentVersion = message.version;
    this.mustAnswer = false;
    this.isDirty = difference.isPartial;
    if (this.variant === 'sotw' && sendsWholeState(this.typeUrl)) this.#sent.clear();
    for (const { name, version } of difference.resources) {
      if (!this.hasSent(name)) this.#unaccepted.add(name);
      this.#sent.set(name, version);
    }
    for (const name of difference.removed) {
      this.#unaccepted.delete(name);
      this.suspects.delete(name);
      if (this.names.has(name)) this.#sent.set(name, ABSENT);
      else this.#sent.delete(name);
    }
    if (!difference.isPartial) this.#share(offer);
  }

  /** The client has been sent everything: what it has is what is offered. */
  #share({ named }: Offer): void {
    this.#doubtful = new Set();
    if (this.variant === 'delta') this.#sent.share(named);
  }

  #doubt(name: string): void {
    this.#sent.set(name, UNSURE);
    this.#doubtful?.add(name);
    this.isDirty = true;
  }

  #wants(name: string): boolean {
    return this.isWildcard || this.names.has(name);
  }

  /**
   * The client wants `name` no more. While a message with it is under way the client may still come to
   * hold it, by asking for everything before the message arrives; that is settled by the answer.
   */
  #forget(name: string): void {
    if (this.inFlight?.names.has(name) === true) this.#sent.set(name, UNSURE);
    else this.#sent.delete(name);
  }

  #answered(message: InFlight): void {
    this.inFlight = null;
    if (this.isWildcard) return;
    for (const name of message.names) if (!this.names.has(name)) this.#sent.delete(name);
  }

  *#wanted(offer: Offer, among: ReadonlySet<string> | null = null): Iterable<EncodedResource> {
    if (among === null && this.isWildcard) {
      yield* offer.all();
      return;
    }
    for (const name of among ?? this.names) {
      const resource = among === null || this.#wants(name) ? offer.get(name) : undefined;
      if (resource !== undefined) yield resource;
    }
  }

  /** A list of its own: whoever walks it may change what was sent. */
  #sentNames(): readonly string[] {
    return [...this.#sent.entries()].map(([name]) => name);
  }

  #wholeState(offer: Offer): Difference | null {
    const resources = [...this.#wanted(offer)];
    let known = 0;
    for (const [, version] of this.#sent.entries()) if (version !== UNSURE) known++;
    const isEqual = known === resources.length && resources.every((resource) => this.holds(resource));
    return isEqual && !this.mustAnswer ? null : { resources, removed: [], isPartial: false };
  }

  #changes(offer: Offer, bytesMax: number): Difference | null {
    const resources: EncodedResource[] = [];
    const removed: string[] = [];
    // Clients take the first wildcard answer for complete, so that one is never cut.
    let isPartial = false;
    let room = this.isWildcard && this.mustAnswer ? Infinity : bytesMax;
    for (const resource of this.#wanted(offer, this.#doubtful)) {
      if (this.holds(resource)) continue;
      if (resources.length > 0 && resource.bytes.length > room) {
        isPartial = true;
        break;
      }
      room -= resource.bytes.length;
      resources.push(resource);
    }
    for (const name of this.#doubtful ?? this.#sentNames()) {
      const version = this.#sent.get(name);
      if (version === undefined || version === ABSENT || offer.get(name) !== undefined) continue;
      if (!this.#wants(name)) continue;
      if (this.variant === 'sotw') this.#sent.delete(name);
      else if (mayBeRemoved(this.typeUrl)) removed.push(name);
    }
    return resources.length === 0 && removed.length === 0 ? null : { resources, removed, isPartial };
  }
}

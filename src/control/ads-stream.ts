// One ADS stream of the discovery server: the call of @grpc/grpc-js on one side, the pure state machine
// on the other, and the hold on the view source in between. It writes bytes that are encoded already,
// ends streams whose client stopped answering, and reports every ACK and NACK.
import { status, type ServerDuplexStream } from '@grpc/grpc-js';

import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { encodeDeltaResponse, encodeResponse } from '../xds/envelope.ts';
import type { Node } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import type { DeltaDiscoveryRequest, DiscoveryRequest } from '../xds/gen/envoy/service/discovery/v3/discovery_pb.js';
import type { Heard } from '../xds/heard.ts';
import { ServerStream, TYPES_MAX } from '../xds/server-stream.ts';
import { SECRET_TYPE, VIRTUAL_HOST_TYPE, type TypeUrl } from '../xds/type-url.ts';
import type { Variant } from '../xds/update.ts';
import type { Watch } from '../xds/watch.ts';
import { answerOf, statusOf, type Refusal } from './authentication/refusal.ts';
import type { SyncState, SyncStatus, View, ViewSource, ViewSubscription } from './flow.ts';
import type { PushBudget } from './push-budget.ts';
import { pagePortsOf } from './mesh-node.ts';
import { SecretClaim } from './secret-claim.ts';
import { spiffeId } from '../tls/spiffe-id.ts';
import { accountOf, type VerifiedPeer } from './verified-peer.ts';

export type AdsRequest = DiscoveryRequest | DeltaDiscoveryRequest;
export type AdsCall = ServerDuplexStream<AdsRequest, Uint8Array>;

/** What a client said about one response. */
export interface Answer {
  readonly nodeId: string;
  readonly connectionId: string;
  readonly typeUrl: TypeUrl;
  readonly kind: 'acked' | 'nacked';
  readonly version: string;
  /** `error_detail` of a NACK; empty for an ACK. */
  readonly error: string;
  /** From sending to hearing. */
  readonly elapsedMs: number;
}

/** A client has answered everything of a view that it asked for. */
export interface Synced {
  readonly nodeId: string;
  readonly connectionId: string;
  readonly sequence: number;
  /** From the view's arrival at the stream. */
  readonly elapsedMs: number;
}

export interface AdsStreamEnvironment {
  readonly source: ViewSource;
  readonly log: Log;
  readonly clock: Clock;
  readonly identifier: string;
  /** Who it is; null when the client proved nothing. */
  readonly peer: VerifiedPeer | null;
  readonly answerMsMax: number;
  readonly holdMsMax: number;
  readonly budget: PushBudget;
  readonly onSent: (typeUrl: TypeUrl) => void;
  readonly onStale: (typeUrl: TypeUrl) => void;
  readonly onAnswer: (answer: Answer) => void;
  readonly onSynced: (synced: Synced) => void;
  readonly onRefused: (refused: Refusal, node: string) => void;
  readonly onClosed: () => void;
}

const NO_NAMES: ReadonlySet<string> = new Set();

export class AdsStream {
  readonly connectionId: string;
  readonly variant: Variant;
  /** `address:port` of the client. */
  readonly address: string;
  readonly #call: AdsCall;
  readonly #environment: AdsStreamEnvironment;
  readonly #stream: ServerStream;
  readonly #connectedAtMs: number;
  readonly #secrets: SecretClaim;
  /** By type: when the message in flight was sent, on the monotonic clock. */
  readonly #sentAtMs = new Map<TypeUrl, number>();
  #nodeId = '';
  #subscription: ViewSubscription | null = null;
  #sequence = 0;
  #viewAtMs = 0;
  #isSynced = true;
  #isClosed = false;
  /** What gives back the budget of messages that the client has not taken yet. */
  readonly #held = new Set<() => void>();
  readonly #resume = (): void => {
    if (!this.#isClosed) this.#pump();
  };
  #answerTimer: NodeJS.Timeout | null = null;
  #holdTimer: NodeJS.Timeout | null = null;
  #pages = { adminPort: 0, pagesPort: 0 };

  constructor(call: AdsCall, variant: Variant, connectionId: string, environment: AdsStreamEnvironment) {
    this.#call = call;
    this.variant = variant;
    this.connectionId = connectionId;
    this.address = call.getPeer();
    this.#environment = environment;
    this.#secrets = new SecretClaim(environment.peer);
    this.#stream = new ServerStream(`${connectionId}.`);
    this.#connectedAtMs = environment.clock.wall();
    call.on('data', (request: AdsRequest) => this.#hear(request));
    call.on('end', () => this.close(null));
    call.on('cancelled', () => this.#release());
    call.on('close', () => this.#release());
    call.on('error', (cause: Error) => {
      if (!this.#isClosed) environment.log.debug('stream failed', { node: this.#nodeId, cause: cause.message });
      this.#release();
    });
  }

  /** Ends the stream: with status OK, or with a code of `@grpc/grpc-js` and a text. Safe to call twice. */
  close(failure: { readonly code: number; readonly details: string } | null): void {
    if (this.#isClosed) return;
    this.#release();
    if (failure === null) this.#call.end();
    else this.#call.emit('error', failure);
  }

  status(): SyncStatus {
    const types = [...this.#stream.watches.values()].map((watch) => ({
      typeUrl: watch.typeUrl,
      state: stateOf(watch),
      sentVersion: watch.sentVersion,
      ackedVersion: watch.ackedVersion,
      lastError: watch.lastError,
    }));
    const protocol = this.variant;
    const connectedAtMs = this.#connectedAtMs;
    const { connectionId, address } = this;
    const { peer } = this.#environment;
    const account = peer === null ? '' : (spiffeId(peer.id) ?? '');
    return { nodeId: this.#nodeId, connectionId, protocol, connectedAtMs, address, account, ...this.#pages, types };
  }

  #hear(request: AdsRequest): void {
    if (this.#isClosed) return;
    const fault = this.#admit(request);
    if (typeof fault !== 'string') {
      this.#environment.onRefused(fault, this.#nodeId);
      this.close({ code: statusOf(fault.reason), details: `${answerOf(fault.reason)} (${fault.details})` });
      return;
    }
    if (fault !== '') {
      this.#environment.log.warning('stream refused', { node: this.#nodeId, cause: fault });
      this.close({ code: status.INVALID_ARGUMENT, details: fault });
      return;
    }
    if (request.typeUrl === SECRET_TYPE) {
      for (const refused of this.#secrets.judge(namesIn(request))) this.#environment.onRefused(refused, this.#nodeId);
    }
    if (this.#subscription?.view === null && bringsState(request)) this.#subscription.noteReturned();
    const heard =
      request.$typeName === 'envoy.service.discovery.v3.DeltaDiscoveryRequest'
        ? this.#stream.hearDelta(request)
        : this.#stream.hearSotw(request);
    if (request.typeUrl === VIRTUAL_HOST_TYPE) this.#use();
    this.#report(request.typeUrl, heard);
    this.#pump();
  }

  /** The clusters of hosts that the client fetches come with them. */
  #use(): void {
    const view = this.#subscription?.use(this.#stream.watches.get(VIRTUAL_HOST_TYPE)?.names ?? NO_NAMES) ?? null;
    if (view !== null) this.#takeView(view);
  }

  /** Looks at what only the first request has; returns what is wrong with the request, or nothing. */
  #admit(request: AdsRequest): string | Refusal {
    if (request.typeUrl === '') return 'type_url is required';
    if (!this.#stream.watches.has(request.typeUrl) && this.#stream.watches.size >= TYPES_MAX) {
      return `more than ${TYPES_MAX} resource types`;
    }
    return this.#subscription === null ? this.#begin(request) : '';
  }

  #begin(request: AdsRequest): string | Refusal {
    const node: Node | undefined = request.node;
    if (node === undefined || node.id === '') return 'the first request must have a node with an id';
    this.#nodeId = node.id;
    const { id, cluster, metadata = {}, locality, userAgentName: userAgent } = node;
    const { peer } = this.#environment;
    const info = { id, cluster, metadata, locality, userAgent, peer, isReturning: bringsState(request) };
    const opened = this.#environment.source.open(info, (view) => this.#setView(view));
    if (opened.kind === 'refused') return opened.denial ?? opened.message;
    this.#subscription = opened.subscription;
    this.#pages = pagePortsOf(metadata);
    if (opened.subscription.view !== null) this.#takeView(opened.subscription.view);
    this.#environment.log.info('client connected', {
      node: id,
      connection: this.connectionId,
      protocol: this.variant,
      account: peer === null ? '' : accountOf(peer.id),
      by: peer === null ? 'plaintext' : peer.by,
    });
    return '';
  }

  #setView(view: View): void {
    if (this.#isClosed) return;
    this.#takeView(view);
    this.#pump();
  }

  #takeView(view: View): void {
    this.#sequence = view.sequence;
    this.#viewAtMs = this.#environment.clock.now();
    this.#isSynced = false;
    this.#stream.setView(view);
  }

  #pump(): void {
    const { clock, identifier, budget, onSent, onSynced } = this.#environment;
    const encode = this.variant === 'delta' ? encodeDeltaResponse : encodeResponse;
    while (!this.#isClosed) {
      if (budget.isSpent) {
        budget.wait(this.#resume);
        break;
      }
      const message = this.#stream.next();
      if (message === null) break;
      const bytes = encode(message, identifier);
      const release = budget.take(bytes.length);
      this.#held.add(release);
      this.#call.write(bytes, () => {
        this.#held.delete(release);
        release();
      });
      this.#sentAtMs.set(message.typeUrl, clock.now());
      onSent(message.typeUrl);
    }
    this.#armAnswerTimer();
    this.#armHoldTimer();
    if (this.#isSynced || !this.#stream.isSynced) return;
    this.#isSynced = true;
    const elapsedMs = clock.now() - this.#viewAtMs;
    onSynced({ nodeId: this.#nodeId, connectionId: this.connectionId, sequence: this.#sequence, elapsedMs });
  }

  #report(typeUrl: TypeUrl, heard: Heard): void {
    const { clock, log, onAnswer, onStale } = this.#environment;
    if (heard.kind === 'stale') onStale(typeUrl);
    if (heard.kind === 'unsubscribed') this.#sentAtMs.delete(typeUrl);
    if (heard.kind !== 'acked' && heard.kind !== 'nacked') return;
    const elapsedMs = clock.now() - (this.#sentAtMs.get(typeUrl) ?? clock.now());
    this.#sentAtMs.delete(typeUrl);
    const error = heard.kind === 'nacked' ? heard.error : '';
    if (error !== '') log.warning('configuration refused by client', { node: this.#nodeId, type: typeUrl, error });
    const { nodeId, connectionId } = { nodeId: this.#nodeId, connectionId: this.connectionId };
    onAnswer({ nodeId, connectionId, typeUrl, kind: heard.kind, version: heard.message.version, error, elapsedMs });
  }

  /** A client that reads or answers nothing any more is let go, so that what waits for it stays bounded. */
  #armAnswerTimer(): void {
    if (this.#answerTimer !== null || this.#sentAtMs.size === 0) return;
    const oldestMs = Math.min(...this.#sentAtMs.values());
    const dueMs = oldestMs + this.#environment.answerMsMax - this.#environment.clock.now();
    this.#answerTimer = setTimeout(
      () => {
        this.#answerTimer = null;
        const nowMs = this.#environment.clock.now();
        const isLate = [...this.#sentAtMs.values()].some((sentMs) => nowMs - sentMs >= this.#environment.answerMsMax);
        if (!isLate) return this.#armAnswerTimer();
        this.#environment.log.warning('client answers no more', { node: this.#nodeId });
        return this.close({ code: status.DEADLINE_EXCEEDED, details: 'a response was not answered in time' });
      },
      Math.max(1, dueMs),
    ).unref();
  }

  #armHoldTimer(): void {
    if (!this.#stream.isWaiting) {
      if (this.#holdTimer !== null) clearTimeout(this.#holdTimer);
      this.#holdTimer = null;
      return;
    }
    this.#holdTimer ??= setTimeout(() => {
      this.#holdTimer = null;
      this.#stream.release();
      this.#pump();
    }, this.#environment.holdMsMax).unref();
  }

  #release(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#answerTimer !== null) clearTimeout(this.#answerTimer);
    if (this.#holdTimer !== null) clearTimeout(this.#holdTimer);
    this.#environment.budget.forget(this.#resume);
    for (const release of this.#held) release();
    this.#subscription?.close();
    if (this.#subscription !== null) this.#environment.log.info('client disconnected', { node: this.#nodeId });
    this.#environment.onClosed();
  }
}

/** True when the client says that it holds resources from an earlier stream. */
function bringsState(request: AdsRequest): boolean {
  return request.$typeName === 'envoy.service.discovery.v3.DeltaDiscoveryRequest'
    ? Object.keys(request.initialResourceVersions).length > 0
    : request.versionInfo !== '';
}

function namesIn(request: AdsRequest): readonly string[] {
  return request.$typeName === 'envoy.service.discovery.v3.DeltaDiscoveryRequest'
    ? request.resourceNamesSubscribe
    : request.resourceNames;
}

function stateOf(watch: Watch): SyncState {
  if (watch.lastError !== '') return 'error';
  if (watch.lastNonce === '') return 'not-sent';
  return watch.inFlight === null && !watch.isDirty ? 'synced' : 'stale';
}

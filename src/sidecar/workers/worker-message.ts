// What the main thread and the workers say to each other. Both ends are this very program, so that what arrives
// is what the types say; everything is data that can be cloned.
import type { MessagePort } from 'node:worker_threads';
import type { LogLevel } from '../../base/log.ts';
import type { Stat } from '../../observe/proxy-stats.ts';
import type { FamilyInit } from '../../observe/registry.ts';
import type { TypeUrl } from '../../xds/type-url.ts';
import type { SocketClaim } from '../listener-host.ts';
import type { OutlierStatus } from '../admin/source.ts';
import type { DrainStrategy } from '../proxy.ts';
import type { WatchedExtension } from '../stuck-extension.ts';
import type { SightMessage, VerdictMessage } from '../reported-health.ts';

/** What a worker is started with. */
export interface WorkerStart {
  readonly index: number;
  readonly workers: number;
  /** The bootstrap in its binary form. */
  readonly bootstrap: Uint8Array;
  /** Connections that each worker serves: ConnectionShares. */
  readonly shares: SharedArrayBuffer;
  /** SharedLimits.memory. */
  readonly limits: SharedArrayBuffer;
  readonly drainSeconds: number;
  readonly drainDelaySeconds: number;
  readonly drainStrategy: DrainStrategy;
  readonly logLevel: LogLevel;
  /** The workload's identity is among the secrets that are handed over. */
  readonly hasIdentity: boolean;
  /** ProxyOptions.extensions. */
  readonly extensions: readonly string[];
  /** Where it says which extension is running: RunningCell.memory. */
  readonly running: SharedArrayBuffer;
  /** Modules of extensions that hung before. */
  readonly bannedExtensions: readonly string[];
}

/** An Update of xDS whose resources are bytes. */
export interface UpdateBytes {
  readonly typeUrl: TypeUrl;
  readonly version: string;
  readonly changed: readonly { readonly name: string; readonly version: string; readonly value: Uint8Array }[];
  readonly removed: readonly string[];
}

export type ToWorker =
  | { readonly kind: 'update'; readonly update: UpdateBytes }
  /** A secret of the process itself (SecretStore.provide); `value` null: it must not be used any more, for `reason`. */
  | {
      readonly kind: 'secret';
      readonly source: string;
      readonly name: string;
      readonly value: Uint8Array | null;
      readonly reason: string;
    }
  | { readonly kind: 'claimed'; readonly id: number; readonly claim: SocketClaim }
  | { readonly kind: 'unclaimed'; readonly id: number; readonly message: string }
  /** A way to another worker. */
  | { readonly kind: 'peer'; readonly index: number; readonly port: MessagePort }
  | { readonly kind: 'report'; readonly id: number }
  | { readonly kind: 'health'; readonly isFailed: boolean }
  | VerdictMessage
  | { readonly kind: 'level'; readonly level: LogLevel }
  /** An extension that hung in another worker. */
  | { readonly kind: 'ban'; readonly module: string }
  | { readonly kind: 'drain-listeners'; readonly isGraceful: boolean; readonly inboundOnly: boolean }
  /** Proxy.shareSockets. */
  | { readonly kind: 'share'; readonly isShared: boolean }
  /** Ends: Proxy.stop(), or with `hasSuccessor` Proxy.yieldToSuccessor(), which may follow the other. */
  | {
      readonly kind: 'leave';
      readonly drainSeconds: number;
      readonly hasDelay: boolean;
      readonly hasSuccessor: boolean;
    };

export type FromWorker =
  /** It wants dynamic resources, from now on. */
  | { readonly kind: 'joined' }
  /** Virtual hosts that it fetched, or wants to. */
  | { readonly kind: 'hosts'; readonly names: readonly string[] }
  | { readonly kind: 'claim'; readonly id: number; readonly address: string; readonly port: number }
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'reported'; readonly id: number; readonly report: WorkerReport }
  | SightMessage
  /** It is about to run this one. */
  | { readonly kind: 'extension'; readonly extension: WatchedExtension }
  /** It accepts no more. */
  | { readonly kind: 'closed' }
  | { readonly kind: 'left' };

/** A connection for another worker; the descriptor belongs to it from now on. */
export interface PassedConnection {
  readonly listener: string;
  readonly descriptor: number;
}

/** Everything that a worker counted. */
export interface WorkerReport {
  readonly families: readonly FamilyReport[];
  readonly stats: readonly Stat[];
  readonly endpoints: readonly EndpointReport[];
  readonly listeners: readonly ListenerReport[];
}

export interface FamilyReport extends Required<FamilyInit> {
  readonly series: readonly { readonly labels: readonly string[]; readonly numbers: readonly number[] }[];
}

export interface EndpointReport {
  readonly cluster: string;
  readonly authority: string;
  readonly active: number;
  readonly requestsTotal: number;
  readonly failuresTotal: number;
  readonly connectionsTotal: number;
  readonly connectFailuresTotal: number;
  readonly connectionsActive: number;
  readonly outlier: OutlierStatus;
}

export interface ListenerReport {
  readonly name: string;
  /** As configured. */
  readonly address: string;
  readonly port: number;
  readonly descriptors: readonly number[];
}

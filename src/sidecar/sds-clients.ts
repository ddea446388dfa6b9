// SDS over gRPC for contexts of a bootstrap: one stream for each cluster and variant, which asks for all names that
// contexts take from there. What comes is provided to the secrets of the process (and of its threads); what is bad is
// NACKed, and the last good version stays in force, also while nobody answers.
import { create, fromBinary } from '@bufbuild/protobuf';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { error, refuses } from '../base/problem.ts';
import { NodeSchema, type Node } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import { SecretSchema, type Secret } from '../xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { SECRET_TYPE } from '../xds/type-url.ts';
import type { ReceivedResource, Refusal, Update } from '../xds/update.ts';
import { DiscoveryClient } from './discovery.ts';
import { readSdsSource } from './sds-source.ts';
import type { SecretStore } from './secrets.ts';

export interface SdsClientsOptions {
  readonly secrets: SecretStore;
  readonly node: Node | undefined;
  readonly log: Log;
  readonly clock: Clock;
}

export class SdsClients {
  readonly #options: SdsClientsOptions;
  readonly #clients = new Map<string, DiscoveryClient>();
  readonly #due = new Set<string>();

  constructor(options: SdsClientsOptions) {
    this.#options = options;
  }

  /** Asks for what is wanted already, and for everything that will be. */
  start(): void {
    const { secrets } = this.#options;
    secrets.onWanted = (source) => this.#want(source);
    for (const { source } of secrets.status()) this.#want(source);
  }

  #want(source: string): void {
    if (readSdsSource(source) === null) return;
    if (this.#due.size === 0) queueMicrotask(() => this.#subscribe());
    this.#due.add(source);
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
  }

  #subscribe(): void {
    for (const source of this.#due) {
      const client = this.#clients.get(source) ?? this.#open(source);
      client?.subscribe(SECRET_TYPE, this.#options.secrets.names(source));
    }
    this.#due.clear();
  }

  #open(source: string): DiscoveryClient | null {
    const { secrets, node, log, clock } = this.#options;
    const read = readSdsSource(source);
    const control = read === null ? '' : secrets.origin.addressesOf(read.cluster);
    if (read === null || typeof control === 'string') return null;
    const client = new DiscoveryClient({
      control,
      node: node ?? create(NodeSchema),
      variant: read.variant,
      service: 'secrets',
      log: log.child('sds'),
      clock,
      onUpdate: (update) => this.#take(source, update),
      onState: (state) => log.info(`secret discovery ${state}`, { cluster: read.cluster }),
    });
    this.#clients.set(source, client);
    return client;
  }

  /** A secret that the server takes away stays as it was, as in Envoy. */
  #take(source: string, { changed }: Update): readonly Refusal[] {
    return changed.flatMap((received) => {
      const { name } = received;
      const secret = decode(received);
      const problems =
        secret === null
          ? [error('', 'the bytes are not a Secret')]
          : this.#options.secrets.provide({ source, name, secret, reason: '' });
      return refuses(problems) ? [{ name, problems }] : [];
    });
  }
}

function decode({ resource }: ReceivedResource): Secret | null {
  try {
    return fromBinary(SecretSchema, resource.value);
  } catch {
    // Bytes of another program: a refusal says so.
    return null;
  }
}

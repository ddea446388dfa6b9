// The secrets of the process. A context asks for a slot, for what stands in the configuration or for a name
// that SDS or the bootstrap fills, and holds it as long as it lives; a slot that nobody holds is forgotten.
// Files behind a secret are watched: a new version is put in force when it is good and whole; a bad one is
// logged once and the last good one stays in force. What the process itself provides (its identity, SDS clients) is
// kept for whoever asks later (provided-secrets.ts).
import { clone, create, equals, fromBinary } from '@bufbuild/protobuf';
import type { Log } from '../base/log.ts';
import { error, formatProblem, refuses, type Problem } from '../base/problem.ts';
import type { KeyPair } from '../tls/key-pair.ts';
import { Slot } from '../tls/slot.ts';
import type { Trust } from '../tls/trust.ts';
import type {
  CertificateValidationContext,
  TlsCertificate,
  TlsSessionTicketKeys,
} from '../xds/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import { SecretSchema, type Secret } from '../xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import type { Refusal, Update } from '../xds/update.ts';
import { extensions } from './bootstrap-registry.ts';
import type { ControlAddress } from './discovery.ts';
import { ProvidedSecrets, type Provided } from './provided-secrets.ts';
import { FileWatch } from './secret-files.ts';
import { SecretPath } from './secret-path.ts';
import {
  CERTIFICATE,
  TICKET_KEYS,
  TRUST,
  directoriesOf,
  filesOfSecret,
  trustOver,
  type Reader,
} from './secret-reading.ts';
import { findUnsupported } from './unsupported.ts';

/** The bootstrap's own secrets, the stream that everything comes by, a file (secret-path.ts), or a provider. */
export type SecretSource = string;
export const STATIC = 'static';
export const ADS = 'ads';
/** The workload's own certificate and the roots that it trusts (identity.ts). */
export const IDENTITY = 'identity';
/** The cluster that stands for it in sds_config, by Istio's convention. */
export const IDENTITY_CLUSTER = 'sds-grpc';

/** Where SDS by gRPC may come from. */
export interface SecretOrigin {
  /** The cluster that means the workload's own identity; null: the process has none. */
  readonly identityCluster: string | null;
  /** The addresses of a cluster of the bootstrap; or why SDS cannot use it. */
  readonly addressesOf: (cluster: string) => readonly ControlAddress[] | string;
}

const NO_ORIGIN: SecretOrigin = {
  identityCluster: null,
  addressesOf: (cluster) => `there is no static cluster ${JSON.stringify(cluster)}`,
};

/** Tries a version for one slot: its Problems, and how to put it in force when there is no error among them. */
export interface Attempt {
  readonly problems: readonly Problem[];
  readonly commit: () => void;
}

/** A slot that is filled from a secret, or whoever else wants to have it. */
interface Use {
  /** Null when nobody holds the slot any longer. */
  attempt(secret: Secret): Attempt | null;
  revoke(reason: string): void;
}

interface Kept {
  readonly name: string;
  readonly source: SecretSource;
  secret: Secret | null;
  version: string;
  updatedMs: number;
  uses: Use[];
  watch: FileWatch | null;
  /** The Problem that was logged last: a file that stays bad is told once. */
  told: string;
}

/** A named secret as the admin server shows it. */
export interface SecretStatus {
  readonly name: string;
  readonly source: SecretSource;
  /** Null while it has not come. */
  readonly secret: Secret | null;
  readonly version: string;
  readonly updatedMs: number;
}

/** A name that a context refers to. */
export interface NamedRequest {
  readonly name: string;
  readonly source: SecretSource;
  /** How long the first version is waited for, in milliseconds; 0 is for ever. */
  readonly waitMs: number;
  readonly problems: Problem[];
  readonly path: string;
}

export class SecretStore {
  readonly #log: Log;
  readonly #kept = new Map<string, Kept>();
  /** Files that secrets come from, by source. */
  readonly #files = new Map<SecretSource, SecretPath>();
  /** Secrets that stand in a configuration and point to files. */
  readonly #inline = new Set<Kept>();
  readonly provided = new ProvidedSecrets();
  /** Told of each source that something is asked of by name. */
  onWanted: ((source: SecretSource) => void) | null = null;
  readonly origin: SecretOrigin;
  /** Versions that were not put in force, and those that took the place of another. */
  rejected = 0;
  rotated = 0;

  constructor(log: Log, origin: SecretOrigin = NO_ORIGIN) {
    this.#log = log;
    this.origin = origin;
  }

  /** static_resources.secrets, before anything is compiled. */
  addStatic(secret: Secret, problems: Problem[], path: string): void {
    if (this.#kept.has(keyOf(STATIC, secret.name))) {
      problems.push(error(`${path}.name`, `there are two secrets named ${secret.name}`, 'rename one'));
      return;
    }
    const kept = this.#keep(STATIC, secret.name);
    findUnsupported(SecretSchema, secret, { registry: extensions, problems, path });
    this.#install(kept, secret, '');
  }

  certificate(message: TlsCertificate, problems: Problem[], path: string): Slot<KeyPair> {
    const secret = create(SecretSchema, { type: { case: 'tlsCertificate', value: message } });
    return this.#inlineSlot(secret, CERTIFICATE, problems, path);
  }

  trust(message: CertificateValidationContext, problems: Problem[], path: string): Slot<Trust> {
    const secret = create(SecretSchema, { type: { case: 'validationContext', value: message } });
    return this.#inlineSlot(secret, TRUST, problems, path);
  }

  ticketKeys(message: TlsSessionTicketKeys, problems: Problem[], path: string): Slot<Buffer> {
    const secret = create(SecretSchema, { type: { case: 'sessionTicketKeys', value: message } });
    return this.#inlineSlot(secret, TICKET_KEYS, problems, path);
  }

  namedCertificate(request: NamedRequest): Slot<KeyPair> {
    return this.#namedSlot(request, CERTIFICATE);
  }

  namedTicketKeys(request: NamedRequest): Slot<Buffer> {
    return this.#namedSlot(request, TICKET_KEYS);
  }

  /** `base`: default_validation_context of a combined one, which the secret is laid over. */
  namedTrust(request: NamedRequest, base: CertificateValidationContext | null): Slot<Trust> {
    return this.#namedSlot(request, base === null ? TRUST : trustOver(base));
  }

  /** The names that contexts which are still there take from a source. */
  names(source: SecretSource): ReadonlySet<string> {
    const names = new Set<string>();
    for (const kept of this.#kept.values()) if (kept.source === source) names.add(kept.name);
    return names;
  }

  /** Puts a secret in force that comes from the process itself; the Problems of one that is refused. */
  provide(provided: Provided): readonly Problem[] {
    const { source, name, secret, reason } = provided;
    const kept = this.#kept.get(keyOf(source, name));
    const problems = kept === undefined || secret === null ? [] : this.#take(kept, secret, '');
    if (refuses(problems)) return problems;
    if (secret === null && kept !== undefined) {
      kept.secret = null;
      for (const use of kept.uses) use.revoke(reason);
    }
    this.provided.put(provided);
    return problems;
  }

  /** Asks a source for a secret on behalf of something else than a TLS context. `read` says what is wrong with it. */
  watch(source: SecretSource, name: string, read: (secret: Secret) => Attempt): void {
    this.#keep(source, name).uses.push({ attempt: read, revoke: () => {} });
  }

  /** A response of SDS. A secret that the server takes away stays as it was. */
  apply(source: SecretSource, { changed }: Pick<Update, 'changed'>): readonly Refusal[] {
    const refusals: Refusal[] = [];
    for (const { name, version, resource } of changed) {
      const kept = this.#kept.get(keyOf(source, name));
      if (kept === undefined) continue;
      const secret = decode(resource.value);
      const problems = secret === null ? [error('', 'the bytes are not a Secret')] : this.#take(kept, secret, version);
      if (refuses(problems)) refusals.push({ name, problems });
    }
    return refusals;
  }

  #take(kept: Kept, secret: Secret, version: string): readonly Problem[] {
    const problems: Problem[] = [];
    findUnsupported(SecretSchema, secret, { registry: extensions, problems, path: '' });
    if (refuses(problems)) this.#refused(kept, problems);
    else problems.push(...this.#install(kept, secret, version));
    return problems;
  }

  /** Takes a secret from the file that is its source, if one is; the file is watched from then on. */
  #fill(kept: Kept): void {
    const { source, name } = kept;
    const provided = this.provided.get(source, name);
    if (provided !== undefined) {
      if (provided.secret !== null) this.#take(kept, provided.secret, '');
      return;
    }
    const file = this.#files.get(source) ?? this.#open(source);
    const secret = file?.secrets.get(name);
    if (secret !== undefined) this.#take(kept, secret, '');
  }

  #open(source: SecretSource): SecretPath | null {
    const file = SecretPath.of(source, {
      onSecrets: (secrets) => {
        for (const secret of secrets) {
          const kept = this.#kept.get(keyOf(source, secret.name));
          if (kept === undefined || (kept.secret !== null && equals(SecretSchema, kept.secret, secret))) continue;
          this.#take(kept, secret, '');
        }
      },
      onUnreadable: (problem) => {
        this.rejected++;
        this.#log.warning('a file of secrets is not good: what it held before stays', { source, problem });
      },
    });
    if (file !== null) this.#files.set(source, file);
    return file;
  }

  status(): readonly SecretStatus[] {
    return [...this.#kept.values()];
  }

  close(): void {
    for (const kept of [...this.#kept.values(), ...this.#inline]) kept.watch?.close();
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
    this.#kept.clear();
    this.#inline.clear();
  }

  #keep(source: SecretSource, name: string): Kept {
    const key = keyOf(source, name);
    let kept = this.#kept.get(key);
    if (kept === undefined) {
      kept = newKept(source, name);
      this.#kept.set(key, kept);
      this.onWanted?.(source);
    }
    return kept;
  }

  #inlineSlot<Value>(secret: Secret, reader: Reader<Value>, problems: Problem[], path: string): Slot<Value> {
    const slot = new Slot<Value>('');
    const kept = newKept('inline', path);
    kept.secret = secret;
    kept.uses.push(useOf(slot, reader, path));
    const found = this.#try(kept, secret);
    problems.push(...found.problems);
    found.commit();
    slot.settle();
    if (filesOfSecret(secret).length > 0) this.#inline.add(kept);
    this.#follow(kept);
    return slot;
  }

  #namedSlot<Value>(request: NamedRequest, reader: Reader<Value>): Slot<Value> {
    const { name, source, waitMs, problems, path } = request;
    const slot = new Slot<Value>(name);
    if (source === STATIC && !this.#kept.has(keyOf(STATIC, name))) {
      const remedy = 'add it to static_resources.secrets, or write sds_config';
      problems.push(error(`${path}.name`, `there is no secret ${JSON.stringify(name)}`, remedy));
      slot.settle();
      return slot;
    }
    const kept = this.#keep(source, name);
    const use = useOf(slot, reader, path);
    kept.uses.push(use);
    if (kept.secret === null) this.#fill(kept);
    else {
      const attempt = use.attempt(clone(SecretSchema, kept.secret));
      problems.push(...(attempt?.problems ?? []));
      if (!refuses(attempt?.problems ?? [])) attempt?.commit();
    }
    if (source === STATIC) slot.settle();
    if (waitMs > 0 && !slot.isSettled) setTimeout(() => slot.settle(), waitMs).unref();
    return slot;
  }

  /** Puts a version in force for all its slots, or for none. */
  #install(kept: Kept, secret: Secret, version: string): readonly Problem[] {
    const { problems, commit } = this.#try(kept, secret);
    if (refuses(problems)) {
      this.#refused(kept, problems);
      return problems;
    }
    if (kept.secret !== null) this.rotated++;
    kept.secret = secret;
    kept.version = version;
    kept.updatedMs = Date.now();
    kept.told = '';
    commit();
    this.#follow(kept);
    return problems;
  }

  #try(kept: Kept, secret: Secret): Attempt {
    // A copy of its own for each version: what was read from files is remembered by message.
    const version = clone(SecretSchema, secret);
    const alive: Use[] = [];
    const attempts: Attempt[] = [];
    for (const use of kept.uses) {
      const attempt = use.attempt(version);
      if (attempt === null) continue;
      alive.push(use);
      attempts.push(attempt);
    }
    kept.uses = alive;
    const problems = attempts.flatMap((attempt) => attempt.problems);
    const isGood = !refuses(problems);
    return { problems, commit: () => (isGood ? attempts.forEach((attempt) => attempt.commit()) : undefined) };
  }

  #refused(kept: Kept, problems: readonly Problem[]): void {
    this.rejected++;
    const first = problems.find(({ severity }) => severity === 'error');
    const text = first === undefined ? '' : formatProblem(first);
    if (text === kept.told) return;
    kept.told = text;
    this.#log.warning('a secret is not good: the one before stays', { secret: kept.name, problem: text });
  }

  /** Watches the files that a secret points to now. */
  #follow(kept: Kept): void {
    kept.watch?.close();
    kept.watch = null;
    const { secret } = kept;
    if (secret === null) return;
    const files = filesOfSecret(secret);
    if (files.length === 0) return;
    kept.watch = new FileWatch(files, directoriesOf(secret), () => this.#look(kept));
  }

  /** The files may have changed. Slots take a value that is equal for what it was before. */
  #look(kept: Kept): void {
    const { secret } = kept;
    if (secret === null) return;
    const { problems, commit } = this.#try(kept, secret);
    if (kept.uses.length === 0 && kept.source === 'inline') {
      kept.watch?.close();
      this.#inline.delete(kept);
      return;
    }
    if (refuses(problems)) this.#refused(kept, problems);
    else {
      kept.told = '';
      commit();
    }
  }
}

function newKept(source: SecretSource, name: string): Kept {
  return { name, source, secret: null, version: '', updatedMs: Date.now(), uses: [], watch: null, told: '' };
}

function useOf<Value>(slot: Slot<Value>, { read, idOf }: Reader<Value>, path: string): Use {
  // The context holds its slots; when it is gone, so is the use.
  const held = new WeakRef(slot);
  return {
    attempt(secret) {
      if (held.deref() === undefined) return null;
      const problems: Problem[] = [];
      const value = read(secret, problems, path);
      return { problems, commit: () => (value === null ? undefined : held.deref()?.set(value, idOf(value))) };
    },
    revoke: (reason) => held.deref()?.revoke(reason),
  };
}

function keyOf(source: SecretSource, name: string): string {
  return `${source} ${name}`;
}

function decode(bytes: Uint8Array): Secret | null {
  try {
    return fromBinary(SecretSchema, bytes);
  } catch {
    // Bytes of another program: a refusal says so.
    return null;
  }
}

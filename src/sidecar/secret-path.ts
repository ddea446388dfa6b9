// Secrets from a file of their own (ConfigSource.path_config_source): a DiscoveryResponse whose resources are
// Secrets, or one Secret alone, in YAML or JSON. The file and its watched_directory are watched; a version that
// cannot be read changes nothing, and what is said of it names places only, for the text next to them may be a
// private key.
import { readFileSync } from 'node:fs';
import { fromJson } from '@bufbuild/protobuf';
import { refuses, type Problem } from '../base/problem.ts';
import { SecretSchema, type Secret } from '../xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { checkJson } from './bootstrap-check.ts';
import { extensions } from './bootstrap-registry.ts';
import { FileWatch } from './secret-files.ts';

export interface SecretPathUser {
  /** The file has other secrets than before. */
  onSecrets(secrets: readonly Secret[]): void;
  /** It cannot be read, or is not well-formed; `why` holds none of its text. */
  onUnreadable(why: string): void;
}

const PREFIX = 'file:';
const SECRET = SecretSchema.typeName;
const WRAPPER = 'envoy.service.discovery.v3.Resource';

/** The source of secrets that a file is; `directory` is watched beside it, empty for none. */
export function fileSource(path: string, directory: string): string {
  return `${PREFIX}${JSON.stringify([path, directory])}`;
}

export class SecretPath {
  /** By name, as they were read last. */
  secrets: ReadonlyMap<string, Secret> = new Map();
  readonly #path: string;
  readonly #user: SecretPathUser;
  readonly #watch: FileWatch;
  #text: string | null = null;
  #told = '';
  #isClosed = false;

  /** Reads at once, and tells its user of every later change; null when `source` is no file. */
  static of(source: string, user: SecretPathUser): SecretPath | null {
    if (!source.startsWith(PREFIX)) return null;
    const parts: unknown = JSON.parse(source.slice(PREFIX.length));
    const [path, directory] = Array.isArray(parts) ? parts.map(String) : [];
    return new SecretPath(path ?? '', directory ?? '', user);
  }

  constructor(path: string, directory: string, user: SecretPathUser) {
    this.#path = path;
    this.#user = user;
    this.#look(false);
    this.#watch = new FileWatch([path], directory === '' ? [] : [directory], () => this.#look(true));
  }

  close(): void {
    this.#isClosed = true;
    this.#watch.close();
  }

  #look(tells: boolean): void {
    let text: string;
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch (cause) {
      this.#complain(cause instanceof Error ? cause.message : String(cause));
      return;
    }
    if (text === this.#text) return;
    this.#text = text;
    const json = readJson(text);
    if (json !== null) this.#take(json, tells);
    // Whoever wants them waits, as for those that come over the network.
    else void readYaml(text).then((root) => (this.#text === text && !this.#isClosed ? this.#take(root, true) : null));
  }

  #take(root: unknown, tells: boolean): void {
    const secrets = readSecrets(root);
    if (typeof secrets === 'string') {
      this.#complain(secrets);
      return;
    }
    this.#told = '';
    this.secrets = new Map(secrets.map((secret) => [secret.name, secret]));
    if (tells) this.#user.onSecrets(secrets);
  }

  #complain(why: string): void {
    if (why !== this.#told) this.#user.onUnreadable(why);
    this.#told = why;
  }
}

/** The secrets of a file; or what is wrong with it, without any of its text. */
export function readSecrets(root: unknown): readonly Secret[] | string {
  if (!isObject(root)) return 'it is not a mapping in YAML or JSON';
  const resources: unknown = Array.isArray(root['resources']) ? root['resources'] : [root];
  const secrets: Secret[] = [];
  for (const [index, item] of (Array.isArray(resources) ? resources : []).entries()) {
    const secret = readSecret(item);
    if (typeof secret === 'string') return `resources[${index}]${secret}`;
    secrets.push(secret);
  }
  return secrets;
}

function readSecret(item: unknown): Secret | string {
  if (!isObject(item)) return ' is not a mapping';
  const { '@type': type, ...json } = item;
  const name = typeof type === 'string' ? type.slice(type.lastIndexOf('/') + 1) : SECRET;
  if (name === WRAPPER) return readSecret(json['resource']);
  if (name !== SECRET) return ` is not of type ${SECRET}`;
  const problems: Problem[] = [];
  const checked = checkJson(SecretSchema, json, { registry: extensions, problems });
  const fault = problems.find(({ severity }) => severity === 'error');
  if (fault !== undefined && refuses(problems)) return `.${fault.path} is not what a Secret has there`;
  try {
    return fromJson(SecretSchema, checked, { registry: extensions });
  } catch {
    // The reason may quote a value.
    return ' is not a Secret';
  }
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // It may be YAML.
    return null;
  }
}

/** A sidecar that has no such file never loads the parser. */
async function readYaml(text: string): Promise<unknown> {
  const { parseDocument } = await import('yaml');
  const document = parseDocument(text, { merge: true, prettyErrors: false });
  if (document.errors.length > 0) return null;
  try {
    return document.toJS({ maxAliasCount: 1000 });
  } catch {
    // Aliases of aliases: nothing that a secret needs.
    return null;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

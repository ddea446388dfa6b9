// The files of a certificate authority in a Secret: one entry of `data` for each. Several control services and commands may
// change it: a change is written only over the version that it was made from, and made anew when somebody was faster.
// A Secret that Istio's users have (`cacerts`, `istio-ca-secret`) fits as it is.
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { KNOWN_KINDS } from '../../kube/known-kinds.ts';
import type { KubeClient } from '../../kube/client.ts';
import { isJsonRecord } from '../../kube/json-record.ts';
import { MADE_BY_US } from '../../kube/made-by-us.ts';
import type { KubeFailure } from '../../kube/kube-answer.ts';
import { Reflector } from '../../kube/reflector.ts';
import {
  AUTHORITY_NAMES,
  JOIN_KEY,
  LIFETIME,
  type AuthorityFiles,
  type AuthorityStore,
} from '../ca/authority-files.ts';
import { StoreAway } from '../ca/patient-store.ts';

export interface AuthoritySecretOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  readonly log: Log;
  readonly clock: Clock;
}

interface Found {
  readonly files: AuthorityFiles;
  /** Null: there is no such Secret. */
  readonly resourceVersion: string | null;
}

/** Each time somebody else was faster. */
const TRIES_MAX = 20;
const NAMES: readonly string[] = [...AUTHORITY_NAMES, JOIN_KEY, LIFETIME];

export class AuthoritySecret implements AuthorityStore {
  readonly place: string;
  readonly #options: AuthoritySecretOptions;

  constructor(options: AuthoritySecretOptions) {
    this.#options = options;
    this.place = `Secret ${options.namespace}/${options.name}`;
  }

  async read(): Promise<AuthorityFiles> {
    return (await this.#find()).files;
  }

  async update(edit: (files: AuthorityFiles) => Promise<AuthorityFiles | null>): Promise<void> {
    await this.#change(async (files) => {
      const after = await edit(files);
      if (after === null) return null;
      const others = [...files].filter(([name]) => !AUTHORITY_NAMES.includes(name));
      return new Map([...others, ...[...after].filter(([name]) => AUTHORITY_NAMES.includes(name))]);
    });
  }

  async add(name: string, text: string): Promise<string> {
    let known = text;
    await this.#change((files) => {
      known = files.get(name) ?? text;
      return Promise.resolve(files.has(name) ? null : new Map([...files, [name, text]]));
    });
    return known;
  }

  async put(name: string, text: string): Promise<void> {
    await this.#change((files) => Promise.resolve(new Map([...files, [name, text]])));
  }

  watch(onChange: () => void): () => void {
    const { client, namespace, name, log, clock } = this.#options;
    const reflector = new Reflector<string>({
      client,
      log,
      clock,
      kind: KNOWN_KINDS.secret,
      namespace,
      fieldSelector: `metadata.name=${name}`,
      keep: ({ metadata }) => metadata.resourceVersion,
      onChange,
    });
    reflector.start();
    return () => void reflector.stop();
  }

  async #change(edit: (files: AuthorityFiles) => Promise<AuthorityFiles | null>): Promise<void> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const { files, resourceVersion } = await this.#find();
      const after = await edit(files);
      if (after === null) return;
      const failure = await this.#write(after, resourceVersion);
      if (failure === null) return;
      const wasFaster = failure.reason === 'Conflict' || failure.reason === 'AlreadyExists';
      if (!wasFaster) throw this.#fault('cannot be written', failure);
    }
    throw new Error(`${this.place} is changed by others all the time: try again`);
  }

  async #find(): Promise<Found> {
    const { client, namespace, name } = this.#options;
    const answer = await client.get(KNOWN_KINDS.secret, { namespace, name });
    if (answer.kind === 'failed') {
      if (answer.failure.status === 404 && answer.failure.reason === 'NotFound')
        return { files: new Map(), resourceVersion: null };
      throw this.#fault('cannot be read', answer.failure);
    }
    const { metadata, data } = answer.value;
    const files = new Map<string, string>();
    for (const [file, text] of Object.entries(isJsonRecord(data) ? data : {}))
      if (NAMES.includes(file) && typeof text === 'string')
        files.set(file, Buffer.from(text, 'base64').toString('utf8'));
    return { files, resourceVersion: metadata.resourceVersion };
  }

  /** Other entries of the Secret are somebody else's, and stay. */
  async #write(files: AuthorityFiles, resourceVersion: string | null): Promise<KubeFailure | null> {
    const { client, namespace, name } = this.#options;
    const { secret: kind } = KNOWN_KINDS;
    const data: Record<string, string | null> = {};
    for (const [file, text] of files) data[file] = Buffer.from(text).toString('base64');
    if (resourceVersion === null) {
      const metadata = { namespace, name, labels: MADE_BY_US };
      const made = await client.create(kind, { metadata, type: 'Opaque', data });
      return made.kind === 'failed' ? made.failure : null;
    }
    for (const file of NAMES) data[file] ??= null;
    const patched = await client.patchMerge(kind, { namespace, name }, { metadata: { resourceVersion }, data });
    return patched.kind === 'failed' ? patched.failure : null;
  }

  /** What the server says of a Secret may quote it: only its reason is told. */
  #fault(what: string, { status, reason }: KubeFailure): Error {
    const text = `${this.place} ${what}: ${reason}${status === 0 ? '' : ` (${status})`}`;
    return isPassing(status) ? new StoreAway(text) : new Error(text);
  }
}

/** Nobody answered, or who did cannot do it now; rights may come later than we do. */
function isPassing(status: number): boolean {
  return status === 0 || status === 401 || status === 403 || status === 429 || status >= 500;
}

// The verbs of the Kubernetes API for any kind. Nothing rejects: an answer is a value or a failure with the server's own
// words. A list is read in pages, so that neither end holds it at once; the client keeps no objects (reflector.ts does).
import { systemClock, type Clock } from '../base/clock.ts';
import type { KubeAccess } from './access.ts';
import { isJsonRecord, recordOf, textOf, type JsonRecord } from './json-record.ts';
import { done, ownFailure, type KubeAnswer, type KubeFailure } from './kube-answer.ts';
import { apiVersionOf, collectionPath, objectPath, type KubeKind, type KubeName } from './kind-path.ts';
import { readKubeObject, type KubeMeta, type KubeObject } from './kube-object.ts';
import type { JsonPatchOperation } from './json-patch.ts';
import { KubeTransport, type KubeQuestion } from './transport.ts';
import { runWatch, type WatchHandlers, type WatchTiming } from './watch.ts';

export interface KubeClientOptions {
  readonly access: KubeAccess;
  readonly clock?: Clock;
  /** `outrigger` by default: how audit logs name us. */
  readonly userAgent?: string;
  /** One call takes at most so long, with all repetitions; 30 s by default. */
  readonly timeoutMs?: number;
  /** `Math.random` by default. */
  readonly random?: () => number;
  /** What the API server warns of: deprecated kinds, unknown fields. */
  readonly onWarning?: (text: string) => void;
}

export interface Selection {
  /** Empty or absent: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface KubeList {
  readonly items: readonly KubeObject[];
  readonly resourceVersion: string;
}

export interface ReadOptions {
  /** `status`, `scale`; the object itself by default. */
  readonly subresource?: string;
  readonly timeoutMs?: number;
}

export interface WriteOptions extends ReadOptions {
  readonly fieldManager?: string;
  /** The server judges and answers, and keeps nothing. */
  readonly isDryRun?: boolean;
  /** What happens to fields that the kind does not have; the server's default is `Warn`. */
  readonly fieldValidation?: 'Strict' | 'Warn' | 'Ignore';
}

export interface ApplyOptions extends WriteOptions {
  readonly fieldManager: string;
  /** Fields that another manager owns are taken over. */
  readonly isForced?: boolean;
}

export interface RemoveOptions {
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly propagation?: 'Background' | 'Foreground' | 'Orphan';
  readonly isDryRun?: boolean;
}

export interface WatchOptions extends Selection {
  /** Empty together with `isInitial`: from what is there now. */
  readonly resourceVersion: string;
  /** First all objects as they are, then a bookmark that says so, then changes (WatchList). */
  readonly isInitial: boolean;
  readonly timing: WatchTiming;
}

/** What is sent: a plain object with `metadata.name`. */
export type KubeDraft = JsonRecord & {
  readonly metadata: (JsonRecord | KubeMeta) & { readonly name: string; readonly namespace?: string };
};

const PAGE_OBJECTS = 500;
const RESTARTS_MAX = 3;

export class KubeClient {
  readonly #transport: KubeTransport;

  constructor({ access, clock = systemClock, userAgent = 'outrigger', ...rest }: KubeClientOptions) {
    const { timeoutMs = 30_000, random = Math.random, onWarning = () => {} } = rest;
    this.#transport = new KubeTransport({ access, clock, userAgent, timeoutMs, random, onWarning });
  }

  async get(kind: KubeKind, name: KubeName, options: ReadOptions = {}): Promise<KubeAnswer<KubeObject>> {
    const path = objectPath(kind, name, options.subresource);
    return await this.#object(kind, { method: 'GET', path, ...timed(options) });
  }

  /** All pages together. For many objects of which little is kept, `listPages` holds less. */
  async list(kind: KubeKind, selection: Selection = {}): Promise<KubeAnswer<KubeList>> {
    let items: KubeObject[] = [];
    const listed = await this.listPages(kind, selection, {
      onRestart: () => {
        items = [];
      },
      onPage: (page) => {
        for (const item of page) items.push(item);
      },
    });
    return listed.kind === 'failed' ? listed : done({ items, resourceVersion: listed.value });
  }

  /**
   * Pages of one consistent list, and its resourceVersion. When the server has forgotten it midway (410), it begins anew
   * and `onRestart` says that the pages so far are void. A page that is too large is asked for in smaller ones.
   */
  async listPages(
    kind: KubeKind,
    selection: Selection,
    handlers: { readonly onRestart: () => void; readonly onPage: (items: readonly KubeObject[]) => void },
  ): Promise<KubeAnswer<string>> {
    let limit = PAGE_OBJECTS;
    let next = '';
    for (let restarts = 0; ;) {
      const path = collectionPath(kind, selection.namespace);
      const query = withQuery(path, { ...selectors(selection), limit: String(limit), continue: next });
      const answer = await this.#transport.call({ method: 'GET', path: query });
      if (answer.kind === 'failed') {
        const { status, reason } = answer.failure;
        const isTooLarge = reason === 'TooLarge' && limit > 1;
        if (!isTooLarge && (status !== 410 || restarts >= RESTARTS_MAX)) return answer;
        if (isTooLarge) limit = Math.max(1, Math.floor(limit / 8));
        else restarts++;
        if (next !== '' && !isTooLarge) {
          next = '';
          handlers.onRestart();
        }
        continue;
      }
      const page = readPage(answer.value, kind);
      if (page.kind === 'failed') return page;
      handlers.onPage(page.value.items);
      next = page.value.next;
      if (next === '') return done(page.value.resourceVersion);
    }
  }

  async create(kind: KubeKind, object: KubeDraft, options: WriteOptions = {}): Promise<KubeAnswer<KubeObject>> {
    const path = collectionPath(kind, object.metadata.namespace);
    return await this.#object(kind, {
      method: 'POST',
      path: withQuery(path, writeQuery(options)),
      body: named(kind, object),
      ...timed(options),
    });
  }

  /** PUT: with `metadata.resourceVersion` only when it is still that one, `Conflict` otherwise. */
  async replace(kind: KubeKind, object: KubeDraft, options: WriteOptions = {}): Promise<KubeAnswer<KubeObject>> {
    const path = objectPath(kind, nameOf(object), options.subresource);
    return await this.#object(kind, {
      method: 'PUT',
      path: withQuery(path, writeQuery(options)),
      body: named(kind, object),
      ...timed(options),
    });
  }

  /** Server-side apply: makes the object, or makes these fields ours. Asked again when the connection was cut. */
  async apply(kind: KubeKind, object: KubeDraft, options: ApplyOptions): Promise<KubeAnswer<KubeObject>> {
    const path = objectPath(kind, nameOf(object), options.subresource);
    const force = options.isForced === true ? 'true' : '';
    return await this.#object(kind, {
      method: 'PATCH',
      path: withQuery(path, { ...writeQuery(options), force }),
      contentType: 'application/apply-patch+yaml',
      body: named(kind, object),
      isRepeatable: true,
      ...timed(options),
    });
  }

  /** Server-side apply of `status`. */
  async applyStatus(kind: KubeKind, object: KubeDraft, options: ApplyOptions): Promise<KubeAnswer<KubeObject>> {
    return await this.apply(kind, object, { ...options, subresource: 'status' });
  }

  async patchJson(
    kind: KubeKind,
    name: KubeName,
    patch: readonly JsonPatchOperation[],
    options: WriteOptions = {},
  ): Promise<KubeAnswer<KubeObject>> {
    return await this.#patch(kind, name, { body: patch, contentType: 'application/json-patch+json', options });
  }

  /** RFC 7396: null removes a field. */
  async patchMerge(
    kind: KubeKind,
    name: KubeName,
    patch: JsonRecord,
    options: WriteOptions = {},
  ): Promise<KubeAnswer<KubeObject>> {
    return await this.#patch(kind, name, { body: patch, contentType: 'application/merge-patch+json', options });
  }

  /** Done when the server took it: with finalizers, or in the foreground, the object may be there for a while. */
  async remove(kind: KubeKind, name: KubeName, options: RemoveOptions = {}): Promise<KubeAnswer<null>> {
    const { uid, resourceVersion, propagation, isDryRun = false } = options;
    const answer = await this.#transport.call({
      method: 'DELETE',
      path: withQuery(objectPath(kind, name), { dryRun: isDryRun ? 'All' : '' }),
      body: {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        ...(propagation === undefined ? {} : { propagationPolicy: propagation }),
        ...(uid === undefined && resourceVersion === undefined ? {} : { preconditions: { uid, resourceVersion } }),
      },
    });
    return answer.kind === 'failed' ? answer : done(null);
  }

  /** TokenReview, SubjectAccessReview and the like: what they answer, in `status`. */
  async review(kind: KubeKind, spec: JsonRecord, timeoutMs?: number): Promise<KubeAnswer<JsonRecord>> {
    const answer = await this.#transport.call({
      method: 'POST',
      path: collectionPath(kind),
      body: { apiVersion: apiVersionOf(kind), kind: kind.kind, spec },
      isRepeatable: true,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
    if (answer.kind === 'failed') return answer;
    const { status } = recordOf(answer.value);
    return isJsonRecord(status) ? done(status) : ownFailure('Malformed', `the ${kind.kind} has no status`);
  }

  /** Anything else: discovery, `/version`, `/readyz` with `accept: 'text/plain'`, subresources. */
  async call(question: KubeQuestion): Promise<KubeAnswer<unknown>> {
    return await this.#transport.call(question);
  }

  /** Resolves when the watch is over; null: the server ended it in order. */
  async watch(kind: KubeKind, options: WatchOptions, handlers: WatchHandlers): Promise<KubeFailure | null> {
    const { namespace, resourceVersion, isInitial, timing } = options;
    const path = withQuery(collectionPath(kind, namespace), {
      watch: '1',
      allowWatchBookmarks: 'true',
      timeoutSeconds: String(timing.timeoutSeconds),
      ...selectors(options),
      resourceVersion,
      ...(isInitial ? { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' } : {}),
    });
    return await runWatch(this.#transport, { path, kind, timing }, handlers);
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  async #patch(
    kind: KubeKind,
    name: KubeName,
    {
      body,
      contentType,
      options,
    }: { readonly body: unknown; readonly contentType: string; readonly options: WriteOptions },
  ): Promise<KubeAnswer<KubeObject>> {
    const path = withQuery(objectPath(kind, name, options.subresource), writeQuery(options));
    return await this.#object(kind, { method: 'PATCH', path, contentType, body, ...timed(options) });
  }

  async #object(kind: KubeKind, question: KubeQuestion): Promise<KubeAnswer<KubeObject>> {
    const answer = await this.#transport.call(question);
    if (answer.kind === 'failed') return answer;
    const object = readKubeObject(answer.value, kind);
    return object === null ? ownFailure('Malformed', 'the answer is no object with a name') : done(object);
  }
}

function timed({ timeoutMs }: ReadOptions): { readonly timeoutMs?: number } {
  return timeoutMs === undefined ? {} : { timeoutMs };
}

function nameOf({ metadata }: KubeDraft): KubeName {
  return { namespace: metadata.namespace ?? '', name: metadata.name };
}

function named(kind: KubeKind, object: KubeDraft): JsonRecord {
  return { ...object, apiVersion: apiVersionOf(kind), kind: kind.kind };
}

function writeQuery(options: WriteOptions): Readonly<Record<string, string>> {
  const { fieldManager = '', isDryRun = false, fieldValidation = '' } = options;
  return { fieldManager, dryRun: isDryRun ? 'All' : '', fieldValidation };
}

function selectors({ labelSelector = '', fieldSelector = '' }: Selection): Readonly<Record<string, string>> {
  return { labelSelector, fieldSelector };
}

/** Empty values are left out. */
export function withQuery(path: string, query: Readonly<Record<string, string>>): string {
  const parts = Object.entries(query)
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  return parts.length === 0 ? path : `${path}?${parts.join('&')}`;
}

function readPage(
  value: unknown,
  kind: KubeKind,
): KubeAnswer<{ items: readonly KubeObject[]; next: string; resourceVersion: string }> {
  const { kind: listKind, metadata, items } = recordOf(value);
  const meta = recordOf(metadata);
  const resourceVersion = textOf(meta['resourceVersion']);
  // What is no list must never count as an empty one.
  if (!textOf(listKind).endsWith('List') || resourceVersion === '' || !(Array.isArray(items) || items === null))
    return ownFailure('Malformed', `the answer is no list of ${kind.plural}`);
  const read: KubeObject[] = [];
  for (const item of items ?? []) {
    const object = readKubeObject(item, kind);
    if (object === null) return ownFailure('Malformed', `a list of ${kind.plural} holds something without a name`);
    read.push(object);
  }
  return done({ items: read, next: textOf(meta['continue']), resourceVersion });
}

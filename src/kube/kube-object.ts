// An object as the API server sends it: its metadata read, everything else unread. `managedFields` are not kept, they
// are half of what many objects weigh. Nothing here is copied but the metadata: treat objects as frozen.
import { apiVersionOf, type KubeKind } from './kind-path.ts';
import { isJsonRecord, listOf, numberOf, recordOf, textOf, textsOf } from './json-record.ts';

export interface KubeOwner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly isController: boolean;
}

export interface KubeMeta {
  readonly name: string;
  /** Empty when the kind has no namespaces. */
  readonly namespace: string;
  readonly uid: string;
  /** Opaque: only compared for being the same. */
  readonly resourceVersion: string;
  /** 0 for kinds that do not count theirs. */
  readonly generation: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** RFC 3339. */
  readonly creationTimestamp: string;
  /** There only while it is being deleted. */
  readonly deletionTimestamp?: string;
  readonly ownerReferences: readonly KubeOwner[];
  readonly finalizers: readonly string[];
}

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: KubeMeta;
  readonly [field: string]: unknown;
}

const NO_TEXTS: Readonly<Record<string, string>> = Object.freeze({});
const NO_OWNERS: readonly KubeOwner[] = Object.freeze([]);
const NO_FINALIZERS: readonly string[] = Object.freeze([]);

/** Null when it is no object with a name. Items of a list do not say their kind: `kind` is what was asked for. */
export function readKubeObject(value: unknown, kind: KubeKind | null = null): KubeObject | null {
  if (!isJsonRecord(value)) return null;
  const meta = value['metadata'];
  if (!isJsonRecord(meta) || textOf(meta['name']) === '') return null;
  const apiVersion = textOf(value['apiVersion']) || (kind === null ? '' : apiVersionOf(kind));
  const name = textOf(value['kind']) || (kind?.kind ?? '');
  if (apiVersion === '' || name === '') return null;
  return { ...value, apiVersion, kind: name, metadata: readMeta(meta) };
}

/** `namespace/name`, or `name` alone when the kind has no namespaces. */
export function keyOf({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return namespace === '' ? name : `${namespace}/${name}`;
}

export function readMeta(meta: Readonly<Record<string, unknown>>): KubeMeta {
  const deletion = textOf(meta['deletionTimestamp']);
  return {
    name: textOf(meta['name']),
    namespace: textOf(meta['namespace']),
    uid: textOf(meta['uid']),
    resourceVersion: textOf(meta['resourceVersion']),
    generation: numberOf(meta['generation']),
    labels: readTexts(meta['labels']),
    annotations: readTexts(meta['annotations']),
    creationTimestamp: textOf(meta['creationTimestamp']),
    ...(deletion === '' ? {} : { deletionTimestamp: deletion }),
    ownerReferences: readOwners(meta['ownerReferences']),
    finalizers: Array.isArray(meta['finalizers']) ? textsOf(meta['finalizers']) : NO_FINALIZERS,
  };
}

function readTexts(value: unknown): Readonly<Record<string, string>> {
  if (!isJsonRecord(value)) return NO_TEXTS;
  return isAllText(value) ? value : NO_TEXTS;
}

function isAllText(value: Readonly<Record<string, unknown>>): value is Readonly<Record<string, string>> {
  for (const name in value) if (typeof value[name] !== 'string') return false;
  return true;
}

function readOwners(value: unknown): readonly KubeOwner[] {
  if (!Array.isArray(value)) return NO_OWNERS;
  return listOf(value).map((entry) => {
    const { apiVersion, kind, name, uid, controller } = recordOf(entry);
    return {
      apiVersion: textOf(apiVersion),
      kind: textOf(kind),
      name: textOf(name),
      uid: textOf(uid),
      isController: controller === true,
    };
  });
}

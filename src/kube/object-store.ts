// What a reflector knows of one kind: for each key what was kept of the object, with the uid and resourceVersion that it
// had. A new list replaces all of it at once and says what that changes, the deletions that nobody saw included.
import { keyOf, type KubeObject } from './kube-object.ts';

export interface ObjectChange<T> {
  readonly key: string;
  /** Null: it was not known. */
  readonly old: T | null;
  /** Null: it is gone. */
  readonly next: T | null;
}

interface Known<T> {
  /** Null: of no interest, but remembered so that it is not read again. */
  readonly value: T | null;
  readonly uid: string;
  readonly resourceVersion: string;
}

/** `old`: what is kept of it now. */
export type Keep<T> = (object: KubeObject, old: T | null) => T | null;

export class ObjectStore<T> {
  readonly #keep: Keep<T>;
  readonly #onChange: (change: ObjectChange<T>) => void;
  readonly #objects = new Map<string, T>();
  #known = new Map<string, Known<T>>();

  constructor(keep: Keep<T>, onChange: (change: ObjectChange<T>) => void) {
    this.#keep = keep;
    this.#onChange = onChange;
  }

  /** Live: by `namespace/name`. */
  get objects(): ReadonlyMap<string, T> {
    return this.#objects;
  }

  /** With those that are of no interest. */
  get size(): number {
    return this.#known.size;
  }

  /** False: nothing new. An object of the same name with another uid is another object: the old one goes first. */
  put(object: KubeObject): boolean {
    const key = keyOf(object.metadata);
    const old = this.#known.get(key) ?? null;
    if (old !== null && isSame(old, object)) return false;
    const known = this.#read(object, old);
    this.#known.set(key, known);
    this.#change(key, old, known);
    return true;
  }

  /** False: it was not known, or it is another object by now. */
  remove(object: KubeObject): boolean {
    const key = keyOf(object.metadata);
    const old = this.#known.get(key);
    if (old === undefined || (object.metadata.uid !== '' && old.uid !== object.metadata.uid)) return false;
    this.#known.delete(key);
    this.#change(key, old, null);
    return true;
  }

  /** What is listed next is read anew, even if nothing in it has changed. */
  doubt(): void {
    for (const [key, known] of this.#known) this.#known.set(key, { ...known, resourceVersion: '' });
  }

  /** Collects what is to replace everything. */
  draft(): ObjectDraft<T> {
    return new ObjectDraft((object) => {
      const old = this.#known.get(keyOf(object.metadata)) ?? null;
      return old !== null && isSame(old, object) ? old : this.#read(object, old);
    });
  }

  /** What the draft does not hold goes first, then come what is new and what is changed. */
  replace({ known }: ObjectDraft<T>): void {
    const before = this.#known;
    this.#known = known;
    for (const [key, old] of before) if (!known.has(key)) this.#change(key, old, null);
    for (const [key, next] of known) {
      const old = before.get(key) ?? null;
      if (old !== next) this.#change(key, old, next);
    }
  }

  #read(object: KubeObject, old: Known<T> | null): Known<T> {
    const { uid, resourceVersion } = object.metadata;
    const before = old?.uid === uid ? old : null;
    return { value: this.#keep(object, before?.value ?? null), uid: before?.uid ?? uid, resourceVersion };
  }

  #change(key: string, old: Known<T> | null, next: Known<T> | null): void {
    const isAnother = old !== null && next !== null && old.uid !== next.uid;
    if (isAnother) this.#change(key, old, null);
    const before = isAnother ? null : (old?.value ?? null);
    const after = next?.value ?? null;
    if (after === null) this.#objects.delete(key);
    else this.#objects.set(key, after);
    if (before !== null || after !== null) this.#onChange({ key, old: before, next: after });
  }
}

export class ObjectDraft<T> {
  readonly #read: (object: KubeObject) => Known<T>;
  readonly known = new Map<string, Known<T>>();

  constructor(read: (object: KubeObject) => Known<T>) {
    this.#read = read;
  }

  put(object: KubeObject): void {
    this.known.set(keyOf(object.metadata), this.#read(object));
  }

  remove(object: KubeObject): void {
    this.known.delete(keyOf(object.metadata));
  }

  clear(): void {
    this.known.clear();
  }
}

function isSame(known: Known<unknown>, { metadata }: KubeObject): boolean {
  return known.resourceVersion === metadata.resourceVersion && known.uid === metadata.uid;
}

// How far a control service has come in each kind: the newest version of an object that it has heard of. Versions of one API
// server count up (Kubernetes 1.35 promises it; all before did so), so two services can be compared. What is no number
// counts as not heard, which at worst says less than is true.
import type { KubeKind } from '../../kube/kind-path.ts';

interface Versioned {
  readonly kind: KubeKind;
  readonly resourceVersion: string;
}

export class Heard {
  readonly #versions: ReadonlyMap<string, string>;

  constructor(versions: Iterable<readonly [string, string]>) {
    this.#versions = new Map(versions);
  }

  static of(objects: Iterable<Versioned>): Heard {
    const newest = new Map<string, string>();
    for (const { kind, resourceVersion } of objects) {
      const key = keyOf(kind);
      if (isUpTo(newest.get(key) ?? '0', resourceVersion)) newest.set(key, resourceVersion);
    }
    return new Heard(newest);
  }

  /** Whether something of the kind as new as this, or newer, was heard of. */
  has(kind: KubeKind, version: string): boolean {
    return isUpTo(version, this.#versions.get(keyOf(kind)) ?? '');
  }

  /** As JSON has it, always in the same order. */
  shown(): Readonly<Record<string, string>> {
    return Object.fromEntries([...this.#versions].toSorted(([left], [right]) => (left < right ? -1 : 1)));
  }
}

function keyOf({ plural, group }: KubeKind): string {
  return `${plural}.${group}`;
}

function isUpTo(older: string, newer: string): boolean {
  return isVersion(older) && isVersion(newer) && BigInt(older) <= BigInt(newer);
}

function isVersion(text: string): boolean {
  return /^\d{1,20}$/.test(text);
}

// Three functions of the Reflect Metadata proposal that @peculiar/x509's container of services asks for when it is
// loaded: notes about classes, kept beside them. Importing this file adds them where they are missing; it must be
// imported before the package. The whole polyfill is ten times as long and would be a package of its own.
type Notes = Map<unknown, unknown>;

const NOTES = new WeakMap<object, Notes>();

function getOwnMetadata(key: unknown, target: object): unknown {
  return NOTES.get(target)?.get(key);
}

function getMetadata(key: unknown, target: object): unknown {
  for (let holder: object | null = target; holder !== null;) {
    const notes = NOTES.get(holder);
    if (notes?.has(key) === true) return notes.get(key);
    const parent: unknown = Object.getPrototypeOf(holder);
    holder = typeof parent === 'object' || typeof parent === 'function' ? parent : null;
  }
  return undefined;
}

function defineMetadata(key: unknown, value: unknown, target: object): void {
  const notes: Notes = NOTES.get(target) ?? new Map();
  notes.set(key, value);
  NOTES.set(target, notes);
}

for (const [name, value] of Object.entries({ getOwnMetadata, getMetadata, defineMetadata }))
  if (!(name in Reflect)) Object.defineProperty(Reflect, name, { value, writable: true, configurable: true });

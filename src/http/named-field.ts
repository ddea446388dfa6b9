// Fields of a head by names that no configuration knows: what another service asks to change is only known when it
// has answered. Names are in lower case; those that configuration mentions have their interned id as ever. The
// pseudo fields `:method`, `:path`, `:authority` and `:scheme` are the parts of the request line, and `host` is
// `:authority`, as in Envoy. What says where a message ends, or what becomes of its connection, is nobody's to change: one
// message would be two for whoever reads it next.
import type { HeaderId } from '../base/brand.ts';
import { REMOVED, type Head } from './head.ts';
import { HASH_SEED, hashStep, lookUpHeader, UNKNOWN } from './header-name.ts';
import { TOKEN_LOWER, VALUE } from './byte-class.ts';

const COLON = 0x3a;
/** RFC 9110 sections 7.6.1 and 8.6, RFC 9112 section 6. */
const FRAMING: ReadonlySet<string> = new Set(
  'connection content-length expect keep-alive proxy-connection te trailer transfer-encoding upgrade'.split(' '),
);

/** True for a name that may stand in a head: a token. */
export function isFieldName(name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code > 0xff || TOKEN_LOWER[code] === 0) return false;
  }
  return name !== '';
}

/** True for wire text that may stand as a value. */
export function isFieldValue(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code > 0xff || VALUE[code] === 0) return false;
  }
  return true;
}

/** The first value; null when there is none. */
export function namedValue(head: Head, name: string): string | null {
  const index = find(head, name, idOf(name), 0);
  return index === -1 ? null : head.valueAt(index);
}

/** Replaces every entry of this name by one. */
export function setNamed(head: Head, name: string, value: string): void {
  if (FRAMING.has(name) || setPseudo(head, name, value)) return;
  const id = idOf(name);
  const index = find(head, name, id, 0);
  if (index === -1) {
    push(head, id, name, value);
    return;
  }
  head.values[index] = value;
  for (let j = find(head, name, id, index + 1); j !== -1; j = find(head, name, id, j + 1)) head.removeAt(j);
}

/** Adds an entry after all others. A pseudo field is replaced. */
export function addNamed(head: Head, name: string, value: string): void {
  if (!FRAMING.has(name) && !setPseudo(head, name, value)) push(head, idOf(name), name, value);
}

/** Puts `value` behind the first entry of this name, after a comma; false when there is none. */
export function appendNamed(head: Head, name: string, value: string): boolean {
  if (FRAMING.has(name)) return false;
  const index = find(head, name, idOf(name), 0);
  if (index === -1) return false;
  head.values[index] = `${head.valueAt(index)},${value}`;
  return true;
}

/** Pseudo fields and the host stay. */
export function removeNamed(head: Head, name: string): void {
  if (name === 'host' || name.charCodeAt(0) === COLON) return;
  const id = idOf(name);
  for (let i = find(head, name, id, 0); i !== -1; i = find(head, name, id, i + 1)) head.removeAt(i);
}

function idOf(name: string): HeaderId {
  let hash = HASH_SEED;
  for (let i = 0; i < name.length; i++) hash = hashStep(hash, name.charCodeAt(i));
  return lookUpHeader(hash | 0, name, 0, name.length);
}

function find(head: Head, name: string, id: HeaderId, from: number): number {
  if (id !== UNKNOWN) return head.find(id, from);
  for (let i = from; i < head.count; i++) {
    // An entry that was removed has no id any more.
    if (head.ids[i] === UNKNOWN && head.ids[i] !== REMOVED && head.nameAt(i).toLowerCase() === name) return i;
  }
  return -1;
}

function push(head: Head, id: HeaderId, name: string, value: string): void {
  const index = head.count;
  head.push(id, 0, 0, 0, 0);
  head.names[index] = name;
  head.values[index] = value;
}

/** True when `name` is no entry: the part of the request line is replaced, or nothing where there is none. */
function setPseudo(head: Head, name: string, value: string): boolean {
  if (name !== 'host' && name.charCodeAt(0) !== COLON) return false;
  if (head.method === '') return name !== 'host';
  if (name === ':authority' || name === 'host') head.setAuthority(value);
  else if (name === ':path') head.path = value;
  else if (name === ':method') head.method = value;
  else if (name === ':scheme') head.scheme = value;
  return true;
}

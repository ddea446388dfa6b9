// The expression that matches what none of some values does, in RE2's syntax and byte by byte: RE2 cannot negate. By it
// a policy can ask whether there is a header line that does *not* match, which is what makes several lines of one
// header safe (docs/adr/013). Values are texts, or texts with `*` at one end; only one of the ends at a time.
//
//   complement of {ab, ac*}:   (?:|[^a].*|a(?:|[^bc].*|b.+))

interface TrieNode {
  readonly next: Map<number, TrieNode>;
  /** A value ends here. */
  isEnd: boolean;
  /** A value ends here and goes on with anything. */
  isOpen: boolean;
}

const BYTES_MAX = 2048;
/** Each byte is a group within a group, and RE2 takes a thousand. */
const DEPTH_MAX = 400;

/** Null when it would be too large. Empty: every value matches. */
export function complementOf(values: readonly string[], wildcard: 'prefix' | 'suffix'): string | null {
  const root = newNode();
  let total = 0;
  for (const value of values) {
    const isOpen = wildcard === 'prefix' ? value.endsWith('*') : value.startsWith('*');
    const text = isOpen ? (wildcard === 'prefix' ? value.slice(0, -1) : value.slice(1)) : value;
    const bytes = [...Buffer.from(text, 'utf8')];
    total += bytes.length;
    if (total > BYTES_MAX || bytes.length > DEPTH_MAX) return null;
    let node = root;
    for (const byte of wildcard === 'prefix' ? bytes : bytes.toReversed()) {
      const known = node.next.get(byte) ?? newNode();
      node.next.set(byte, known);
      node = known;
    }
    if (isOpen) node.isOpen = true;
    else node.isEnd = true;
  }
  return write(root, wildcard === 'suffix') ?? '';
}

function newNode(): TrieNode {
  return { next: new Map(), isEnd: false, isOpen: false };
}

/** Null: nothing is left. */
function write({ next, isEnd, isOpen }: TrieNode, isReversed: boolean): string | null {
  if (isOpen) return null;
  const choices: string[] = isEnd ? [] : [''];
  const sorted = [...next].toSorted(([left], [right]) => left - right);
  const other = sorted.length === 0 ? '.' : `[^${sorted.map(([byte]) => escaped(byte)).join('')}]`;
  choices.push(isReversed ? `.*${other}` : `${other}.*`);
  for (const [byte, child] of sorted) {
    const rest = write(child, isReversed);
    if (rest !== null) choices.push(isReversed ? `${rest}${escaped(byte)}` : `${escaped(byte)}${rest}`);
  }
  return `(?:${choices.join('|')})`;
}

function escaped(byte: number): string {
  const isPlain = (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
  return isPlain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
}

/** The text as an expression that matches it alone. */
export function quoted(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9_\-/: ]/g, (character) => `\\${character}`);
}

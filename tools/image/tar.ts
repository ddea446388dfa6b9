// Archives of a layer (POSIX ustar, with pax headers for long names), the same bytes for the same entries: sorted by name,
// owned by root, dated with one time. Folders that nobody names are written before what is in them.

export type TarEntry =
  | { readonly kind: 'file'; readonly path: string; readonly mode: number; readonly data: Buffer }
  | { readonly kind: 'folder'; readonly path: string; readonly mode: number }
  | { readonly kind: 'link'; readonly path: string; readonly target: string };

const BLOCK = 512;
const NAME_BYTES_MAX = 100;
const FOLDER_MODE = 0o755;

/** `seconds`: of every entry, since 1970. Paths begin without a slash. */
export function tarOf(entries: readonly TarEntry[], seconds: number): Buffer {
  const all = new Map<string, TarEntry>();
  for (const entry of entries) {
    const parts = entry.path.split('/');
    for (let count = 1; count < parts.length; count++) {
      const path = parts.slice(0, count).join('/');
      if (!all.has(path)) all.set(path, { kind: 'folder', path, mode: FOLDER_MODE });
    }
    all.set(entry.path, entry);
  }
  const blocks: Buffer[] = [];
  for (const path of [...all.keys()].toSorted()) {
    const entry = all.get(path);
    if (entry !== undefined) blocks.push(...blocksOf(entry, seconds));
  }
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]);
}

function blocksOf(entry: TarEntry, seconds: number): readonly Buffer[] {
  const path = entry.kind === 'folder' ? `${entry.path}/` : entry.path;
  const target = entry.kind === 'link' ? entry.target : '';
  const data = entry.kind === 'file' ? entry.data : Buffer.alloc(0);
  const long = [paxRecord('path', path), paxRecord('linkpath', target)].join('');
  const type = { file: '0', link: '2', folder: '5' }[entry.kind];
  const mode = entry.kind === 'link' ? 0o777 : entry.mode;
  return [
    ...(long === ''
      ? []
      : [
          header({ path: 'pax', target: '', mode: 0o644, type: 'x', size: Buffer.byteLength(long), seconds }),
          padded(Buffer.from(long)),
        ]),
    header({ path, target, mode, type, size: data.length, seconds }),
    padded(data),
  ];
}

/** Empty when the header has room for it. Its length counts itself (POSIX.1-2001, pax). */
function paxRecord(name: string, value: string): string {
  if (Buffer.byteLength(value) <= NAME_BYTES_MAX) return '';
  const rest = ` ${name}=${value}\n`;
  let length = Buffer.byteLength(rest);
  while (String(length).length + Buffer.byteLength(rest) !== length)
    length = String(length).length + Buffer.byteLength(rest);
  return `${length}${rest}`;
}

interface Header {
  readonly path: string;
  readonly target: string;
  readonly mode: number;
  readonly type: string;
  readonly size: number;
  readonly seconds: number;
}

function header({ path, target, mode, type, size, seconds }: Header): Buffer {
  const block = Buffer.alloc(BLOCK);
  block.write(path.slice(0, NAME_BYTES_MAX), 0, NAME_BYTES_MAX);
  block.write(octal(mode, 7), 100);
  block.write(octal(0, 7), 108);
  block.write(octal(0, 7), 116);
  block.write(octal(size, 11), 124);
  block.write(octal(seconds, 11), 136);
  block.write('        ', 148);
  block.write(type, 156);
  block.write(target.slice(0, NAME_BYTES_MAX), 157, NAME_BYTES_MAX);
  block.write('ustar\u000000', 257);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function octal(value: number, digits: number): string {
  return `${value.toString(8).padStart(digits, '0')}\0`;
}

function padded(data: Buffer): Buffer {
  const over = data.length % BLOCK;
  return over === 0 ? data : Buffer.concat([data, Buffer.alloc(BLOCK - over)]);
}

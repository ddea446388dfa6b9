// A tar archive (POSIX.1-1988 ustar) of a few texts, compressed. Names are ours: short, relative, and without anything that
// would lead out of the folder that it is unpacked into.
import { gzipSync } from 'node:zlib';

const BLOCK = 512;
const NAME_BYTES_MAX = 100;

export function archiveOf(files: ReadonlyMap<string, string>, atMs: number): Buffer {
  const parts: Buffer[] = [];
  for (const [name, text] of files) {
    const body = Buffer.from(text);
    parts.push(headerOf(name, body.length, atMs), body, Buffer.alloc((BLOCK - (body.length % BLOCK)) % BLOCK));
  }
  return gzipSync(Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]));
}

/** A part of a name: what others call something may not steer a path. */
export function namePart(text: string): string {
  return text.replace(/[^A-Za-z0-9_-]+/g, '_').slice(0, 60) || '_';
}

function headerOf(name: string, bytes: number, atMs: number): Buffer {
  const header = Buffer.alloc(BLOCK);
  header.write(name.slice(0, NAME_BYTES_MAX), 0, 'ascii');
  header.write(octal(0o600, 7), 100, 'ascii');
  header.write(octal(0, 7) + octal(0, 7), 108, 'ascii');
  header.write(octal(bytes, 11) + octal(Math.floor(atMs / 1000), 11), 124, 'ascii');
  // The sum is of the header with blanks in its place.
  header.write('        0', 148, 'ascii');
  header.write('ustar\x0000', 257, 'ascii');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'ascii');
  return header;
}

function octal(value: number, digits: number): string {
  return `${value.toString(8).padStart(digits, '0')}\0`;
}

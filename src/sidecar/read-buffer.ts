// @hot
// What wires read into. All read into one buffer, since a read is dealt with before the next one begins:
// a connection costs no buffer of its own. One whose reads fill it is in the middle of something large, and
// gets a buffer for itself, whose bytes may be written on by reference; what is shared is copied instead.

/** What one read takes at most. */
export const READ_BYTES = 64 * 1024;
/** Views of the shared buffer up to this length are kept: most heads come again in the same few lengths. */
const VIEWS_MAX = 2048;
/** As many as may be in use at once under usual load: one more than is kept would be made anew for each use. */
const SPARE_MAX = 64;

export const SHARED: Buffer = Buffer.allocUnsafeSlow(READ_BYTES);
const views: (Buffer | undefined)[] = new Array<Buffer | undefined>(VIEWS_MAX).fill(undefined);
const spare: Buffer[] = [];

/** The first `count` bytes of `buffer`. */
export function viewOf(buffer: Buffer, count: number): Buffer {
  if (buffer !== SHARED || count >= VIEWS_MAX) return buffer.subarray(0, count);
  let view = views[count];
  if (view === undefined) {
    view = buffer.subarray(0, count);
    views[count] = view;
  }
  return view;
}

/** True when `bytes` will be something else after this turn. */
export function isShared(bytes: Buffer): boolean {
  return bytes.buffer === SHARED.buffer;
}

/** A buffer for one reader. */
export function takeBuffer(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES);
}

/** Gives one back that nobody looks at any more. */
export function giveBuffer(buffer: Buffer): void {
  if (buffer !== SHARED && spare.length < SPARE_MAX) spare.push(buffer);
}

// Bytes that come in pieces, until they are whole. Whoever sends chooses how small the pieces are, and a Buffer of one
// byte takes a hundred: small ones are joined as they come, so that what is held stays near to what was sent. A byte is
// copied at most as many times as pieces double until they are no longer small; large pieces are kept as they are. A
// budget bounds what several receivers hold together.

const SMALL_BYTES = 16 * 1024;

/** Puts `piece`, which nobody else writes to, behind `pieces`. */
export function addPiece(pieces: Buffer[], piece: Buffer): void {
  let tail = piece;
  for (;;) {
    const last = pieces.at(-1);
    if (last === undefined || last.length > tail.length || last.length >= SMALL_BYTES) break;
    pieces.pop();
    tail = Buffer.concat([last, tail]);
  }
  pieces.push(tail);
}

export class ByteBudget {
  readonly #bytesMax: number;
  #held = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get held(): number {
    return this.#held;
  }

  /** False: there is no room for so many, and nothing was taken. */
  take(bytes: number): boolean {
    if (this.#held + bytes > this.#bytesMax) return false;
    this.#held += bytes;
    return true;
  }

  /** Gives back what was taken. */
  give(bytes: number): void {
    this.#held -= bytes;
  }
}

// One watch: a question that the API server answers for minutes, line by line, from a known resourceVersion on. It ends
// when the server ends it, when a line cannot be read, when nothing has come for too long, or when its time is over; the
// reflector decides what follows.
import type { Readable } from 'node:stream';
import { ownFailure, type KubeAnswer, type KubeFailure } from './kube-answer.ts';
import type { KubeKind } from './kind-path.ts';
import type { KubeTransport } from './transport.ts';
import { LineSplitter, readWatchEvent, type WatchEvent } from './watch-event.ts';

export interface WatchTiming {
  /** How long the server is asked to keep it open. */
  readonly timeoutSeconds: number;
  /** Without a byte for so long it counts as stalled. */
  readonly stallMs: number;
}

export interface WatchHandlers {
  /** The server accepted it. */
  readonly onOpen: () => void;
  /** False: the watch is not wanted any more. */
  readonly onEvent: (event: Exclude<WatchEvent, { kind: 'failed' }>) => boolean;
  readonly signal: AbortSignal;
}

const HEAD_TIMEOUT_MS = 30_000;
/** The server ends it first, unless something between us and it does not let that through. */
const GRACE_MS = 30_000;
/** Within the time after which silence is a stall. */
const LOOKS = 4;

/** Null: it ended in order. Never rejects. */
export async function runWatch(
  transport: KubeTransport,
  { path, kind, timing }: { readonly path: string; readonly kind: KubeKind; readonly timing: WatchTiming },
  handlers: WatchHandlers,
): Promise<KubeFailure | null> {
  const own = new AbortController();
  const opened = await transport.open(path, AbortSignal.any([handlers.signal, own.signal]), HEAD_TIMEOUT_MS);
  if (opened.kind === 'failed') return opened.failure;
  handlers.onOpen();
  const guard = new StallGuard(timing, () => own.abort());
  try {
    return await readEvents(opened, kind, { handlers, guard });
  } catch (cause) {
    if (guard.isStalled) return ownFailure('Stalled', `nothing came for ${timing.stallMs} ms`).failure;
    if (handlers.signal.aborted) return ownFailure('Stopped', 'the watch was stopped').failure;
    return ownFailure('Closed', cause instanceof Error ? cause.message : String(cause)).failure;
  } finally {
    guard.end();
    opened.value.destroy();
  }
}

async function readEvents(
  { value: body }: Extract<KubeAnswer<Readable>, { kind: 'done' }>,
  kind: KubeKind,
  { handlers, guard }: { readonly handlers: WatchHandlers; readonly guard: StallGuard },
): Promise<KubeFailure | null> {
  const splitter = new LineSplitter();
  let failure: KubeFailure | null = null;
  let isWanted = true;
  const onLine = (line: string): boolean => {
    const event = readWatchEvent(line, kind);
    if (event.kind === 'failed') failure = event.failure;
    else isWanted = handlers.onEvent(event);
    return failure === null && isWanted && !handlers.signal.aborted;
  };
  for await (const chunk of body) {
    guard.note();
    const isGood = splitter.push(Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk)), onLine);
    if (isGood) continue;
    if (failure !== null) return failure;
    if (!isWanted) return null;
    if (handlers.signal.aborted) return ownFailure('Stopped', 'the watch was stopped').failure;
    return ownFailure('TooLarge', 'a line of the watch is too long').failure;
  }
  return splitter.isInLine ? ownFailure('Closed', 'the watch ended within a line').failure : null;
}

/** Ends a watch that brings nothing, or that is not ended by who should. */
class StallGuard {
  readonly #stallMs: number;
  readonly #onStall: () => void;
  readonly #endTimer: NodeJS.Timeout;
  #timer: NodeJS.Timeout;
  #hasBytes = false;
  #silentLooks = 0;
  isStalled = false;

  constructor({ stallMs, timeoutSeconds }: WatchTiming, onStall: () => void) {
    this.#stallMs = stallMs;
    this.#onStall = onStall;
    this.#timer = setTimeout(() => this.#look(), stallMs / LOOKS);
    this.#endTimer = setTimeout(() => this.#stall(), timeoutSeconds * 1000 + GRACE_MS);
  }

  note(): void {
    this.#hasBytes = true;
  }

  end(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#endTimer);
  }

  /** One timer for many bytes: a stall is seen after its time and at most a quarter more. */
  #look(): void {
    this.#silentLooks = this.#hasBytes ? 0 : this.#silentLooks + 1;
    this.#hasBytes = false;
    if (this.#silentLooks >= LOOKS) this.#stall();
    else this.#timer = setTimeout(() => this.#look(), this.#stallMs / LOOKS);
  }

  #stall(): void {
    this.isStalled = true;
    this.#onStall();
  }
}

// A watch as bytes: one JSON object a line, cut into chunks anywhere. A line is bounded, and one that cannot be read is
// a failure that ends the watch: whoever watches resumes where the last good line was, so nothing is lost.
import { isJsonRecord, recordOf, textOf } from './json-record.ts';
import { ownFailure, serverFailure, type KubeFailure } from './kube-answer.ts';
import type { KubeKind } from './kind-path.ts';
import { readKubeObject, type KubeObject } from './kube-object.ts';

export type WatchEvent =
  | { readonly kind: 'changed'; readonly object: KubeObject }
  | { readonly kind: 'deleted'; readonly object: KubeObject }
  /** `isInitialEnd`: all that was there when the watch began has been sent (sendInitialEvents). */
  | { readonly kind: 'bookmark'; readonly resourceVersion: string; readonly isInitialEnd: boolean }
  | { readonly kind: 'failed'; readonly failure: KubeFailure };

/** An object has at most 1.5 MiB in etcd; as JSON it may be longer. */
export const LINE_BYTES_MAX = 16 * 1024 * 1024;
const NEWLINE = 0x0a;
const INITIAL_END = 'k8s.io/initial-events-end';

export class LineSplitter {
  readonly #bytesMax: number;
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(bytesMax = LINE_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  /** Whether a line has begun and not ended. */
  get isInLine(): boolean {
    return this.#bytes > 0;
  }

  /** Gives each line that ends in the chunk, without its newline, until it says no; false: said no, or too long. */
  push(chunk: Buffer, onLine: (line: string) => boolean): boolean {
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, from);
      const length = (end === -1 ? chunk.length : end) - from;
      if (this.#bytes + length > this.#bytesMax) return false;
      if (end === -1) {
        if (length > 0) this.#parts.push(chunk.subarray(from));
        this.#bytes += length;
        return true;
      }
      const line = this.#take(chunk, from, end);
      from = end + 1;
      if (line.trim() !== '' && !onLine(line)) return false;
    }
  }

  #take(chunk: Buffer, from: number, end: number): string {
    if (this.#parts.length === 0) return chunk.toString('utf8', from, end);
    this.#parts.push(chunk.subarray(from, end));
    const line = Buffer.concat(this.#parts).toString('utf8');
    this.#parts = [];
    this.#bytes = 0;
    return line;
  }
}

export function readWatchEvent(line: string, kind: KubeKind): WatchEvent {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch {
    return ownFailure('Malformed', 'a line of the watch is no JSON');
  }
  const { type, object } = recordOf(event);
  if (type === 'ERROR') return failed(object);
  if (type === 'BOOKMARK') return bookmark(object);
  if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED')
    return ownFailure('Malformed', `a line of the watch has the type ${JSON.stringify(type)?.slice(0, 40)}`);
  const read = readKubeObject(object, kind);
  if (read === null || read.metadata.resourceVersion === '')
    return ownFailure('Malformed', 'a line of the watch has no object with a name and a resourceVersion');
  return { kind: type === 'DELETED' ? 'deleted' : 'changed', object: read };
}

function failed(status: unknown): WatchEvent {
  const code = recordOf(status)['code'];
  return { kind: 'failed', failure: serverFailure(typeof code === 'number' ? code : 500, status) };
}

function bookmark(object: unknown): WatchEvent {
  const meta = recordOf(recordOf(object)['metadata']);
  const resourceVersion = textOf(meta['resourceVersion']);
  if (resourceVersion === '') return ownFailure('Malformed', 'a bookmark has no resourceVersion');
  const { annotations } = meta;
  const isInitialEnd = isJsonRecord(annotations) && annotations[INITIAL_END] === 'true';
  return { kind: 'bookmark', resourceVersion, isInitialEnd };
}

// One HTTP request of a policy, as undici reports it: collects the answer within its bound and says once how it
// ended. Heads and bodies stay bytes: fields are Latin-1, one character a byte.
import type { Duplex } from 'node:stream';
import type { Dispatcher } from 'undici';
import { addPiece, type ByteBudget } from '../base/byte-chunks.ts';
import type { RemoteHttpRequest, RemoteHttpResponse } from '../plan/remote-call.ts';

/** `isStale`: a kept connection was gone before anything of an answer came. */
export type AnswerEnd = (response: RemoteHttpResponse | null, reason: string, isStale: boolean) => void;

type Controller = Dispatcher.DispatchController;

export class RemoteAnswer implements Dispatcher.DispatchHandler {
  readonly #bytesMax: number;
  #end: AnswerEnd | null;
  #controller: Controller | null = null;
  #isLeft = false;
  #status = 0;
  #headers: readonly (readonly [string, string])[] = [];
  readonly #budget: ByteBudget;
  #body: Buffer[] = [];
  #bodyBytes = 0;

  /** `budget`: what the answers of one endpoint may take together while they come. */
  constructor(bytesMax: number, budget: ByteBudget, end: AnswerEnd) {
    this.#bytesMax = bytesMax;
    this.#budget = budget;
    this.#end = end;
  }

  leave(): void {
    this.#end = null;
    this.#drop();
    this.#isLeft = true;
    this.#controller?.abort(new Error('given up'));
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#isLeft) controller.abort(new Error('given up'));
  }

  onRequestUpgrade(_controller: Controller, _status: number, _headers: unknown, socket: Duplex): void {
    socket.destroy();
    this.#finish(null, 'the protocol was changed', false);
  }

  onResponseStart(controller: Controller, status: number): void {
    // 100 Continue and the like are no answers.
    if (status < 200) return;
    this.#status = status;
    this.#headers = fieldsOf(controller.rawHeaders);
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    if (this.#end === null) return;
    if (this.#bodyBytes + chunk.length > this.#bytesMax) this.#refuse(controller, 'the response is too large');
    else if (!this.#budget.take(chunk.length)) this.#refuse(controller, 'the responses under way are too large');
    else {
      this.#bodyBytes += chunk.length;
      addPiece(this.#body, Buffer.from(chunk));
    }
  }

  #refuse(controller: Controller, reason: string): void {
    this.#finish(null, reason, false);
    controller.abort(new Error(reason));
  }

  onResponseEnd(): void {
    this.#finish({ status: this.#status, headers: this.#headers, body: Buffer.concat(this.#body) }, '', false);
  }

  onResponseError(_controller: unknown, error: Error): void {
    const isStale = this.#status === 0 && bytesRead(error) > 0;
    this.#finish(null, reasonOf(error), isStale);
  }

  #finish(response: RemoteHttpResponse | null, reason: string, isStale: boolean): void {
    const end = this.#end;
    this.#end = null;
    this.#controller = null;
    this.#drop();
    end?.(response, reason, isStale);
  }

  #drop(): void {
    this.#budget.give(this.#bodyBytes);
    this.#bodyBytes = 0;
    this.#body = [];
  }
}

/** What undici writes by itself, or what only means the connection of somebody else. */
const OWN_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Names and values by turns. */
export function requestFields({ authority, headers }: RemoteHttpRequest): string[] {
  const fields = ['host', authority];
  for (const [name, value] of headers) if (!OWN_FIELDS.has(name)) fields.push(name, value);
  return fields;
}

function fieldsOf(raw: Controller['rawHeaders']): readonly (readonly [string, string])[] {
  if (!Array.isArray(raw)) return [];
  const fields: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) fields.push([textOf(raw[i]).toLowerCase(), textOf(raw[i + 1])]);
  return fields;
}

function textOf(value: Buffer | string | undefined): string {
  return value === undefined ? '' : typeof value === 'string' ? value : value.toString('latin1');
}

/** What had come on the connection that failed: more than nothing says that it had served before. */
function bytesRead(error: Error): number {
  const socket: unknown = 'socket' in error ? error.socket : null;
  if (typeof socket !== 'object' || socket === null || !('bytesRead' in socket)) return 0;
  return typeof socket.bytesRead === 'number' ? socket.bytesRead : 0;
}

function reasonOf(error: Error): string {
  return 'code' in error && error.code === 'UND_ERR_SOCKET' ? 'connection closed' : error.message;
}

// @hot
// A request as an extension sees it (plan/extension.ts). One object for each extension and place, laid over the exchange
// of the moment; it is good only while a step runs, so that what an extension keeps is worth nothing. Writing is
// guarded: no control characters, none of the fields that frame a message.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import type { Head } from '../http/head.ts';
import { H } from '../http/header-name.ts';
import { Exchange } from '../plan/exchange.ts';
import type { ExtensionExchange, ExtensionHead, HeaderName } from '../plan/extension.ts';
import { wireText } from '../plan/wire-text.ts';

const VALUE_CHARACTERS_MAX = 16_384;
const FRAMING: ReadonlySet<HeaderName> = new Set([
  H.host,
  H.connection,
  H.keepAlive,
  H.proxyConnection,
  H.transferEncoding,
  H.contentLength,
  H.te,
  H.trailer,
  H.upgrade,
]);
const NOBODY = new Exchange();

export class HeadView implements ExtensionHead {
  head: Head = NOBODY.request;

  get(name: HeaderName): string | null {
    return this.head.get(name);
  }

  joined(name: HeaderName): string | null {
    return this.head.getJoined(name);
  }

  has(name: HeaderName): boolean {
    return this.head.has(name);
  }

  set(name: HeaderName, value: string): void {
    checkName(name);
    this.head.set(name, checkedValue(value));
  }

  add(name: HeaderName, value: string): void {
    checkName(name);
    this.head.add(name, checkedValue(value));
  }

  remove(name: HeaderName): void {
    checkName(name);
    this.head.remove(name);
  }
}

export class ExchangeView implements ExtensionExchange {
  readonly request: HeadView = new HeadView();
  readonly response: HeadView = new HeadView();
  /** True once the step has answered. */
  hasReplied = false;
  #x: Exchange = NOBODY;
  #mayReply = false;
  readonly #namespace: string;
  readonly #bit: number;

  /** `namespace` of what it sets; `bit` of Exchange.held. */
  constructor(namespace: string, bit: number) {
    this.#namespace = namespace;
    this.#bit = bit;
  }

  /** For the framework: not declared to extensions. */
  lay(x: Exchange, mayReply: boolean): void {
    this.#x = x;
    this.#mayReply = mayReply;
    this.hasReplied = false;
    this.request.head = x.request;
    this.response.head = x.response;
  }

  /** Whoever keeps the view sees nobody's request. */
  lift(): void {
    this.#x = NOBODY;
    this.#mayReply = false;
    this.request.head = NOBODY.request;
    this.response.head = NOBODY.response;
  }

  get method(): string {
    return this.#x.request.method;
  }

  get path(): string {
    return this.#x.request.path;
  }

  get authority(): string {
    return this.#x.request.authority;
  }

  get status(): number {
    return this.#x.response.status;
  }

  get route(): string {
    return this.#x.plan?.route ?? '';
  }

  get attempts(): number {
    return this.#x.attempts;
  }

  get peerAddress(): string {
    return this.#x.connection.remoteAddress;
  }

  get clientAddress(): string {
    const x = this.#x;
    return x.clientAddress === '' ? x.connection.remoteAddress : x.clientAddress;
  }

  get peerPrincipal(): string {
    return this.#x.connection.peerPrincipal;
  }

  get isMarked(): boolean {
    return (this.#x.held & this.#bit) !== 0;
  }

  set isMarked(isMarked: boolean) {
    if (isMarked) this.#x.held |= this.#bit;
    else this.#x.held &= ~this.#bit;
  }

  metadata(namespace: string): JsonObject | null {
    return this.#x.metadata.get(namespace) ?? null;
  }

  setMetadata(key: string, value: JsonValue): void {
    const before = this.#x.metadata.get(this.#namespace);
    this.#x.metadata.set(this.#namespace, Object.assign({}, before, { [key]: value }));
  }

  reply(status: number, body: string): void {
    if (!this.#mayReply) throw new TypeError('a reply is possible in onRequest only');
    if (!Number.isInteger(status) || status < 200 || status > 599)
      throw new RangeError('a reply has a status of 200 to 599');
    const x = this.#x;
    x.response.reset();
    x.response.status = status;
    x.replyBody = wireText(body);
    this.hasReplied = true;
  }

  replyHeader(name: HeaderName, value: string): void {
    if (!this.hasReplied) throw new TypeError('there is no reply yet');
    this.response.set(name, value);
  }
}

function checkName(name: HeaderName): void {
  if (typeof name !== 'number' || name <= 0) throw new TypeError('names of fields are made by env.header');
  if (FRAMING.has(name)) throw new TypeError('a field that frames the message cannot be changed');
}

/** Wire text without control characters (RFC 9110 section 5.5); a tab may stand in it. */
function checkedValue(value: string): string {
  if (typeof value !== 'string' || value.length > VALUE_CHARACTERS_MAX)
    throw new TypeError('the value of a field is no text, or too long');
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f)
      throw new TypeError('the value of a field has a control character');
  }
  return wireText(value);
}

// Asks the control service for its pages, and through it sidecars for theirs; or one sidecar by itself. Answers are bounded
// in size and time, and nothing rejects: what went wrong is a text for a person.
import { request } from 'undici';

export type Page<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'failed'; readonly message: string };

const ADDRESS = /^(?:\[[0-9a-fA-F:.]+\]|[^:\s/@?#]+):\d{1,5}$/;
const BYTES_MAX = 256 * 1024 * 1024;
const MESSAGE_CHARACTERS_MAX = 500;
const TIMEOUT_MS = 15_000;

export class PageSource {
  readonly #address: string;
  readonly #prefix: string;

  private constructor(address: string, prefix: string) {
    this.#address = address;
    this.#prefix = prefix;
  }

  /** Null: the address is not `host:port`. */
  static at(address: string, prefix = ''): PageSource | null {
    return ADDRESS.test(address) ? new PageSource(address, prefix) : null;
  }

  /** The pages of a sidecar that is connected to this control service. */
  proxy(nodeId: string): PageSource {
    return new PageSource(this.#address, `/proxies/${encodeURIComponent(nodeId)}`);
  }

  async text(path: string): Promise<Page<string>> {
    try {
      const answer = await request(`http://${this.#address}${this.#prefix}${path}`, {
        headersTimeout: TIMEOUT_MS,
        bodyTimeout: TIMEOUT_MS,
      });
      const chunks: Buffer[] = [];
      let bytes = 0;
      for await (const chunk of answer.body) {
        const part = Buffer.from(chunk);
        bytes += part.length;
        if (bytes > BYTES_MAX) return { kind: 'failed', message: `${path}: more than ${BYTES_MAX} bytes` };
        chunks.push(part);
      }
      const value = Buffer.concat(chunks).toString();
      if (answer.statusCode === 200) return { kind: 'done', value };
      const said = value.trim().slice(0, MESSAGE_CHARACTERS_MAX);
      return { kind: 'failed', message: `${this.#address}${path} answered ${answer.statusCode}: ${said}` };
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      return { kind: 'failed', message: `${this.#address} cannot be reached: ${why}` };
    }
  }

  async json(path: string): Promise<Page<unknown>> {
    const answer = await this.text(path);
    if (answer.kind === 'failed') return answer;
    try {
      const value: unknown = JSON.parse(answer.value);
      return { kind: 'done', value };
    } catch {
      return { kind: 'failed', message: `${this.#address}${path} is no JSON` };
    }
  }
}

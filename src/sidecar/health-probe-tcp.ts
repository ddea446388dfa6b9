// A TCP health check: a connection is enough where nothing must be received; else the payload is sent, and what
// comes back must hold the expected blocks in their order. A connection that passed is used again where it may be.
import type { Probe, ProbeResult } from '../resilience/health-check.ts';
import type { ProbeRequest } from '../resilience/health-checker.ts';
import type { TcpProbeSettings } from '../resilience/health-check-settings.ts';
import { hasBlocks } from '../resilience/payload.ts';
import { announcement } from './dial-secure.ts';
import { dialCheck } from './health-connection.ts';
import type { Dial } from './wire-dial.ts';
import { NO_USER, type Wire } from './wire.ts';

/** An answer that is longer than this and has not matched never will. */
const ANSWER_BYTES_MAX = 1024 * 1024;

export const NETWORK_FAILURE: ProbeResult & { kind: 'failed' } = {
  kind: 'failed',
  reason: 'network',
  isRetriable: false,
  isExcluded: false,
  status: 0,
};
const PASSED: ProbeResult = { kind: 'passed', isDegraded: false };

export class TcpProbe implements Probe {
  readonly #request: ProbeRequest;
  readonly #settings: TcpProbeSettings;
  #done: ((result: ProbeResult) => void) | null = null;
  #dial: Dial | null = null;
  #wire: Wire | null = null;
  #answer: Buffer[] = [];
  #answerBytes = 0;

  constructor(request: ProbeRequest, settings: TcpProbeSettings) {
    this.#request = request;
    this.#settings = settings;
  }

  start(done: (result: ProbeResult) => void): void {
    this.#done = done;
    if (this.#wire !== null) {
      this.#ask(this.#wire);
      return;
    }
    this.#dial = dialCheck(this.#request, {
      onDialled: (wire) => this.#connected(wire),
      onDialFailed: () => this.#finish(NETWORK_FAILURE, false),
    });
  }

  abort(): void {
    this.#done = null;
    this.close();
  }

  close(): void {
    this.#done = null;
    this.#dial?.cancel();
    this.#dial = null;
    this.#drop();
  }

  #connected(wire: Wire): void {
    this.#dial = null;
    this.#wire = wire;
    const { proxyVersion } = this.#settings;
    wire.user = {
      ...NO_USER,
      onWireBytes: (bytes) => this.#onBytes(bytes),
      onWireEnd: () => this.#onLost(wire),
      onWireClose: () => this.#onLost(wire),
    };
    wire.resume();
    if (proxyVersion !== null) wire.writeBytes(announcement(proxyVersion, null, wire));
    this.#ask(wire);
  }

  #ask(wire: Wire): void {
    const { send, receive } = this.#settings;
    this.#answer = [];
    this.#answerBytes = 0;
    if (send !== null) wire.writeBytes(Buffer.from(send));
    // Nothing more is to be learnt from this connection.
    if (receive.length === 0) this.#finish(PASSED, false);
  }

  #onBytes(bytes: Buffer): void {
    if (this.#done === null) return;
    this.#answer.push(Buffer.from(bytes));
    this.#answerBytes += bytes.length;
    if (hasBlocks(Buffer.concat(this.#answer), this.#settings.receive)) {
      this.#finish(PASSED, this.#request.settings.reusesConnection);
    } else if (this.#answerBytes > ANSWER_BYTES_MAX) {
      this.#finish({ ...NETWORK_FAILURE, reason: 'active' }, false);
    }
  }

  #onLost(wire: Wire): void {
    if (this.#wire !== wire) return;
    this.#finish(NETWORK_FAILURE, false);
  }

  #finish(result: ProbeResult, keepsConnection: boolean): void {
    const done = this.#done;
    this.#done = null;
    this.#dial = null;
    if (!keepsConnection) this.#drop();
    done?.(result);
  }

  #drop(): void {
    const wire = this.#wire;
    this.#wire = null;
    if (wire === null) return;
    wire.user = NO_USER;
    wire.destroy();
  }
}

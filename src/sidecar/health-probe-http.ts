// An HTTP health check: one request over undici, on a connection that the sidecar makes as it makes all connections
// of the cluster. undici is loaded by the first check. A connection that is kept may have been closed by the
// endpoint meanwhile: what was never answered on such a one is asked once more on a fresh one.
import type { Client, Dispatcher } from 'undici';
import type { Duplex } from 'node:stream';
import { Exchange } from '../plan/exchange.ts';
import type { Probe, ProbeResult } from '../resilience/health-check.ts';
import type { ProbeRequest } from '../resilience/health-checker.ts';
import type { HttpProbeSettings, StatusRange } from '../resilience/health-check-settings.ts';
import { hasBlocks } from '../resilience/payload.ts';
import { dialCheckSocket, hostOf } from './health-connection.ts';
import { NETWORK_FAILURE } from './health-probe-tcp.ts';
import type { Dial } from './wire-dial.ts';

/** Nothing is asked of this name: connections are made by us. */
const ORIGIN = 'http://check';
/** More of a body is not looked at, whatever response_buffer_size says. */
const BODY_BYTES_MAX = 1024 * 1024;
/** An idle connection outlives any interval but the oddest; the endpoint's own `Keep-Alive: timeout` is respected. */
const KEEP_ALIVE_MS = 600_000;
const USER_AGENT = 'Envoy/HC';

let undici: Promise<typeof import('undici')> | null = null;

type Headers = Readonly<Record<string, string | string[] | undefined>>;

export class HttpProbe implements Probe {
  readonly #request: ProbeRequest;
  readonly #settings: HttpProbeSettings;
  #client: Client | null = null;
  #asking: Asking | null = null;
  #dial: Dial | null = null;
  #wasConnected = false;

  constructor(request: ProbeRequest, settings: HttpProbeSettings) {
    this.#request = request;
    this.#settings = settings;
  }

  start(done: (result: ProbeResult) => void): void {
    this.#wasConnected = this.#client !== null;
    this.#ask(done);
  }

  abort(): void {
    this.close();
  }

  close(): void {
    const client = this.#client;
    this.#client = null;
    this.#asking?.leave();
    this.#asking = null;
    this.#dial?.cancel();
    this.#dial = null;
    if (client !== null) void client.destroy().catch(ignore);
  }

  #ask(done: (result: ProbeResult) => void): void {
    const { reusesConnection } = this.#request.settings;
    const asking = new Asking(this.#settings, this.#request, (result, isOver) => {
      if (this.#asking !== asking) return;
      this.#asking = null;
      const isStale = isOver && this.#wasConnected && !asking.hasAnswer;
      if (isOver || !reusesConnection) this.close();
      if (!isStale) return done(result);
      this.#wasConnected = false;
      this.#ask(done);
    });
    this.#asking = asking;
    if (this.#client !== null) this.#dispatch(this.#client, asking);
    else void this.#openFor(asking);
  }

  #dispatch(client: Client, asking: Asking): void {
    const { path, method, send } = this.#settings;
    const reset = !this.#request.settings.reusesConnection;
    client.dispatch({ path, method, body: send, headers: this.#headers(), reset }, asking);
  }

  async #openFor(asking: Asking): Promise<void> {
    const client = await this.#open();
    if (this.#asking !== asking) {
      await client.destroy().catch(ignore);
      return;
    }
    this.#client = client;
    this.#dispatch(client, asking);
  }

  async #open(): Promise<Client> {
    undici ??= import('undici');
    const { Client: MakeClient } = await undici;
    return new MakeClient(ORIGIN, {
      // The check has one time for everything.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      keepAliveTimeoutThreshold: 500,
      connect: (_options, callback) => {
        this.#wasConnected = false;
        this.#dial = dialCheckSocket(this.#request, {
          onSocket: (socket) => {
            this.#dial = null;
            callback(null, socket);
          },
          onDialFailed: (cause) => {
            this.#dial = null;
            callback(new Error(cause), null);
          },
        });
      },
    });
  }

  /** Names and values by turns. */
  #headers(): string[] {
    const { headersToAdd, headersToRemove } = this.#settings;
    const removed = new Set(headersToRemove);
    const headers: [name: string, value: string][] = [['host', hostOf(this.#request).name]];
    if (!removed.has('user-agent')) headers.push(['user-agent', USER_AGENT]);
    if (headersToAdd.length > 0) this.#addHeaders(headers);
    return headers.flat();
  }

  #addHeaders(headers: [name: string, value: string][]): void {
    const x = new Exchange();
    x.endpoint = this.#request.endpoint;
    x.startWallMs = Date.now();
    for (const { name, value, action, keepsEmpty } of this.#settings.headersToAdd) {
      const text = value.run(x);
      if (text === '' && !keepsEmpty) continue;
      const known = headers.findIndex(([other]) => other.toLowerCase() === name.toLowerCase());
      if (action === 'add-if-absent' && known !== -1) continue;
      if (action === 'overwrite-if-exists' && known === -1) continue;
      if (action === 'append' || known === -1) headers.push([name, text]);
      else headers[known] = [name, text];
    }
  }
}

/** One request, and what came of it. */
class Asking implements Dispatcher.DispatchHandler {
  /** True once a response has begun. */
  hasAnswer = false;
  readonly #settings: HttpProbeSettings;
  readonly #request: ProbeRequest;
  readonly #done: (result: ProbeResult, isOver: boolean) => void;
  #status = 0;
  #headers: Headers = {};
  #body: Buffer[] = [];
  #bodyBytes = 0;
  #controller: Dispatcher.DispatchController | null = null;

  /** `done`: with true when the connection is lost. */
  constructor(
    settings: HttpProbeSettings,
    request: ProbeRequest,
    done: (result: ProbeResult, isOver: boolean) => void,
  ) {
    this.#settings = settings;
    this.#request = request;
    this.#done = done;
  }

  leave(): void {
    this.#controller?.abort(new Error('given up'));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
  }

  onRequestUpgrade(_controller: unknown, _status: number, _headers: unknown, socket: Duplex): void {
    socket.destroy();
  }

  onResponseStart(_controller: unknown, status: number, headers: Headers): void {
    this.hasAnswer = true;
    // 100 Continue and the like are no answers.
    if (status < 200) return;
    this.#status = status;
    this.#headers = headers;
  }

  onResponseData(_controller: unknown, chunk: Buffer): void {
    const { receive, bodyBytesMax } = this.#settings;
    const left = (bodyBytesMax === 0 ? BODY_BYTES_MAX : Math.min(bodyBytesMax, BODY_BYTES_MAX)) - this.#bodyBytes;
    if (receive.length === 0 || left <= 0) return;
    this.#bodyBytes += chunk.length;
    this.#body.push(Buffer.from(chunk.subarray(0, left)));
  }

  onResponseEnd(): void {
    this.#controller = null;
    this.#done(this.#judge(), false);
  }

  onResponseError(): void {
    this.#controller = null;
    this.#done(NETWORK_FAILURE, true);
  }

  #judge(): ProbeResult {
    const { expected, retriable, receive, serviceName } = this.#settings;
    const status = this.#status;
    const isExcluded = this.#headers['x-envoy-immediate-health-check-fail'] !== undefined;
    const failed: ProbeResult = { kind: 'failed', reason: 'active', isRetriable: false, isExcluded: false, status };
    if (!isIn(expected, status)) return { ...failed, isRetriable: isIn(retriable, status), isExcluded };
    if (receive.length > 0 && !hasBlocks(Buffer.concat(this.#body), receive)) return { ...failed, isExcluded };
    if (serviceName !== null) {
      this.#request.counts.verifications++;
      if (!serviceName(textOf(this.#headers['x-envoy-upstream-healthchecked-cluster']))) return failed;
    }
    return { kind: 'passed', isDegraded: this.#headers['x-envoy-degraded'] !== undefined };
  }
}

function isIn(ranges: readonly StatusRange[], status: number): boolean {
  return ranges.some(({ start, end }) => status >= start && status < end);
}

function textOf(value: string | string[] | undefined): string {
  return Array.isArray(value) ? value.join(',') : (value ?? '');
}

function ignore(): void {}

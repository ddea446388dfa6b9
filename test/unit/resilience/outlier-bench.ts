// A live cluster under outlier detection, with time under the test's control.
import type { JsonObject } from '@bufbuild/protobuf';
import { clusterId } from '../../../src/base/brand.ts';
import { createLog, type LogFields } from '../../../src/base/log.ts';
import { UNFIT, type Endpoint } from '../../../src/plan/cluster.ts';
import { Exchange } from '../../../src/plan/exchange.ts';
import { LiveCluster } from '../../../src/resilience/cluster.ts';
import { formatOutlierEvent } from '../../../src/resilience/outlier-event.ts';
import { OutlierWatch } from '../../../src/resilience/outlier-watch.ts';
import { assignmentJson, FakeResolver, lbEndpoint, seeded, settingsOf } from './cluster-builders.ts';

interface Waiting {
  readonly callback: () => void;
  readonly dueMs: number;
}

export class OutlierBench {
  readonly cluster: LiveCluster;
  readonly watch: OutlierWatch;
  readonly lines: LogFields[] = [];
  /** Of the event log. */
  readonly events: JsonObject[] = [];
  #nowMs = 1000;
  readonly #waiting = new Set<Waiting>();

  /** `endpoints` of them, with this `outlier_detection`; `random` is seeded unless given. */
  constructor(
    endpoints: number,
    outlier: JsonObject,
    { random = seeded(7), fields = {} }: { random?: () => number; fields?: JsonObject } = {},
  ) {
    const clock = { now: () => this.#nowMs, wall: () => this.#nowMs };
    const log = createLog('test', 'debug', (line) => this.lines.push(JSON.parse(line)));
    const delay = (callback: () => void, delayMs: number): (() => void) => {
      const waiting = { callback, dueMs: this.#nowMs + delayMs };
      this.#waiting.add(waiting);
      return () => void this.#waiting.delete(waiting);
    };
    this.watch = new OutlierWatch({
      clock,
      random,
      log,
      delay,
      onEvent: (event) => this.events.push(JSON.parse(formatOutlierEvent(event, this.#nowMs))),
    });
    const targets = Array.from({ length: endpoints }, (_none, index) => lbEndpoint(8000 + index));
    const settings = settingsOf({ load_assignment: assignmentJson(targets), outlier_detection: outlier, ...fields });
    this.cluster = new LiveCluster(settings, { clock, random, resolver: new FakeResolver(), log, delay });
    this.watch.follow(this.cluster);
    this.cluster.start();
  }

  /** Time passes, and what is due happens at its moment. */
  pass(milliseconds: number): void {
    const endMs = this.#nowMs + milliseconds;
    for (;;) {
      const [next] = [...this.#waiting].filter(({ dueMs }) => dueMs <= endMs).toSorted((a, b) => a.dueMs - b.dueMs);
      if (next === undefined) break;
      this.#waiting.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.callback();
    }
    this.#nowMs = endMs;
  }

  endpoint(index: number): Endpoint {
    const endpoint = this.cluster.endpoints[index];
    if (endpoint === undefined) throw new Error(`no endpoint ${index}`);
    return endpoint;
  }

  /** Attempts on one endpoint that end like this. */
  end(index: number, ...outcomes: readonly number[]): Exchange {
    const x = new Exchange();
    const endpoint = this.endpoint(index);
    for (const outcome of outcomes) {
      for (const watch of endpoint.watches) watch.onOutcome(endpoint, outcome, outcome > 0 ? 1 : -1, x);
    }
    return x;
  }

  /** The endpoints that are ejected, by index. */
  get ejected(): readonly number[] {
    return this.cluster.endpoints.flatMap(({ unfit }, index) => ((unfit & UNFIT.EJECTED) === 0 ? [] : [index]));
  }

  /** A request of its own, as the balancer sees it. */
  pick(method = 'GET'): { readonly x: Exchange; readonly index: number } {
    const x = new Exchange();
    x.request.method = method;
    const endpoint = this.cluster.picker.pick(x);
    return { x, index: endpoint === null ? -1 : this.cluster.endpoints.indexOf(endpoint) };
  }

  /** How `x`, which was picked for `index`, ended. */
  finish(x: Exchange, index: number, outcome: number): void {
    const endpoint = this.endpoint(index);
    for (const watch of endpoint.watches) watch.onOutcome(endpoint, outcome, 1, x);
  }

  get tally() {
    const tally = this.watch.tallyOf(clusterId('c'));
    if (tally === null) throw new Error('the cluster has no outlier detection');
    return tally;
  }

  saying(message: string): readonly LogFields[] {
    return this.lines.filter((line) => line['message'] === message);
  }
}

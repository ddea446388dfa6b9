// Builders of clusters and assignments from the JSON that people write, and of the dependencies of a
// live cluster with a seeded random, a resolver under the test's control and hand-driven delays.
import { fromJson, type JsonObject } from '@bufbuild/protobuf';
import { systemClock } from '../../../src/base/clock.ts';
import { silentLog } from '../../../src/base/log.ts';
import type { Problem } from '../../../src/base/problem.ts';
import { clusterId } from '../../../src/base/brand.ts';
import { ClusterRef, Endpoint } from '../../../src/plan/cluster.ts';
import type { CompileEnv } from '../../../src/plan/plan.ts';
import { LiveCluster } from '../../../src/resilience/cluster.ts';
import type { ClusterDependencies } from '../../../src/resilience/cluster-dependencies.ts';
import type { ClusterSettings } from '../../../src/resilience/cluster-settings.ts';
import { compileCluster } from '../../../src/resilience/compile.ts';
import type { LookupOptions, LookupResult, Resolver } from '../../../src/resilience/resolver.ts';
import { extensions } from '../../../src/sidecar/bootstrap-registry.ts';
import { ClusterSchema, type Cluster } from '../../../src/xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import {
  ClusterLoadAssignmentSchema,
  type ClusterLoadAssignment,
} from '../../../src/xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';

/** mulberry32: uniform in [0, 1), the same for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

export function anEnv(): CompileEnv & { readonly problems: Problem[] } {
  return {
    problems: [],
    clusterRef: (name) => new ClusterRef(clusterId(name)),
    random: seeded(1),
    runtimeNumber: (_key, fallback) => fallback,
  };
}

/** `port` on loopback unless `fields` says otherwise. */
export function lbEndpoint(port: number, fields: JsonObject = {}, address = '127.0.0.1'): JsonObject {
  return { endpoint: { address: { socket_address: { address, port_value: port } } }, ...fields };
}

export function assignmentJson(lbEndpoints: readonly JsonObject[], name = 'c'): JsonObject {
  return { cluster_name: name, endpoints: [{ lb_endpoints: [...lbEndpoints] }] };
}

export function anAssignment(json: JsonObject): ClusterLoadAssignment {
  return fromJson(ClusterLoadAssignmentSchema, json);
}

/** A static cluster `c` with one endpoint unless `json` says otherwise. */
export function aCluster(json: JsonObject = {}): Cluster {
  const isStatic = json['type'] === undefined || json['type'] === 'STATIC';
  const defaults: JsonObject = isStatic ? { load_assignment: assignmentJson([lbEndpoint(80)]) } : {};
  return fromJson(ClusterSchema, { name: 'c', ...defaults, ...json }, { registry: extensions });
}

export interface Compiled {
  readonly settings: ClusterSettings | null;
  readonly problems: readonly Problem[];
}

export function compiled(json: JsonObject = {}): Compiled {
  const env = anEnv();
  return { settings: compileCluster(aCluster(json), env, 'clusters[0]'), problems: env.problems };
}

/** The settings of a cluster that must compile. */
export function settingsOf(json: JsonObject = {}): ClusterSettings {
  const { settings, problems } = compiled(json);
  if (settings === null) throw new Error(JSON.stringify(problems));
  return settings;
}

export function endpointsWithWeights(weights: readonly number[]): readonly Endpoint[] {
  return weights.map(
    (weight, index) =>
      new Endpoint({
        address: '127.0.0.1',
        port: 1000 + index,
        hostname: '',
        locality: { region: '', zone: '', subZone: '' },
        priority: 0,
        metadata: new Map(),
        weight,
      }),
  );
}

/** Answers from a table that the test changes; counts what was asked. */
export class FakeResolver implements Resolver {
  readonly answers = new Map<string, LookupResult>();
  readonly asked: string[] = [];

  answer(name: string, family: 4 | 6, addresses: readonly string[], ttlSeconds = 0): void {
    this.answers.set(`${name}/${family}`, {
      kind: 'answer',
      addresses: addresses.map((address) => ({ address, ttlSeconds })),
    });
  }

  fail(name: string, family: 4 | 6): void {
    this.answers.set(`${name}/${family}`, { kind: 'failure', cause: 'ESERVFAIL' });
  }

  lookup(name: string, { family }: LookupOptions): Promise<LookupResult> {
    this.asked.push(`${name}/${family}`);
    return Promise.resolve(this.answers.get(`${name}/${family}`) ?? { kind: 'answer', addresses: [] });
  }
}

/** Delays that pass when the test says so. */
export class HandDelays {
  readonly pending = new Map<() => void, number>();

  #onNext: (() => void)[] = [];

  readonly delay = (callback: () => void, delayMs: number): (() => void) => {
    this.pending.set(callback, delayMs);
    const waiters = this.#onNext;
    this.#onNext = [];
    for (const waiter of waiters) waiter();
    return () => this.pending.delete(callback);
  };

  /** When the next delay begins. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#onNext.push(resolve));
  }

  /** The delays under way, in milliseconds. */
  get waiting(): readonly number[] {
    return [...this.pending.values()];
  }

  /** Lets every delay pass, and what follows from it settle. */
  async pass(): Promise<void> {
    const due = [...this.pending.keys()];
    this.pending.clear();
    for (const callback of due) callback();
    await settled();
  }
}

/** After everything that only waits for promises. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export interface Bench {
  readonly dependencies: ClusterDependencies;
  readonly resolver: FakeResolver;
  readonly delays: HandDelays;
}

export function aBench(): Bench {
  const resolver = new FakeResolver();
  const delays = new HandDelays();
  const dependencies = { clock: systemClock, random: () => 0, resolver, log: silentLog, delay: delays.delay };
  return { dependencies, resolver, delays };
}

export function started(json: JsonObject, bench: Bench = aBench()): LiveCluster {
  const cluster = new LiveCluster(settingsOf(json), bench.dependencies);
  cluster.start();
  return cluster;
}

export function authorities(endpoints: readonly Endpoint[]): readonly string[] {
  return endpoints.map(({ authority }) => authority);
}

/** What was told as removed, list by list. */
export function removals(cluster: LiveCluster): string[][] {
  const told: string[][] = [];
  cluster.onEndpoints((removed) => told.push([...authorities(removed)]));
  return told;
}

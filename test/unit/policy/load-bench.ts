// A filter that turns requests away, with time and chance under the test's control.
import { create, fromJson, toBinary, type DescMessage, type JsonObject } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { clusterId } from '../../../src/base/brand.ts';
import { formatProblem } from '../../../src/base/problem.ts';
import { LocalLimits } from '../../../src/base/shared-limits.ts';
import { internHeader } from '../../../src/http/header-name.ts';
import { ClusterRef } from '../../../src/plan/cluster.ts';
import { Exchange } from '../../../src/plan/exchange.ts';
import { FilterTally } from '../../../src/plan/filter-tally.ts';
import type { CompileHttpFilter, HttpFilter } from '../../../src/plan/http-filter.ts';
import type { CompileEnv } from '../../../src/plan/plan.ts';
import { FLAGS } from '../../../src/plan/response-flags.ts';
import { run, runThrough } from '../../../src/plan/run.ts';
import { NO_REMOTE } from '../../support/no-remote.ts';

export interface LoadBenchOptions {
  readonly random?: () => number;
  readonly runtime?: Readonly<Record<string, number>>;
}

export class LoadBench {
  nowMs = 10_000;
  readonly filter: HttpFilter | null;
  readonly problems: readonly string[];
  readonly #tallies = new Map<string, FilterTally>();

  constructor(
    compile: CompileHttpFilter,
    [schema, config]: readonly [DescMessage, JsonObject],
    { random = () => 0, runtime = {} }: LoadBenchOptions = {},
  ) {
    const env: CompileEnv = {
      problems: [],
      clusterRef: (name) => new ClusterRef(clusterId(name)),
      random,
      runtimeNumber: (key, fallback) => runtime[key] ?? fallback,
    };
    const value = toBinary(schema, fromJson(schema, config));
    this.filter = compile(create(AnySchema, { typeUrl: `type.googleapis.com/${schema.typeName}`, value }), {
      env,
      path: 'f',
      name: 'filter',
      bit: 2,
      statPrefix: 'main',
      place: 'in',
      serviceCluster: 'web',
      isInbound: true,
      isMesh: false,
      routeMatch: () => null,
      clock: { now: () => this.nowMs, wall: () => this.nowMs },
      limits: new LocalLimits(),
      remote: NO_REMOTE,
      tally: (_name, stats, part) => {
        const key = part === undefined ? '' : `${part.value}.`;
        const tally = this.#tallies.get(key) ?? new FilterTally(stats);
        this.#tallies.set(key, tally);
        return tally;
      },
    });
    this.problems = env.problems.map(formatProblem);
  }

  /** A request begins; `x.response.status` is 0 when it may go on. */
  begin(headers: Readonly<Record<string, string>> = {}): Exchange {
    const x = new Exchange();
    x.startMs = this.nowMs;
    for (const [name, value] of Object.entries(headers)) x.request.add(internHeader(name), value);
    run(x, this.filter?.part.onRequest ?? []);
    return x;
  }

  /** It is answered; 0: its client has left. */
  end(x: Exchange, status: number): void {
    if (status === 0) x.flags |= FLAGS.DC;
    else if (x.response.status === 0) x.response.status = status;
    runThrough(x, this.filter?.part.onEnd ?? []);
  }

  /** Whether a request is let in; it is answered at once with `status`. */
  passes(status = 200, headers: Readonly<Record<string, string>> = {}): boolean {
    const x = this.begin(headers);
    const isIn = x.response.status === 0;
    this.end(x, status);
    return isIn;
  }

  /** A statistic, with its part in front. */
  stat(name: string): number {
    for (const [key, tally] of this.#tallies) {
      const at = tally.stats.findIndex((stat) => `${key}${stat.name}` === name);
      if (at >= 0) return tally.of(at);
    }
    return Number.NaN;
  }
}

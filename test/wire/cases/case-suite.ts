// Runs many wire cases, each in all its deliveries, over a few data planes at once: a lane is one data plane
// with one upstream, and takes one case after the other.
import { startDataPlane, type DataPlane } from '../data-plane.ts';
import { judgeCase } from './case-judge.ts';
import { runCase } from './case-run.ts';
import { CaseUpstream } from './case-upstream.ts';
import { managerOf, profileOf } from './profiles.ts';
import { deliveriesOf, type Delivery, type WireCase } from './wire-case.ts';

export interface Outcome {
  readonly delivery: string;
  readonly complaints: readonly string[];
}

export interface CaseResult {
  readonly case: WireCase;
  readonly outcomes: readonly Outcome[];
}

export interface SuiteOptions {
  /** Seeds of the random cuts. */
  readonly seeds?: readonly number[];
  readonly lanes?: number;
}

interface Job {
  readonly one: WireCase;
  readonly how: Delivery;
  readonly outcomes: Outcome[];
}

const SEEDS: readonly number[] = [1, 2];

/** The results, in the order of the cases. */
export async function runCases(cases: readonly WireCase[], options: SuiteOptions = {}): Promise<readonly CaseResult[]> {
  const deliveries = deliveriesOf(options.seeds ?? SEEDS);
  const results: { readonly case: WireCase; readonly outcomes: Outcome[] }[] = cases.map((one) => ({
    case: one,
    outcomes: [],
  }));
  const jobs = new Map<string, Job[]>();
  for (const { case: one, outcomes } of results) {
    const profile = profileOf(one);
    const list = jobs.get(profile) ?? [];
    jobs.set(profile, list);
    for (const how of deliveries) list.push({ one, how, outcomes });
  }
  const laneCount = options.lanes ?? 8;
  const runs: Promise<void>[] = [];
  for (const [profile, list] of jobs) {
    const lanes = Math.min(laneCount, Math.ceil(list.length / 12));
    for (let lane = 0; lane < lanes; lane++) runs.push(runLane(profile, list));
  }
  await Promise.all(runs);
  const order = new Map(deliveries.map(({ name }, index) => [name, index]));
  for (const { outcomes } of results) {
    outcomes.sort((a, b) => (order.get(a.delivery) ?? 0) - (order.get(b.delivery) ?? 0));
  }
  return results;
}

async function runLane(profile: string, jobs: Job[]): Promise<void> {
  const upstream = await CaseUpstream.start();
  const plane: DataPlane = await startDataPlane(upstream.port, { manager: managerOf(profile) });
  for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
    const { one, how, outcomes } = job;
    const seen = await runCase(one, how, plane.port, upstream);
    const late = seen.isTimedOut ? ['what the case waits for did not come in time'] : [];
    outcomes.push({ delivery: how.name, complaints: [...late, ...judgeCase(one, seen)] });
  }
  plane.close();
  upstream.close();
}

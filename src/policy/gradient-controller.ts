// @hot
// How many requests may be under way at a time, found from how long they take, as Envoy's gradient controller does it:
// now and then only a few are let in, to learn what the app needs when it is idle; else the limit follows the gradient
// between that and what requests take now, with room for bursts. Time is looked at when requests come and go, so
// nothing runs where there is no traffic.
//   limit = limit × clamp(minRTT × (1 + buffer) / sampleRTT, ½, 2) + √limit
import type { Clock } from '../base/clock.ts';

export interface GradientSettings {
  /** Of the samples of an interval, in [0, 1]. */
  readonly percentile: number;
  readonly limitMax: number;
  readonly limitMin: number;
  readonly updateMs: number;
  /** Between two looks at the idle app; 0 with a fixed minimum. */
  readonly learnMs: number;
  /** 0 learns the minimum. */
  readonly fixedMinimumMs: number;
  readonly learnRequests: number;
  /** Share of `learnMs` that is added at random, at most. */
  readonly jitter: number;
  /** Share of the minimum that requests may take longer. */
  readonly buffer: number;
}

/** After so many updates at the minimum the idle app is looked at again. */
const MINIMUMS_MAX = 5;
/** Samples kept of one interval; beyond them each replaces one at random. */
const SAMPLES_MAX = 1024;

export class GradientController {
  limit: number;
  /** Under way. */
  active = 0;
  minimumMs: number;
  sampleMs = 0;
  gradient = 1;
  headroom = 0;
  isLearning = false;
  readonly #settings: GradientSettings;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #samples = new Float64Array(SAMPLES_MAX);
  #seen = 0;
  #limitBefore: number;
  #learnsSinceMs = 0;
  #nextLearnMs = 0;
  #nextUpdateMs = 0;
  #minimums = 0;

  constructor(settings: GradientSettings, clock: Clock, random: () => number) {
    this.#settings = settings;
    this.#clock = clock;
    this.#random = random;
    this.limit = settings.limitMin;
    this.#limitBefore = settings.limitMin;
    this.minimumMs = settings.fixedMinimumMs;
    this.#nextUpdateMs = clock.now() + settings.updateMs;
    if (settings.fixedMinimumMs === 0) this.#learn(clock.now());
  }

  /** False: too many are under way, of a `share` of the limit. */
  enter(share = 1): boolean {
    this.#look(this.#clock.now());
    if (this.active >= Math.max(1, this.limit * share)) return false;
    this.active++;
    return true;
  }

  /** A request that was let in at `startMs` has been answered. */
  answered(startMs: number): void {
    this.active--;
    const nowMs = this.#clock.now();
    if (this.isLearning && startMs < this.#learnsSinceMs) return;
    this.#sample(nowMs - startMs);
    if (this.isLearning && this.#seen >= this.#settings.learnRequests) this.#learned(nowMs);
  }

  /** A request that was let in has ended without an answer: it says nothing. */
  left(): void {
    this.active--;
  }

  #sample(durationMs: number): void {
    const at = this.#seen < SAMPLES_MAX ? this.#seen : Math.floor(this.#random() * this.#seen);
    if (at < SAMPLES_MAX) this.#samples[at] = durationMs;
    this.#seen++;
  }

  #look(nowMs: number): void {
    const { learnMs, updateMs } = this.#settings;
    if (learnMs > 0 && !this.isLearning && nowMs >= this.#nextLearnMs) this.#learn(nowMs);
    if (nowMs < this.#nextUpdateMs) return;
    this.#nextUpdateMs = nowMs + updateMs;
    if (!this.isLearning && this.#seen > 0) this.#update();
  }

  #learn(nowMs: number): void {
    this.isLearning = true;
    this.#limitBefore = this.limit;
    this.#learnsSinceMs = nowMs;
    this.#seen = 0;
    this.#minimums = 0;
    this.limit = this.#settings.limitMin;
  }

  #learned(nowMs: number): void {
    const { learnMs, jitter } = this.#settings;
    this.minimumMs = this.#takeSamples();
    this.isLearning = false;
    this.limit = this.#limitBefore;
    this.#nextLearnMs = nowMs + learnMs * (1 + this.#random() * jitter);
  }

  #update(): void {
    const { buffer, limitMin, limitMax } = this.#settings;
    this.sampleMs = this.#takeSamples();
    const wantedMs = this.minimumMs * (1 + buffer);
    this.gradient = this.sampleMs === 0 ? 2 : Math.max(0.5, Math.min(2, wantedMs / this.sampleMs));
    const limit = this.limit * this.gradient;
    this.headroom = Math.sqrt(limit);
    const before = this.limit;
    this.limit = Math.max(limitMin, Math.min(limitMax, Math.floor(limit + this.headroom)));
    this.#minimums = this.limit === limitMin && before === limitMin ? this.#minimums + 1 : 0;
    if (this.#minimums >= MINIMUMS_MAX && this.#settings.learnMs > 0) this.#learn(this.#clock.now());
  }

  /** The percentile of what was sampled, which is forgotten. Once per interval. */
  #takeSamples(): number {
    const samples = this.#samples.subarray(0, Math.min(this.#seen, SAMPLES_MAX)).toSorted();
    this.#seen = 0;
    return samples[Math.min(samples.length - 1, Math.floor(samples.length * this.#settings.percentile))] ?? 0;
  }
}

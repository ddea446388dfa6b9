// `outrigger demo`: the mesh runs on examples/bookshop/rules itself, steady traffic enters through the
// frontend's sidecar, and a table shows who calls whom while a person edits the rules. Every frame is
// computed from what the sidecars report; the demo knows nothing that an operator could not see.
import { relative } from 'node:path';
import { request } from 'undici';
import { SERVICES } from './bookshop.ts';
import type { Child } from './child.ts';
import { findCollector, type Collector } from './collector.ts';
import { currentHints } from './hint.ts';
import { Load } from './load.ts';
import { Mesh } from './mesh.ts';
import { parsePrometheusText } from './prometheus-text.ts';
import { readRefusedRules } from './refused-rules.ts';
import type { Screen } from './screen.ts';
import type { Span } from './span.ts';
import { drawTable } from './table.ts';
import { drawTrace, growTree, isWhole } from './trace-tree.ts';
import { tally, trafficBetween, type Row, type Scrape, type Tally } from './traffic.ts';

export interface LiveOptions {
  readonly rulesDirectory: string;
  /** 0 takes a free port. */
  readonly doorPort: number;
  /** Visits per second. */
  readonly rate: number;
  readonly screen: Screen;
  /** Aborted when the demo shall end. */
  readonly signal: AbortSignal;
}

const FRAME_MS = 500;
/** Without a terminal a table is printed this often. */
const PLAIN_FRAME_MS = 5_000;
/** Rates and shares are of the last second or so: 2 frames back. */
const WINDOW_FRAMES = 2;
const HINT_MS = 12_000;
const TRACE_MS = 10_000;
const VISITORS = 16;

/** Runs until the signal; throws a MeshFailure when the mesh cannot start or loses a process. */
export async function runLive(options: LiveOptions): Promise<void> {
  const { screen, signal, rulesDirectory, doorPort, rate } = options;
  const collector = await findCollector();
  let dead: Child | null = null;
  const stopped = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => stopped.resolve());
  screen.frame([
    `starting a control service, 6 apps and 6 sidecars (rules: ${relative(process.cwd(), rulesDirectory)})`,
  ]);
  const mesh = await Mesh.start({
    rulesDirectory,
    doorPort,
    onDeath: (child) => {
      if (!signal.aborted) dead ??= child;
      stopped.resolve();
    },
  });
  const door = mesh.member('frontend');
  const visit = { host: 'frontend', path: '/books/1' };
  const load = new Load({ port: door.inboundPort, visit, visitors: VISITORS, rate });
  const view = new LiveView(options, mesh, collector, load);
  const timer = setInterval(() => void view.tick(), FRAME_MS);
  await stopped.promise;
  clearInterval(timer);
  screen.close();
  await load.stop();
  await mesh.stop();
  collector.receiver?.close();
  throwIfDead(dead);
}

function throwIfDead(dead: Child | null): void {
  if (dead !== null) throw new Error(dead.obituary());
}

class LiveView {
  readonly #options: LiveOptions;
  readonly #mesh: Mesh;
  readonly #collector: Collector;
  readonly #load: Load;
  readonly #startMs = performance.now();
  readonly #tallies: Tally[] = [];
  #refusals: readonly string[] = [];
  #trace: readonly string[] = [];
  #tracedAtMs = -TRACE_MS;
  #printedAtMs = -Infinity;
  #isBusy = false;

  constructor(options: LiveOptions, mesh: Mesh, collector: Collector, load: Load) {
    this.#options = options;
    this.#mesh = mesh;
    this.#collector = collector;
    this.#load = load;
  }

  async tick(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      const nowMs = performance.now();
      this.#refusals = await readRefusedRules(this.#mesh.httpPort);
      this.#tallies.push(tally(nowMs, await scrapeAll(this.#mesh)));
      if (this.#tallies.length > WINDOW_FRAMES + 1) this.#tallies.shift();
      const { screen } = this.#options;
      const rows = this.#rows();
      if (!screen.isLive && (rows.length === 0 || nowMs - this.#printedAtMs < PLAIN_FRAME_MS)) return;
      this.#printedAtMs = nowMs;
      screen.frame(this.#lines(nowMs, rows));
    } finally {
      this.#isBusy = false;
    }
  }

  #rows(): Row[] {
    const earliest = this.#tallies[0];
    const latest = this.#tallies.at(-1);
    return earliest === undefined || latest === undefined ? [] : trafficBetween(earliest, latest, SERVICES);
  }

  #lines(nowMs: number, rows: readonly Row[]): string[] {
    const { paint } = this.#options.screen;
    const failed = this.#load.failed;
    const failedText = paint(failed === 0 ? 'green' : 'red', `${failed} failed`);
    return [
      `${paint('bold', 'Outrigger bookshop')}  door ${this.#door()}  ${this.#load.sent} visits, ${failedText}  (Ctrl-C ends it)`,
      '',
      ...drawTable(rows, paint),
      '',
      ...this.#news(nowMs),
      ...this.#traceLines(nowMs),
    ];
  }

  #door(): string {
    return `http://127.0.0.1:${this.#mesh.member('frontend').inboundPort}`;
  }

  #news(nowMs: number): string[] {
    const { paint } = this.#options.screen;
    if (this.#refusals.length > 0) {
      return [
        paint('yellow', 'Refused; the last good rules stay in force:'),
        ...this.#refusals.flatMap(foldRefusal),
        '',
      ];
    }
    const hints = currentHints({
      rulesDirectory: this.#options.rulesDirectory,
      from: process.cwd(),
      door: this.#door(),
      outbound: `http://127.0.0.1:${this.#mesh.member('frontend').outboundPort}`,
    });
    const hint = hints[Math.floor((nowMs - this.#startMs) / HINT_MS) % Math.max(hints.length, 1)];
    if (hint === undefined) return [];
    return [`${paint('yellow', 'Try')} ${paint('bold', hint.place)}`, `  ${hint.text}`, ''];
  }

  #traceLines(nowMs: number): readonly string[] {
    const { port, receiver } = this.#collector;
    if (receiver === null) return [`spans go to the Collector on 127.0.0.1:${port}`];
    if (nowMs - this.#tracedAtMs >= TRACE_MS) {
      const spans =
        receiver.newest((trace) => isDrawable(trace, 4)) ?? receiver.newest((trace) => isDrawable(trace, 3));
      if (spans !== null) {
        this.#trace = drawTrace(spans, this.#options.screen.paint);
        this.#tracedAtMs = nowMs;
      }
    }
    return this.#trace;
  }
}

/** The place on a line of its own: what is wrong is the longer half and may be cut by a narrow terminal. */
function foldRefusal(line: string): string[] {
  const [, place, message] = /^(\S+:\d+:\d+): (.*)$/.exec(line) ?? [];
  return place === undefined || message === undefined ? [`  ${line}`] : [`  ${place}`, `    ${message}`];
}

function isDrawable(spans: readonly Span[], services: number): boolean {
  const tree = growTree(spans);
  return tree.services.length >= services && isWhole(tree);
}

/** What every sidecar counts, asked of all at once; a sidecar that does not answer is left out. */
export async function scrapeAll(mesh: Mesh): Promise<Scrape[]> {
  const scrapes = await Promise.all(
    mesh.members.map(async ({ workload, adminPort }) => {
      try {
        const answer = await request(`http://127.0.0.1:${adminPort}/stats/prometheus`, { headersTimeout: 2_000 });
        return [{ service: workload.service, samples: parsePrometheusText(await answer.body.text(), 'istio_') }];
      } catch {
        // It is stopping or busy: this frame goes without it.
        return [];
      }
    }),
  );
  return scrapes.flat();
}

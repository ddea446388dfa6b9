// The control service in one process: rules from a directory, workloads that join, and the view that each
// connected sidecar gets. It is the ViewSource of the discovery server and knows nothing of streams.
//
//   directory ─► index ─► debounce ─► snapshot ─► view per sidecar ─► discovery
//   sidecars ──► registry ──(does not wait)──┘
import { systemClock } from '../base/clock.ts';
import { isBoundHere } from '../base/own-host.ts';
import type { Problem } from '../base/problem.ts';
import type { Resource } from '../config/resource.ts';
import type { CertificateAuthority } from './ca/certificate-authority.ts';
import { RefusalBook } from './authentication/refusal-book.ts';
import { ClientRoster } from './client-roster.ts';
import type { ControlAddresses, ControlOptions } from './control-options.ts';
import { Debounce } from './debounce.ts';
import { DirectoryRules } from './directory-rules.ts';
import { DiscoveryServer } from './discovery.ts';
import type { NodeInfo, View, ViewListener, ViewSource, ViewSubscription } from './flow.ts';
import { JwksStore } from './jwks-store.ts';
import { readNode, sortOf } from './mesh-node.ts';
import type { MeshNode } from './mesh-node.ts';
import { checkPods } from './known-pods.ts';
import { checkClaim } from './node-claim.ts';
import type { PagesAccess } from './pages-access.ts';
import { ProblemLog } from './problem-log.ts';
import { RateReports } from './rate-reports.ts';
import { Readiness } from './readiness.ts';
import { ResourceIndex } from './resource-index.ts';
import type { Touched } from './resource-index.ts';
import type { RuleSink, RuleSource } from './rule-source.ts';
import type { SecureEndpoint } from './secure-endpoint.ts';
import { Settling } from './settling.ts';
import type { Snapshot } from './snapshot.ts';
import { StatusServer } from './status-server.ts';
import { wantedJwks } from './translate/jwt-keys.ts';
import { Translator } from './translator.ts';
import { WorkloadRegistry } from './workload-registry.ts';

/** Sidecars try again at least every 1.5 s (src/sidecar/discovery.ts); the rest is for slow machines and other clients. */
const SETTLE_MS = 2_500;
/** What only shows in the whole (a rule that instances do not match) is looked for again this long after they changed. */
const CHECK_MS = 1_000;

/** Below, a sidecar with all of the mesh has a few MiB of it, and needs nobody to serve what it never served before. */
const ON_DEMAND_ABOVE = 500;

interface Subscriber {
  readonly node: MeshNode;
  readonly listener: ViewListener;
  readonly leave: () => void;
  isReturning: boolean;
  /** Virtual hosts that it fetched. */
  used: ReadonlySet<string>;
  view: View | null;
}

export class ControlService implements ViewSource {
  readonly #options: ControlOptions;
  readonly #index = new ResourceIndex();
  readonly #registry: WorkloadRegistry;
  readonly #clients: ClientRoster;
  readonly #debounce: Debounce;
  readonly #sources: readonly RuleSource[];
  readonly #discovery: DiscoveryServer;
  readonly #reports: RateReports;
  readonly #status: StatusServer;
  readonly #problemLog: ProblemLog;
  readonly #settling: Settling;
  readonly #readiness: Readiness;
  readonly #ending = new AbortController();
  readonly #subscribers = new Set<Subscriber>();
  readonly #jwks: JwksStore;
  readonly #translator: Translator;
  readonly #refusals: RefusalBook;
  #secure: SecureEndpoint | null = null;
  #isStale = true;
  /** The sorts of nodes that the newest translation was tried with. */
  #tried: ReadonlySet<string> = new Set();
  #problems: readonly Problem[] = [];
  #publications = 0;
  #checkSoon: NodeJS.Timeout | null = null;

  constructor(options: ControlOptions) {
    this.#options = options;
    const {
      rules,
      log,
      clock = systemClock,
      debounceMs = 100,
      graceMs = 5_000,
      xdsAddress = '127.0.0.1:15010',
    } = options;
    this.#registry = new WorkloadRegistry({
      onChange: () => this.#workloadsChanged(),
      graceMs,
      isOther: (node) => this.#sources.some((source) => source.knows?.(node) === true),
    });
    this.#clients = new ClientRoster({ onChange: () => this.#clientsChanged(), graceMs });
    this.#settling = new Settling({ holdMs: options.settleMs ?? SETTLE_MS, onProgress: () => this.#publish() });
    this.#debounce = new Debounce({ run: () => this.#publish(), quietMs: debounceMs, clock });
    this.#problemLog = new ProblemLog(log.child('rules'));
    const { sources = [] } = options;
    this.#sources = rules === undefined ? sources : [new DirectoryRules(rules, log.child('rules')), ...sources];
    this.#readiness = new Readiness(this.#sources, this.#settling);
    this.#refusals = new RefusalBook(log.child('refusals'), clock);
    this.#reports = new RateReports({
      snapshot: () => this.snapshot,
      nodesOf: (id) => this.#clients.nodes().filter((node) => node.id === id),
      clock,
      graceMs,
      trustsAnybody: () => this.#secure === null,
    });
    this.#discovery = new DiscoveryServer({
      reports: this.#reports,
      source: this,
      log: log.child('xds'),
      clock,
      address: xdsAddress,
      onRefused: (refused, fields) => this.#refusals.note('xds', refused, fields),
    });
    this.#status = new StatusServer({ control: this, log, address: options.httpAddress ?? '127.0.0.1:15014' });
    const { domain = 'cluster.local', tracing = [], trustDomain = '', onDemandAbove = ON_DEMAND_ABOVE } = options;
    const given = {
      domain,
      trustDomain,
      onDemandAbove,
      rootsPem: () => this.#secure?.rootsPem ?? '',
      providers: tracing.map(({ provider }) => provider),
      services: tracing.map(({ service }) => service),
    };
    this.#jwks = new JwksStore({
      log: log.child('jwks'),
      clock,
      onChange: () => this.#touched({ keys: [], isEndpointsOnly: false }),
      allowsPrivate: options.allowsPrivateJwks ?? false,
    });
    this.#translator = new Translator(given, this.#clients, () => this.#jwks.states);
  }

  /** Shows how it is, reads the rules, then listens. Rejects when a source cannot be read or an address is taken. */
  async start(): Promise<ControlAddresses> {
    const sink: RuleSink = {
      apply: (name, parsed) => this.#touched(this.#index.apply(name, parsed)),
      remove: (name) => this.#touched(this.#index.remove(name)),
    };
    const http = await this.#status.start();
    await Promise.all(this.#sources.map(async (source) => await source.start(sink)));
    this.#publish();
    const { log, rules = '' } = this.#options;
    const secure = await this.#startSecure();
    const xds = await this.#discovery.start();
    if (!isBoundHere(xds))
      log.warning('the plaintext port can be reached from other machines, and nobody is asked there who they are', {
        xds,
      });
    this.#settling.start();
    log.info('control service listens', { xds, http, secure, rules });
    return { xds, http, secure };
  }

  async #startSecure(): Promise<string> {
    const { secure = null, log, clock = systemClock } = this.#options;
    if (secure === null) return '';
    const { SecureEndpoint } = await import('./secure-endpoint.ts');
    this.#secure = await SecureEndpoint.open(secure, {
      discovery: this.#discovery,
      refusals: this.#refusals,
      log,
      clock,
      onRootsChanged: () => this.#workloadsChanged(),
      onWaiting: (why) => this.#readiness.waitForAuthority(why),
      ending: this.#ending.signal,
      trustDomains: () => [this.snapshot.mesh.trustDomain, ...this.snapshot.mesh.trustDomainAliases],
    });
    // Who joins is told whom to trust.
    this.#isStale = true;
    return await this.#secure.start();
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    this.#settling.stop();
    this.#reports.stop();
    this.#debounce.close();
    if (this.#checkSoon !== null) clearTimeout(this.#checkSoon);
    await Promise.all(this.#sources.map(async (source) => await source.stop()));
    await Promise.all([this.#discovery.stop(), this.#status.stop(), this.#secure?.stop()]);
    await this.#jwks.close();
    this.#registry.close();
    this.#clients.close();
  }

  open(info: NodeInfo & { readonly isReturning?: boolean }, listener: ViewListener): ReturnType<ViewSource['open']> {
    const pods = this.#sources.flatMap((source) => source.pods ?? []);
    const denial = pods.reduce((found, known) => found ?? checkPods(info, known), checkClaim(info));
    if (denial !== null) return { kind: 'refused', message: denial.details, denial };
    const node = readNode(info);
    if (typeof node === 'string') return { kind: 'refused', message: node };
    const { isReturning = false } = info;
    if (isReturning) this.#settling.noteReturned();
    const joins = this.#mayCount(node);
    // Whose token is that of a Pod is that Pod, also while its address is not known yet.
    const isPod = pods.length > 0 && (info.peer?.pod ?? '') !== '';
    const leavers = joins ? [...(isPod ? [] : [this.#registry.join(node)]), this.#clients.join(node)] : [];
    const leave = (): void => {
      for (const leaver of leavers) leaver();
    };
    const subscriber: Subscriber = { node, listener, leave, isReturning, used: new Set(), view: null };
    this.#subscribers.add(subscriber);
    if (this.#settling.admits(isReturning)) subscriber.view = this.#build(subscriber);
    const subscription: ViewSubscription = {
      get view() {
        return subscriber.view;
      },
      noteReturned: () => {
        subscriber.isReturning = true;
        this.#settling.noteReturned();
      },
      use: (hosts) => {
        subscriber.used = new Set(hosts);
        if (subscriber.view === null) return null;
        const view = this.#build(subscriber);
        if (view === subscriber.view) return null;
        subscriber.view = view;
        return view;
      },
      close: () => {
        this.#subscribers.delete(subscriber);
        subscriber.leave();
      },
    };
    return { kind: 'open', subscription };
  }

  /** Where identities are there to be had, whoever has none is nobody's instance and has no share of anything. */
  #mayCount(node: MeshNode): boolean {
    if (this.#secure === null || node.identity !== null) return true;
    this.#options.log.warning('a node without an identity is not registered', { node: node.id });
    return false;
  }

  get isReady(): boolean {
    return this.#settling.isOpen;
  }

  /** What it waits for before it can serve; empty: nothing. */
  get waiting(): readonly string[] {
    return this.#readiness.waiting();
  }

  get problems(): readonly Problem[] {
    return this.#problems;
  }

  get snapshot(): Snapshot {
    return this.#translator.last.snapshot;
  }

  /** Everything that was heard by now has been translated, and is with the streams. */
  get isCurrent(): boolean {
    return !this.#isStale && this.isReady;
  }

  /** Everything that is in force, by key. Not to be kept: it changes. */
  get rules(): ReadonlyMap<string, Resource> {
    return this.#index.resources();
  }

  /** What resources would be told if they came now; nothing changes. */
  trial(resources: readonly Resource[]): readonly Problem[] {
    return this.#translator.trial(resources);
  }

  /** Null without one, and before the start. */
  get authority(): CertificateAuthority | null {
    return this.#secure?.authority ?? null;
  }

  /** What sidecars of other machines are shown when they are asked for their pages; null without an authority. */
  get pagesAccess(): PagesAccess | null {
    return this.#secure?.pages ?? null;
  }

  get discovery(): DiscoveryServer {
    return this.#discovery;
  }

  counters(): ReadonlyMap<string, number> {
    return new Map([
      ...this.#discovery.counters(),
      ...(this.#secure === null ? [] : [...this.#refusals.counters(), ...this.#secure.counters()]),
      ...this.#jwks.counters(),
      ...this.#sources.flatMap((source) => [...(source.counters?.() ?? [])]),
      ['pilot_xds', this.#subscribers.size],
      ['pilot_services', this.snapshot.services.size],
      ['pilot_virt_services', this.snapshot.virtualServices.length],
      ['pilot_push_triggers', this.#publications],
      ['outrigger_workloads', this.#registry.workloads().length],
      ['outrigger_rule_errors', this.#problems.filter((problem) => problem.severity === 'error').length],
      ['outrigger_rule_warnings', this.#problems.filter((problem) => problem.severity === 'warning').length],
    ]);
  }

  #touched({ keys, isEndpointsOnly }: Touched): void {
    this.#isStale = true;
    if (isEndpointsOnly && keys.length > 0) this.#debounce.noteEndpoints();
    else this.#debounce.note();
  }

  #workloadsChanged(): void {
    this.#isStale = true;
    this.#debounce.noteEndpoints();
  }

  /** Shares of others change with it: those who lose some are told at once, as soon as this turn is over. */
  #clientsChanged(): void {
    if (this.#translator.last.builder.hasShares) this.#debounce.noteEndpoints();
  }

  /** `isWhole`: everything is translated anew, and tried with each sort of node. */
  #refresh(isWhole = false): void {
    if (!this.#isStale && !isWhole) return;
    this.#isStale = false;
    const before = this.#translator.last.snapshot.requestAuthentications;
    this.#registry.forgetOthers();
    const nodes = (): readonly MeshNode[] => {
      const sorts = new Map([...this.#subscribers].map(({ node }) => [sortOf(node), node]));
      this.#tried = new Set(sorts.keys());
      return [...sorts.values()];
    };
    const { snapshot } = this.#translator.translate(
      this.#index.resources(),
      this.#registry.workloads(),
      nodes,
      isWhole,
    );
    if (snapshot.requestAuthentications !== before) this.#jwks.want(wantedJwks(snapshot));
  }

  #publish(): void {
    this.#refresh();
    this.#tellProblems();
    if (!this.#settling.isOpen) return;
    this.#publications += 1;
    for (const subscriber of this.#subscribers) {
      if (subscriber.view === null && !this.#settling.admits(subscriber.isReturning)) continue;
      const view = this.#build(subscriber);
      if (view === null || view === subscriber.view) continue;
      subscriber.view = view;
      subscriber.listener(view);
    }
    this.#translator.interner.sweep();
  }

  #tellProblems(): void {
    const { problems, builder } = this.#translator.last;
    this.#problems = [...this.#index.problems(), ...problems, ...builder.problems];
    this.#problemLog.update(this.#problems);
    this.#checkSoon ??= setTimeout(() => {
      this.#checkSoon = null;
      if (this.#translator.check()) this.#tellProblems();
    }, CHECK_MS).unref();
  }

  /** A translation that fails is our own mistake; it must cost neither the process nor what sidecars have. */
  #build({ node, view, used }: Subscriber): View | null {
    this.#refresh();
    try {
      return this.#translator.last.builder.build(node, view, used);
    } catch {
      // Where nobody like this node was there, or nobody was tried, look for the resource that fails for it.
      if (!this.#tried.has(sortOf(node)) || !this.#translator.isTried) {
        this.#refresh(true);
        this.#debounce.noteEndpoints();
      }
    }
    try {
      return this.#translator.last.builder.build(node, view, used);
    } catch (cause) {
      this.#options.log.error('translation failed, what the sidecar has stays in force', {
        node: node.id,
        cause: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause),
      });
      return view;
    }
  }
}

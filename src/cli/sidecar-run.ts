// Runs a sidecar until it is told to end, or until a successor serves in its place. Exit codes: 0 after a drain, 1 when it cannot start, 64 for
// wrong usage, 65 for a bootstrap with errors. The ready line counts from the start of the process.
import { createLog, silentLog, type Log } from '../base/log.ts';
import { formatProblem, refuses, type Problem } from '../base/problem.ts';
import type { RunningServer } from '../sidecar/admin/server.ts';
import { warnOfExposure } from '../sidecar/exposed-app.ts';
import type { Identity } from '../sidecar/identity.ts';
import { joinBootstrap, ownAddress } from '../sidecar/join.ts';
import type { WorkloadIdentity as Workload } from '../sidecar/node.ts';
import { Proxy } from '../sidecar/proxy.ts';
import type { Bootstrap } from '../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { meetPredecessor, type Succession } from './sidecar-succession.ts';
import { makePlane, type SidecarPlane } from './sidecar-plane.ts';
import { SidecarServers, type AppAddress } from './sidecar-servers.ts';
import { readFlags, type CommonSettings, type SidecarSettings } from './sidecar-flags.ts';
import type { SidecarFlags } from './sidecar.ts';

/** Of a sidecar that runs a file: nobody says where its app is. */
const HERE: AppAddress = { address: '127.0.0.1', isCaptured: false };
const DONE = 0;
const FAILED = 1;
const USAGE = 64;
const DATA = 65;

export async function runSidecar(flags: SidecarFlags): Promise<number> {
  const settings = readFlags(flags);
  if (!('kind' in settings)) {
    for (const mistake of settings) say(`outrigger sidecar: ${mistake}`);
    return USAGE;
  }
  return settings.kind === 'file' ? runFile(settings, flags) : runJoin(settings, flags);
}

async function runFile(settings: SidecarSettings & { kind: 'file' }, flags: SidecarFlags): Promise<number> {
  const { file, isValidation, logLevel } = settings;
  // Reading YAML is not for those who join a mesh.
  const { loadBootstrap } = await import('../sidecar/bootstrap-file.ts');
  const { bootstrap, problems, locate } = loadBootstrap(file);
  if (bootstrap === null) return report(problems);
  const log = isValidation ? silentLog : createLog('sidecar', logLevel);
  const check = ({ problems: more }: Proxy): number =>
    report([...problems, ...more.map((problem) => ({ ...problem, place: locate(problem.path) }))]);
  if (!isValidation) return begin({ bootstrap, log, settings, flags, identity: null, app: HERE, check });
  const proxy = new Proxy({ bootstrap, log, extensions: settings.extensions });
  const code = check(proxy);
  await proxy.stop(0);
  if (code === DONE) process.stdout.write(`${file}: OK\n`);
  return code;
}

async function runJoin(settings: SidecarSettings & { kind: 'join' }, flags: SidecarFlags): Promise<number> {
  const { control, adminPort, pagesPort, logLevel } = settings;
  const log = createLog('sidecar', logLevel);
  const { identity, workload } = await identify(settings, log);
  const address = workload.address === '' ? await ownAddress(control) : workload.address;
  const bootstrap = joinBootstrap({
    control,
    workload: { ...workload, address },
    adminPort,
    pagesPort: pagesPort ?? 0,
  });
  if (workload.mode === 'explicit')
    warnOfExposure(
      workload.apps.map(({ port }) => port),
      log,
    );
  const app = { address, isCaptured: workload.mode === 'redirect' };
  return begin({ bootstrap, log, settings, flags, identity, app, check: reportErrors });
}

/** The workload with the account of its identity, if it has one. */
async function identify(
  { control, workload, identity: settings }: SidecarSettings & { kind: 'join' },
  log: Log,
): Promise<{ readonly identity: Identity | null; readonly workload: Workload }> {
  if (settings === null) return { identity: null, workload };
  const { makeIdentity } = await import('./workload-identity.ts');
  const { identity, serviceAccount } = await makeIdentity(settings, control, workload, log);
  return { identity, workload: { ...workload, serviceAccount } };
}

function reportErrors({ problems }: Proxy): number {
  return report(problems.filter(({ severity }) => severity === 'error'));
}

interface Beginning {
  readonly bootstrap: Bootstrap;
  readonly log: Log;
  readonly settings: CommonSettings;
  readonly flags: SidecarFlags;
  readonly identity: Identity | null;
  readonly app: AppAddress;
  /** Reports what is wrong with the bootstrap; the exit code. */
  readonly check: (proxy: Proxy) => number;
}

/** Makes the proxy, after the sidecar that it replaces was asked for its sockets. */
async function begin({ bootstrap, log, settings, flags, identity, app, check }: Beginning): Promise<number> {
  let succession: Succession;
  try {
    succession = await meetPredecessor(settings.handoverPath, log);
  } catch (cause) {
    log.error('cannot take over', { error: messageOf(cause) });
    return FAILED;
  }
  const plane = await makePlane({ bootstrap, log, settings, succession, identity });
  const code = check(plane.proxy);
  if (code === DONE) return run(plane, { settings, flags, app, succession });
  succession.abandon();
  await plane.stop(0);
  return code;
}

interface Running {
  readonly settings: CommonSettings;
  readonly flags: SidecarFlags;
  readonly app: AppAddress;
  readonly succession: Succession;
}

async function run(plane: SidecarPlane, { settings, flags, app, succession }: Running): Promise<number> {
  const { proxy } = plane;
  const { log } = proxy;
  // A mistake of ours must cost one request, not every connection of the process.
  process.on('uncaughtException', (error) => log.error('unexpected error', { error: error.stack ?? error.message }));
  process.on('unhandledRejection', (reason) => log.error('unexpected rejection', { error: String(reason) }));
  const ending = Promise.withResolvers<void>();
  let hasDelay = true;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    // A second signal ends at once.
    process.once(signal, () => {
      // Nobody who presses Ctrl-C waits for a load balancer to notice.
      if (signal === 'SIGINT') hasDelay = false;
      ending.resolve();
      process.once(signal, () => process.exit(DONE));
    });
  }
  const servers = new SidecarServers({
    source: plane.adminSource({ version: VERSION, commandLine: commandLineOf(flags), quit: ending.resolve }),
    secrets: proxy.secrets,
    log,
    admin: proxy.adminAddress,
    settings,
    app,
    identity: proxy.identity,
    inherit: succession.take,
  });
  try {
    plane.shareSockets(succession.hasPredecessor);
    const starting = plane.start();
    starting.catch(() => {});
    // While clusters are resolved and the control service answers; but a predecessor answers until this one is ready.
    if (!succession.hasPredecessor) await servers.start();
    await Promise.race([starting, ending.promise]);
    await Promise.race([plane.ready, ending.promise]);
    if (plane.isReady) {
      if (succession.hasPredecessor) await servers.start();
      await succeed(plane, { servers, succession, end: ending.resolve });
      // Whoever reads this may start a successor.
      announce(proxy, servers.admin);
    }
  } catch (cause) {
    log.error('cannot start', { error: messageOf(cause) });
    succession.abandon();
    await plane.stop(0);
    await servers.close();
    return FAILED;
  }
  await ending.promise;
  log.info('draining');
  await plane.stop(undefined, hasDelay);
  succession.abandon();
  await servers.close();
  log.info('stopped');
  // Whatever else might still be open has no say any more.
  setTimeout(() => process.exit(DONE), EXIT_GRACE_MS).unref();
  return DONE;
}

interface Succeeding {
  readonly servers: SidecarServers;
  readonly succession: Succession;
  readonly end: () => void;
}

/** Takes the place of the predecessor, and waits for a successor. */
async function succeed(plane: SidecarPlane, { servers, succession, end }: Succeeding): Promise<void> {
  await succession.succeed({
    async sockets() {
      // Said first: whoever leaves from then on does nothing to the sockets but close them.
      plane.shareSockets(true);
      return [...(await plane.openSockets()), ...servers.sockets()];
    },
    stay: () => plane.shareSockets(false),
    async leave() {
      await plane.yieldToSuccessor();
      await servers.close();
      end();
    },
  });
  plane.shareSockets(false);
}

const EXIT_GRACE_MS = 500;
const RELEASE_AFTER_MS = 500;

function announce(proxy: Proxy, admin: RunningServer | null): void {
  const listeners = proxy.listeners.live().map(([, live]) => live.boundAddress?.port ?? 0);
  proxy.log.info('ready', {
    milliseconds: Math.round(performance.now()),
    listeners: listeners.join(','),
    admin: admin === null ? null : `${admin.address}:${admin.port}`,
  });
  // A process that is killed writes no cache: this is the moment when all code was loaded.
  process.getBuiltinModule('node:module').flushCompileCache();
  setTimeout(() => void releaseMemory(), RELEASE_AFTER_MS).unref();
}

/**
 * Gives back what reading and compiling the first configuration took; the launcher's --expose-gc allows it. Only the
 * last resort gives pages back to the kernel at once: 87 MB with 5,000 routes, where a usual collection leaves 174. The
 * pages that only starting needed go after it.
 */
async function releaseMemory(): Promise<void> {
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  const { dropStartPages } = await import('../sidecar/start-pages.ts');
  await dropStartPages();
}

const VERSION = '0.1.0';

function commandLineOf(flags: SidecarFlags): Record<string, string | number | boolean> {
  const line: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(flags)) {
    if (Array.isArray(value)) line[name] = value.join(' ');
    else if (value !== undefined) line[name] = value;
  }
  return line;
}

/** Prints the problems, one a line; 65 when one of them refuses the file. */
function report(problems: readonly Problem[]): number {
  for (const problem of problems) say(`${formatProblem(problem)}${problem.severity === 'warning' ? ' (warning)' : ''}`);
  return refuses(problems) ? DATA : DONE;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

// Runs a sidecar until it is told to end. Exit codes: 0 after a drain, 1 when it cannot start, 64 for
// wrong usage, 65 for a bootstrap with errors. The ready line counts from the start of the process.
import { createLog, silentLog, type Log } from '../base/log.ts';
import { formatProblem, refuses, type Problem } from '../base/problem.ts';
import type { RunningServer } from '../sidecar/admin/server.ts';
import { joinBootstrap, ownAddress } from '../sidecar/join.ts';
import { adminSourceOf } from '../sidecar/proxy-admin.ts';
import { Proxy } from '../sidecar/proxy.ts';
import type { Bootstrap } from '../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { readFlags, type CommonSettings, type SidecarSettings } from './sidecar-flags.ts';
import type { SidecarFlags } from './sidecar.ts';

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
  const proxy = newProxy(bootstrap, log, settings.drainSeconds);
  const code = report([...problems, ...proxy.problems.map((problem) => ({ ...problem, place: locate(problem.path) }))]);
  if (!isValidation && code === DONE) return run(proxy, settings, flags);
  await proxy.stop(0);
  if (isValidation && code === DONE) process.stdout.write(`${file}: OK\n`);
  return code;
}

async function runJoin(settings: SidecarSettings & { kind: 'join' }, flags: SidecarFlags): Promise<number> {
  const { control, workload, adminPort, logLevel } = settings;
  const address = workload.address === '' ? await ownAddress(control) : workload.address;
  const bootstrap = joinBootstrap({ control, workload: { ...workload, address }, adminPort });
  const log = createLog('sidecar', logLevel);
  if (flags['tokenFile'] !== undefined) log.warning('--token-file has no effect yet: the stream is plaintext');
  const proxy = newProxy(bootstrap, log, settings.drainSeconds);
  const code = report(proxy.problems.filter(({ severity }) => severity === 'error'));
  return code === DONE ? run(proxy, settings, flags) : code;
}

function newProxy(bootstrap: Bootstrap, log: Log, drainSeconds: number): Proxy {
  return new Proxy({ bootstrap, log, drainSeconds });
}

async function run(proxy: Proxy, settings: CommonSettings, flags: SidecarFlags): Promise<number> {
  const { log } = proxy;
  // A mistake of ours must cost one request, not every connection of the process.
  process.on('uncaughtException', (error) => log.error('unexpected error', { error: error.stack ?? error.message }));
  process.on('unhandledRejection', (reason) => log.error('unexpected rejection', { error: String(reason) }));
  const ending = Promise.withResolvers<void>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    // A second signal ends at once.
    process.once(signal, () => {
      ending.resolve();
      process.once(signal, () => process.exit(DONE));
    });
  }
  const servers: RunningServer[] = [];
  try {
    const starting = proxy.start();
    starting.catch(() => {});
    // While clusters are resolved and the control service answers.
    const admin = await startServers(proxy, settings, { flags, quit: ending.resolve, servers });
    void proxy.ready.then(() => announce(proxy, admin));
    await Promise.race([starting, ending.promise]);
  } catch (cause) {
    log.error('cannot start', { error: cause instanceof Error ? cause.message : String(cause) });
    await proxy.stop(0);
    await closeAll(servers);
    return FAILED;
  }
  await ending.promise;
  log.info('draining');
  await proxy.stop();
  await closeAll(servers);
  log.info('stopped');
  // Whatever else might still be open has no say any more.
  setTimeout(() => process.exit(DONE), EXIT_GRACE_MS).unref();
  return DONE;
}

async function closeAll(servers: readonly RunningServer[]): Promise<void> {
  await Promise.all(servers.map((server) => server.close()));
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
  setTimeout(releaseMemory, RELEASE_AFTER_MS).unref();
}

/** Gives back what reading and compiling the first configuration took; the launcher's --expose-gc allows it. */
function releaseMemory(): void {
  globalThis.gc?.();
}

interface ServerOptions {
  readonly flags: SidecarFlags;
  readonly quit: () => void;
  /** What listens is added here. */
  readonly servers: RunningServer[];
}

/** Starts the servers that are asked for; resolves with the admin server, or null without one. */
async function startServers(
  proxy: Proxy,
  { readinessPort, metricsPort }: CommonSettings,
  { flags, quit, servers }: ServerOptions,
): Promise<RunningServer | null> {
  const address = proxy.adminAddress;
  if (address === null && readinessPort === null && metricsPort === null) return null;
  const source = adminSourceOf(proxy, { version: VERSION, commandLine: commandLineOf(flags), quit });
  if (readinessPort !== null || metricsPort !== null) {
    const { startMetricsServer, startReadinessServer } = await import('../sidecar/admin/probe-server.ts');
    if (readinessPort !== null) servers.push(await startReadinessServer(source, readinessPort));
    if (metricsPort !== null) servers.push(await startMetricsServer(source, metricsPort));
  }
  if (address === null) return null;
  const { startAdminServer } = await import('../sidecar/admin/server.ts');
  const admin = await startAdminServer(source, address);
  servers.push(admin);
  return admin;
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

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

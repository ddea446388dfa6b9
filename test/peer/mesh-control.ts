// A control service for a comparison, on a copy of the bookshop's rules and the rules in mesh-rules/, with the
// ports of one set of upstreams filled in: either the service itself in this process, or the command.
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../src/base/log.ts';
import { ControlService } from '../../src/control/control.ts';
import { startChild, untilReady } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { OUTRIGGER, PROJECT_ROOT } from '../support/real-parts.ts';
import { statusOf, until } from '../support/until.ts';
import { PLACEHOLDER } from './side.ts';

export const CONTROL_KINDS = ['service', 'process'] as const;
export type ControlKind = (typeof CONTROL_KINDS)[number];

export interface MeshControl {
  readonly kind: ControlKind;
  readonly directory: string;
  readonly xdsPort: number;
  readonly httpPort: number;
  stop(): Promise<void>;
}

const FOLDERS = [join(PROJECT_ROOT, 'examples/bookshop/rules'), join(import.meta.dirname, 'mesh-rules')];

/** The rules in a new directory; `ports` are by placeholder (`upstream.catalog`). The Collector's port is `closed`. */
export async function copyRules(ports: ReadonlyMap<string, number>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'outrigger-mesh-'));
  for (const folder of FOLDERS) {
    for (const file of await readdir(folder)) {
      const text = await readFile(join(folder, file), 'utf8');
      const filled = text
        .replaceAll(PLACEHOLDER, (whole) => String(ports.get(whole.slice(1)) ?? whole))
        .replace('grpc: 4317', `grpc: ${ports.get('collector') ?? 4317}`);
      await writeFile(join(directory, file), filled);
    }
  }
  return directory;
}

/** Resolves when it is ready to give sidecars their views. */
export async function startControl(kind: ControlKind, directory: string): Promise<MeshControl> {
  const [xdsPort = 0, httpPort = 0] = await freePorts(2);
  const end = kind === 'service' ? runService : runProcess;
  const stopIt = await end(directory, xdsPort, httpPort);
  await until('the control service is ready', async () => (await statusOf(httpPort, '/ready')) === 200);
  const stop = async (): Promise<void> => {
    await stopIt();
    await rm(directory, { recursive: true, force: true });
  };
  return { kind, directory, xdsPort, httpPort, stop };
}

type Stop = () => Promise<void>;

async function runService(rules: string, xdsPort: number, httpPort: number): Promise<Stop> {
  const control = new ControlService({
    rules,
    log: silentLog,
    xdsAddress: `127.0.0.1:${xdsPort}`,
    httpAddress: `127.0.0.1:${httpPort}`,
    settleMs: 0,
  });
  await control.start();
  return () => control.stop();
}

async function runProcess(rules: string, xdsPort: number, httpPort: number): Promise<Stop> {
  const flags = ['--rules', rules, '--xds', `127.0.0.1:${xdsPort}`, '--http', `127.0.0.1:${httpPort}`];
  const child = startChild(process.execPath, [OUTRIGGER, 'control', ...flags]);
  await untilReady(child, async () => (await statusOf(httpPort, '/ready')) === 200);
  return () => child.stop();
}

// The two sides of the comparison: a real Envoy and our sidecar, each started from the same bootstrap
// file, in which only the port numbers differ, each with upstreams of its own.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { RawUpstream } from '../support/raw-upstream.ts';
import { OUTRIGGER, PROJECT_ROOT, realPart } from '../support/real-parts.ts';
import { statusOf } from '../support/until.ts';

export const SIDE_NAMES = ['envoy', 'outrigger'] as const;
export type SideName = (typeof SIDE_NAMES)[number];

export const BOOTSTRAPS = join(import.meta.dirname, 'bootstraps');

/** `$admin`, `$listen.main`, `$upstream.a`, `$closed` (nothing listens there), `$service.x` (the test's own). */
export const PLACEHOLDER = /\$(admin|closed|listen\.\w+|upstream\.\w+|service\.\w+)/g;

export interface Side {
  readonly name: SideName;
  readonly upstream: RawUpstream;
  readonly child: Child;
  /** By placeholder (`listen.main`). */
  readonly ports: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

/** The command line that runs a side on a bootstrap file. */
export function commandOf(side: SideName, file: string): readonly [string, readonly string[]] {
  if (side === 'outrigger') return [process.execPath, [OUTRIGGER, 'sidecar', '-c', file, '--log-level', 'warning']];
  const quiet = ['--log-level', 'error', '--disable-hot-restart', '--use-dynamic-base-id', '--concurrency', '1'];
  return [realPart('envoy'), ['-c', file, ...quiet]];
}

/** `services` has the ports of `$service.x`, by x. */
export async function startSide(
  name: SideName,
  bootstrap: string,
  services: Readonly<Record<string, number>> = {},
): Promise<Side> {
  const template = await readFile(join(BOOTSTRAPS, `${bootstrap}.yaml`), 'utf8');
  const keys = [...new Set([...template.matchAll(PLACEHOLDER)].map(([whole]) => whole.slice(1)))];
  const upstreams = keys.filter((key) => key.startsWith('upstream.')).map((key) => key.slice('upstream.'.length));
  const upstream = await RawUpstream.start(upstreams);
  const free = await freePorts(keys.length);
  const ports = new Map(keys.map((key, index) => [key, free[index] ?? 0]));
  for (const [upstreamName, port] of upstream.ports) ports.set(`upstream.${upstreamName}`, port);

  for (const [service, port] of Object.entries(services)) ports.set(`service.${service}`, port);

  const folder = join(PROJECT_ROOT, '.cache/peer');
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${bootstrap}.${name}.yaml`);
  await writeFile(
    file,
    template.replaceAll(PLACEHOLDER, (whole) => String(ports.get(whole.slice(1)))),
  );

  const child = startChild(...commandOf(name, file));
  const stop = async (): Promise<void> => {
    await child.stop();
    await upstream.close();
  };
  try {
    await untilReady(child, async () => (await statusOf(ports.get('admin') ?? 0, '/ready')) === 200);
  } catch (cause) {
    await stop();
    throw cause;
  }
  return { name, upstream, child, ports, stop };
}

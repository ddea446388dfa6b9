// Steady traffic between two sidecars while their certificates are rotated again and again, and the root of the mesh in
// stages, if it is asked for. Connections are replaced after a few requests, on both legs, so that handshakes go on all
// the time. What the sidecars showed of themselves is noted beside what the traffic met.
import { execFile, execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { startUpstream } from '../e2e/sidecar-process.ts';
import { PacedLoad, type LoadResult } from './paced-load.ts';
import { OUTRIGGER } from './real-parts.ts';
import { SecureMesh, type Member } from './secure-mesh.ts';
import { until } from './until.ts';

export interface RotationOptions {
  /** Of the certificates that the sidecars ask for. */
  readonly certificateSeconds: number;
  readonly seconds: number;
  readonly perSecond: number;
  /** The root is rotated, too: start, switch and finish at even distances by force, or each as soon as it is safe. */
  readonly rotatesRoot: 'never' | 'forced' | 'waiting';
  /** Threads of the sidecars. */
  readonly concurrency?: number;
}

export interface RotationResult {
  readonly load: LoadResult;
  /** Different certificates that the two have had, each. */
  readonly certificates: readonly [client: number, server: number];
  /** Different sets of roots that the server has trusted, in order, by their number. */
  readonly roots: readonly number[];
  /** New connections between the sidecars, which are handshakes. */
  readonly handshakes: number;
}

const REQUESTS_PER_CONNECTION = 20;
const LOOK_MS = 500;
const AFTERWARDS_MS = 3000;
const run = promisify(execFile);
const RULES = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: server }
spec:
  host: server.default.svc.cluster.local
  trafficPolicy: { connectionPool: { http: { maxRequestsPerConnection: ${REQUESTS_PER_CONNECTION} } } }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: all, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
---
`;

export async function runRotation(options: RotationOptions): Promise<RotationResult> {
  const { certificateSeconds, seconds, perSecond, concurrency = 1 } = options;
  using upstream = await startUpstream();
  await using mesh = await SecureMesh.start(RULES);
  const flags = ['--certificate-seconds', `${certificateSeconds}`, '--concurrency', `${concurrency}`];
  const server = await mesh.join({ service: 'server', app: `${upstream.port}/http`, flags });
  const client = await mesh.join({ service: 'client', flags });
  await mesh.settle();
  await until('the first answer', async () => (await statusThrough(client)) === 200);
  const seen = { client: new Set<string>(), server: new Set<string>(), roots: new Map<string, number>() };
  const load = new PacedLoad({
    perSecond,
    connections: 40,
    requestsPerConnection: REQUESTS_PER_CONNECTION,
    host: 'server.default',
    ports: () => [client.outbound],
  });
  const stages = options.rotatesRoot === 'forced' ? [...STAGES] : [];
  const rotation = { isOver: options.rotatesRoot !== 'waiting' };
  const rotated = rotation.isOver ? null : rotateSafely(mesh, certificateSeconds);
  void rotated?.finally(() => (rotation.isOver = true)).catch(() => {});
  const startMs = performance.now();
  for (let passed = 0; passed < seconds * 1000 || !rotation.isOver; passed = performance.now() - startMs) {
    const [stage] = stages;
    const dueMs = ((STAGES.length - stages.length + 1) / (STAGES.length + 1)) * seconds * 1000;
    if (stage !== undefined && passed >= dueMs) {
      stages.shift();
      execFileSync(process.execPath, [OUTRIGGER, 'ca', 'rotate', stage, '--ca-dir', mesh.caFolder, '--force']);
    }
    for (const [name, member] of [
      ['client', client],
      ['server', server],
    ] as const) {
      const { leaf, roots } = await shownBy(member);
      seen[name].add(leaf);
      if (name === 'server') seen.roots.set(roots.toSorted().join(), roots.length);
    }
    await sleep(LOOK_MS);
  }
  await rotated;
  const result = await load.stop();
  const handshakes = await handshakesOf(server);
  return {
    load: result,
    certificates: [seen.client.size, seen.server.size],
    roots: [...seen.roots.values()],
    handshakes,
  };
}

const STAGES = ['start', 'switch', 'finish'] as const;

/** As an operator does it: each stage waits until it is safe, and the last one until traffic has met it. */
async function rotateSafely({ caFolder }: SecureMesh, certificateSeconds: number): Promise<void> {
  // By itself it says a day, which is what anybody might have been given.
  writeFileSync(join(caFolder, 'lifetime-max'), String(certificateSeconds * 1000));
  for (const stage of STAGES)
    await run(process.execPath, [OUTRIGGER, 'ca', 'rotate', stage, '--ca-dir', caFolder, '--wait']);
  await sleep(AFTERWARDS_MS);
}

async function statusThrough({ outbound }: Member): Promise<number> {
  const load = new PacedLoad({
    perSecond: 100,
    connections: 20,
    requestsPerConnection: 1,
    host: 'server.default',
    ports: () => [outbound],
  });
  await sleep(200);
  const { succeeded, failures } = await load.stop();
  return succeeded > 0 && failures.size === 0 ? 200 : 503;
}

interface Shown {
  readonly certificates: readonly {
    readonly ca_cert: readonly { readonly serial_number: string }[];
    readonly cert_chain: readonly { readonly serial_number: string }[];
  }[];
}

/** Its own identity comes first. */
async function shownBy({ admin }: Member): Promise<{ leaf: string; roots: readonly string[] }> {
  const shown: Shown = JSON.parse(await (await fetch(`http://127.0.0.1:${admin}/certs`)).text());
  const own = shown.certificates[0];
  return {
    leaf: own?.cert_chain[0]?.serial_number ?? '',
    roots: (own?.ca_cert ?? []).map((certificate) => certificate.serial_number),
  };
}

async function handshakesOf({ admin }: Member): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${admin}/stats`)).text();
  return [...text.matchAll(/^listener\..*\.ssl\.handshake: (\d+)$/gm)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  );
}

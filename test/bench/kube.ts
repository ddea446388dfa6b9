// `node test/bench/kube.ts [--objects 10000] [--changes 5000]`: a real API server with so many ConfigMaps, and what it
// costs to list and watch them: time, CPU, memory after a collection. The objects are written by another process.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parseArgs } from 'node:util';
import { systemClock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { KubeClient } from '../../src/kube/client.ts';
import { recordOf, textOf } from '../../src/kube/json-record.ts';
import { kubeconfigAccess } from '../../src/kube/kubeconfig.ts';
import { KNOWN_KINDS } from '../../src/kube/known-kinds.ts';
import { Reflector } from '../../src/kube/reflector.ts';
import { ApiServer } from '../kube/api-server.ts';
import { startChild } from '../support/child.ts';
import { until } from '../support/until.ts';

const { configMap } = KNOWN_KINDS;
const { values } = parseArgs({
  options: {
    objects: { type: 'string', default: '10000' },
    changes: { type: 'string', default: '5000' },
    /** For the process that writes: a kubeconfig and the round. */
    write: { type: 'string', default: '' },
    round: { type: 'string', default: '0' },
  },
});
const objects = Number(values.objects);
const changes = Number(values.changes);
const WRITERS = 16;
const TIMEOUT_MS = 120_000;

setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');

interface Cost {
  readonly heapMb: number;
  readonly rssMb: number;
}

function memory(): Cost {
  if (typeof collect === 'function') for (let i = 0; i < 3; i++) collect();
  const { heapUsed, rss } = process.memoryUsage();
  return { heapMb: heapUsed / 1e6, rssMb: rss / 1e6 };
}

/** Some 2 kB of a few lines, as rules have it, half of it managed fields by the time it is listed. */
const dataOf = (i: number, round: number): Readonly<Record<string, string>> => ({
  round: String(round),
  text: `line ${i} of a configuration that somebody wrote\n`.repeat(20),
});

async function write(client: KubeClient, count: number, round: number): Promise<void> {
  let next = 0;
  const writers = Array.from({ length: WRITERS }, async () => {
    for (let i = next++; i < count; i = next++) {
      const name = `object-${i % objects}`;
      const draft = { metadata: { name, namespace: 'default', labels: { app: 'bench' } }, data: dataOf(i, round) };
      const answer = round === 0 ? await client.create(configMap, draft) : await client.replace(configMap, draft);
      if (answer.kind === 'failed') throw new Error(answer.failure.message);
    }
  });
  await Promise.all(writers);
}

async function measure(name: string, client: KubeClient, isPaged: boolean): Promise<void> {
  const before = memory();
  const cpu = process.cpuUsage();
  const sinceMs = performance.now();
  let told = 0;
  let peakMb = 0;
  const sampler = setInterval(() => {
    peakMb = Math.max(peakMb, process.memoryUsage().rss / 1e6);
  }, 20);
  const reflector = new Reflector<string>({
    // A server that cannot stream answers 422; here the client says so.
    client: isPaged ? withoutStream(client) : client,
    kind: configMap,
    labelSelector: 'app=bench',
    keep: (object) => `${object.metadata.resourceVersion} ${textOf(recordOf(object['data'])['round'])}`,
    onChange: () => told++,
    log: silentLog,
    clock: systemClock,
  });
  reflector.start();
  await until('synced', () => reflector.isSynced, TIMEOUT_MS);
  const listMs = performance.now() - sinceMs;
  const { user, system } = process.cpuUsage(cpu);
  clearInterval(sampler);
  const after = memory();
  console.log(
    `${name}: ${told} objects in ${listMs.toFixed(0)} ms, ${((user + system) / 1000).toFixed(0)} ms of CPU; ` +
      `heap +${(after.heapMb - before.heapMb).toFixed(1)} MB, RSS ${before.rssMb.toFixed(0)} → ${after.rssMb.toFixed(0)} MB (peak ${peakMb.toFixed(0)})`,
  );
  if (!isPaged) await follow(reflector, () => told);
  await reflector.stop();
}

async function follow(reflector: Reflector<string>, told: () => number): Promise<void> {
  const before = told();
  const cpu = process.cpuUsage();
  const sinceMs = performance.now();
  await writeElsewhere(changes, 1);
  const writtenMs = performance.now() - sinceMs;
  await until('told of all', () => told() === before + changes, TIMEOUT_MS);
  const { user, system } = process.cpuUsage(cpu);
  console.log(
    `watch: ${changes} changes in ${(writtenMs / 1000).toFixed(1)} s (with the start of the writer), ` +
      `${((user + system) / changes).toFixed(0)} µs of CPU each; ${JSON.stringify(reflector.counters())}`,
  );
}

async function writeElsewhere(count: number, round: number): Promise<void> {
  const args = ['--objects', String(objects), '--changes', String(count), '--round', String(round)];
  const child = startChild(process.execPath, [import.meta.filename, ...args, '--write', `${server.folder}/kubeconfig`]);
  if ((await child.exited) !== 0) throw new Error(child.output());
}

async function writeHere(path: string): Promise<void> {
  const access = await kubeconfigAccess({ path });
  if (typeof access === 'string') throw new Error(access);
  const writer = new KubeClient({ access });
  await write(writer, changes, Number(values.round));
  await writer.close();
}

function withoutStream(client: KubeClient): Pick<KubeClient, 'listPages' | 'watch' | 'call'> {
  const failure = { status: 422, reason: 'Invalid', message: '', causes: [], retryAfterMs: 0 };
  return {
    listPages: async (...given) => await client.listPages(...given),
    call: async (question) => await client.call(question),
    watch: async (kind, options, handlers) =>
      options.isInitial ? failure : await client.watch(kind, options, handlers),
  };
}

if (values.write !== '') {
  await writeHere(values.write);
  process.exit(0);
}
const server = await ApiServer.start();
const client = new KubeClient({ access: server.access() });
const sinceMs = performance.now();
await writeElsewhere(objects, 0);
console.log(`${objects} objects made in ${((performance.now() - sinceMs) / 1000).toFixed(1)} s`);
await client.get(configMap, { namespace: 'default', name: 'object-0' });
await measure('stream', client, false);
await measure('pages', client, true);
await client.close();
await server.stop();

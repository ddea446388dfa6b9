// The entry of a worker thread: a Proxy that accepts and serves, and nothing else. Its configuration comes from the
// main thread as bytes, which has compiled them before; what it counts goes there when it is asked.
import { create, fromBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { parentPort, workerData } from 'node:worker_threads';
import { createLog, type Log } from '../../base/log.ts';
import { SharedLimits } from '../../base/shared-limits.ts';
import { BootstrapSchema } from '../../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { SecretSchema } from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import type { Refusal, Update } from '../../xds/update.ts';
import { loadDescriptorCalls } from '../descriptor-calls.ts';
import { ExtensionWatch } from '../extension-watch.ts';
import { Proxy } from '../proxy.ts';
import { ReportedHealth } from '../reported-health.ts';
import type { Provided } from '../provided-secrets.ts';
import { VIRTUAL_HOST_TYPE, type TypeUrl } from '../../xds/type-url.ts';
import { ConnectionShares } from './connection-shares.ts';
import { reportOf } from './worker-report.ts';
import type { FromWorker, ToWorker, UpdateBytes, WorkerStart } from './worker-message.ts';
import { WorkerSeat } from './worker-seat.ts';

void runWorker(workerData);

function post(message: FromWorker): void {
  parentPort?.postMessage(message, []);
}

async function runWorker(start: WorkerStart): Promise<void> {
  const { index, workers } = start;
  const log = createLog(`worker ${index}`, start.logLevel);
  // A mistake of ours must cost one request, not every connection of the thread.
  process.on('uncaughtException', (error) => log.error('unexpected error', { error: error.stack ?? error.message }));
  process.on('unhandledRejection', (reason) => log.error('unexpected rejection', { error: String(reason) }));
  const shares = new ConnectionShares(workers, start.shares);
  const calls = await loadDescriptorCalls();
  const limits = new SharedLimits(workers, index, start.limits);
  const seat = new WorkerSeat({
    index,
    shares,
    limits,
    calls,
    post,
    adopt: ({ listener, descriptor }) => {
      const live = proxy.listeners.live().find(([name]) => name === listener)?.[1];
      live?.adopt(descriptor);
      return live !== undefined;
    },
  });
  const extensionWatch = new ExtensionWatch({
    memory: start.running,
    tell: (extension) => post({ kind: 'extension', extension }),
    banned: start.bannedExtensions,
  });
  let health: ReportedHealth | null = null;
  let onUpdate: ((update: Update) => readonly Refusal[]) | null = null;
  const proxy = new Proxy({
    bootstrap: fromBinary(BootstrapSchema, start.bootstrap),
    log,
    drainSeconds: start.drainSeconds,
    drainDelaySeconds: start.drainDelaySeconds,
    drainStrategy: start.drainStrategy,
    host: seat,
    limits,
    hasIdentity: start.hasIdentity,
    extensions: start.extensions,
    extensionWatch,
    watchHealth: (own, pools) => (health = new ReportedHealth(own, pools, post)),
    connect: (options) => {
      ({ onUpdate } = options);
      // As a discovery client, which is only then asked for anything.
      queueMicrotask(() => post({ kind: 'joined' }));
      return { subscribe: askMain, close: () => {} };
    },
  });
  const tellIfFull = fullTeller(limits, log);
  parentPort?.on('message', (message: ToWorker) => {
    if (message.kind === 'update') {
      onUpdate?.(updateOf(message.update));
      tellIfFull();
    } else if (message.kind === 'verdict') health?.report(message);
    else if (message.kind === 'ban') extensionWatch.ban(message.module);
    else if (message.kind === 'secret') proxy.secrets.provide(providedOf(message));
    else obey(message, { proxy, seat, log });
  });
  void proxy.ready.then(() => post({ kind: 'ready' }));
  try {
    await proxy.start();
    tellIfFull();
  } catch (cause) {
    post({ kind: 'failed', message: cause instanceof Error ? cause.message : String(cause) });
  }
}

/** What a worker needs comes by itself, but for what its requests are for. */
function askMain(typeUrl: TypeUrl, names: ReadonlySet<string> | '*'): void {
  if (typeUrl === VIRTUAL_HOST_TYPE && names !== '*') post({ kind: 'hosts', names: [...names] });
}

/** Says once that there are more limits than threads can share. */
function fullTeller(limits: SharedLimits, log: Log): () => void {
  let isTold = false;
  return () => {
    if (isTold || !limits.isFull) return;
    isTold = true;
    log.warning('the limits are more than threads can share: further ones hold for each thread by itself', {
      remedy:
        'write fewer rate limits by key, or run with --concurrency 1; limits that are gone leave room after a restart',
    });
  };
}

interface Thread {
  readonly proxy: Proxy;
  readonly seat: WorkerSeat;
  readonly log: Log;
}

function obey(
  message: Exclude<ToWorker, { kind: 'update' | 'verdict' | 'secret' | 'ban' }>,
  { proxy, seat, log }: Thread,
): void {
  switch (message.kind) {
    case 'claimed':
      return seat.claimed(message.id, message.claim);
    case 'unclaimed':
      return seat.claimed(message.id, new Error(message.message));
    case 'peer':
      return seat.meet(message.index, message.port);
    case 'report':
      return post({ kind: 'reported', id: message.id, report: reportOf(proxy) });
    case 'health':
      return proxy.setHealthcheckFailed(message.isFailed);
    case 'level':
      return log.setLevel(message.level);
    case 'drain-listeners':
      return proxy.drainListeners(message);
    case 'share':
      return proxy.shareSockets(message.isShared);
    case 'leave':
      void leave(message, { proxy, seat });
  }
}

async function leave(
  { drainSeconds, hasDelay, hasSuccessor }: Extract<ToWorker, { kind: 'leave' }>,
  { proxy, seat }: Pick<Thread, 'proxy' | 'seat'>,
): Promise<void> {
  const leaving = hasSuccessor ? proxy.yieldToSuccessor() : proxy.stop(drainSeconds, hasDelay);
  // A successor accepts already: this one has stopped by now.
  if (hasSuccessor) post({ kind: 'closed' });
  await leaving;
  seat.close();
  post({ kind: 'left' });
  parentPort?.close();
}

function providedOf({ source, name, value, reason }: Extract<ToWorker, { kind: 'secret' }>): Provided {
  return { source, name, secret: value === null ? null : fromBinary(SecretSchema, value), reason };
}

function updateOf({ typeUrl, version, changed, removed }: UpdateBytes): Update {
  return {
    typeUrl,
    version,
    changed: changed.map((one) => ({
      name: one.name,
      version: one.version,
      resource: create(AnySchema, { typeUrl, value: one.value }),
    })),
    removed,
  };
}

// Who of several leads, over a lease in memory that keeps the rules of the API server, in a time that is ours.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Clock } from '../../../src/base/clock.ts';
import { silentLog } from '../../../src/base/log.ts';
import type { KubeClient, KubeDraft } from '../../../src/kube/client.ts';
import { recordOf } from '../../../src/kube/json-record.ts';
import { done, ownFailure, serverFailure, type KubeAnswer } from '../../../src/kube/kube-answer.ts';
import type { KubeKind } from '../../../src/kube/kind-path.ts';
import { readKubeObject, type KubeObject } from '../../../src/kube/kube-object.ts';
import { LeaseElector } from '../../../src/kube/lease-elector.ts';

type LeaseClient = Pick<KubeClient, 'get' | 'create' | 'replace'>;

class LeaseTable {
  object: KubeObject | null = null;
  version = 0;
  writes = 0;
  reached = (): boolean => true;

  client(): LeaseClient {
    return {
      get: () => this.#answer(() => this.object),
      create: (kind, draft) => this.#answer(() => (this.object === null ? this.#store(kind, draft) : 409)),
      replace: (kind, draft) =>
        this.#answer(() => {
          if (this.object === null) return null;
          const { resourceVersion } = { resourceVersion: '', ...draft.metadata };
          return resourceVersion === this.object.metadata.resourceVersion ? this.#store(kind, draft) : 409;
        }),
    };
  }

  spec(): Readonly<Record<string, unknown>> {
    return recordOf(this.object?.['spec']);
  }

  write(spec: Readonly<Record<string, unknown>>): void {
    const lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'l', namespace: 'n' },
      spec,
    };
    const { metadata, ...rest } = lease;
    this.version++;
    this.object = readKubeObject({ ...rest, metadata: { ...metadata, resourceVersion: String(this.version) } });
  }

  #store(kind: KubeKind, draft: KubeDraft): KubeObject | null {
    this.version++;
    this.writes++;
    const metadata = { ...draft.metadata, resourceVersion: String(this.version) };
    this.object = readKubeObject({ ...draft, metadata }, kind);
    return this.object;
  }

  async #answer(act: () => KubeObject | number | null): Promise<KubeAnswer<KubeObject>> {
    await Promise.resolve();
    if (!this.reached()) return ownFailure('Unreachable', 'nobody is there');
    const result = act();
    if (result === null) return { kind: 'failed', failure: serverFailure(404, null) };
    return typeof result === 'number' ? { kind: 'failed', failure: serverFailure(result, null) } : done(result);
  }
}

let table: LeaseTable;
let story: string[];
let electors: LeaseElector[];

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000_000_000 });
  table = new LeaseTable();
  story = [];
  electors = [];
});
afterEach(async () => {
  for (const elector of electors) {
    const stopped = elector.stop();
    await vi.advanceTimersByTimeAsync(5000);
    await stopped;
  }
  vi.useRealTimers();
});

/** `skewMs`: how far the wall clock of this one is off. */
function elect(identity: string, { client = table.client(), skewMs = 0 } = {}): LeaseElector {
  const clock: Clock = { now: () => Date.now(), wall: () => Date.now() + skewMs };
  const elector = new LeaseElector({
    client,
    lease: { namespace: 'n', name: 'l' },
    identity,
    onStarted: () => story.push(`${identity} starts at ${(Date.now() - 1_000_000_000_000) / 1000}`),
    onStopped: () => {
      story.push(`${identity} stops at ${(Date.now() - 1_000_000_000_000) / 1000}`);
    },
    log: silentLog,
    clock,
    random: () => 0.5,
  });
  electors.push(elector);
  elector.start();
  return elector;
}

const at = (line: string): number => Number(line.split(' ').at(-1));
const pass = async (seconds: number): Promise<void> => {
  await vi.advanceTimersByTimeAsync(seconds * 1000);
};

test('the first one makes the lease and keeps it, and the others wait', async () => {
  const first = elect('a');
  await pass(0.1);
  const second = elect('b');
  await pass(60);
  expect(story).toEqual(['a starts at 0']);
  expect([first.isLeading, second.isLeading, second.holder]).toEqual([true, false, 'a']);
  expect(table.spec()).toMatchObject({ holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 0 });
  expect(table.spec()['renewTime']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  expect(table.writes).toBe(31);
});

test('the next one takes over at once when the lease is given back', async () => {
  const first = elect('a');
  await pass(0.1);
  elect('b');
  await pass(10);
  await first.stop();
  expect(table.spec()).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1 });
  await pass(2.5);
  expect(story[1]).toBe('a stops at 10.1');
  expect(story[2]).toMatch(/^b starts at 1[12]/);
  expect(table.spec()).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
});

describe.each([0, -3_600_000, 3_600_000])('with a clock that is off by %i ms', (skewMs) => {
  test('nobody takes a lease that is renewed, and one that is not is taken after its duration', async () => {
    let isCut = false;
    const client = table.client();
    const cut: LeaseClient = {
      get: async (...given) => (isCut ? ownFailure('Unreachable', '') : await client.get(...given)),
      create: async (...given) => (isCut ? ownFailure('Unreachable', '') : await client.create(...given)),
      replace: async (...given) => (isCut ? ownFailure('Unreachable', '') : await client.replace(...given)),
    };
    const first = elect('a', { client: cut });
    await pass(0.1);
    const second = elect('b', { skewMs });
    await pass(40);
    expect(story).toEqual(['a starts at 0']);
    isCut = true;
    await pass(11);
    // It stopped before anybody else could begin.
    expect([first.isLeading, second.isLeading]).toEqual([false, false]);
    await pass(10);
    expect(second.isLeading).toBe(true);
    const [, stop = '', start = ''] = story;
    expect(stop).toMatch(/^a stops/);
    expect(start).toMatch(/^b starts/);
    expect(at(start) - at(stop)).toBeGreaterThan(3);
    expect(at(start) - 40).toBeLessThan(20);
  });
});

test('a call that never returns does not keep the duty', async () => {
  const client = table.client();
  let hangs = false;
  const slow: LeaseClient = {
    ...client,
    replace: async (...given) => (hangs ? await new Promise(() => {}) : await client.replace(...given)),
  };
  const elector = elect('a', { client: slow });
  await pass(20);
  hangs = true;
  await pass(11);
  expect([elector.isLeading, story.length]).toEqual([false, 2]);
  electors = [];
});

test('a process that stood still does not believe that it leads', async () => {
  const elector = elect('a');
  await pass(5);
  vi.setSystemTime(Date.now() + 12_000);
  // No timer has run yet.
  expect(elector.isLeading).toBe(false);
});

test('a lease that somebody took by hand is given up within seconds', async () => {
  const elector = elect('a');
  await pass(5);
  table.write({ ...table.spec(), holderIdentity: 'human', leaseDurationSeconds: 3600 });
  await pass(2.5);
  expect([elector.isLeading, elector.holder]).toEqual([false, 'human']);
  // A duration beyond reason is cut.
  await pass(160);
  expect(elector.isLeading).toBe(true);
});

test('a lease that is removed is made again without a break', async () => {
  const elector = elect('a');
  await pass(5);
  table.object = null;
  await pass(9);
  expect([elector.isLeading, story]).toEqual([true, ['a starts at 0']]);
  expect(table.spec()).toMatchObject({ holderIdentity: 'a' });
});

test('of many that begin at once one leads', async () => {
  const all = Array.from({ length: 10 }, (_, i) => elect(`e${i}`));
  for (let second = 0; second < 30; second++) {
    await pass(1);
    expect(all.filter((elector) => elector.isLeading).length).toBeLessThanOrEqual(1);
  }
  expect(all.filter((elector) => elector.isLeading)).toHaveLength(1);
});

test('while the server is away the duty ends, and it comes back with it', async () => {
  const elector = elect('a');
  await pass(4.5);
  table.reached = () => false;
  await pass(60);
  expect([elector.isLeading, story.length]).toEqual([false, 2]);
  table.reached = () => true;
  await pass(3);
  expect([elector.isLeading, elector.transitions]).toEqual([true, 2]);
});

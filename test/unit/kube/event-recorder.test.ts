// How few events are written, and of what. The client is a list of what would be sent.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { silentLog } from '../../../src/base/log.ts';
import { EventRecorder, type KubeNote } from '../../../src/kube/event-recorder.ts';
import { done, ownFailure } from '../../../src/kube/kube-answer.ts';
import { readKubeObject, type KubeObject } from '../../../src/kube/kube-object.ts';

let sent: unknown[];
let isReached: boolean;
let recorder: EventRecorder;
const ANSWER: KubeObject | null = readKubeObject({ apiVersion: 'v1', kind: 'Event', metadata: { name: 'e' } });

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000 });
  sent = [];
  isReached = true;
  const take = async (what: unknown) => {
    await Promise.resolve();
    sent.push(what);
    return isReached && ANSWER !== null ? done(ANSWER) : ownFailure('Unreachable', 'nobody is there');
  };
  recorder = new EventRecorder({
    client: { create: async (_, event) => await take(event), patchMerge: async (_, __, patch) => await take(patch) },
    controller: 'outrigger.dev/control',
    instance: 'control-1',
    log: silentLog,
    clock: { now: () => Date.now(), wall: () => Date.now() },
    random: () => 0.5,
  });
});
afterEach(async () => {
  await recorder.stop();
  vi.useRealTimers();
});

const noteOf = (name: string, note = 'broken'): KubeNote => ({
  regarding: {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    namespace: 'shop',
    name,
    uid: `uid-${name}`,
  },
  type: 'Warning',
  reason: 'Rejected',
  action: 'Translating',
  note,
});

test('one event says everything that an API server wants of it', async () => {
  recorder.note(noteOf('a'));
  await recorder.flush();
  expect(sent).toEqual([
    {
      metadata: { name: expect.stringMatching(/^a\.[0-9a-f]+$/), namespace: 'shop' },
      eventTime: '2027-01-15T08:00:00.000000Z',
      reportingController: 'outrigger.dev/control',
      reportingInstance: 'control-1',
      type: 'Warning',
      reason: 'Rejected',
      action: 'Translating',
      note: 'broken',
      regarding: noteOf('a').regarding,
    },
  ]);
});

test('the same again becomes a series that is written once a minute', async () => {
  for (let i = 0; i < 100; i++) {
    recorder.note(noteOf('a'));
    await vi.advanceTimersByTimeAsync(1000);
  }
  await recorder.flush();
  expect(sent.slice(1)).toEqual([
    { series: { count: 60, lastObservedTime: '2027-01-15T08:00:59.000000Z' } },
    { series: { count: 100, lastObservedTime: '2027-01-15T08:01:39.000000Z' } },
  ]);
  expect(recorder.counters()).toEqual({ written: 3, merged: 99, dropped: 0, failed: 0 });
});

test('after six quiet minutes it is a new event', async () => {
  recorder.note(noteOf('a'));
  await vi.advanceTimersByTimeAsync(361_000);
  recorder.note(noteOf('a'));
  await recorder.flush();
  expect(sent).toHaveLength(2);
  expect(recorder.counters()).toMatchObject({ merged: 0 });
});

test('an object that has much to say is heard twenty-five times, and others all the same', async () => {
  for (let i = 0; i < 100; i++) recorder.note(noteOf('a', `broken ${i}`));
  recorder.note(noteOf('b'));
  await recorder.flush();
  expect(sent).toHaveLength(26);
  expect(recorder.counters()).toMatchObject({ written: 26, dropped: 75 });
});

test('a long note is cut within its bytes and not within a character', async () => {
  recorder.note(noteOf('a', '🦀'.repeat(400)));
  await recorder.flush();
  const [event] = sent;
  const { note } = { note: '', ...Object(event) };
  expect(Buffer.byteLength(note)).toBeLessThanOrEqual(1024);
  expect(note).toBe(`${'🦀'.repeat(255)}…`);
});

test('what cannot be written is counted and holds nothing up', async () => {
  isReached = false;
  recorder.note(noteOf('a'));
  recorder.note(noteOf('b'));
  await recorder.flush();
  expect(recorder.counters()).toEqual({ written: 0, merged: 0, dropped: 0, failed: 2 });
});

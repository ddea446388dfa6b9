// What a reflector makes of a server, or of a network, that does not behave.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { createLog } from '../../../src/base/log.ts';
import { plainAccess } from '../../../src/kube/access.ts';
import { KubeClient } from '../../../src/kube/client.ts';
import { KNOWN_KINDS } from '../../../src/kube/known-kinds.ts';
import { recordOf, textOf } from '../../../src/kube/json-record.ts';
import type { ReflectorTiming } from '../../../src/kube/reflector-timing.ts';
import { Reflector } from '../../../src/kube/reflector.ts';
import { until } from '../../support/until.ts';
import { bookmark, line, open, sendJson, sendStatus, WatchServer } from './watch-server.ts';

const FAST: Partial<ReflectorTiming> = { backoffMinMs: 8, backoffMaxMs: 30, absentMs: 20, heldMs: 1000 };

let server: WatchServer;
let client: KubeClient;
let told: string[];
let lines: string[];
let running: Reflector<string>[];

beforeEach(async () => {
  server = await WatchServer.start();
  client = new KubeClient({ access: plainAccess({ url: server.url }), random: () => 0.5 });
  told = [];
  lines = [];
  running = [];
});

afterEach(async () => {
  await Promise.all(running.map(async (reflector) => await reflector.stop()));
  await client.close();
  await server.stop();
});

function reflect(timing: Partial<ReflectorTiming> = {}, onAnswered: () => void = () => {}): Reflector<string> {
  const reflector = new Reflector<string>({
    client,
    kind: KNOWN_KINDS.configMap,
    keep: (object) => {
      const text = textOf(recordOf(object['data'])['text']);
      if (text === 'poison') throw new Error('keep has a fault');
      return text;
    },
    onChange: ({ key, old, next }) => {
      told.push(`${key}: ${old} → ${next}`);
      if (next === 'burden') throw new Error('onChange has a fault');
    },
    onAnswered,
    log: createLog('kube', 'debug', (text) => lines.push(text)),
    clock: systemClock,
    // Pauses are jittered down to nothing; in the middle they can be measured.
    random: () => 0.5,
    timing: { ...FAST, ...timing },
  });
  running.push(reflector);
  reflector.start();
  return reflector;
}

const synced = async (reflector: Reflector<string>): Promise<unknown> =>
  await until('synced', () => reflector.isSynced);
const has = async (reflector: Reflector<string>, wanted: Readonly<Record<string, string>>): Promise<unknown> =>
  await until(
    `objects ${JSON.stringify(wanted)}`,
    () => JSON.stringify(Object.fromEntries(reflector.objects)) === JSON.stringify(wanted),
  );

describe('a stream', () => {
  test('that is cut into single bytes is read the same', async () => {
    server.put('a', 'žlutý kůň 🐎');
    const reflector = reflect();
    await synced(reflector);
    const [stream] = server.streams;
    server.streams.clear();
    server.put('a', '蟹🦀');
    server.put('b', 'x');
    for (const byte of Buffer.from(server.linesAfter(101))) stream?.write(Buffer.of(byte));
    await has(reflector, { 'shop/a': '蟹🦀', 'shop/b': 'x' });
  });

  test('that is reset at any of its bytes loses nothing and tells nothing twice', async () => {
    server.put('a', '🦀1');
    server.silently(() => {});
    const first = server.version;
    server.put('a', '🦀2');
    server.put('b', '1');
    server.remove('b');
    const bytes = Buffer.from(server.linesAfter(first));
    server.canStream = false;
    for (let at = 0; at <= bytes.length; at += 3) {
      told = [];
      let isFirst = true;
      server.rule = (asked, response) => {
        if (asked.kind === 'list') {
          const metadata = { name: 'a', namespace: 'shop', uid: 'uid-a', resourceVersion: String(first) };
          const items = [{ metadata, data: { text: '🦀1' } }];
          sendJson(response, 200, { kind: 'ConfigMapList', metadata: { resourceVersion: String(first) }, items });
          return true;
        }
        if (asked.query['sendInitialEvents'] === 'true' || !isFirst) return false;
        isFirst = false;
        open(response);
        response.write(bytes.subarray(0, at), () => response.destroy());
        return true;
      };
      const before = server.counts().lists;
      const reflector = reflect({ backoffMinMs: 1, backoffMaxMs: 2 });
      await until('the last event', () => told.length === 4);
      expect(told).toEqual(['shop/a: null → 🦀1', 'shop/a: 🦀1 → 🦀2', 'shop/b: null → 1', 'shop/b: 1 → null']);
      expect([at, server.counts().lists - before]).toEqual([at, 1]);
      await reflector.stop();
    }
  });

  const BROKEN: readonly (readonly [string, string, string])[] = [
    ['no JSON', '{"type":"MODIFIED","obj\n', 'Malformed'],
    ['an unknown type', line('RENAMED', {}), 'Malformed'],
    ['an object without a name', line('ADDED', { metadata: { resourceVersion: '9' } }), 'Malformed'],
    ['an object without a version', line('ADDED', { metadata: { name: 'x' } }), 'Malformed'],
    ['a bookmark without a version', line('BOOKMARK', { metadata: {} }), 'Malformed'],
    ['an error of the server', line('ERROR', { kind: 'Status', code: 500, reason: 'InternalError' }), 'InternalError'],
    ['null', 'null\n', 'Malformed'],
  ];
  test.each(BROKEN)('with %s is begun again where it was', async (_, text, reason) => {
    server.put('a', '1');
    const reflector = reflect();
    await synced(reflector);
    server.write(text);
    await until('begun again', () => server.counts().watches === 2 && server.streams.size === 1);
    server.put('a', '2');
    await has(reflector, { 'shop/a': '2' });
    expect(reflector.counters()).toMatchObject({ lists: 1, resumes: 1, failures: { [reason]: 1 } });
    expect(server.asked.at(-1)?.query['resourceVersion']).toBe('101');
  });

  test('with a line that never ends is given up', async () => {
    server.put('a', '1');
    const reflector = reflect();
    await synced(reflector);
    for (let i = 0; i < 17; i++) server.write('x'.repeat(1024 * 1024));
    await until('given up', () => reflector.counters().failures['TooLarge'] === 1);
    await until('begun again', () => server.streams.size === 1);
  });

  test('that falls silent is known to be so soon after its time', async () => {
    server.put('a', '1');
    const reflector = reflect({ stallMs: 400 });
    await synced(reflector);
    const sinceMs = performance.now();
    await until('a stall', () => reflector.counters().failures['Stalled'] === 1);
    const tookMs = performance.now() - sinceMs;
    expect([tookMs > 350, tookMs < 700]).toEqual([true, true]);
  });

  test('that falls silent is begun again, and listed again when that does not help', async () => {
    server.put('a', '1');
    const reflector = reflect({ stallMs: 30, heldMs: 10 });
    await synced(reflector);
    server.silently(() => server.put('a', '2'));
    server.oldest = 0;
    server.rule = (asked, response) => {
      if (asked.kind !== 'watch' || asked.query['sendInitialEvents'] === 'true') return false;
      open(response);
      return true;
    };
    await has(reflector, { 'shop/a': '2' });
    expect(reflector.counters().failures).toEqual({ Stalled: 3 });
  });

  test('that ends as soon as it has begun is not asked for without a pause', async () => {
    server.put('a', '1');
    server.canStream = false;
    server.rule = (asked, response) => {
      if (asked.kind !== 'watch' || asked.query['sendInitialEvents'] === 'true') return false;
      open(response);
      response.end();
      return true;
    };
    const reflector = reflect({ backoffMinMs: 40, backoffMaxMs: 160 });
    await synced(reflector);
    const sinceMs = performance.now();
    await until('five watches', () => server.counts().watches >= 6);
    expect(performance.now() - sinceMs).toBeGreaterThan(100);
  });

  test('is resumed from the last bookmark', async () => {
    server.put('a', '1');
    const reflector = reflect({ heldMs: 0 });
    await synced(reflector);
    server.write(bookmark(500));
    await until('the bookmark', () => reflector.counters().bookmarks === 1);
    server.cut();
    await until('resumed', () => server.counts().watches === 2);
    expect(server.asked.at(-1)?.query).toMatchObject({ resourceVersion: '500', allowWatchBookmarks: 'true' });
    expect(Number(server.asked.at(-1)?.query['timeoutSeconds'])).toBeGreaterThanOrEqual(300);
  });
});

describe('what the server has forgotten', () => {
  const EXPIRED: readonly (readonly [string, () => void])[] = [
    ['as a status', () => server.cut()],
    ['within the stream', () => server.write(line('ERROR', { kind: 'Status', code: 410, reason: 'Expired' }))],
  ];
  test.each(EXPIRED)('(%s) is listed again, and what was missed is told', async (_, expire) => {
    for (const name of ['stays', 'changes', 'goes', 'is made anew']) server.put(name, '1');
    const reflector = reflect({ heldMs: 0 });
    await synced(reflector);
    told = [];
    server.silently(() => {
      server.remove('goes');
      server.remove('is made anew');
      server.put('is made anew', '2', 'another');
      server.put('changes', '2');
      server.put('comes', '2');
    });
    expire();
    await until('listed again', () => reflector.counters().lists === 2 && told.length >= 5);
    expect(told.toSorted()).toEqual([
      'shop/changes: 1 → 2',
      'shop/comes: null → 2',
      'shop/goes: 1 → null',
      'shop/is made anew: 1 → null',
      'shop/is made anew: null → 2',
    ]);
    expect(told[0]).toBe('shop/goes: 1 → null');
  });

  test('again and again is not asked for without a pause', async () => {
    server.put('a', '1');
    server.canStream = false;
    server.rule = (asked, response) => {
      if (asked.kind !== 'watch' || asked.query['sendInitialEvents'] === 'true') return false;
      sendStatus(response, 410, 'Expired');
      return true;
    };
    reflect({ backoffMinMs: 60, backoffMaxMs: 240 });
    const sinceMs = performance.now();
    await until('lists', () => server.counts().lists >= 6);
    expect(performance.now() - sinceMs).toBeGreaterThan(100);
  });

  test('in the middle of the pages has them begun anew', async () => {
    server.canStream = false;
    for (let i = 0; i < 1200; i++) server.put(`c${i}`, '1');
    let isFirst = true;
    server.rule = (asked) => {
      if (asked.query['continue'] === undefined || !isFirst) return false;
      isFirst = false;
      server.silently(() => server.remove('c3'));
      return false;
    };
    const reflector = reflect();
    await synced(reflector);
    // One list was refused as a stream, the other is this one.
    expect([reflector.objects.size, told.length, reflector.counters().lists]).toEqual([1199, 1199, 2]);
    const limits = server.asked.filter(({ kind }) => kind === 'list').map(({ query }) => query['limit']);
    expect(limits).toEqual(['500', '500', '500', '500', '500']);
  });
});

describe('a list', () => {
  test('that the server cannot stream is read in pages', async () => {
    server.canStream = false;
    for (let i = 0; i < 501; i++) server.put(`c${i}`, '1');
    const reflector = reflect();
    await synced(reflector);
    expect(reflector.objects.size).toBe(501);
    expect(server.counts()).toMatchObject({ lists: 2 });
  });

  test('as a stream that is cut before its end shows nothing of itself', async () => {
    server.put('a', '1');
    server.scripts.push((asked, response) => {
      if (asked.query['sendInitialEvents'] !== 'true') return false;
      open(response);
      response.write(line('ADDED', { metadata: { name: 'half', namespace: 'shop', resourceVersion: '1' } }), () =>
        response.destroy(),
      );
      return true;
    });
    const reflector = reflect();
    await synced(reflector);
    expect(told).toEqual(['shop/a: null → 1']);
  });

  const NO_LISTS: readonly (readonly [string, object])[] = [
    ['an empty object', {}],
    ['a list without a version', { kind: 'ConfigMapList', metadata: {}, items: [] }],
    ['a list without items', { kind: 'ConfigMapList', metadata: { resourceVersion: '5' } }],
    ['a Status', { kind: 'Status', status: 'Success' }],
  ];
  test.each(NO_LISTS)('that is %s takes nothing away', async (_, body) => {
    server.canStream = false;
    server.put('a', '1');
    const reflector = reflect({ heldMs: 0 });
    await synced(reflector);
    let answered = 0;
    server.rule = (asked, response) => {
      if (asked.kind !== 'list') return false;
      answered++;
      sendJson(response, 200, body);
      return true;
    };
    server.silently(() => server.put('b', '2'));
    server.cut();
    await until('asked three times', () => answered >= 3);
    expect(Object.fromEntries(reflector.objects)).toEqual({ 'shop/a': '1' });
    server.rule = () => false;
    await has(reflector, { 'shop/a': '1', 'shop/b': '2' });
  });

  test('that takes everything away must be said twice', async () => {
    server.canStream = false;
    server.put('a', '1');
    const reflector = reflect({ heldMs: 0 });
    await synced(reflector);
    server.scripts.push((asked, response) => {
      if (asked.kind !== 'list') return false;
      sendJson(response, 200, { kind: 'ConfigMapList', metadata: { resourceVersion: '101' }, items: [] });
      return true;
    });
    server.silently(() => server.put('a', '2'));
    server.cut();
    await has(reflector, { 'shop/a': '2' });
    expect(told).toEqual(['shop/a: null → 1', 'shop/a: 1 → 2']);
    server.silently(() => server.remove('a'));
    server.cut();
    await has(reflector, {});
  });
});

describe('a server', () => {
  test('that refuses for want of rights is complained of once, with what is to be granted', async () => {
    let refusals = 0;
    server.put('a', '1');
    server.rule = (_, response) => {
      refusals++;
      sendStatus(response, 403, 'Forbidden');
      return true;
    };
    const reflector = reflect();
    await until('refused often', () => refusals >= 5);
    expect(reflector.isSynced).toBe(false);
    const complaints = lines.filter((text) => text.includes('"warning"'));
    expect(complaints).toHaveLength(1);
    expect(complaints[0]).toContain('may not list and watch configmaps: grant the verbs list and watch on it');
    server.rule = () => false;
    await synced(reflector);
  });

  test('that asks for time is given it', async () => {
    server.put('a', '1');
    server.scripts.push((_, response) => {
      sendStatus(response, 429, 'TooManyRequests', { 'retry-after': '1' });
      return true;
    });
    const sinceMs = performance.now();
    await synced(reflect());
    expect(performance.now() - sinceMs).toBeGreaterThan(950);
  });

  test('that is away is asked at once when somebody else was answered, and not before the time that it asked for', async () => {
    server.put('a', '1');
    const headers: Record<string, string>[] = [{}, { 'retry-after': '1' }];
    for (const extra of headers)
      server.scripts.push((_, response) => {
        sendStatus(response, 503, 'ServiceUnavailable', extra);
        return true;
      });
    const reflector = reflect({ backoffMinMs: 60_000, backoffMaxMs: 120_000 });
    await until('a failure', () => reflector.complaint !== '');
    reflector.hearAnswer();
    await until('another', () => reflector.counters().failures['ServiceUnavailable'] === 2);
    const sinceMs = performance.now();
    reflector.hearAnswer();
    await synced(reflector);
    expect(performance.now() - sinceMs).toBeGreaterThan(950);
  });

  test('says once that it is back, to those who wait for it as well', async () => {
    server.put('a', '1');
    server.rule = (_, response) => {
      response.destroy();
      return true;
    };
    let answers = 0;
    const reflector = reflect({ heldMs: 10 }, () => answers++);
    await until('failures', () => reflector.complaint !== '');
    server.rule = () => false;
    await synced(reflector);
    await until('the end of the trouble', () => reflector.complaint === '');
    expect(answers).toBe(1);
  });

  const BETWEEN = [
    ['everything', false],
    ['the objects only', true],
  ] as const;
  test.each(BETWEEN)('whose 404 for %s comes from something in between takes nothing away', async (_, isOpen) => {
    server.put('a', '1');
    const reflector = reflect({ heldMs: 0 });
    await synced(reflector);
    let answered = 0;
    server.rule = (asked, response) => {
      if (asked.kind === 'other' && isOpen) return false;
      answered++;
      response.writeHead(404, { 'content-type': 'text/plain' }).end('404 page not found\n');
      return true;
    };
    server.cut();
    await until('asked often', () => answered >= 8);
    expect([reflector.objects.size, reflector.isAbsent]).toEqual([1, false]);
    server.rule = () => false;
    server.put('a', '2');
    await has(reflector, { 'shop/a': '2' });
  });

  test('that is away is found again, and what is known stays', async () => {
    server.put('a', '1');
    const reflector = reflect({ heldMs: 0 });
    await synced(reflector);
    let isAway = true;
    server.rule = (_, response) => {
      if (isAway) response.destroy();
      return isAway;
    };
    server.cut();
    await until('failed often', () => (reflector.counters().failures['Closed'] ?? 0) >= 4);
    expect(Object.fromEntries(reflector.objects)).toEqual({ 'shop/a': '1' });
    server.put('a', '2');
    isAway = false;
    await has(reflector, { 'shop/a': '2' });
    // It went on where it was.
    expect(reflector.counters().lists).toBe(1);
  });
});

test('a reflector that is stopped while the server hangs tells nothing more', async () => {
  server.canStream = false;
  let hanging: (() => void) | null = null;
  server.put('a', '1');
  server.scripts.push((asked, response) => {
    if (asked.kind !== 'list') return false;
    const metadata = { name: 'a', namespace: 'shop', uid: 'uid-a', resourceVersion: '1' };
    hanging = () =>
      sendJson(response, 200, { kind: 'ConfigMapList', metadata: { resourceVersion: '1' }, items: [{ metadata }] });
    return true;
  });
  const reflector = reflect();
  const answer = await until('the list is asked for', () => hanging);
  const sinceMs = performance.now();
  await reflector.stop();
  expect(performance.now() - sinceMs).toBeLessThan(1000);
  answer();
  await client.call({ method: 'GET', path: '/api/v1' });
  expect([told, reflector.isSynced]).toEqual([[], false]);
});

test('faults of those who are told do not end it', async () => {
  const reflector = reflect();
  await synced(reflector);
  server.put('a', 'good');
  server.put('a', 'poison');
  server.put('b', 'burden');
  server.put('c', '1');
  await has(reflector, { 'shop/a': 'good', 'shop/b': 'burden', 'shop/c': '1' });
  expect(reflector.counters()).toMatchObject({ faults: 2, lists: 1 });
});

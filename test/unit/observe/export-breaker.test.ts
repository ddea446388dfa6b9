// The breaker around span exports: opens after failures in a row, probes once after a pause, closes again.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { makeExportBreaker } from '../../../src/observe/export-breaker.ts';
import { SpanBatch } from '../../../src/observe/span-batch.ts';
import type { Exporter } from '../../../src/observe/span-exporter.ts';

const FAILED = 1;
const BATCH = { spans: new SpanBatch(), resource: {} };

function anExporter(answer: () => { code: number; error?: Error } | null): Exporter & { calls: number } {
  const exporter = {
    calls: 0,
    export(_: unknown, done: (result: { code: number; error?: Error }) => void) {
      exporter.calls++;
      const result = answer();
      if (result !== null) done(result);
    },
    shutdown: () => Promise.resolve(),
  };
  return exporter;
}

test('takes a batch that the Collector takes, and names what went wrong with one that it does not', async () => {
  const guarded = await makeExportBreaker(1000);
  expect(
    await guarded(
      anExporter(() => ({ code: 0 })),
      BATCH,
    ),
  ).toBeNull();
  expect(
    await guarded(
      anExporter(() => ({ code: FAILED, error: new Error('no route') })),
      BATCH,
    ),
  ).toBe('no route');
});

test('an export that never ends counts as failed', async () => {
  const guarded = await makeExportBreaker(30);
  expect(
    await guarded(
      anExporter(() => null),
      BATCH,
    ),
  ).toMatch(/timed out/i);
});

test('leaves a Collector alone that failed three times, then probes it once and goes on', async () => {
  let isDown = true;
  const exporter = anExporter(() => (isDown ? { code: FAILED, error: new Error('down') } : { code: 0 }));
  const guarded = await makeExportBreaker(1000);
  for (let i = 0; i < 3; i++) expect(await guarded(exporter, BATCH)).toBe('down');
  expect(await guarded(exporter, BATCH)).toMatch(/open/i);
  expect(exporter.calls).toBe(3);
  isDown = false;
  await sleep(2100);
  expect(await guarded(exporter, BATCH)).toBeNull();
  expect(await guarded(exporter, BATCH)).toBeNull();
  expect(exporter.calls).toBe(5);
});

// Certificates that live six seconds, and a root that is rotated in stages, each as soon as `ca rotate --wait` finds it
// safe, under steady traffic: nothing fails. The long one is `node test/bench/rotation.ts`.
import { expect, test } from 'vitest';
import { runRotation } from '../support/rotation.ts';

test('certificates and the root of the mesh are rotated under load, and no request fails', async () => {
  const { load, certificates, roots, handshakes } = await runRotation({
    certificateSeconds: 6,
    seconds: 0,
    perSecond: 200,
    rotatesRoot: 'waiting',
  });
  expect({ failures: [...load.failures], missing: load.sent - load.succeeded }).toEqual({ failures: [], missing: 0 });
  expect([load.succeeded > 5000, Math.min(...certificates) >= 5, handshakes > 100]).toEqual([true, true, true]);
  expect(roots).toEqual([1, 2, 1]);
});

test('sidecars of two threads pass secure connections on between them, and rotate as one', async () => {
  const { load, certificates } = await runRotation({
    certificateSeconds: 6,
    seconds: 10,
    perSecond: 100,
    rotatesRoot: 'never',
    concurrency: 2,
  });
  expect({ failures: [...load.failures], missing: load.sent - load.succeeded }).toEqual({ failures: [], missing: 0 });
  expect([load.succeeded > 800, Math.min(...certificates) >= 2]).toEqual([true, true]);
});

// A hundred rule changes in a row while traffic runs: no request fails, and every sidecar has acknowledged
// each change within a second of the file being saved.
import { expect, it } from 'vitest';
import { WORKLOADS } from '../../src/cli/demo/bookshop.ts';
import { Load } from '../../src/cli/demo/load.ts';
import { setCanaryWeights } from '../../src/cli/demo/rules-copy.ts';
import { openBookshop } from './bookshop.ts';
import { readSync, untilAcked, untilInSync } from './sync-status.ts';

const CHANGES = 100;
const ACK_LIMIT_MS = 1_000;

it('takes 100 rule changes in a row without a failed request, each acked everywhere within 1 s', async () => {
  await using shop = await openBookshop();
  const { mesh, rules } = shop;
  await untilInSync(mesh.httpPort, WORKLOADS.length, 5_000);
  const port = mesh.member('frontend').outboundPort;
  const load = new Load({ port, visit: { host: 'reviews', path: '/reviews/1' }, visitors: 8, rate: 200 });
  const tookMs: number[] = [];
  for (let change = 0; change < CHANGES; change++) {
    const before = await readSync(mesh.httpPort);
    await rules.edit('reviews.yaml', (text) => setCanaryWeights(text, 99 - (change % 90), 1 + (change % 90)));
    tookMs.push(await untilAcked(mesh.httpPort, before, 5_000));
  }
  const { requests, failed, failures } = await load.stop();
  process.stdout.write(
    `100 changes: slowest ack ${Math.max(...tookMs).toFixed(0)} ms, ${requests} requests, ${failed} failed\n`,
  );
  expect({ failed, failures, deaths: shop.deaths }).toEqual({ failed: 0, failures: [], deaths: [] });
  expect(tookMs.filter((milliseconds) => milliseconds > ACK_LIMIT_MS)).toEqual([]);
  expect(requests).toBeGreaterThan(CHANGES);
}, 180_000);

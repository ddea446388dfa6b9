// Shedding on the wire: an app that is slower than its clients, and who of them is refused.
import { StructSchema } from '@bufbuild/protobuf/wkt';
import { afterEach, expect, test } from 'vitest';
import { compileShedding } from '../../src/policy/shedding-compile.ts';
import { RawClient, type SeenResponse } from '../support/raw-client.ts';
import { RawUpstream } from '../support/raw-upstream.ts';
import { until } from '../support/until.ts';
import { LoadBench } from '../unit/policy/load-bench.ts';
import { startDataPlane } from './data-plane.ts';

const open: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

const CONFIG = {
  classes: [{ name: 'critical' }, { name: 'default', share: 0.75 }, { name: 'batch', share: 0.5 }],
  default: 'default',
  requests: 4,
};

test('under overload batch is refused by name, while what is critical is served to the last place', async () => {
  const upstream = await RawUpstream.start(['app']);
  open.push(() => upstream.close());
  upstream.answer = { kind: 'late', afterMs: 300 };
  const { filter } = new LoadBench(compileShedding, [StructSchema, CONFIG]);
  if (filter === null) throw new Error('the filter is refused');
  const plane = await startDataPlane(upstream.ports.get('app') ?? 0, { part: filter.part });
  open.push(() => plane.close());
  const ask = async (name: string): Promise<SeenResponse | undefined> => {
    const client = await RawClient.connect(plane.port);
    open.push(() => client.close());
    const pieces = [`GET / HTTP/1.1\r\nHost: a\r\nX-Request-Class: ${name}\r\n\r\n`];
    const [response] = await client.exchange({ pieces, methods: ['GET'] });
    return response;
  };
  const served = [ask('batch'), ask('batch')];
  await until('two are under way', () => upstream.seen.length === 2);
  const refused = await ask('batch');
  const field = (name: string): string | undefined => refused?.headers.find(([known]) => known === name)?.[1];
  expect([refused?.status, field('x-envoy-overloaded'), refused?.body.toString()]).toEqual([503, 'true', 'shed_batch']);
  expect(field('x-outrigger-error')).toBe('UO; shedding filter; shed_batch');
  served.push(ask('default'));
  await until('three are under way', () => upstream.seen.length === 3);
  expect((await ask('default'))?.status).toBe(503);
  served.push(ask('critical'));
  const all = await Promise.all(served);
  expect(all.map((response) => response?.status)).toEqual([200, 200, 200, 200]);
  expect((await ask('batch'))?.status).toBe(200);
});

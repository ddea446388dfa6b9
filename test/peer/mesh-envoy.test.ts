// A real Envoy, connected by ADS to our control service as a joined workload, routes the bookshop's rules and those in
// mesh-rules/ as our sidecar does: the same requests through both show the same to client and upstream, weights
// hold on both, a change of the rules arrives at both, and neither refuses anything.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { setCanaryWeights } from '../../src/cli/demo/rules-copy.ts';
import { freePorts } from '../support/free-port.ts';
import { headerOf } from '../support/message-reader.ts';
import { RawClient } from '../support/raw-client.ts';
import { RawUpstream } from '../support/raw-upstream.ts';
import { until } from '../support/until.ts';
import { MESH_ALLOWED_DIFFERENCES, type AllowedDifference } from './allowed-differences.ts';
import { differences, formatDifferences, misfit, unexplained } from './comparison.ts';
import { CALLERS_TRACE, MESH_CASES, SPLITS, type Split } from './mesh-cases.ts';
import { CONTROL_KINDS, copyRules, startControl, type MeshControl } from './mesh-control.ts';
import { startMeshSide, type Protocol } from './mesh-side.ts';
import { observeAll, type Observation } from './observation.ts';
import { SIDE_NAMES, type Side, type SideName } from './side.ts';

const UPSTREAMS = [
  'catalog',
  'ratings',
  'reviewsV1',
  'reviewsV2',
  'reviewsV3',
  'tools',
  'other',
  'library',
  'partner',
  'app',
];
const SPLIT_REQUESTS = 1500;
const used = new Set<AllowedDifference>();
let casesCompared = 0;
const casesTotal = Object.values(MESH_CASES).flat().length;
const NOTHING: Observation = new Map();
const PROTOCOLS: readonly Protocol[] = ['delta', 'sotw'];
const VARIANTS = CONTROL_KINDS.flatMap((kind) => PROTOCOLS.map((protocol) => ({ kind, protocol })));

describe.each(VARIANTS)('Envoy by $protocol, control as a $kind', ({ kind, protocol }) => {
  const sides = new Map<SideName, Side>();
  const seen = new Map<string, Observation>();
  let upstream: RawUpstream;
  let control: MeshControl;

  beforeAll(async () => {
    upstream = await RawUpstream.start(UPSTREAMS);
    const [closed = 0, collector = 0] = await freePorts(2);
    const ports = new Map([
      ['closed', closed],
      ['collector', collector],
      ...[...upstream.ports].map(([name, port]) => [`upstream.${name}`, port] as const),
    ]);
    control = await startControl(kind, await copyRules(ports));
    for (const name of SIDE_NAMES) {
      const side = await startMeshSide(name, { control, upstream, protocol });
      sides.set(name, side);
    }
    // One after the other, because they share the upstreams.
    for (const [name, side] of sides) {
      for (const [table, cases] of Object.entries(MESH_CASES)) {
        const observed = await observeAll({ ...side, ports: new Map([...side.ports, ...ports]) }, cases);
        for (const [caseName, observation] of observed) {
          seen.set(`${name} ${table}: ${caseName}`, withTraceShapes(observation));
        }
      }
    }
  });

  afterAll(async () => {
    for (const side of sides.values()) await side.stop();
    await control.stop();
    await upstream.close();
  });

  describe.each(Object.entries(MESH_CASES))('%s', (table, cases) => {
    test.each(cases.map((peerCase) => [peerCase.name, peerCase] as const))('%s', (name, peerCase) => {
      casesCompared++;
      const where = `${table}: ${name}`;
      const envoy = seen.get(`envoy ${where}`) ?? NOTHING;
      const outrigger = seen.get(`outrigger ${where}`) ?? NOTHING;
      expect({ envoy: misfit(peerCase, envoy) }).toEqual({ envoy: null });
      const left = unexplained(where, differences(envoy, outrigger), MESH_ALLOWED_DIFFERENCES, used);
      expect(formatDifferences(left)).toBe('');
    });
  });

  test.each(SPLITS)('$host $path is split by weight on both', async (split) => {
    for (const side of sides.values()) {
      const counts = await countOf(side, split);
      for (const [name, share] of Object.entries(split.shares)) {
        // Four and a half standard deviations of a fair draw.
        const tolerance = 4.5 * Math.sqrt((share * (1 - share)) / SPLIT_REQUESTS);
        const measured = (counts.get(name) ?? 0) / SPLIT_REQUESTS;
        expect(Math.abs(measured - share), `${side.name}: ${name} got ${measured}`).toBeLessThan(tolerance);
      }
      expect([...counts.keys()].toSorted()).toEqual(Object.keys(split.shares).toSorted());
    }
  });

  test('a change of the rules arrives at both', async () => {
    const file = join(control.directory, 'reviews.yaml');
    await writeFile(file, setCanaryWeights(await readFile(file, 'utf8'), 0, 100));
    for (const side of sides.values()) {
      await until(`${side.name} sends everybody to v2`, async () => {
        upstream.rewind();
        await send(side, { host: 'reviews', path: '/reviews/1', count: 40 });
        return upstream.seen.length === 40 && upstream.seen.every((request) => request.upstream === 'reviewsV2');
      });
    }
  });

  test('neither refuses anything', async () => {
    const [envoy, outrigger] = SIDE_NAMES.map((name) => sides.get(name)?.ports.get('admin') ?? 0);
    const stats = await textOf(envoy, '/stats?filter=update_(rejected|success)$');
    const [rejected, taken] = ['rejected', 'success'].map((what) =>
      [...stats.matchAll(/^(\S+)\.update_(\w+): (\d+)$/gm)].filter(([, , kindOfUpdate]) => kindOfUpdate === what),
    );
    expect(rejected?.filter(([, , , count]) => count !== '0')).toEqual([]);
    // Listeners, clusters, routes, and the endpoints of each cluster.
    expect(taken?.filter(([, , , count]) => count !== '0').length).toBeGreaterThan(10);
    expect(sides.get('envoy')?.child.output()).not.toContain('rejected');

    const counters = await textOf(control.httpPort, '/metrics');
    expect(counters).toMatch(/^pilot_total_xds_rejects(\{.*\})? 0$/m);
    await until('both have acknowledged everything', async () => {
      const nodes: unknown = JSON.parse(await textOf(control.httpPort, '/debug/syncz'));
      const states = JSON.stringify(nodes).match(/"state":"[^"]*"/g) ?? [];
      return states.length >= 8 && states.every((state) => /"(synced|not-sent)"/.test(state));
    });
    expect(await textOf(outrigger, '/stats?filter=update_rejected')).not.toMatch(/: [1-9]/);
    expect(sides.get('outrigger')?.child.output()).not.toMatch(/"(resource|configuration) refused"/);
  });
});

describe('the comparison itself', () => {
  test('there are at least 25 requests', () => {
    expect(casesTotal).toBeGreaterThanOrEqual(25);
  });

  test('every allowed difference is still needed', () => {
    // Only a whole run can tell.
    if (casesCompared < casesTotal * VARIANTS.length) return;
    expect(MESH_ALLOWED_DIFFERENCES.filter((entry) => !used.has(entry)).map((entry) => entry.reason)).toEqual([]);
  });
});

const TRACEPARENT = /^00-([0-9a-f]{32})-[0-9a-f]{16}-(0[01])$/;

/** What is made at random becomes its shape: `<trace>-01`; the trace that the case brought along stays. */
function withTraceShapes(observation: Observation): Observation {
  const entries = [...observation].map(([what, value]): [string, string] => {
    const [, traceId, flags] = TRACEPARENT.exec(value) ?? [];
    if (traceId === undefined) return [what, value];
    return [what, `${traceId === CALLERS_TRACE ? traceId : '<trace>'}-${flags}`];
  });
  return new Map(entries);
}

interface Sending {
  readonly host: string;
  readonly path: string;
  readonly count: number;
}

async function send(side: Side, { host, path, count }: Sending): Promise<void> {
  const client = await RawClient.connect(side.ports.get('listen.outbound') ?? 0);
  for (let i = 0; i < count; i++) {
    const pieces = [`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`];
    const [response] = await client.exchange({ pieces, methods: ['GET'] });
    expect(response?.status).toBe(200);
  }
  client.close();
}

async function countOf(side: Side, { host, path, header }: Split): Promise<ReadonlyMap<string, number>> {
  side.upstream.rewind();
  await send(side, { host, path, count: SPLIT_REQUESTS });
  const counts = new Map<string, number>();
  for (const request of side.upstream.seen) {
    counts.set(request.upstream, (counts.get(request.upstream) ?? 0) + 1);
    if (header !== null) expect(headerOf(request.headers, header)).toBe(request.upstream);
  }
  return counts;
}

async function textOf(port: number | undefined, path: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port ?? 0}${path}`);
  expect(response.status).toBe(200);
  return response.text();
}

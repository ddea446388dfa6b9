// Active health checks in Envoy and in our sidecar from the same bootstrap: flags in `/clusters`, statistics, and
// where requests go, for endpoints that answer, refuse, fail, hang, exclude and degrade themselves, and change.
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JsonObject } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { RawUpstream, reply, type Answer } from '../support/raw-upstream.ts';
import { cluster, listener } from '../support/tls-proxy.ts';
import { statusOf } from '../support/until.ts';
import { commandOf, SIDE_NAMES, type SideName } from './side.ts';

const CHECK: JsonObject = {
  timeout: '0.2s',
  interval: '0.1s',
  no_traffic_interval: '0.1s',
  unhealthy_threshold: 2,
  healthy_threshold: 1,
  http_health_check: { path: '/' },
};
const OK: Answer = reply('200 OK');
const DEGRADED: Answer = reply('200 OK', ['x-envoy-degraded: 1']);
const EXCLUDED: Answer = reply('503 No', ['x-envoy-immediate-health-check-fail: true']);

/** By the name of the cluster: what its one endpoint answers at first and later, and what then is more to check. */
const CASES: readonly (readonly [name: string, first: Answer, then: Answer, extra?: JsonObject])[] = [
  ['healthy', OK, OK],
  ['fails', OK, reply('500 No')],
  ['recovers', reply('500 No'), OK],
  ['hangs', OK, { kind: 'hang' }],
  ['resets', OK, { kind: 'reset' }],
  ['ends', OK, { kind: 'close' }],
  ['degraded', OK, DEGRADED],
  ['no-longer-degraded', DEGRADED, OK],
  ['degraded-and-failed', DEGRADED, reply('500 No')],
  ['excluded', OK, EXCLUDED],
  ['excluded-and-back', EXCLUDED, OK],
  [
    'expected',
    OK,
    reply('404 Not Found'),
    { http_health_check: { path: '/', expected_statuses: [{ start: 404, end: 405 }] } },
  ],
  [
    'retriable',
    OK,
    reply('503 No'),
    { http_health_check: { path: '/', retriable_statuses: [{ start: 500, end: 600 }] } },
  ],
  [
    'received',
    reply('200 OK', [], 'ready'),
    reply('200 OK', [], 'steady'),
    { http_health_check: { path: '/', receive: [{ text: '7265616479' }] } },
  ],
  [
    'service',
    reply('200 OK', ['x-envoy-upstream-healthchecked-cluster: a-1']),
    OK,
    { http_health_check: { path: '/', service_name_matcher: { prefix: 'a' } } },
  ],
  ['tcp', OK, { kind: 'hang' }, { http_health_check: null, tcp_health_check: {} }],
];

class Side {
  readonly name: SideName;
  readonly upstreams = new Map<string, RawUpstream>();
  port = 0;
  admin = 0;
  child: Child | null = null;

  constructor(name: SideName) {
    this.name = name;
  }

  async start(): Promise<void> {
    [this.port = 0, this.admin = 0] = await freePorts(2);
    const clusters: JsonObject[] = [];
    for (const [name, first, , extra = {}] of CASES) {
      const upstream = await RawUpstream.start([name]);
      upstream.answer = first;
      this.upstreams.set(name, upstream);
      const { http_health_check: http, ...check }: JsonObject = { ...CHECK, ...extra };
      clusters.push(
        cluster(name, upstream.ports.get(name) ?? 0, {
          connect_timeout: '0.5s',
          health_checks: [{ ...check, ...(http === null || http === undefined ? {} : { http_health_check: http }) }],
          common_lb_config: { healthy_panic_threshold: { value: 0 }, update_merge_window: '0s' },
        }),
      );
    }
    const bootstrap = {
      admin: { address: { socket_address: { address: '127.0.0.1', port_value: this.admin } } },
      static_resources: {
        listeners: [listener('main', this.port, { route: { cluster_header: 'x-cluster', timeout: '1s' } })],
        clusters,
      },
    };
    const file = join(await mkdtemp(join(tmpdir(), 'peer-health-')), 'bootstrap.json');
    await writeFile(file, JSON.stringify(bootstrap));
    const child = startChild(...commandOf(this.name, file));
    this.child = child;
    await untilReady(child, async () => (await statusOf(this.admin, '/ready')) === 200);
  }

  change(): void {
    for (const [name, , then] of CASES) {
      const upstream = this.upstreams.get(name);
      if (upstream !== undefined) upstream.answer = then;
    }
  }

  async flags(): Promise<readonly string[]> {
    const page = await (await fetch(`http://127.0.0.1:${this.admin}/clusters`)).text();
    return [...page.matchAll(/^(.*)::[\d.:]+::health_flags::(.*)$/gm)].map(
      ([, name = '', flags = '']) => `${name} ${flags}`,
    );
  }

  /** Who counts as what, by cluster. */
  async membership(): Promise<readonly string[]> {
    const page = await (
      await fetch(`http://127.0.0.1:${this.admin}/stats?filter=membership_(healthy|degraded|excluded)`)
    ).text();
    return page.trim().split('\n').toSorted();
  }

  /** One request to each, and whether it got through to the endpoint. */
  async routing(): Promise<readonly string[]> {
    return Promise.all(
      CASES.map(async ([name]) => {
        const response = await fetch(`http://127.0.0.1:${this.port}/`, { headers: { 'x-cluster': name } });
        const body = await response.text();
        return `${name} ${response.status} ${body === 'no healthy upstream' ? body : ''}`;
      }),
    );
  }

  async stop(): Promise<void> {
    await this.child?.stop();
    for (const upstream of this.upstreams.values()) await upstream.close();
  }
}

const sides = SIDE_NAMES.map((name) => new Side(name));
beforeAll(async () => {
  await Promise.all(sides.map((side) => side.start()));
}, 60_000);
afterAll(async () => {
  await Promise.all(sides.map((side) => side.stop()));
});

async function agree(see: (side: Side) => Promise<readonly string[]>): Promise<void> {
  const seen = async (): Promise<readonly (readonly string[])[]> => Promise.all(sides.map(see));
  await expect
    .poll(
      async () => {
        const [envoy = [], outrigger = []] = await seen();
        return outrigger
          .filter((line) => !envoy.includes(line))
          .concat(envoy.filter((line) => !outrigger.includes(line)));
      },
      { timeout: 4000, interval: 100 },
    )
    .toEqual([]);
}

test('both see the first answers alike', async () => {
  await agree((side) => side.flags());
  await agree((side) => side.membership());
  const [{ length } = []] = await Promise.all(sides.map((side) => side.flags()));
  expect(length).toBe(CASES.length);
});

test('both see changed answers alike, and route alike', async () => {
  for (const side of sides) side.change();
  const changed = async (): Promise<boolean> => {
    const flags = await Promise.all(sides.map((side) => side.flags()));
    return flags.every((lines) => lines.includes('hangs /failed_active_hc/active_hc_timeout'));
  };
  await expect.poll(changed, { timeout: 4000 }).toBe(true);
  await agree((side) => side.flags());
  await agree((side) => side.membership());
  const [envoy, outrigger] = await Promise.all(sides.map((side) => side.routing()));
  expect(outrigger).toEqual(envoy);
});

// A service-wide limit, divided among the sidecars that are connected: equal shares whose sum is never more than the limit,
// divided anew as sidecars come and go.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromBinary, toJson, type JsonValue } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLog } from '../../../src/base/log.ts';
import { ConcurrencyShares } from '../../../src/control/concurrency-shares.ts';
import { ControlService } from '../../../src/control/control.ts';
import type { NodeInfo, View, ViewSubscription } from '../../../src/control/flow.ts';
import { readNode, type MeshNode } from '../../../src/control/mesh-node.ts';
import { ClusterSchema } from '../../../src/xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { CLUSTER_TYPE } from '../../../src/xds/type-url.ts';
import { until } from '../../support/until.ts';

const HOST = 'reviews.default.svc.cluster.local';

const DIVISIONS: readonly (readonly [requests: number, clients: number, shares: readonly number[]])[] = [
  [10, 1, [10]],
  [10, 2, [5, 5]],
  [10, 3, [4, 3, 3]],
  [11, 3, [4, 4, 3]],
  [3, 3, [1, 1, 1]],
  [2, 3, [1, 1, 0]],
  [1, 4, [1, 0, 0, 0]],
];

test.each(DIVISIONS)('%d requests for %d clients', (requests, count, expected) => {
  const nodes = Array.from({ length: count }, (_, index) => aNode(`client-${index}`));
  // In whatever order they came.
  const clients = { version: 1, nodes: () => nodes.toReversed() };
  const shares = new ConcurrencyShares(clients, () => true);
  const group = { name: HOST, host: HOST, requests };
  expect(nodes.map((node) => shares.of(group, node))).toEqual(expected);
  expect(shares.clientsOf(group)).toBe(count);
});

test('only those who see the service have a share, and a node that is not there is reckoned in', () => {
  const [one, other, stranger] = [aNode('a'), aNode('b'), aNode('c')];
  const shares = new ConcurrencyShares({ version: 0, nodes: () => [one, other] }, (node) => node !== other);
  const group = { name: HOST, host: HOST, requests: 10 };
  expect([shares.of(group, one), shares.of(group, stranger)]).toEqual([10, 5]);
});

let directory = '';
let control: ControlService | null = null;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'outrigger-shares-'));
  await writeFile(join(directory, 'rules.yaml'), rules(10));
});

afterEach(async () => {
  await control?.stop();
  await rm(directory, { recursive: true });
});

const rules = (requests: number): string => `
apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { ports: [{ name: http, port: 80 }, { name: http-more, port: 81 }] }
---
apiVersion: v1
kind: Service
metadata: { name: ratings }
spec: { ports: [{ name: http, port: 80 }] }
---
apiVersion: outrigger.dev/v1alpha1
kind: ResiliencePolicy
metadata: { name: whole }
spec:
  targetRefs: [{ kind: Service, name: reviews }]
  concurrencyLimit: { requests: ${requests} }
`;

class Client {
  view: View | null = null;
  #subscription: ViewSubscription | null = null;

  constructor(service: ControlService, name: string) {
    const opened = service.open(infoOf(name), (view) => {
      this.view = view;
    });
    if (opened.kind !== 'open') throw new Error(opened.message);
    this.#subscription = opened.subscription;
    this.view = opened.subscription.view;
  }

  close(): void {
    this.#subscription?.close();
  }

  cluster(host: string, port = 80): JsonValue {
    const resource = this.view?.resources.get(CLUSTER_TYPE)?.get(`outbound|${port}||${host}`);
    if (resource === undefined) throw new Error(`no cluster for ${host}`);
    return toJson(ClusterSchema, fromBinary(ClusterSchema, resource.bytes), { useProtoFieldName: true });
  }

  get share(): number {
    const resource = this.view?.resources.get(CLUSTER_TYPE)?.get(`outbound|80||${HOST}`);
    const cluster = resource === undefined ? undefined : fromBinary(ClusterSchema, resource.bytes);
    return cluster?.circuitBreakers?.thresholds[0]?.maxRequests ?? -1;
  }
}

async function started(): Promise<ControlService> {
  control = new ControlService({
    rules: directory,
    log: silentLog,
    xdsAddress: '127.0.0.1:0',
    httpAddress: '127.0.0.1:0',
    settleMs: 0,
    debounceMs: 20,
    graceMs: 50,
  });
  await control.start();
  const service = control;
  await until('ready', () => service.isReady);
  return service;
}

test('shares follow the sidecars that come and go, and a new limit', async () => {
  const service = await started();
  const clients = ['a', 'b'].map((name) => new Client(service, name));
  const shares = (): readonly number[] => clients.map(({ share }) => share);
  // Who comes has a share at once; the others give theirs in the next turn.
  expect(clients[1]?.share).toBe(5);
  await until('two shares', () => String(shares()) === '5,5');
  clients.push(new Client(service, 'c'));
  expect(clients[2]?.share).toBe(3);
  await until('three shares', () => String(shares()) === '4,3,3');
  clients[0]?.close();
  clients.shift();
  // Its share is kept for the grace time, since it may go on with what it has.
  expect(shares()).toEqual([3, 3]);
  await until('two shares again', () => String(shares()) === '5,5');
  await writeFile(join(directory, 'rules.yaml'), rules(7));
  await until('a smaller limit', () => String(shares()) === '4,3');
  expect(service.problems).toEqual([]);
});

test('every cluster of the service has the share and its name, in both priorities; others have nothing', async () => {
  const client = new Client(await started(), 'a');
  const limited = {
    max_connections: 4_294_967_295,
    max_pending_requests: 4_294_967_295,
    max_requests: 10,
    track_remaining: true,
  };
  for (const port of [80, 81]) {
    expect(client.cluster(HOST, port)).toMatchObject({
      circuit_breakers: { thresholds: [limited, { ...limited, priority: 'HIGH' }] },
      metadata: { filter_metadata: { outrigger: { concurrencyLimit: { name: HOST, requests: 10 } } } },
    });
  }
  const free = client.cluster('ratings.default.svc.cluster.local');
  expect(free).toMatchObject({ circuit_breakers: { thresholds: [{ max_requests: 4_294_967_295 }] } });
  expect(free).not.toHaveProperty('metadata.filter_metadata.outrigger');
});

test('more clients than requests are a problem that says who is refused', async () => {
  await writeFile(join(directory, 'rules.yaml'), rules(1));
  const service = await started();
  const clients = ['a', 'b', 'c'].map((name) => new Client(service, name));
  await until('shares', () => clients.map(({ share }) => share).join() === '1,0,0');
  await until('a problem', () => service.problems.length === 1);
  expect(service.problems[0]).toMatchObject({
    severity: 'warning',
    path: 'spec.concurrencyLimit.requests',
    message: `${HOST} has 3 clients for 1 requests: 2 of them are refused every request`,
  });
});

function infoOf(name: string): NodeInfo {
  return {
    id: `sidecar~127.0.0.1~${name}.default~x`,
    cluster: name,
    metadata: { NAMESPACE: 'default', INSTANCE_IPS: '127.0.0.1', OUTRIGGER: { service: '', version: '', apps: [] } },
  };
}

function aNode(name: string): MeshNode {
  const node = readNode(infoOf(name));
  if (typeof node === 'string') throw new Error(node);
  return node;
}

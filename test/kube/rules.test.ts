// The control service on a real API server: services, pods, nodes and rules become what sidecars get, a broken rule keeps its
// last good version, and nothing stale is left when the server was away.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { crdOf } from '../../src/config/schema/crd.ts';
import { kindSchemas } from '../../src/config/schema/kind-schemas.ts';
import { ControlService } from '../../src/control/control.ts';
import { KubernetesRules } from '../../src/control/kubernetes/kubernetes-rules.ts';
import { KubeClient } from '../../src/kube/client.ts';
import { recordOf, textOf } from '../../src/kube/json-record.ts';
import { until } from '../support/until.ts';
import { ApiServer } from './api-server.ts';

const RULES = '/apis/networking.istio.io/v1/namespaces/shop/virtualservices';
const WEB = 'web.shop.svc.cluster.local';

let kube: ApiServer;
let client: KubeClient;
let control: ControlService;

const named = (name: string): object => ({ name, namespace: 'shop' });

beforeAll(async () => {
  kube = await ApiServer.start();
  client = new KubeClient({ access: kube.access() });
  await kube.call('/api/v1/namespaces', { metadata: { name: 'shop' } });
  await kube.call('/api/v1/namespaces', { metadata: { name: 'outrigger-system' } });
  await kube.makeAccount('shop', 'web');
  control = await startControl();
});
afterAll(async () => {
  await control?.stop();
  await client?.close();
  await kube?.stop();
});

async function startControl(): Promise<ControlService> {
  const timing = { absentMs: 300, backoffMinMs: 50, backoffMaxMs: 500 };
  const source = new KubernetesRules({
    client,
    log: silentLog,
    clock: systemClock,
    namespace: 'outrigger-system',
    timing,
  });
  const made = new ControlService({
    sources: [source],
    log: silentLog,
    xdsAddress: '127.0.0.1:0',
    httpAddress: '127.0.0.1:0',
    settleMs: 0,
    debounceMs: 10,
    graceMs: 0,
  });
  await made.start();
  return made;
}

function rule(prefix: string, extra: object = {}): object {
  const route = [{ destination: { host: 'web' } }];
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: named('web'),
    spec: { hosts: ['web'], http: [{ match: [{ uri: { prefix } }], route, ...extra }] },
  };
}

const node = (ip: string): Parameters<ControlService['open']>[0] => ({
  id: `sidecar~${ip}~web-1.shop~shop.svc.cluster.local`,
  cluster: '',
  metadata: {
    NAMESPACE: 'shop',
    WORKLOAD_NAME: 'web',
    LABELS: {},
    INSTANCE_IPS: ip,
    OUTRIGGER: { service: 'other', apps: [{ port: 80, protocol: 'http' }] },
  },
});

/** Every service with its instances, every rule with its prefix, every error. */
function dump(service: ControlService): unknown {
  const { services, virtualServices } = service.snapshot;
  return {
    services: Object.fromEntries(
      [...services.values()].map(({ host, endpoints }) => {
        const all = [...endpoints.values()].flat();
        return [
          host,
          all.map(({ address, port, locality, serviceAccount }) => ({ address, port, locality, serviceAccount })),
        ];
      }),
    ),
    rules: virtualServices.map(({ meta, spec }) => [
      meta.name,
      JSON.stringify(spec.http.map(({ matches }) => matches)),
    ]),
  };
}

function instances(): readonly unknown[] {
  const service = control.snapshot.services.get(WEB);
  return [...(service?.endpoints.values() ?? [])]
    .flat()
    .map(({ address, locality, serviceAccount, isMeshed, workload }) => {
      return { address, region: locality.region, zone: locality.zone, serviceAccount, isMeshed, workload };
    });
}

test('what is no kind of the cluster yet does not hold it up', async () => {
  await until('ready', () => control.isReady);
  expect([...control.snapshot.services.keys()]).toContain('kubernetes.default.svc.cluster.local');
});

test('a service has the pods behind it, as whom they run and where', async () => {
  await kube.call('/api/v1/nodes', {
    metadata: {
      name: 'n1',
      labels: { 'topology.kubernetes.io/region': 'north', 'topology.kubernetes.io/zone': 'north-1' },
    },
  });
  await kube.call('/api/v1/namespaces/shop/services', {
    metadata: named('web'),
    spec: { ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
  });
  const made = await kube.ask('POST', '/api/v1/namespaces/shop/pods', {
    body: {
      metadata: { ...named('web-1'), labels: { app: 'web', 'security.istio.io/tlsMode': 'istio' } },
      spec: { serviceAccountName: 'web', nodeName: 'n1', containers: [{ name: 'app', image: 'none' }] },
    },
  });
  expect(made.status).toBe(201);
  const status = await kube.ask('PATCH', '/api/v1/namespaces/shop/pods/web-1/status', {
    type: 'application/merge-patch+json',
    body: {
      status: {
        phase: 'Running',
        podIP: '10.9.0.1',
        podIPs: [{ ip: '10.9.0.1' }],
        conditions: [{ type: 'Ready', status: 'True' }],
      },
    },
  });
  expect(status.status).toBe(200);
  await kube.call('/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices', {
    metadata: { ...named('web-a'), labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080 }],
    endpoints: [
      {
        addresses: ['10.9.0.1'],
        conditions: { ready: true },
        targetRef: { kind: 'Pod', name: 'web-1', namespace: 'shop' },
      },
    ],
  });
  await until('the instance', () => instances().length === 1);
  await until('its place', () => JSON.stringify(instances()).includes('north'));
  expect(instances()).toEqual([
    { address: '10.9.0.1', region: 'north', zone: 'north-1', serviceAccount: 'web', isMeshed: true, workload: 'web-1' },
  ]);
});

test('a node that moves to another zone moves its pods', async () => {
  await kube.ask('PATCH', '/api/v1/nodes/n1', {
    type: 'application/merge-patch+json',
    body: { metadata: { labels: { 'topology.kubernetes.io/zone': 'north-2' } } },
  });
  await until('the zone', () => JSON.stringify(instances()).includes('north-2'));
});

test('whoever joins from the address of a pod is that pod, and nobody else', () => {
  for (const [ip, workloads] of [
    ['10.9.0.1', 0],
    ['10.9.0.77', 1],
  ] as const) {
    const opened = control.open(node(ip), () => {});
    expect(control.counters().get('outrigger_workloads')).toBe(workloads);
    if (opened.kind === 'open') opened.subscription.close();
  }
});

test('a sidecar that was faster than the address of its pod is that pod once the address is told', async () => {
  await until('those before have left', () => control.counters().get('outrigger_workloads') === 0);
  const opened = control.open(node('10.9.0.2'), () => {});
  expect(control.counters().get('outrigger_workloads')).toBe(1);
  await kube.makePod('shop', 'web-2', 'web');
  await kube.ask('PATCH', '/api/v1/namespaces/shop/pods/web-2/status', {
    type: 'application/merge-patch+json',
    body: { status: { phase: 'Running', podIP: '10.9.0.2', podIPs: [{ ip: '10.9.0.2' }] } },
  });
  await until('it is no workload of its own', () => control.counters().get('outrigger_workloads') === 0);
  await kube.call('/api/v1/namespaces/shop/pods/web-2?gracePeriodSeconds=0', null);
  if (opened.kind === 'open') opened.subscription.close();
  expect(control.counters().get('outrigger_workloads')).toBe(0);
});

test('whose token is that of a pod has its address and no other, and joins as no workload besides', async () => {
  const { body } = await kube.ask('GET', '/api/v1/namespaces/shop/pods/web-1');
  const uid = textOf(recordOf(recordOf(body)['metadata'])['uid']);
  const id = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' };
  const open = (pod: string, ip: string): string => {
    const podUid = pod === 'web-1' ? { podUid: uid } : {};
    const opened = control.open(
      { ...node(ip), peer: { id, by: 'token', untilMs: Infinity, pod, ...podUid } },
      () => {},
    );
    const workloads = control.counters().get('outrigger_workloads');
    if (opened.kind === 'open') opened.subscription.close();
    return opened.kind === 'open' ? `open, ${workloads} workloads` : (opened.denial?.reason ?? opened.message);
  };
  expect(open('web-1', '10.9.0.1')).toBe('open, 0 workloads');
  expect(open('web-1', '10.9.0.77')).toBe('pod');
  expect(open('web-2', '10.9.0.1')).toBe('pod');
  expect(open('web-2', '10.9.0.78')).toBe('open, 0 workloads');
  // Of a join token: outside of Kubernetes nothing is different.
  expect(open('', '10.9.0.79')).toBe('open, 1 workloads');
});

test('kinds that come later are followed, and a broken rule keeps its last good version', async () => {
  for (const kind of kindSchemas())
    await kube.call('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', crdOf(kind));
  await until('the kind is served', async () => (await kube.ask('GET', RULES)).status === 200);
  await kube.call(RULES, rule('/one'));
  await until('the rule', () => JSON.stringify(dump(control)).includes('/one'));
  // What our schema cannot see, and the readers do.
  const broken = await kube.ask('PATCH', `${RULES}/web`, {
    type: 'application/merge-patch+json',
    body: rule('/two', { match: [{ uri: { regex: '(' } }] }),
  });
  expect(broken.status).toBe(200);
  await until('the problem', () => control.problems.some(({ severity }) => severity === 'error'));
  const [problem] = control.problems.filter(({ severity }) => severity === 'error');
  expect([problem?.path, problem?.place?.file]).toEqual([
    'spec.http[0].match[0].uri.regex',
    'kubernetes:VirtualService/shop/web',
  ]);
  expect(JSON.stringify(dump(control))).toContain('/one');
  await kube.ask('PATCH', `${RULES}/web`, { type: 'application/merge-patch+json', body: rule('/three') });
  await until('the new rule', () => JSON.stringify(dump(control)).includes('/three'));
  expect(control.problems.filter(({ severity }) => severity === 'error')).toEqual([]);
});

test('an API server that was away leaves nothing stale and loses nothing', { timeout: 120_000 }, async () => {
  await kube.halt();
  const before = dump(control);
  await kube.resume();
  expect(dump(control)).toEqual(before);
  await kube.ask('PATCH', `${RULES}/web`, { type: 'application/merge-patch+json', body: rule('/four') });
  await kube.call('/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/web-a', null);
  await until('all of it', () => instances().length === 0 && JSON.stringify(dump(control)).includes('/four'), 60_000);
  const fresh = await startControl();
  try {
    expect(dump(control)).toEqual(dump(fresh));
  } finally {
    await fresh.stop();
  }
});

test('what is deleted is gone', async () => {
  await kube.call(`${RULES}/web`, null);
  await until('the rule is gone', () => control.snapshot.virtualServices.length === 0);
  await kube.call('/api/v1/namespaces/shop/services/web', null);
  await until('the service is gone', () => !control.snapshot.services.has(WEB));
});

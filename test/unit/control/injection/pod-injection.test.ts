// What a pod becomes, a row for each thing that is changed in it. What is not named in a row must not have changed, and a second
// time must change nothing.
import { describe, expect, it } from 'vitest';
import { injectedPod, type InjectionOptions } from '../../../../src/control/injection/pod-injection.ts';
import { listOf, recordOf, textOf, type JsonRecord } from '../../../../src/kube/json-record.ts';

const OPTIONS: InjectionOptions = { control: 'control:15012', image: 'outrigger', mode: 'redirect', isClassic: false };

interface PodParts {
  readonly labels?: JsonRecord;
  readonly annotations?: JsonRecord;
  readonly app?: JsonRecord;
}

function aPod({ labels = {}, annotations = {}, app = {} }: PodParts = {}): JsonRecord {
  return { metadata: { labels, annotations }, spec: { containers: [{ name: 'app', image: 'app', ...app }] } };
}

function injected(pod: JsonRecord, options: Partial<InjectionOptions> = {}): JsonRecord {
  const result = injectedPod(pod, 'web', { ...OPTIONS, ...options });
  if (result.kind !== 'injected') throw new Error(`not injected: ${result.kind}`);
  expect(injectedPod(result.pod, 'web', { ...OPTIONS, ...options })).toEqual({ kind: 'left', reason: '' });
  return result.pod;
}

const containersOf = (pod: JsonRecord, list: 'containers' | 'initContainers'): readonly JsonRecord[] =>
  listOf(recordOf(pod['spec'])[list]).map(recordOf);
const named = (pod: JsonRecord, name: string): JsonRecord =>
  [...containersOf(pod, 'initContainers'), ...containersOf(pod, 'containers')].find((one) => one['name'] === name) ??
  {};
const variable = (pod: JsonRecord, name: string): string =>
  textOf(
    listOf(named(pod, 'outrigger-proxy')['env'])
      .map(recordOf)
      .find((one) => one['name'] === name)?.['value'],
  );
const probesOf = (pod: JsonRecord): unknown => {
  const text = variable(pod, 'ISTIO_KUBE_APP_PROBERS');
  return text === '' ? null : JSON.parse(text.replaceAll('$$', '$'));
};
const metadataOf = (pod: JsonRecord, part: 'labels' | 'annotations'): JsonRecord =>
  recordOf(recordOf(pod['metadata'])[part]);

const PORTS = [{ name: 'web', containerPort: 8080 }];

describe('probes', () => {
  it.each([
    {
      title: 'httpGet with a named port',
      probe: { httpGet: { path: '/ok', port: 'web', httpHeaders: [{ name: 'a', value: '$(b)' }] }, timeoutSeconds: 3 },
      asked: { httpGet: { path: '/ok', port: 8080, httpHeaders: [{ name: 'a', value: '$(b)' }] }, timeoutSeconds: 3 },
    },
    {
      title: 'httpGet over TLS',
      probe: { httpGet: { port: 8443, scheme: 'HTTPS' } },
      asked: { httpGet: { port: 8443, scheme: 'HTTPS' }, timeoutSeconds: 1 },
    },
    {
      title: 'tcpSocket',
      probe: { tcpSocket: { port: 'web' }, periodSeconds: 7 },
      asked: { tcpSocket: { port: 8080 }, timeoutSeconds: 1 },
    },
    {
      title: 'grpc',
      probe: { grpc: { port: 9, service: 's' } },
      asked: { grpc: { port: 9, service: 's' }, timeoutSeconds: 1 },
    },
  ])('$title is asked through the sidecar', ({ probe, asked }) => {
    const { httpGet: _, tcpSocket: __, grpc: ___, ...settings } = { httpGet: 0, tcpSocket: 0, grpc: 0, ...probe };
    const pod = injected(
      aPod({ app: { ports: PORTS, livenessProbe: probe, readinessProbe: probe, startupProbe: probe } }),
    );
    const rewritten = (word: string): JsonRecord => ({
      ...settings,
      httpGet: { path: `/app-health/app/${word}`, port: 15_020, scheme: 'HTTP' },
    });
    expect(named(pod, 'app')).toMatchObject({
      livenessProbe: rewritten('livez'),
      readinessProbe: rewritten('readyz'),
      startupProbe: rewritten('startupz'),
    });
    expect(probesOf(pod)).toEqual({
      '/app-health/app/livez': asked,
      '/app-health/app/readyz': asked,
      '/app-health/app/startupz': asked,
    });
    expect(listOf(named(pod, 'outrigger-proxy')['args'])).toContain('--status=15020');
  });

  it.each([
    { title: 'exec', probe: { exec: { command: ['true'] } } },
    { title: 'another host', probe: { httpGet: { port: 80, host: 'other' } } },
    { title: 'a port that no container has', probe: { httpGet: { port: 'admin' } } },
    {
      title: 'the annotation',
      probe: { httpGet: { port: 80 } },
      annotations: { 'sidecar.istio.io/rewriteAppHTTPProbers': 'false' },
    },
  ])('are left alone with $title', ({ probe, annotations = {} }) => {
    const pod = injected(aPod({ annotations, app: { livenessProbe: probe } }));
    expect([named(pod, 'app')['livenessProbe'], probesOf(pod)]).toEqual([probe, null]);
  });

  it('of containers that come later are added by a second run', () => {
    const before = injected(aPod({ app: { livenessProbe: { httpGet: { port: 80, path: '/$a' } } } }));
    const late = { name: 'late', livenessProbe: { tcpSocket: { port: 81 } } };
    const spec = { ...recordOf(before['spec']), containers: [...containersOf(before, 'containers'), late] };
    const after = injected({ ...before, spec });
    expect(probesOf(after)).toEqual({
      '/app-health/app/livez': { httpGet: { port: 80, path: '/$a' }, timeoutSeconds: 1 },
      '/app-health/late/livez': { tcpSocket: { port: 81 }, timeoutSeconds: 1 },
    });
  });
});

describe('annotations of Prometheus', () => {
  const TURNED = {
    'prometheus.io/scrape': 'true',
    'prometheus.io/port': '15020',
    'prometheus.io/path': '/stats/prometheus',
  };
  it.each([
    { title: 'none', annotations: {}, after: TURNED, scrape: '' },
    {
      title: 'all',
      annotations: { 'prometheus.io/scrape': 'true', 'prometheus.io/port': '9', 'prometheus.io/path': '/m' },
      after: TURNED,
      scrape: '{"scrape":"true","path":"/m","port":"9"}',
    },
    {
      title: 'another spelling',
      annotations: { 'prometheus.io.scrape': 'true', 'prometheus.io.port': '9' },
      after: {
        'prometheus.io.scrape': 'true',
        'prometheus.io.port': '15020',
        'prometheus.io/path': '/stats/prometheus',
      },
      scrape: '{"scrape":"true","path":"","port":"9"}',
    },
    {
      title: 'no scraping',
      annotations: { 'prometheus.io/scrape': 'false' },
      after: { 'prometheus.io/scrape': 'false' },
      scrape: '',
    },
    {
      title: 'no merging',
      annotations: { 'prometheus.io/scrape': 'true', 'prometheus.istio.io/merge-metrics': 'false' },
      after: { 'prometheus.io/scrape': 'true' },
      scrape: '',
    },
  ])('with $title', ({ annotations, after, scrape }) => {
    const pod = injected(aPod({ annotations }));
    const found = Object.entries(metadataOf(pod, 'annotations')).filter(([name]) => /^prometheus[.-]io/.test(name));
    expect(Object.fromEntries(found)).toEqual(after);
    expect(variable(pod, 'ISTIO_PROMETHEUS_ANNOTATIONS')).toBe(scrape);
  });
});

it.each([
  ['the app', {}, 'web', 'latest'],
  ['its labels', { app: 'a', version: 'v2' }, 'a', 'v2'],
  ['what the pod says itself', { 'service.istio.io/canonical-name': 'c', app: 'a' }, 'c', 'latest'],
])('dashboards know a workload by %s', (_, labels, name, revision) => {
  expect(metadataOf(injected(aPod({ labels })), 'labels')).toMatchObject({
    'service.istio.io/canonical-name': name,
    'service.istio.io/canonical-revision': revision,
    'security.istio.io/tlsMode': 'istio',
  });
});

it('a native sidecar drains when its pod begins to stop, and a classic one when it is told to end', () => {
  const [native, classic] = [false, true].map((isClassic) => named(injected(aPod(), { isClassic }), 'outrigger-proxy'));
  const command = ['/usr/bin/node', '/app/bin/outrigger.js', 'drain'];
  expect([native?.['lifecycle'], classic?.['lifecycle']]).toEqual([{ preStop: { exec: { command } } }, undefined]);
});

it('kubectl means the app', () => {
  expect(metadataOf(injected(aPod(), { isClassic: true }), 'annotations')).toMatchObject({
    'kubectl.kubernetes.io/default-container': 'app',
    'kubectl.kubernetes.io/default-logs-container': 'app',
  });
});

it('with the plugin of the node nothing in the pod has a privilege', () => {
  const pod = injected(aPod(), { mode: 'cni' });
  const added = containersOf(pod, 'initContainers');
  expect(added.map(({ name }) => name)).toEqual(['outrigger-validation', 'outrigger-proxy']);
  for (const { securityContext } of added)
    expect(securityContext).toMatchObject({
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    });
  expect(listOf(added[1]?.['args'])).toContain('--mode=redirect');
  // Redirected connections of the sidecar's own user would not show anything.
  expect(recordOf(added[0]?.['securityContext'])['runAsUser']).not.toBe(1337);
});

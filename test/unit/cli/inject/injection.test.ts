// Injection as a function of text. What it promises for every spelling is checked over generated manifests: taking out
// gives the bytes back, and doing it twice is doing it once.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { formatProblem } from '../../../../src/base/problem.ts';
import { inject, uninject } from '../../../../src/cli/inject/injection.ts';
import type { InjectOptions } from '../../../../src/cli/inject/injection.ts';
import { jsonManifests, manifests } from './manifest-builder.ts';

const OPTIONS: InjectOptions = {
  control: 'control:15010',
  image: 'outrigger:test',
  mode: 'redirect',
  isClassic: false,
};

const aPod = (more = '', spec = ''): string =>
  `apiVersion: v1\nkind: Pod\nmetadata:\n  name: app\n${more}spec:\n${spec}  containers:\n    - name: app\n`;

function injected(text: string, options: Partial<InjectOptions> = {}) {
  const { text: result, problems, changed } = inject('f.yaml', text, { ...OPTIONS, ...options });
  return { result, changed, problems: problems.map((problem) => `${problem.severity}: ${formatProblem(problem)}`) };
}

/** The pod of the only document. */
function podOf(text: string): {
  readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
  readonly spec: Readonly<
    Record<'initContainers' | 'containers' | 'volumes', readonly Readonly<Record<string, unknown>>[]>
  >;
} {
  return parseAllDocuments(text)[0]?.toJS();
}

describe.each([
  ['YAML', manifests],
  ['JSON', jsonManifests],
])('%s in every spelling', (_, spellings) => {
  test.each([{}, { isClassic: true }, { mode: 'explicit' as const }])('comes back byte for byte with %o', (options) => {
    fc.assert(
      fc.property(spellings, (text) => {
        const { result, changed, problems } = injected(text, options);
        expect(problems).toEqual([]);
        expect(changed).toBeGreaterThan(0);
        expect(result).not.toBe(text);
        expect(uninject('f.yaml', result).text).toBe(text);
        expect(injected(result, options)).toEqual({ result, changed: 0, problems: [] });
      }),
      { numRuns: 150 },
    );
  });
});

test('what was JSON stays JSON', () => {
  fc.assert(
    fc.property(jsonManifests, (text) => {
      expect(() => {
        JSON.parse(injected(text).result);
      }).not.toThrow();
    }),
  );
});

test('the redirect comes first, then the sidecar, then what was there', () => {
  const { result } = injected(aPod('', '  initContainers:\n    - name: warm\n'));
  expect(podOf(result).spec.initContainers.map(({ name }) => name)).toEqual([
    'outrigger-init',
    'outrigger-proxy',
    'warm',
  ]);
});

test('the sidecar is user 1337 and may nothing, the redirect has the two capabilities that it needs', () => {
  const [redirect, proxy] = podOf(injected(aPod()).result).spec.initContainers;
  expect(redirect?.['securityContext']).toMatchObject({
    capabilities: { add: ['NET_ADMIN', 'NET_RAW'], drop: ['ALL'] },
    runAsUser: 0,
  });
  expect(proxy).toMatchObject({
    restartPolicy: 'Always',
    startupProbe: { httpGet: { path: '/healthz/ready', port: 15_021 } },
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      readOnlyRootFilesystem: true,
      runAsGroup: 1337,
      runAsNonRoot: true,
      runAsUser: 1337,
    },
  });
});

test('a classic sidecar is a container with a readiness probe', () => {
  const { spec } = podOf(injected(aPod(), { isClassic: true }).result);
  expect(spec.initContainers.map(({ name }) => name)).toEqual(['outrigger-init']);
  expect(spec.containers.map(({ name }) => name)).toEqual(['outrigger-proxy', 'app']);
  expect(spec.containers[0]).not.toHaveProperty('restartPolicy');
  expect(spec.containers[0]).toHaveProperty('readinessProbe');
});

test('in explicit mode nothing is redirected', () => {
  const { spec } = podOf(injected(aPod(), { mode: 'explicit' }).result);
  expect(spec.initContainers.map(({ name }) => name)).toEqual(['outrigger-proxy']);
  expect(spec.initContainers[0]?.['args']).toContain('--mode=explicit');
});

test('the sidecar is told labels, ports and how the pod is called', () => {
  const labels = '  labels: { app: reviews, version: v1, tier: back }\n';
  const text = `${aPod(labels)}      ports:\n        - { containerPort: 80, name: http-web }\n        - { containerPort: 81 }\n        - { containerPort: 53, protocol: UDP }\n`;
  expect(podOf(injected(text).result).spec.initContainers[1]?.['args']).toEqual([
    'sidecar',
    '--control=control:15010',
    '--service=reviews.$(POD_NAMESPACE)',
    '--version=v1',
    '--label=tier=back',
    '--app=80/http',
    '--app=81/tcp',
    '--mode=redirect',
    '--address=$(INSTANCE_IPS)',
    '--readiness=15021',
    '--metrics=15090',
    '--status=15020',
    '--pages=15022',
  ]);
});

test.each([
  ['no volumes', ''],
  ['an empty list', '  volumes: []\n'],
  ['nothing', '  volumes:\n'],
  ['null, and a word', '  volumes: null # none\n'],
  ['a list', '  # ours\n  volumes:\n    # first\n    - name: own\n      emptyDir: {}\n'],
  ['a list in one line', '  volumes: [ { name: own, emptyDir: {} } ] # own\n'],
  ['a list at the column of its key', '  volumes:\n  - { name: own, emptyDir: {} }\n'],
])('the sidecar has an identity beside %s, and it comes back', (_, volumes) => {
  for (const options of [{}, { isClassic: true }]) {
    const text = aPod('', volumes);
    const { result } = injected(text, options);
    const { spec } = podOf(result);
    const names = spec.volumes.map(({ name }) => name);
    expect(names).toEqual(['istio-token', 'istiod-ca-cert', ...(volumes.includes('own') ? ['own'] : [])]);
    const proxy = [...(spec.initContainers ?? []), ...spec.containers].find(({ name }) => name === 'outrigger-proxy');
    expect(proxy?.['volumeMounts']).toEqual([
      { name: 'istio-token', mountPath: '/var/run/secrets/tokens', readOnly: true },
      { name: 'istiod-ca-cert', mountPath: '/var/run/secrets/istio', readOnly: true },
    ]);
    expect(uninject('f.yaml', result).text).toBe(text);
  }
});

test.each([
  ['a label says no', aPod('  labels: { sidecar.istio.io/inject: "false" }\n')],
  ['an annotation says no', aPod('  annotations: { sidecar.istio.io/inject: "false" }\n')],
  ['our own word says no', aPod('  labels: { outrigger.dev/inject: "false", sidecar.istio.io/inject: "true" }\n')],
  ['the kind is of another group', aPod().replace('v1', 'example.com/v1')],
  ['nobody knows the kind', aPod().replace('Pod', 'Rollout')],
])('nothing changes and nothing is said when %s', (_, text) => {
  expect(injected(text)).toEqual({ result: text, changed: 0, problems: [] });
});

test.each([
  [
    'hostNetwork',
    aPod('', '  hostNetwork: true\n'),
    'warning: f.yaml:1:1: Pod app is left alone: on the network of its node a redirect would take the traffic of all; remove hostNetwork: true',
  ],
  [
    'the sidecar of another mesh',
    `${aPod()}    - name: istio-proxy\n`,
    'warning: f.yaml:1:1: Pod app is left alone: it has a container istio-proxy already; take that out first',
  ],
])('a pod with %s is left alone with a word', (_, text, word) => {
  expect(injected(text)).toEqual({ result: text, changed: 0, problems: [word] });
});

test('annotations of traffic and size are followed', () => {
  const text = aPod(`  annotations:
    traffic.sidecar.istio.io/excludeInboundPorts: "9000, 9001"
    traffic.sidecar.istio.io/includeOutboundIPRanges: 10.0.0.0/8
    outrigger.dev/excludeOutboundPorts: "3306"
    sidecar.istio.io/proxyCPU: 50m
    outrigger.dev/proxyMemoryLimit: 2Gi
    sidecar.istio.io/logLevel: debug
    status.sidecar.istio.io/port: "15099"
`);
  const [redirect, proxy] = podOf(injected(text).result).spec.initContainers;
  expect(redirect?.['args']).toEqual([
    'redirect',
    'install',
    '--exclude-inbound-ports=15020,15021,15022,15090,15099,9000,9001',
    '--exclude-outbound-ports=3306',
    '--outbound-ip-ranges=10.0.0.0/8',
  ]);
  expect(proxy).toMatchObject({
    resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { cpu: '2', memory: '2Gi' } },
    startupProbe: { httpGet: { port: 15_099 } },
  });
  expect(proxy?.['args']).toContain('--log-level=debug');
});

test.each([
  ['traffic.sidecar.istio.io/excludeInboundPorts: "90000"', '"90000" is not a port; write 1 to 65535'],
  ['traffic.sidecar.istio.io/excludeOutboundIPRanges: 10.0.0.0/33', '"10.0.0.0/33" is not a range; write'],
  ['sidecar.istio.io/proxyCPU: lots', 'is not a quantity'],
  ['sidecar.istio.io/inject: "maybe"', 'is not one of its values; write one of true, false'],
])('%s is an error at its place', (line, word) => {
  const text = aPod(`  annotations:\n    ${line}\n`);
  const { result, problems } = injected(text);
  expect(result).toBe(text);
  expect(problems).toEqual([expect.stringMatching(/^error: f\.yaml:6:5: /)]);
  expect(problems[0]).toContain(word);
});

test.each([
  ['a merge key has the list', `x: &b { initContainers: [{ name: warm }] }\n${aPod('', '  <<: *b\n')}`],
  ['an alias leads nowhere', aPod('', '  <<: *b\n')],
  ['the list is an alias', aPod('', '  volumes: &v []\n  initContainers: *v\n')],
  ['what is edited is used again', aPod('  annotations: &a { x: y }\n', '  nodeSelector: *a\n')],
  ['it is not YAML', 'a: [\n'],
])('a file is refused as a whole, with its place, when %s', (_, text) => {
  const { result, problems } = injected(text);
  expect(result).toBe(text);
  expect(problems.length).toBeGreaterThan(0);
  for (const problem of problems) expect(problem).toMatch(/^error: f\.yaml:\d+:\d+: /);
});

test('what a tool has written anew is still taken out', () => {
  const { result } = injected(aPod('', '  initContainers: []\n'));
  const anew = JSON.stringify(podOf(result), null, 3);
  expect(JSON.parse(uninject('f.json', anew).text)).toEqual(podOf(aPod('', '  initContainers: []\n')));
});

test('names the settings that it does not follow, and no others', () => {
  const names = ['proxy.istio.io/config', 'sidecar.istio.io/userVolumeMount', 'outrigger.dev/tea'];
  const followed = ['sidecar.istio.io/proxyCPU: 10m', 'outrigger.dev/nativeSidecar: "true"', 'team.example/config: a'];
  const lines = [...names.map((name) => `${name}: x`), ...followed].map((line) => `    ${line}\n`);
  const { problems, changed } = injected(aPod(`  annotations:\n${lines.join('')}`));
  expect(changed).toBe(1);
  expect(problems).toEqual(
    names.map(
      (name, index) =>
        `warning: f.yaml:${index + 6}:5: ${name}: Pod app asks for what injection does not follow: ${name} is ignored; do without it, or change the result by hand`,
    ),
  );
});

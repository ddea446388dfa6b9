// The chart against the list that the commands apply: the same values make the same objects, by the real helm. Each set of
// values switches something on, off, or writes what is empty otherwise.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { releaseObjects } from '../../src/cli/install/release-objects.ts';
import { titleOf } from '../../src/cli/install/release-plan.ts';
import { defaultValues, readValues } from '../../src/cli/install/release-values.ts';
import { isJsonRecord, recordOf, textOf, type JsonRecord } from '../../src/kube/json-record.ts';
import { PROJECT_ROOT } from '../support/real-parts.ts';
import { startChild } from '../support/child.ts';
import { CHART, helm } from './helm.ts';

const NAMESPACE = 'mesh-system';
const RELEASE = 'mesh';
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'outrigger-chart-'));
  const made = startChild(process.execPath, [join(PROJECT_ROOT, 'tools/crds/generate.ts')]);
  expect(await made.exited).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SETS: readonly { readonly title: string; readonly values: string }[] = [
  { title: 'the defaults', values: '' },
  {
    title: 'everything on',
    values: `
autoscaling: { enabled: true, minReplicas: 3, maxReplicas: 9, cpuPercent: 55 }
podDisruptionBudget: { maxUnavailable: 2 }
serviceMonitor: { enabled: true, interval: 30s, labels: { release: prometheus, app.kubernetes.io/name: mine } }
sidecar: { mode: cni, classic: true }
cni: { enabled: true, namespace: plugins, binDir: /bin/cni, netDir: /etc/net, homeDir: /opt/mesh, excludeNamespaces: [one, two] }

definitions: { keep: false }`,
  },
  {
    title: 'everything off',
    values: `
podDisruptionBudget: { enabled: false }
networkPolicy: { enabled: false }
injector: { enabled: false }
validator: { enabled: false }
definitions: { enabled: false }
resources: { requests: {}, limits: {} }
replicas: 1`,
  },
  {
    title: 'what is empty otherwise',
    values: `
image: { repository: registry.test:5000/a/outrigger, tag: "@sha256:${'a'.repeat(64)}", pullPolicy: Always, pullSecrets: [one, two] }
mesh: { accessLogFile: /dev/stdout, defaultConfig: { tracing: { sampling: 12.5 } }, outboundTrafficPolicy: { mode: REGISTRY_ONLY } }
extraArguments: ["--debounce-ms=50", "--tracing=a=b:4317"]
trustDomain: prod.example
domain: cluster.test
logLevel: debug
injector: { failurePolicy: Ignore, revision: "1-0" }
validator: { failurePolicy: Fail }
podLabels: { team: mesh, sidecar.istio.io/inject: "true", app.kubernetes.io/name: mine }
podAnnotations: { note: "yes", prometheus.io/scrape: "false" }
nodeSelector: { kubernetes.io/os: linux }
tolerations: [{ key: control, operator: Exists, effect: NoSchedule }]
affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, preference: { matchExpressions: [{ key: a, operator: Exists }] } }] } }
priorityClassName: system-cluster-critical`,
  },
  { title: 'trust domain of the mesh configuration', values: 'mesh: { trustDomain: other.example }' },
];

describe('the chart makes what the commands make', () => {
  test.each(SETS)('with $title', async ({ values }) => {
    const file = join(folder, 'values.yaml');
    writeFileSync(file, values);
    const read = readValues([values], []);
    if (read.kind === 'refused') throw new Error(JSON.stringify(read.problems));
    const release = { values: read.values, namespace: NAMESPACE, instance: RELEASE, managedBy: 'Helm' };
    const own = releaseObjects(release).filter(({ kind }) => kind !== 'Namespace');
    const made = await rendered('-f', file);
    for (const object of made)
      if (object['kind'] === 'CustomResourceDefinition') {
        const { annotations } = recordOf(object['metadata']);
        expect(annotations).toEqual(read.values.definitions.keep ? { 'helm.sh/resource-policy': 'keep' } : undefined);
      }
    expect(byTitle(made)).toEqual(byTitle(own));
  });
});

test('the defaults of the chart are those of the commands', () => {
  expect(parse(readFileSync(join(CHART, 'values.yaml'), 'utf8'))).toEqual(defaultValues());
});

test.each(['replica=3', 'replicas=0', 'image.tga=x', 'logLevel=loud'])('both refuse %s', async (set) => {
  const { code, stderr } = await template('--set', set);
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("don't meet the specifications") });
  expect(readValues([], [set]).kind).toBe('refused');
});

async function template(...args: readonly string[]) {
  const where = ['-n', NAMESPACE, '--kube-version', '1.36.0'];
  return await helm(folder, 'template', RELEASE, CHART, ...where, ...args);
}

async function rendered(...args: readonly string[]): Promise<readonly JsonRecord[]> {
  const { code, stdout, stderr } = await template(...args);
  if (code !== 0) throw new Error(stderr);
  return parseAllDocuments(stdout)
    .map((document): unknown => ('toJS' in document ? document.toJS() : null))
    .filter((value) => isJsonRecord(value));
}

/** Without what the two write differently and mean alike: the text of the mesh configuration, Helm's own annotation. */
function byTitle(objects: readonly JsonRecord[]): JsonRecord {
  return Object.fromEntries(
    objects.map((object) => {
      const metadata = recordOf(object['metadata']);
      const { mesh } = recordOf(object['data']);
      const title = titleOf({
        kind: textOf(object['kind']),
        metadata: { ...metadata, name: textOf(metadata['name']) },
      });
      const name = textOf(metadata['namespace']);
      return [
        `${name} ${title}`,
        {
          ...object,
          metadata: { ...metadata, annotations: null },
          ...(typeof mesh === 'string' ? { data: { mesh: parse(mesh) } } : {}),
        },
      ];
    }),
  );
}

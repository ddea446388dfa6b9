// Which policies hold for which workload, by namespace, labels and services.
import { expect, it } from 'vitest';
import type { WorkloadSelector } from '../../../src/config/workload-selector.ts';
import { policiesOf } from '../../../src/control/workload-policies.ts';

const NODE = { namespace: 'shop', labels: new Map([['app', 'cart']]) };
const SCOPE = { rootNamespace: 'istio-system', services: new Set(['cart']) };

const CASES: readonly (readonly [
  title: string,
  namespace: string,
  selector: Partial<WorkloadSelector>,
  level: string,
])[] = [
  ['the mesh by the root namespace', 'istio-system', {}, 'mesh'],
  ['a namespace', 'shop', {}, 'namespace'],
  ['workloads by their labels', 'shop', { labels: new Map([['app', 'cart']]) }, 'workload'],
  ['workloads of any namespace from the root', 'istio-system', { labels: new Map([['app', 'cart']]) }, 'workload'],
  ['those behind a service', 'shop', { targets: [{ kind: 'Service', name: 'cart' }] }, 'workload'],
  ['nobody of another namespace', 'bank', {}, 'none'],
  ['nobody with other labels', 'shop', { labels: new Map([['app', 'menu']]) }, 'none'],
  ['nobody behind another service', 'shop', { targets: [{ kind: 'Service', name: 'menu' }] }, 'none'],
  ['no service of another namespace', 'istio-system', { targets: [{ kind: 'Service', name: 'cart' }] }, 'none'],
];

it.each(CASES)('a policy is for %s', (_title, namespace, selector, level) => {
  const meta = { name: 'p', namespace, labels: new Map(), annotations: new Map(), createdAtMs: 0, generation: 1 };
  const policy = { meta, spec: { selector: { labels: null, targets: [], ...selector } } };
  expect(policiesOf([policy], NODE, SCOPE)).toEqual(level === 'none' ? [] : [{ policy, level }]);
});

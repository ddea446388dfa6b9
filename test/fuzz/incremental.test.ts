// Whatever changes in whatever order, a translator that follows the changes ends with what one makes that sees them for
// the first time: the same resources, the same versions, the same Problems.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatProblem } from '../../src/base/problem.ts';
import { parseObject } from '../../src/config/parse.ts';
import { readNode } from '../../src/control/mesh-node.ts';
import type { MeshNode } from '../../src/control/mesh-node.ts';
import { ResourceIndex } from '../../src/control/resource-index.ts';
import { Translator } from '../../src/control/translator.ts';
import type { View } from '../../src/control/flow.ts';
import { FUZZ_MS, FUZZ_TIMEOUT_MS, fuzzSeed } from './fuzz-budget.ts';

const NAMESPACES = ['a', 'b'] as const;
const APPS = ['one', 'two', 'three'] as const;
const FIXED = { domain: 'cluster.local', providers: [], services: [] };

const namespace = fc.constantFrom(...NAMESPACES);
const app = fc.constantFrom(...APPS);
const instance = fc.integer({ min: 1, max: 5 });
const isMeshed = fc.boolean();

interface Step {
  readonly name: string;
  /** Null: it is taken away. */
  readonly value: object | null;
}

function object(kind: string, apiVersion: string, body: (space: string, name: string) => fc.Arbitrary<object>) {
  return fc.tuple(namespace, app, fc.boolean()).chain(([space, name, isGone]): fc.Arbitrary<Step> => {
    const step = `${kind}/${space}/${name}`;
    if (isGone) return fc.constant({ name: step, value: null });
    const metadata = { name, namespace: space };
    return body(space, name).map((rest) => ({ name: step, value: { apiVersion, kind, metadata, ...rest } }));
  });
}

const addressOf = (space: string, one: number): string =>
  `10.0.${NAMESPACES.findIndex((known) => known === space)}.${one}`;

const service = object('Service', 'v1', (_space, name) =>
  fc
    .record({ isHeadless: fc.boolean(), port: fc.constantFrom('http', 'tcp', ''), two: fc.boolean() })
    .map(({ isHeadless, port, two }) => ({
      spec: {
        ...(isHeadless
          ? { clusterIP: 'None' }
          : { clusterIP: `10.9.0.${APPS.findIndex((known) => known === name) + 1}` }),
        selector: { app: name },
        ports: [
          { name: port === '' ? 'some' : port, port: 80, targetPort: 8080 },
          ...(two ? [{ name: 'more', port: 81, targetPort: 8081 }] : []),
        ],
      },
    })),
);

const slice = object('EndpointSlice', 'discovery.k8s.io/v1', (space, name) =>
  fc.array(instance, { maxLength: 4 }).map((instances) => ({
    metadata: { name, namespace: space, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    ports: [
      { name: 'http', port: 8080 },
      { name: 'tcp', port: 8080 },
      { name: 'some', port: 8080 },
    ],
    endpoints: instances.map((one) => ({
      addresses: [addressOf(space, one)],
      conditions: { ready: true },
      targetRef: { kind: 'Pod', name: `${name}-${one}`, namespace: space },
    })),
  })),
);

const pod = fc
  .tuple(namespace, app, instance, isMeshed, fc.boolean(), fc.constantFrom('v1', 'v2'))
  .map(([space, name, one, meshed, isGone, version]): Step => ({
    name: `Pod/${space}/${name}-${one}`,
    value: isGone
      ? null
      : {
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: {
            name: `${name}-${one}`,
            namespace: space,
            labels: { app: name, version, ...(meshed ? { 'security.istio.io/tlsMode': 'istio' } : {}) },
          },
          spec: { serviceAccountName: meshed ? name : '', containers: [] },
          status: { phase: 'Running', podIP: addressOf(space, one) },
        },
  }));

const entry = object('WorkloadEntry', 'networking.istio.io/v1', (space, name) =>
  instance.map((one) => ({ spec: { address: addressOf(space, one), labels: { app: name, version: 'v2' } } })),
);

const virtualService = object('VirtualService', 'networking.istio.io/v1', (_space, name) =>
  fc
    .record({ target: app, isCors: fc.boolean(), timeout: fc.integer({ min: 1, max: 5 }), byLabel: fc.boolean() })
    .map(({ target, isCors, timeout, byLabel }) => ({
      spec: {
        hosts: [name],
        http: [
          {
            ...(byLabel ? { match: [{ sourceLabels: { app: 'one' } }] } : {}),
            ...(isCors ? { corsPolicy: { allowMethods: ['GET'], allowOrigins: [{ exact: 'https://x' }] } } : {}),
            timeout: `${timeout}s`,
            route: [{ destination: { host: target, port: { number: 80 } } }],
          },
        ],
      },
    })),
);

const httpRoute = object('HTTPRoute', 'gateway.networking.k8s.io/v1', (_space, name) =>
  app.map((target) => ({
    spec: {
      parentRefs: [{ kind: 'Service', group: '', name }],
      rules: [{ backendRefs: [{ name: target, port: 80 }] }],
    },
  })),
);

const destinationRule = object('DestinationRule', 'networking.istio.io/v1', (_space, name) =>
  fc.boolean().map((hasSubsets) => ({
    spec: {
      host: name,
      ...(hasSubsets
        ? { subsets: [{ name: 'v1', labels: { version: 'v1' } }] }
        : { trafficPolicy: { loadBalancer: { simple: 'RANDOM' } } }),
    },
  })),
);

const peerAuthentication = object('PeerAuthentication', 'security.istio.io/v1', () =>
  fc.constantFrom('STRICT', 'DISABLE', 'PERMISSIVE').map((mode) => ({ spec: { mtls: { mode } } })),
);

const authorizationPolicy = object('AuthorizationPolicy', 'security.istio.io/v1', (_space, name) =>
  app.map((from) => ({
    spec: {
      targetRefs: [{ kind: 'Service', group: '', name }],
      rules: [{ from: [{ source: { principals: [`cluster.local/ns/a/sa/${from}`] } }] }],
    },
  })),
);

const rateLimit = object('RateLimitPolicy', 'outrigger.dev/v1alpha1', (_space, name) =>
  fc.constantFrom('VirtualService', 'HTTPRoute', 'Service').map((kind) => ({
    spec: { targetRefs: [{ kind, name }], limits: [{ name: 'all', requests: 10, per: '1s' }] },
  })),
);

const sidecar = object('Sidecar', 'networking.istio.io/v1', () =>
  fc.constantFrom('./*', '*/*', 'a/*').map((host) => ({ spec: { egress: [{ hosts: [host] }] } })),
);

/** Who is there: which of the nodes below have joined as workloads. */
const joined = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 4 }).map((who) => ({ who }));

const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: slice },
    { weight: 4, arbitrary: pod },
    { weight: 3, arbitrary: service },
    { weight: 2, arbitrary: virtualService },
    { weight: 1, arbitrary: httpRoute },
    { weight: 1, arbitrary: entry },
    { weight: 1, arbitrary: destinationRule },
    { weight: 1, arbitrary: peerAuthentication },
    { weight: 1, arbitrary: authorizationPolicy },
    { weight: 1, arbitrary: sidecar },
    { weight: 1, arbitrary: rateLimit },
    { weight: 2, arbitrary: joined },
  ),
  { minLength: 5, maxLength: 40, size: 'max' },
);

const NODES: readonly MeshNode[] = NAMESPACES.flatMap((space, index) => [
  node(space, { mode: 'redirect', inboundPort: 15_006 }, addressOf(space, 1 + index)),
  node(space, { mode: 'explicit', service: 'one', apps: [{ port: 8080, inboundPort: 8080 }] }, addressOf(space, 3)),
  node(space, { mode: 'redirect', service: 'new', apps: [{ port: 9000, protocol: 'tcp' }] }, addressOf(space, 7)),
]);

function node(space: string, own: object, address: string): MeshNode {
  const read = readNode({
    id: `sidecar~${address}~w.${space}~x`,
    cluster: '',
    metadata: { NAMESPACE: space, INSTANCE_IPS: address, OUTRIGGER: { ...own } },
    userAgent: 'outrigger',
  });
  if (typeof read === 'string') throw new Error(read);
  return read;
}

function plain(view: View): unknown {
  return [...view.resources].map(([type, named]) => [
    type,
    view.versions.get(type),
    [...named].map(([name, { version }]) => `${name} ${version}`).toSorted(),
  ]);
}

test(
  'following the changes comes to the same as beginning anew',
  () => {
    fc.assert(
      fc.property(steps, (changes) => {
        const index = new ResourceIndex();
        const follower = new Translator(FIXED);
        const views = new Map<MeshNode, View>();
        let workloads: readonly MeshNode[] = [];
        for (const change of changes) {
          if ('who' in change) workloads = [...new Set(change.who)].flatMap((one) => NODES[one] ?? []);
          else if (change.value === null) index.remove(change.name);
          else index.apply(change.name, parseObject(change.name, change.value));
          const fresh = new Translator(FIXED);
          fresh.translate(index.resources(), workloads, () => NODES, true);
          follower.translate(index.resources(), workloads, () => NODES);
          for (const one of NODES) {
            const view = follower.last.builder.build(one, views.get(one) ?? null);
            views.set(one, view);
            expect(plain(view)).toEqual(plain(fresh.last.builder.build(one, null)));
          }
          follower.check();
          const told = follower.last.problems.map((problem) => formatProblem(problem));
          expect(told).toEqual(fresh.last.problems.map((problem) => formatProblem(problem)));
        }
      }),
      { seed: fuzzSeed(), interruptAfterTimeLimit: FUZZ_MS, numRuns: 1_000_000 },
    );
  },
  FUZZ_TIMEOUT_MS,
);

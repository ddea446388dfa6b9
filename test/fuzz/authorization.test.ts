// Random AuthorizationPolicies and random requests: what our translation and our filters decide is what the policies
// mean, as authorization-model.ts says it naively.
import { create, type JsonObject } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { refuses } from '../../src/base/problem.ts';
import { parseFile } from '../../src/config/parse.ts';
import { ALL_ABILITIES, readNode, type MeshNode } from '../../src/control/mesh-node.ts';
import { buildSnapshot } from '../../src/control/snapshot.ts';
import { authorizationFilters, authorizationNetworkFilters } from '../../src/control/translate/authorization.ts';
import { internHeader } from '../../src/http/header-name.ts';
import type { ConnectionGuard } from '../../src/plan/connection-guard.ts';
import { Exchange, NO_CONNECTION } from '../../src/plan/exchange.ts';
import { FilterTally } from '../../src/plan/filter-tally.ts';
import type { Step } from '../../src/plan/plan.ts';
import { run } from '../../src/plan/run.ts';
import { compileNetworkRbac } from '../../src/policy/rbac-network.ts';
import { compileRules } from '../../src/policy/rbac-rules.ts';
import { RBAC_STATS, runRbac } from '../../src/policy/rbac.ts';
import { step } from '../../src/plan/step.ts';
import { RBACSchema } from '../../src/xds/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import { unpack } from '../../src/xds/unpack.ts';
import { mayPass, type Part, type PolicyModel, type Rule, type Tried, type When } from './authorization-model.ts';
import { FUZZ_MS, FUZZ_TIMEOUT_MS, fuzzSeed } from './fuzz-budget.ts';

const POOLS: Readonly<Record<string, readonly string[]>> = {
  principals: ['*', 'td/ns/shop/sa/a', 'td/ns/shop/*', '*/sa/a.b', 'td/ns/*', '*/ns/other/sa/a'],
  namespaces: ['shop', 'sh*', '*er', '*', 'o.her'],
  trustDomains: ['td', 't*', '*2', '*', 't.'],
  ipBlocks: ['10.0.0.1', '10.0.0.0/8', '0.0.0.0/0', '192.168.1.0/24'],
  remoteIpBlocks: ['10.0.0.1', '10.0.0.0/9', '192.168.0.0/16'],
  requestPrincipals: ['*', 'iss/sub', 'iss/*', '*/sub', 'https://i/x/sub', 'iss/su*', 'is*'],
  hosts: ['a.test', 'A.*', '*.test', '*', 'b.test:80'],
  ports: ['8080', '80'],
  methods: ['GET', 'P*', '*T', '*'],
  paths: ['/a', '/a/*', '*/b', '*', '/{*}/b', '/a/{**}', '/a/{*}/{**}'],
  'request.auth.audiences': ['x', 'y*', '*'],
  'request.auth.claims[group]': ['x', 'y*', '*z'],
  'source.serviceAccount': ['a', 'a.b', 'other/a', 'shop/a'],
};
const SOURCE = ['principals', 'namespaces', 'trustDomains', 'ipBlocks', 'remoteIpBlocks', 'requestPrincipals'];
const OPERATION = ['hosts', 'ports', 'methods', 'paths'];
const KEYS: Readonly<Record<string, string>> = {
  'source.principal': 'principals',
  'source.namespace': 'namespaces',
  'source.trustDomain': 'trustDomains',
  'source.ip': 'ipBlocks',
  'remote.ip': 'remoteIpBlocks',
  'request.auth.principal': 'requestPrincipals',
  'destination.port': 'ports',
  'request.auth.audiences': 'request.auth.audiences',
  'request.auth.claims[group]': 'request.auth.claims[group]',
  'source.serviceAccount': 'source.serviceAccount',
};

const some = (pool: readonly string[]): fc.Arbitrary<string[]> =>
  fc.subarray([...pool], { minLength: 1, maxLength: Math.min(3, pool.length) });
const negated = (name: string): string => `not${name.charAt(0).toUpperCase()}${name.slice(1)}`;

function part(names: readonly string[]): fc.Arbitrary<Part> {
  const field = fc
    .constantFrom(...names)
    .chain((name) =>
      fc.tuple(fc.boolean(), some(POOLS[name] ?? [])).map(([isNot, values]) => [isNot ? negated(name) : name, values]),
    );
  return fc.array(field, { minLength: 1, maxLength: 3 }).map((fields): Part => Object.fromEntries(fields));
}

/** Of one header: whole values, and wildcards of one kind. */
const headerValues = fc.oneof(some(['a', 'ab', 'a*', 'b*']), some(['a', 'ab', '*a', '*b']), some(['*', 'a']));
const valued = (key: string, values: fc.Arbitrary<string[]>): fc.Arbitrary<When> =>
  fc.oneof(
    values.map((list) => ({ key, values: list })),
    values.map((list) => ({ key, notValues: list })),
  );
const when: fc.Arbitrary<When> = fc.oneof(
  fc.constantFrom('x-a', 'x-b').chain((header) => valued(`request.headers[${header}]`, headerValues)),
  fc.constantFrom(...Object.keys(KEYS)).chain((key) => valued(key, some(POOLS[KEYS[key] ?? ''] ?? []))),
);
const few = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[] | undefined> =>
  fc.option(fc.array(item, { minLength: 1, maxLength: 2 }), { nil: undefined });
const rule: fc.Arbitrary<Rule> = fc
  .tuple(few(part(SOURCE)), few(part(OPERATION)), few(when))
  .map(([sources, operations, conditions]) => ({
    ...(sources === undefined ? {} : { from: sources.map((source) => ({ source })) }),
    ...(operations === undefined ? {} : { to: operations.map((operation) => ({ operation })) }),
    ...(conditions === undefined ? {} : { when: conditions }),
  }));
const policy: fc.Arbitrary<PolicyModel> = fc
  .tuple(fc.constantFrom('ALLOW', 'DENY', 'AUDIT'), fc.array(rule, { minLength: 1, maxLength: 3 }))
  .map(([action, rules]) => ({ action, rules }));

const tried: fc.Arbitrary<Tried> = fc.record({
  method: fc.constantFrom('GET', 'PUT', 'POST', 'get'),
  path: fc.constantFrom('/', '/a', '/a/', '/a/b', '/x/b', '/a/x/b', '/A', '/ab', '/a/b/c'),
  host: fc.constantFrom('a.test', 'A.TEST', 'b.test:80', 'test', 'a'),
  headers: fc.array(
    fc.tuple(fc.constantFrom('x-a', 'x-b'), fc.constantFrom('a', 'ab', 'ba', 'b', 'c', 'A', '', 'a,b', '\u00ff')),
    { maxLength: 3 },
  ),
  principal: fc.constantFrom(
    '',
    'td/ns/shop/sa/a',
    'td/ns/shop/sa/aXb',
    'td/ns/shop/sa/a.b',
    'td2/ns/other/sa/a',
    't.x/ns/other/sa/b',
  ),
  ip: fc.constantFrom('10.0.0.1', '10.200.0.1', '192.168.1.7', '192.168.2.7'),
  remoteIp: fc.constantFrom('10.0.0.1', '10.200.0.1', '192.168.1.7', '1.2.3.4'),
  claims: fc.constantFrom(
    null,
    {},
    { iss: 'iss', sub: 'sub' },
    { iss: 'iss', sub: 'other', aud: 'x' },
    { iss: 'https://i/x', sub: 'sub', aud: ['q', 'yes'], group: ['az', 'b'] },
    { iss: 'iss', sub: '', group: 'x' },
    { sub: 'sub', group: 'yz' },
  ),
});

const known = readNode({
  id: 'sidecar~127.0.0.1~app.shop~x',
  cluster: '',
  metadata: { NAMESPACE: 'shop', OUTRIGGER: { service: 'app', apps: [{ port: 8080, inboundPort: 8080 }] } },
});
if (typeof known === 'string') throw new Error(known);
const node: MeshNode = { ...known, abilities: ALL_ABILITIES };

function scopeOf(policies: readonly PolicyModel[]) {
  const documents = policies.map((model, index) =>
    JSON.stringify({
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { name: `p${index}`, namespace: 'shop' },
      spec: model,
    }),
  );
  const { resources, problems } = parseFile('p.yaml', documents.join('\n---\n'));
  if (refuses(problems)) throw new Error(JSON.stringify(problems));
  const snapshot = buildSnapshot({ resources, workloads: [], domain: 'cluster.local', providers: [], services: [] });
  return { snapshot, node, port: null };
}

function exchangeOf(request: Tried): Exchange {
  const x = new Exchange();
  const principal = request.principal === '' ? '' : `spiffe://${request.principal}`;
  const names = { dns: [], uri: [principal], email: [], ip: [] };
  const certificate = {
    subject: '',
    issuer: '',
    serial: '',
    names,
    notBeforeMs: 0,
    notAfterMs: 0,
    fingerprint256: '',
    fingerprint1: '',
    pem: '',
  };
  const tls = {
    serverName: '',
    protocol: '',
    version: '',
    cipher: '',
    isVerified: true,
    principal,
    certificate,
    chainPem: '',
    ownCertificate: null,
  };
  x.connection = {
    ...NO_CONNECTION,
    remoteAddress: request.ip,
    localPort: 8080,
    peerPrincipal: principal,
    isTls: principal !== '',
    tls: principal === '' ? null : tls,
  };
  x.clientAddress = request.remoteIp;
  x.request.method = request.method;
  x.request.path = request.path;
  x.request.authority = request.host;
  for (const [name, value] of request.headers) x.request.add(internHeader(name), value);
  if (request.claims !== null) {
    const payload: JsonObject = JSON.parse(JSON.stringify(request.claims));
    x.metadata.set('envoy.filters.http.jwt_authn', { payload });
  }
  return x;
}

/** The steps of the translated filters. */
function stepsOf(policies: readonly PolicyModel[]): readonly Step[] {
  return authorizationFilters(scopeOf(policies), () => null).map(({ configType }) => {
    const config = configType.case === 'typedConfig' ? unpack(configType.value, RBACSchema) : null;
    const problems: Parameters<typeof compileRules>[1]['problems'] = [];
    const rules =
      config?.rules === undefined
        ? null
        : compileRules(config.rules, {
            problems,
            path: '',
            clock: systemClock,
            namespace: 'n',
            engine: 'enforced',
            prefix: '',
            tally: new FilterTally(RBAC_STATS),
            tallyOf: null,
          });
    if (rules === null) throw new Error(JSON.stringify(problems));
    return step('rbac', '', runRbac, rules);
  });
}

function newTally(_name: string, stats: ConstructorParameters<typeof FilterTally>[0]): FilterTally {
  return new FilterTally(stats);
}

function guardsOf(policies: readonly PolicyModel[]): readonly ConnectionGuard[] {
  return authorizationNetworkFilters(scopeOf(policies), () => null).map(({ configType }) => {
    const any = configType.case === 'typedConfig' ? configType.value : create(AnySchema);
    const problems: Parameters<typeof compileNetworkRbac>[1]['problems'] = [];
    const guard = compileNetworkRbac(any, { problems, path: '', clock: systemClock, tally: newTally });
    if (guard === null) throw new Error(JSON.stringify(problems));
    return guard;
  });
}

const pairs = fc.tuple(
  fc.array(policy, { minLength: 1, maxLength: 3 }),
  fc.array(tried, { minLength: 1, maxLength: 12 }),
);
const options = (): fc.Parameters<unknown> => ({
  seed: fuzzSeed(),
  numRuns: Number.POSITIVE_INFINITY,
  interruptAfterTimeLimit: FUZZ_MS,
  markInterruptAsFailure: false,
});

test('requests pass where the policies let them, and nowhere else', { timeout: FUZZ_TIMEOUT_MS }, () => {
  fc.assert(
    fc.property(pairs, ([policies, requests]) => {
      const steps = stepsOf(policies);
      for (const request of requests) {
        const x = exchangeOf(request);
        const isPassed = run(x, steps) === 0 && x.response.status === 0;
        expect({ request, isPassed }).toEqual({ request, isPassed: mayPass(policies, request, false) });
      }
    }),
    options(),
  );
});

test('connections pass where the policies let them, and nowhere else', { timeout: FUZZ_TIMEOUT_MS }, () => {
  fc.assert(
    fc.property(pairs, ([policies, requests]) => {
      const guards = guardsOf(policies);
      for (const request of requests) {
        const x = exchangeOf({ ...request, remoteIp: request.ip });
        x.clientAddress = '';
        const isPassed = guards.every((guard) => guard.admits(x));
        const model = { ...request, remoteIp: request.ip };
        expect({ request, isPassed }).toEqual({ request, isPassed: mayPass(policies, model, true) });
      }
    }),
    options(),
  );
});

// Role-based access control by itself: who a connection is, what is refused when it is compiled, and what is told.
import type { JsonObject } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { Exchange, NO_CONNECTION } from '../../../src/plan/exchange.ts';
import { run } from '../../../src/plan/run.ts';
import { compileRbac } from '../../../src/policy/rbac-compile.ts';
import { RBACSchema } from '../../../src/xds/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import { LoadBench } from './load-bench.ts';

const ANY: JsonObject = { any: true };
const policy = (permission: JsonObject, principal: JsonObject = ANY): JsonObject => ({
  permissions: [permission],
  principals: [principal],
});
const rules = (action: string, policies: JsonObject): JsonObject => ({ rules: { action, policies } });

interface Peer {
  readonly uri?: readonly string[];
  readonly dns?: readonly string[];
  readonly subject?: string;
  readonly isVerified?: boolean;
}

function exchange(peer: Peer | null): Exchange {
  const x = new Exchange();
  if (peer === null) return x;
  const { uri = [], dns = [], subject = '', isVerified = true } = peer;
  const certificate = {
    subject,
    issuer: '',
    serial: '',
    names: { uri, dns, email: [], ip: [] },
    notBeforeMs: 0,
    notAfterMs: 0,
    fingerprint256: '',
    fingerprint1: '',
    pem: '',
  };
  const tls = {
    serverName: 'a.test',
    protocol: '',
    version: '',
    cipher: '',
    isVerified,
    principal: isVerified ? (uri[0] ?? '') : '',
    certificate,
    chainPem: '',
    ownCertificate: null,
  };
  x.connection = { ...NO_CONNECTION, isTls: true, tls, serverName: 'a.test', peerPrincipal: tls.principal };
  return x;
}

function passes(config: JsonObject, x: Exchange): boolean {
  const bench = new LoadBench(compileRbac, [RBACSchema, config]);
  expect(bench.problems).toEqual([]);
  run(x, bench.filter?.part.onRequest ?? []);
  expect(x.isPermitted).toBe(x.response.status === 0);
  return x.isPermitted;
}

const named = (match: JsonObject): JsonObject =>
  rules('ALLOW', { p: policy(ANY, { authenticated: { principalName: match } }) });

it.each<[string, Peer | null, JsonObject, boolean]>([
  ['the first URI name', { uri: ['spiffe://a', 'spiffe://b'] }, { exact: 'spiffe://a' }, true],
  ['a later URI name', { uri: ['spiffe://a', 'spiffe://b'] }, { exact: 'spiffe://b' }, true],
  ['a DNS name', { dns: ['a.test', 'b.test'] }, { exact: 'b.test' }, true],
  ['the subject', { subject: 'CN=a' }, { exact: 'CN=a' }, true],
  ['no other name', { uri: ['spiffe://a'] }, { exact: 'spiffe://c' }, false],
  ['a dot as a dot', { uri: ['spiffe://td/ns/a/sa/aXb'] }, { safeRegex: { regex: '.*/sa/a\\.b' } }, false],
  [
    'nothing of a certificate that was not verified',
    { uri: ['spiffe://a'], isVerified: false },
    { exact: 'spiffe://a' },
    false,
  ],
  ['nobody in plaintext', null, { safeRegex: { regex: '.*' } }, false],
])('a principal is %s', (_name, peer, match, expected) => {
  expect(passes(named(match), exchange(peer))).toBe(expected);
});

it('judges what belongs to a connection once for it', () => {
  const bench = new LoadBench(compileRbac, [RBACSchema, named({ exact: 'spiffe://a' })]);
  const first = exchange({ uri: ['spiffe://a'] });
  const other = exchange({ uri: ['spiffe://b'] });
  for (const x of [first, other, first, other]) {
    x.isPermitted = false;
    run(x, bench.filter?.part.onRequest ?? []);
    expect(x.isPermitted).toBe(x === first);
  }
});

it.each<[string, JsonObject]>([
  ['f.rules.policies["p"].permissions[0]', rules('ALLOW', { p: policy({}) })],
  ['f.rules.policies["p"].permissions', rules('ALLOW', { p: { permissions: [], principals: [ANY] } })],
  ['f.rules.policies["p"].principals', rules('ALLOW', { p: { permissions: [ANY], principals: [] } })],
  ['f.rules.policies["p"].permissions[0].any', rules('ALLOW', { p: policy({ any: false }) })],
  ['f.rules.policies["p"].condition', rules('ALLOW', { p: { ...policy(ANY), condition: { id: '1' } } })],
  ['f.rules.policies["p"].permissions[0].matcher', rules('DENY', { p: policy({ matcher: { name: 'm' } }) })],
  ['f.rules.policies["p"].permissions[0].uri_template', rules('DENY', { p: policy({ uriTemplate: { name: 'm' } }) })],
  [
    'f.rules.policies["p"].permissions[0].and_rules.rules[1].not_rule.destination_port',
    rules('DENY', { p: policy({ andRules: { rules: [ANY, { notRule: { destinationPort: 65_536 } }] } }) }),
  ],
  [
    'f.rules.policies["p"].permissions[0].destination_port_range',
    rules('DENY', { p: policy({ destinationPortRange: { start: 2, end: 2 } }) }),
  ],
  [
    'f.rules.policies["p"].principals[0].remote_ip',
    rules('DENY', { p: policy(ANY, { remoteIp: { addressPrefix: 'x' } }) }),
  ],
  [
    'f.rules.policies["p"].principals[0].authenticated.principal_name.safe_regex.regex',
    named({ safeRegex: { regex: '(' } }),
  ],
  [
    'f.rules.policies["p"].principals[0].filter_state',
    rules('DENY', { p: policy(ANY, { filterState: { key: 'a' } }) }),
  ],
])('refuses what it cannot judge at %s', (path, config) => {
  const bench = new LoadBench(compileRbac, [RBACSchema, config]);
  expect([bench.filter, bench.problems.map((text) => text.split(': ')[0])]).toEqual([null, [path]]);
});

it('lists within lists are bounded', () => {
  let permission = ANY;
  for (let i = 0; i < 40; i++) permission = { notRule: permission };
  const bench = new LoadBench(compileRbac, [RBACSchema, rules('DENY', { p: policy(permission) })]);
  expect(bench.filter).toBeNull();
  expect(bench.problems.join()).toContain('nested too deeply');
});

it('tells what was decided, beside what an earlier filter told', () => {
  const config = {
    rulesStatPrefix: 'r_',
    ...rules('DENY', { 'a b': policy({ header: { name: 'x-a' } }) }),
    shadowRules: { action: 'LOG', policies: { s: policy(ANY) } },
  };
  const bench = new LoadBench(compileRbac, [RBACSchema, config]);
  const x = new Exchange();
  x.metadata.set('envoy.filters.http.rbac', { before: 'kept' });
  run(x, bench.filter?.part.onRequest ?? []);
  expect(x.metadata.get('envoy.filters.http.rbac')).toEqual({
    before: 'kept',
    r_enforced_engine_result: 'allowed',
    shadow_effective_policy_id: 's',
    shadow_engine_result: 'allowed',
  });
  const denied = bench.begin({ 'x-a': '1' });
  expect([denied.response.status, denied.replyBody, denied.details, denied.events?.[0]?.detail]).toEqual([
    403,
    'RBAC: access denied',
    'rbac_access_denied_matched_policy[a_b]',
    'denied by policy a b',
  ]);
});

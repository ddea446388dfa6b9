// Slips in policies that would let in more than was meant: each is an error, and what stands in for it denies.
import { expect, test } from 'vitest';
import { parseFile } from '../../../src/config/parse.ts';

const policyOf = (kind: string, spec: string): string =>
  `apiVersion: security.istio.io/v1\nkind: ${kind}\nmetadata: { name: p, namespace: shop }\nspec: ${spec}\n`;

const KEYS = `jwks: '{"keys":[{"kty":"oct","k":"YWJj"}]}'`;

test.each([
  ['AuthorizationPolicy', '{ selector: { matchLabel: { app: a } }, rules: [{}] }', 'spec.selector.matchLabel'],
  ['AuthorizationPolicy', '{ selector: { matchLabels: }, rules: [{}] }', 'spec.selector.matchLabels'],
  ['AuthorizationPolicy', '{ selector: , rules: [{}] }', 'spec.selector'],
  ['AuthorizationPolicy', '{ action: , rules: [{}] }', 'spec.action'],
  ['AuthorizationPolicy', '{ rules: [{ from: }] }', 'spec.rules[0].from'],
  ['AuthorizationPolicy', '{ rules: [{ when: , to: [{ operation: { paths: [/a] } }] }] }', 'spec.rules[0].when'],
  [
    'AuthorizationPolicy',
    '{ rules: [{ from: [{ source: { principals: , namespaces: [a] } }] }] }',
    'spec.rules[0].from[0].source.principals',
  ],
  ['RequestAuthentication', `{ jwtRules: [{ issuer: a, audiences: , ${KEYS} }] }`, 'spec.jwtRules[0].audiences'],
  [
    'RequestAuthentication',
    `{ selector: { matchLabel: { app: a } }, jwtRules: [{ issuer: a, ${KEYS} }] }`,
    'spec.selector.matchLabel',
  ],
  ['AuthorizationPolicy', '{ selector: { matchLabels: { app: } }, rules: [{}] }', 'spec.selector.matchLabels.app'],
  ['RequestAuthentication', '{ selector: { matchLabels: { app: ~ } } }', 'spec.selector.matchLabels.app'],
  ['PeerAuthentication', '{ selector: { matchLabels: { app: } } }', 'spec.selector.matchLabels.app'],
  ['PeerAuthentication', '{ selector: { matchLabels: }, mtls: { mode: STRICT } }', 'spec.selector.matchLabels'],
  ['PeerAuthentication', '{ selector: , mtls: { mode: STRICT } }', 'spec.selector'],
  ['PeerAuthentication', '{ mtls: }', 'spec.mtls'],
  ['PeerAuthentication', '{ mtls: { mode: } }', 'spec.mtls.mode'],
  ['PeerAuthentication', '{ selector: { matchLabels: { app: a } }, portLevelMtls: { 80: } }', 'spec.portLevelMtls.80'],
  ['AuthorizationPolicy', '{ rules: [{ when: [] }] }', 'spec.rules[0].when'],
  ['AuthorizationPolicy', '{ rules: [{ when: [{ key: source.ip, values: [] }] }] }', 'spec.rules[0].when[0].values'],
  [
    'AuthorizationPolicy',
    '{ rules: [{ when: [{ key: source.ip, values: , notValues: [10.0.0.1] }] }] }',
    'spec.rules[0].when[0].values',
  ],
  [
    'AuthorizationPolicy',
    '{ rules: [{ when: [{ key: source.ip, values: [10.0.0.1], notValues: [] }] }] }',
    'spec.rules[0].when[0].notValues',
  ],
])('refuses %s %s', (kind, spec, path) => {
  const { problems, resources } = parseFile('f.yaml', policyOf(kind, spec));
  const errors = problems.filter(({ severity }) => severity === 'error');
  expect(errors.map((problem) => problem.path)).toEqual([path]);
  expect(resources).toEqual([]);
});

test.each([
  ['{ action: DENI, rules: [{}] }', 'DENY', 1],
  ['{ action: [DENY], rules: [{}] }', 'DENY', 1],
  ['{ action: , rules: [{}] }', 'DENY', 1],
  ['{ acton: DENY, rules: [{}] }', 'DENY', 1],
  ['{ rules: [{ to: [] }] }', 'ALLOW', 0],
  ['{ action: ALLOW, rule: [{}] }', 'ALLOW', 0],
])('in place of %s stands %s', (spec, action, rules) => {
  const { standIns } = parseFile('f.yaml', policyOf('AuthorizationPolicy', spec));
  const found = standIns.flatMap((one) => (one.kind === 'AuthorizationPolicy' ? [one.spec] : []));
  expect(found.map((one) => [one.action, one.rules.length])).toEqual([[action, rules]]);
});

const spec = 'spec: { action: DENY, rules: [{}] }';
test.each([
  ['a kind in other letters', 'kind: Authorizationpolicy', 'kind', 'did you mean AuthorizationPolicy?'],
  ['a kind of another country', 'kind: AuthorisationPolicy', 'kind', 'did you mean AuthorizationPolicy?'],
  ['a plural', 'kind: AuthorizationPolicies', 'kind', 'did you mean AuthorizationPolicy?'],
  [
    'a version that is not served',
    'kind: AuthorizationPolicy\napiVersion: security.istio.io/v1alpha9',
    'apiVersion',
    'write one of v1, v1beta1',
  ],
  [
    'a group with a slip',
    'kind: AuthorizationPolicy\napiVersion: security.isto.io/v1',
    'apiVersion',
    'write apiVersion: security.istio.io/v1',
  ],
  [
    'another group of ours',
    'kind: AuthorizationPolicy\napiVersion: networking.istio.io/v1',
    'apiVersion',
    'write apiVersion: security.istio.io/v1',
  ],
  ['no group', 'kind: AuthorizationPolicy\napiVersion: v1', 'apiVersion', 'write apiVersion: security.istio.io/v1'],
])('refuses %s, names what was meant and denies in its place', (_, head, path, remedy) => {
  const apiVersion = head.includes('apiVersion') ? '' : 'apiVersion: security.istio.io/v1\n';
  const text = `${apiVersion}${head}\nmetadata: { name: p, namespace: shop }\n${spec}\n`;
  const { problems, resources, refused, standIns } = parseFile('f.yaml', text);
  expect(problems.map((problem) => [problem.severity, problem.path, problem.remedy])).toEqual([
    ['error', path, remedy],
  ]);
  expect([resources, refused]).toEqual([[], ['AuthorizationPolicy/shop/p']]);
  expect(standIns.map(({ kind, meta }) => [kind, meta.namespace, meta.name])).toEqual([
    ['AuthorizationPolicy', 'shop', 'p'],
  ]);
});

test('refuses a misspelled namespace and denies in the one that was meant', () => {
  const text = `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespce: shop }\n${spec}`;
  const { problems, resources, standIns } = parseFile('f.yaml', text);
  expect(problems.map(({ severity, path }) => [severity, path])).toEqual([['error', 'metadata.namespce']]);
  expect(resources).toEqual([]);
  expect(standIns.map(({ meta }) => meta.namespace)).toEqual(['shop']);
});

test.each([
  ['of a group of ours that has no such kind', 'apiVersion: security.istio.io/v1\nkind: Policy', 'error'],
  ['of our own group', 'apiVersion: outrigger.dev/v1alpha1\nkind: Limits', 'error'],
  ['a list without items', 'apiVersion: v1\nkind: List\nitms: []', 'error'],
  ['of strangers', 'apiVersion: example.com/v1\nkind: AuthorizationPolicies', 'warning'],
  ['that we do not follow', 'apiVersion: gateway.networking.k8s.io/v1alpha2\nkind: TCPRoute', 'warning'],
])('an unknown kind %s is said to be one', (_, head, severity) => {
  const { problems, resources } = parseFile('f.yaml', `${head}\nmetadata: { name: p }\n`);
  expect(problems.map((problem) => [problem.severity, problem.path])).toEqual([[severity, 'kind']]);
  expect(resources).toEqual([]);
});

test.each([
  ['methods: [post]', 'methods'],
  ['paths: [admin]', 'paths'],
  ['paths: ["/a?b=1"]', 'paths'],
  ['paths: ["/a/../b"]', 'paths'],
  ['hosts: ["https://a.test"]', 'hosts'],
  ['paths: ["/a*b"]', 'paths'],
  ['paths: ["*a*"]', 'paths'],
  ['hosts: ["*.*.test"]', 'hosts'],
])('warns of %s, which matches nothing, or not what it seems to', (operation, field) => {
  const text = policyOf('AuthorizationPolicy', `{ action: DENY, rules: [{ to: [{ operation: { ${operation} } }] }] }`);
  const { problems, resources } = parseFile('f.yaml', text);
  const path = `spec.rules[0].to[0].operation.${field}`;
  expect(problems.map((problem) => [problem.severity, problem.path])).toEqual([['warning', path]]);
  expect(resources.length).toBe(1);
});

test.each([
  ['rootNamespce: other', 'rootNamespce', 'other', 'BASE'],
  ['{ rootNamespace: other, trustDomian: x }', 'trustDomian', 'other', 'BASE'],
  ['pathNormalisation: { normalization: MERGE_SLASHES }', 'pathNormalisation', 'istio-system', 'MERGE_SLASHES'],
  ['pathNormalization: { normalisation: MERGE }', 'pathNormalization.normalisation', 'istio-system', null],
  ['pathNormalization: { normalization: MERGE }', 'pathNormalization.normalization', 'istio-system', null],
])('refuses a MeshConfig with %s and stands by what it says', (text, path, rootNamespace, normalization) => {
  const { problems, resources, standIns } = parseFile('f.yaml', `kind: MeshConfig\nspec:\n  ${text}\n`);
  expect(new Set(problems.map((problem) => `${problem.severity} ${problem.path}`))).toEqual(
    new Set([`error spec.${path}`]),
  );
  expect(resources).toEqual([]);
  const found = standIns.flatMap((one) => (one.kind === 'MeshConfig' ? [one.spec] : []));
  expect(found.map((mesh) => [mesh.rootNamespace, mesh.pathNormalization])).toEqual([
    [rootNamespace, normalization ?? 'DECODE_AND_MERGE_SLASHES'],
  ]);
});

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

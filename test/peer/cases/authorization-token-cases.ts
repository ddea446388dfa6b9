// Policies on tokens: what a token, good, bad or missing, is worth to AuthorizationPolicy beside RequestAuthentication.
import {
  ISSUER,
  STRANGER,
  inSeconds,
  makeToken,
  publicJwks,
  type TokenWish,
} from '../../support/tokens/token-maker.ts';
import type { PeerCase } from '../peer-case.ts';
import type { PolicyCases } from './authorization-cases.ts';

const AUTHENTICATION = `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: tokens, namespace: shop }
spec: { jwtRules: [{ issuer: "${ISSUER}", jwks: ${JSON.stringify(publicJwks(['rsa', 'p256']))} }] }
---
`;

const policy = (spec: string): string =>
  `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: shop }\nspec: ${spec}\n`;

type Shown = readonly [what: string, wish: TokenWish | null, is: string];

function cases(name: string, spec: string, shown: readonly Shown[], path = '/'): PolicyCases {
  const requests = shown.map(([what, wish, is]): PeerCase => ({
    name: `${name}: ${what} is answered ${is}`,
    send: `GET ${path}`,
    headers: wish === null ? [] : [`Authorization: Bearer ${makeToken(wish)}`],
    to: name,
    is,
  }));
  return { name, yaml: AUTHENTICATION + policy(spec), requests };
}

const PASSED = '200 a';

export const TOKEN_POLICY_CASES: readonly PolicyCases[] = [
  cases('tokenissuer', `{ rules: [{ from: [{ source: { requestPrincipals: ["${ISSUER}/*"] } }] }] }`, [
    ['no token', null, '403'],
    ['a good one', {}, PASSED],
    ['one by another key of the set', { by: 'p256' }, PASSED],
    ['an expired one', { claims: { exp: inSeconds(-3600) } }, '401'],
    ['one by a stranger', { by: STRANGER }, '401'],
    ['one by a stranger under a known kid', { by: STRANGER, header: { kid: 'rsa' } }, '401'],
    ['alg none', { alg: 'none', signature: '' }, '401'],
    ['an unknown kid', { header: { kid: 'unknown' } }, '401'],
    ['another issuer', { claims: { iss: 'https://evil.test' } }, '401'],
    ['one without a subject', { claims: { sub: undefined } }, '403'],
    ['one with an empty subject', { claims: { sub: '' } }, '403'],
  ]),
  cases('tokensubject', `{ rules: [{ from: [{ source: { requestPrincipals: ["${ISSUER}/ann", "*/bob"] } }] }] }`, [
    ['ann', {}, PASSED],
    ['bob', { claims: { sub: 'bob' } }, PASSED],
    ['Ann', { claims: { sub: 'Ann' } }, '403'],
    ['a subject with a slash', { claims: { sub: 'x/ann' } }, '403'],
    ['no token', null, '403'],
  ]),
  cases('tokenneeded', '{ action: DENY, rules: [{ from: [{ source: { notRequestPrincipals: ["*"] } }] }] }', [
    ['no token', null, '403'],
    ['a good one', {}, PASSED],
  ]),
  cases('tokengroup', '{ rules: [{ when: [{ key: "request.auth.claims[group]", values: [admin, "dev-*"] }] }] }', [
    ['no token', null, '403'],
    ['no such claim', {}, '403'],
    ['the text', { claims: { group: 'admin' } }, PASSED],
    ['the prefix', { claims: { group: 'dev-a' } }, PASSED],
    ['a list with it', { claims: { group: ['x', 'dev-b'] } }, PASSED],
    ['a list without it', { claims: { group: ['x', 'Admin'] } }, '403'],
    ['an empty list', { claims: { group: [] } }, '403'],
    ['a number', { claims: { group: 1 } }, '403'],
    ['an object', { claims: { group: { admin: 'admin' } } }, '403'],
    ['a list in a list', { claims: { group: [['admin']] } }, '403'],
  ]),
  cases('tokenroles', '{ rules: [{ when: [{ key: "request.auth.claims[realm][roles]", values: [writer] }] }] }', [
    ['the nested claim', { claims: { realm: { roles: ['reader', 'writer'] } } }, PASSED],
    ['the claim further up', { claims: { realm: ['writer'] } }, '403'],
    ['a claim with a dot in its name', { claims: { 'realm.roles': 'writer' } }, '403'],
  ]),
  cases('tokenscope', '{ rules: [{ when: [{ key: "request.auth.claims[scope]", values: [write] }] }] }', [
    ['one of the words', { claims: { scope: 'read write' } }, PASSED],
    ['a part of a word', { claims: { scope: 'read writer' } }, '403'],
  ]),
  cases('tokenaudience', '{ rules: [{ when: [{ key: request.auth.audiences, values: [shop] }, { key: request.auth.presenter, notValues: [evil] }] }] }', [
    ['the audience', { claims: { aud: 'shop' } }, PASSED],
    ['one of several', { claims: { aud: ['a', 'shop'] } }, PASSED],
    ['another', { claims: { aud: 'a' } }, '403'],
    ['an excepted presenter', { claims: { aud: 'shop', azp: 'evil' } }, '403'],
    ['another presenter', { claims: { aud: 'shop', azp: 'good' } }, PASSED],
    ['no token', null, '403'],
  ]), // prettier-ignore
  cases(
    'tokenadmin',
    '{ action: DENY, rules: [{ to: [{ operation: { paths: [/admin*] } }], when: [{ key: "request.auth.claims[group]", notValues: [admin] }] }] }',
    [
      ['no token', null, '403'],
      ['a reader', { claims: { group: 'reader' } }, '403'],
      ['an admin', { claims: { group: ['admin'] } }, PASSED],
    ],
    '/x/../admin?a=/',
  ),
];

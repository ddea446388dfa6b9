// Two policies of one kind and name: whichever is written first, and wherever, nobody gets in who was kept out.
import { expect, test } from 'vitest';
import { parseFile } from '../../../src/config/parse.ts';
import { ResourceIndex } from '../../../src/control/resource-index.ts';

const policy = (kind: string, spec: string): string =>
  `apiVersion: ${kind === 'RateLimitPolicy' ? 'outrigger.dev/v1alpha1' : 'security.istio.io/v1'}\nkind: ${kind}\n` +
  `metadata: { name: p, namespace: shop }\nspec: ${spec}\n`;

interface Pair {
  readonly kind: string;
  readonly first: string;
  readonly later: string;
  /** What of each is in force, in any order. */
  readonly inForce: readonly unknown[];
}

const PAIRS: readonly Pair[] = [
  {
    kind: 'AuthorizationPolicy',
    first: '{ rules: [{}] }',
    later: '{ action: DENY, rules: [{}] }',
    inForce: ['ALLOW 1', 'DENY 1'],
  },
  {
    kind: 'AuthorizationPolicy',
    first: '{ action: DENY, rules: [{}, {}] }',
    later: '{ action: DENY, rules: [{}] }',
    inForce: ['DENY 1', 'DENY 2'],
  },
  // One that cannot be read denies beside the one that can.
  { kind: 'AuthorizationPolicy', first: '{ rules: [{}] }', later: '{ action: DENI }', inForce: ['ALLOW 1', 'DENY 1'] },
  {
    kind: 'PeerAuthentication',
    first: '{ mtls: { mode: PERMISSIVE } }',
    later: '{ mtls: { mode: STRICT } }',
    inForce: ['STRICT', 'STRICT'],
  },
  {
    kind: 'RequestAuthentication',
    first: '{ jwtRules: [{ issuer: a, jwksUri: "https://a.test/" }] }',
    later: '{ jwtRules: [{ issuer: b, jwksUri: "https://b.test/" }] }',
    inForce: ['a', 'b'],
  },
  {
    kind: 'RateLimitPolicy',
    first: '{ limits: [{ name: a, requests: 9 }] }',
    later: '{ limits: [{ name: b, requests: 1 }] }',
    inForce: ['1', '9'],
  },
];

function shown(index: ResourceIndex): readonly string[] {
  return [...index.resources().values()]
    .map((resource) => {
      switch (resource.kind) {
        case 'AuthorizationPolicy':
          return `${resource.spec.action} ${resource.spec.rules.length}`;
        case 'PeerAuthentication':
          return resource.spec.mode ?? '';
        case 'RequestAuthentication':
          return resource.spec.rules.map(({ issuer }) => issuer).join();
        case 'RateLimitPolicy':
          return resource.spec.limits.map(({ requests }) => requests).join();
        default:
          return resource.kind;
      }
    })
    .toSorted();
}

const errorsOf = (index: ResourceIndex): number =>
  index.problems().filter(({ message }) => message.includes('says something else')).length;

const ORDERS = PAIRS.flatMap((pair) => [pair, { ...pair, first: pair.later, later: pair.first }]);

test.each(ORDERS)('$kind $first and $later in one file', ({ kind, first, later, inForce }) => {
  const index = new ResourceIndex();
  index.apply('f.yaml', parseFile('f.yaml', `${policy(kind, first)}---\n${policy(kind, later)}`));
  expect(shown(index)).toEqual(inForce);
  expect(errorsOf(index)).toBe(1);
});

test.each(ORDERS)('$kind $first and $later in two files, until one is gone', ({ kind, first, later, inForce }) => {
  const index = new ResourceIndex();
  index.apply('b.yaml', parseFile('b.yaml', policy(kind, later)));
  const alone = shown(index);
  index.apply('a.yaml', parseFile('a.yaml', policy(kind, first)));
  expect(shown(index)).toEqual(inForce);
  expect(errorsOf(index)).toBe(1);
  index.remove('a.yaml');
  expect(shown(index)).toEqual(alone);
  expect(errorsOf(index)).toBe(0);
});

test.each(PAIRS)('$kind $first twice is one', ({ kind, first }) => {
  const index = new ResourceIndex();
  const text = policy(kind, first);
  index.apply('a.yaml', parseFile('a.yaml', `${text}---\n${text}`));
  index.apply('b.yaml', parseFile('b.yaml', text));
  expect(shown(index).length).toBe(1);
  expect(index.problems().map(({ severity }) => severity)).toEqual(['warning', 'warning']);
});

const deny = (count: number): string =>
  policy('AuthorizationPolicy', `{ action: DENY, rules: [${'{},'.repeat(count)}] }`);

test('copies in one file and in others all hold', () => {
  const index = new ResourceIndex();
  index.apply('a.yaml', parseFile('a.yaml', `${deny(1)}---\n${deny(2)}---\n${deny(3)}`));
  index.apply('b.yaml', parseFile('b.yaml', `${deny(4)}---\n${deny(5)}`));
  index.apply('c.yaml', parseFile('c.yaml', deny(6)));
  expect(shown(index)).toEqual(['DENY 1', 'DENY 2', 'DENY 3', 'DENY 4', 'DENY 5', 'DENY 6']);
  index.remove('a.yaml');
  expect(shown(index)).toEqual(['DENY 4', 'DENY 5', 'DENY 6']);
});

// Which mode is in force for a port of a workload, by all the policies there are.
import { expect, it } from 'vitest';
import { parseFile } from '../../../src/config/parse.ts';
import { PeerAuthentications } from '../../../src/control/peer-authentications.ts';

const CART = { namespace: 'shop', labels: new Map([['app', 'cart']]) };

interface Written {
  readonly namespace: string;
  readonly spec: string;
}

const mesh = (mode: string): Written => ({ namespace: 'istio-system', spec: `{ mtls: { mode: ${mode} } }` });
const shop = (spec: string): Written => ({ namespace: 'shop', spec });
const cart = (rest: string): Written => shop(`{ selector: { matchLabels: { app: cart } }, ${rest} }`);

const CASES: readonly (readonly [title: string, policies: readonly Written[], port: number, mode: string])[] = [
  ['both without a policy', [], 80, 'PERMISSIVE'],
  ["the mesh's", [mesh('STRICT')], 80, 'STRICT'],
  ["the namespace's before the mesh's", [mesh('STRICT'), shop('{ mtls: { mode: DISABLE } }')], 80, 'DISABLE'],
  [
    "the workload's before the namespace's",
    [shop('{ mtls: { mode: STRICT } }'), cart('mtls: { mode: DISABLE }')],
    80,
    'DISABLE',
  ],
  [
    "the port's before the workload's",
    [cart('mtls: { mode: STRICT }, portLevelMtls: { 80: { mode: DISABLE } }')],
    80,
    'DISABLE',
  ],
  [
    "the workload's for another port",
    [cart('mtls: { mode: STRICT }, portLevelMtls: { 80: { mode: DISABLE } }')],
    81,
    'STRICT',
  ],
  [
    "the workload's for a port that is UNSET",
    [cart('mtls: { mode: STRICT }, portLevelMtls: { 80: { mode: UNSET } }')],
    80,
    'STRICT',
  ],
  [
    "the namespace's for a workload that is UNSET",
    [shop('{ mtls: { mode: STRICT } }'), cart('mtls: { mode: UNSET }')],
    80,
    'STRICT',
  ],
  ["the mesh's for a namespace that says nothing", [mesh('STRICT'), shop('{}')], 80, 'STRICT'],
  ['the oldest of one level', [shop('{ mtls: { mode: STRICT } }'), shop('{ mtls: { mode: DISABLE } }')], 80, 'STRICT'],
  ['nothing of another namespace', [{ namespace: 'bank', spec: '{ mtls: { mode: STRICT } }' }], 80, 'PERMISSIVE'],
  [
    'nothing of a selector in the root namespace',
    [{ namespace: 'istio-system', spec: '{ selector: { matchLabels: { app: cart } }, mtls: { mode: STRICT } }' }],
    80,
    'PERMISSIVE',
  ],
  [
    'nothing of a selector for others',
    [shop('{ selector: { matchLabels: { app: menu } }, mtls: { mode: STRICT } }')],
    80,
    'PERMISSIVE',
  ],
];

it.each(CASES)('the mode in force is %s', (_title, policies, port, mode) => {
  const text = policies
    .map(
      ({ namespace, spec }, index) =>
        `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: p${index}, namespace: ${namespace} }\nspec: ${spec}\n`,
    )
    .join('---\n');
  const { resources, problems } = parseFile('rules.yaml', text);
  expect(problems).toEqual([]);
  const found = resources.filter((resource) => resource.kind === 'PeerAuthentication');
  expect(new PeerAuthentications(found, 'istio-system').modeOf(CART, port)).toBe(mode);
});

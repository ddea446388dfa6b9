// A file whose YAML is broken: what was good stays, and where nothing ever was, nobody gets in whom it may have kept out.
import { expect, test } from 'vitest';
import { parseFile } from '../../../src/config/parse.ts';
import { ResourceIndex } from '../../../src/control/resource-index.ts';

const head = (name: string): string =>
  `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: ${name}, namespace: shop }\n`;
const SERVICE = 'apiVersion: v1\nkind: Service\nmetadata: { name: web }\nspec: { ports: [{ port: 80 }] }\n';
const LABELS = 'selector: { matchLabels: { app: a } }';

function shown(index: ResourceIndex): readonly string[] {
  return [...index.resources().values()].map((resource) => {
    if (resource.kind !== 'AuthorizationPolicy') return resource.kind;
    const { action, rules, selector } = resource.spec;
    return `${resource.meta.name} ${action} ${rules.length} ${selector.labels === null ? 'all' : 'some'}`;
  });
}

test.each([
  [
    'a flow that is not closed',
    `${head('p')}spec: { ${LABELS}, action: DENY, rules: [{ to: [{ operation: `,
    ['p DENY 1 some'],
  ],
  ['a text that ends before the action', `${head('p')}spec:\n  ${LABELS}\n  rules: [{`, ['p DENY 1 some']],
  ['a key that is there twice', `${head('p')}spec: { action: ALLOW, action: DENY, rules: [{}] }`, ['p DENY 1 all']],
  ['a broken neighbour', `${head('p')}spec: { action: DENY, rules: [{}, {}] }\n---\n${SERVICE}a: [`, ['p DENY 2 all']],
  [
    'a broken policy behind a service',
    `${SERVICE}---\n${head('p')}spec: { action: AUDIT, rules: [{ `,
    ['p AUDIT 0 all'],
  ],
  ['a policy without metadata', 'apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n', [' DENY 1 all']],
  [
    'settings of the mesh, and what is no YAML',
    'apiVersion: outrigger.dev/v1alpha1\nkind: MeshConfig\nspec: { rootNamespace: top }\n---\na: [',
    ['MeshConfig'],
  ],
  ['nothing that keeps anybody out', `${SERVICE}---\na: [`, []],
])('at first, of %s', (_, text, inForce) => {
  const index = new ResourceIndex();
  index.apply('f.yaml', parseFile('f.yaml', text));
  expect(shown(index)).toEqual(inForce);
  expect(index.problems().some(({ severity }) => severity === 'error')).toBe(true);
});

test('what was good stays while the file is broken, and goes when it is good again', () => {
  const index = new ResourceIndex();
  const good = `${head('p')}spec: { rules: [{}] }\n`;
  const apply = (text: string): readonly string[] => {
    index.apply('f.yaml', parseFile('f.yaml', text));
    return shown(index);
  };
  expect(apply(good)).toEqual(['p ALLOW 1 all']);
  expect(apply(`${good}a: [`)).toEqual(['p ALLOW 1 all']);
  expect(apply(SERVICE)).toEqual(['Service']);
});

test('what stands in goes when the file is good', () => {
  const index = new ResourceIndex();
  index.apply('f.yaml', parseFile('f.yaml', `${head('p')}spec: { rules: [`));
  index.apply('f.yaml', parseFile('f.yaml', `${head('p')}spec: { rules: [{}] }`));
  expect(shown(index)).toEqual(['p ALLOW 1 all']);
});

test('what stands in follows the file while it is broken, and what was good with nothing in it stays', () => {
  const index = new ResourceIndex();
  index.apply('f.yaml', parseFile('f.yaml', `${head('p')}spec: { rules: [`));
  index.apply('f.yaml', parseFile('f.yaml', `${head('q')}spec: { rules: [`));
  expect(shown(index)).toEqual(['q DENY 1 all']);
  index.apply('f.yaml', parseFile('f.yaml', ''));
  index.apply('f.yaml', parseFile('f.yaml', `${head('q')}spec: { rules: [`));
  expect(shown(index)).toEqual([]);
});

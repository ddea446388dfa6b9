// Which Secrets of a cluster workloads may ask for: those that a rule names for their namespace, and those that say so.
import { expect, test } from 'vitest';
import { parseObject } from '../../../../src/config/parse.ts';
import type { DestinationRule, Secret } from '../../../../src/config/resource.ts';
import { offeredSecrets } from '../../../../src/control/offered-secrets.ts';

const SIMPLE = (credentialName: string): object => ({ tls: { mode: 'SIMPLE', credentialName } });

/** In the namespace `shop`. */
function ruleOf(spec: object): readonly DestinationRule[] {
  const { resources } = parseObject('rule', {
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: 'rule', namespace: 'shop' },
    spec: { host: 'api.example', ...spec },
  });
  return resources.filter((resource) => resource.kind === 'DestinationRule');
}

function secretOf(id: string, labels: ReadonlyMap<string, string> = new Map(), from = 'kubernetes:Secret'): Secret {
  const [namespace = '', name = ''] = id.split('/');
  const file = `${from}/${id}`;
  const place = { file, line: 0, column: 0 };
  return {
    kind: 'Secret',
    meta: { name, namespace, labels, annotations: new Map(), createdAtMs: 0, generation: 0 },
    source: { file, place, locate: () => place },
    spec: { certificate: null, authoritiesPem: 'x' },
  };
}

const SECRETS = ['shop/web', 'shop/web-cacert', 'shop/other', 'bank/web'].map((id) => secretOf(id));
const PORT = { portLevelSettings: [{ port: { number: 80 }, ...SIMPLE('web') }] };

const cases: readonly (readonly [string, object | null, readonly string[]])[] = [
  ['nobody', null, []],
  ['a rule for everybody', { trafficPolicy: SIMPLE('web') }, ['shop/web', 'shop/web-cacert', 'bank/web']],
  ['a rule of its own', { trafficPolicy: SIMPLE('web'), exportTo: ['.'] }, ['shop/web', 'shop/web-cacert']],
  ['a rule for another namespace', { trafficPolicy: SIMPLE('web'), exportTo: ['bank'] }, ['bank/web']],
  ['a rule for nobody', { trafficPolicy: SIMPLE('web'), exportTo: ['~'] }, []],
  ['a subset', { subsets: [{ name: 'v1', trafficPolicy: SIMPLE('other') }] }, ['shop/other']],
  ['a port', { trafficPolicy: PORT, exportTo: ['.'] }, ['shop/web', 'shop/web-cacert']],
  ['a rule without a credential', { trafficPolicy: { tls: { mode: 'SIMPLE' } } }, []],
];

test.each(cases)('Secrets that %s names are offered', (_, spec, expected) => {
  const offered = offeredSecrets(SECRETS, spec === null ? [] : ruleOf(spec));
  expect(offered.map(({ meta }) => `${meta.namespace}/${meta.name}`)).toEqual(expected);
});

test('so are those that say it themselves, and those of files', () => {
  const labelled = secretOf('shop/labelled', new Map([['outrigger.dev/credential', 'true']]));
  const refusing = secretOf('shop/refusing', new Map([['outrigger.dev/credential', 'false']]));
  const filed = secretOf('shop/filed', new Map(), 'rules.yaml');
  expect(offeredSecrets([labelled, refusing, filed], [])).toEqual([labelled, filed]);
});

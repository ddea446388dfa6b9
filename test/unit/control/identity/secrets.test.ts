// Users' Secrets by SDS: who gets which, under which names, and that no value of one is seen anywhere else.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatProblem } from '../../../../src/base/problem.ts';
import { parseFile } from '../../../../src/config/parse.ts';
import { signingRequest } from '../../../../src/tls/csr.ts';
import { SecretSchema } from '../../../../src/xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { SECRET_TYPE } from '../../../../src/xds/type-url.ts';
import { forged, type Pair } from './forged-certificate.ts';
import { newKey, SecureControl, type NodeClaim, type Shown } from './secure-control.ts';

const NODE: NodeClaim = { id: 'sidecar~10.0.0.1~a.shop~x', metadata: { NAMESPACE: 'shop' } };

const base64 = (text: string): string => Buffer.from(text).toString('base64');

function tlsSecret(name: string, { chainPem, keyPem }: Pair, more: object = {}): string {
  const data = { 'tls.crt': base64(chainPem), 'tls.key': base64(keyPem), ...more };
  const [namespace, own] = name.split('/');
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: { namespace, name: own },
    data,
  });
}

function genericSecret(name: string, stringData: object): string {
  const [namespace, own] = name.split('/');
  return JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name: own }, stringData });
}

let control: SecureControl;
let shop: Pair;
let bank: Pair;
let shown: Shown;
beforeAll(async () => {
  [shop, bank] = await Promise.all([forged({}), forged({})]);
  const rules = [
    tlsSecret('shop/web', shop, { 'ca.crt': base64(shop.chainPem) }),
    tlsSecret('bank/vault', bank),
    genericSecret('shop/generic', { cert: shop.chainPem, key: shop.keyPem }),
    genericSecret('shop/trust-cacert', { cacert: shop.chainPem }),
    genericSecret('shop/database', { password: 'correct horse' }),
  ];
  control = await SecureControl.start(rules.join('\n---\n'));
  shown = { token: await control.token('shop/reviews') };
});
afterAll(async () => await control.stop());

/** The names that were given, each with what it holds. */
async function given(names: readonly string[]): Promise<Readonly<Record<string, string>>> {
  const { response, close } = await control.join(shown, NODE, { type: SECRET_TYPE, names });
  close();
  return Object.fromEntries(
    (response?.resources ?? []).map(({ name, resource }) => {
      const { type } = fromBinary(SecretSchema, resource?.value ?? new Uint8Array());
      return [
        name,
        type.case === 'tlsCertificate' ? keyText(type.value.privateKey?.specifier.value) : String(type.case),
      ];
    }),
  );
}

const keyText = (bytes: unknown): string => (bytes instanceof Uint8Array ? Buffer.from(bytes).toString() : '');

describe('a secret', () => {
  const CASES: readonly (readonly [string, string, 'key' | 'validationContext' | ''])[] = [
    ['by its name', 'kubernetes://web', 'key'],
    ['by its namespace and name', 'kubernetes://shop/web', 'key'],
    ['of generic names', 'kubernetes://generic', 'key'],
    ['for its authorities', 'kubernetes://web-cacert', 'validationContext'],
    ['that has only authorities', 'kubernetes://trust-cacert', 'validationContext'],
    ['that has only authorities, by the name of its stem', 'kubernetes://trust', ''],
    ['of another namespace', 'kubernetes://bank/vault', ''],
    ['of another namespace, by a name of its own', 'kubernetes://vault', ''],
    ['by a way around', 'kubernetes://shop/../bank/vault', ''],
    ['that is none of the mesh', 'kubernetes://database', ''],
    ['that is not there', 'kubernetes://nothing', ''],
    ['by all of them', '*', ''],
  ];
  test.each(CASES)('asked for %s: %s is %s', async (_, name, what) => {
    expect(await given([name])).toEqual(what === '' ? {} : { [name]: what === 'key' ? shop.keyPem : what });
  });

  test('of another namespace is noted, once for each stream', async () => {
    const before = (await control.refused('xds'))['secret_namespace'] ?? 0;
    await given(['kubernetes://bank/vault', 'kubernetes://bank/vault', 'kubernetes://shop/web']);
    expect((await control.refused('xds'))['secret_namespace']).toBe(before + 1);
  });

  test('that changes is sent anew', async () => {
    const other = await forged({});
    const joined = await control.join(shown, NODE, { type: SECRET_TYPE, names: ['kubernetes://turn'] });
    expect(joined.response?.resources).toEqual([]);
    for (const pair of [shop, other]) {
      const next = joined.next();
      await writeFile(join(control.folder, 'turn.yaml'), tlsSecret('shop/turn', pair));
      const [secret] = (await next).resources;
      expect(Buffer.from(secret?.resource?.value ?? []).includes(pair.keyPem)).toBe(true);
    }
    joined.close();
  });
});

describe('a secret that is wrong', () => {
  const SECRET = 'hunter2hunter2';
  const CASES: readonly (readonly [string, string, string])[] = [
    ['data is no object', `data: ${SECRET}`, 'data must be an object'],
    ['a value is a number', 'data: { tls.key: 12345678 }', 'must be a string'],
    ['a value is not base64', `data: { tls.key: "${SECRET}-%" }`, 'is not base64'],
    ['the key is none', `type: kubernetes.io/tls\nstringData: { tls.crt: x, tls.key: ${SECRET} }`, 'is no private key'],
    ['a part is missing', `type: kubernetes.io/tls\nstringData: { tls.key: ${SECRET} }`, 'has tls.crt and tls.key'],
    ['the authorities are none', `stringData: { cacert: ${SECRET} }`, 'holds no certificates'],
    ['the YAML is broken', `data:\n  tls.key: |\n    ${SECRET}\n   ${SECRET}: "${SECRET}`, 'not valid YAML'],
  ];
  test.each(CASES)('because %s is refused without a word of it', (_, text, message) => {
    const { resources, problems } = parseFile(
      'f.yaml',
      `apiVersion: v1\nkind: Secret\nmetadata: { name: a }\n${text}\n`,
    );
    const said = problems.map((problem) => formatProblem(problem)).join('\n');
    expect({ resources, isSaid: said.includes(message) }).toEqual({ resources: [], isSaid: true });
    expect(said).not.toMatch(/hunter2|12345678/);
  });

  test('because its key is of another certificate is refused', () => {
    const { problems } = parseFile('f.yaml', tlsSecret('shop/a', { chainPem: shop.chainPem, keyPem: bank.keyPem }));
    expect(problems.map(({ path, message }) => `${path} ${message}`)).toEqual([
      'data.tls.key is not the key of data.tls.crt',
    ]);
  });
});

test('no private key and no token is in a log line, a page, a metric or a printed resource', async () => {
  const token = await control.token('shop/reviews');
  const certificate = await control.certificate({ token });
  const joined = await control.join({ certificate }, NODE, { type: SECRET_TYPE, names: ['kubernetes://web'] });
  await control.join({ token }, { ...NODE, metadata: { NAMESPACE: 'bank' } });
  await control.join({ token: `${token}x` }, NODE);
  await control.sign({ token }, signingRequest(newKey(), 'spiffe://cluster.local/ns/bank/sa/a'));
  const broken = `kind: Secret\napiVersion: v1\nmetadata: { name: b }\ntype: kubernetes.io/tls\ndata: { tls.key: ${base64(bank.keyPem)}\n`;
  await writeFile(join(control.folder, 'broken.yaml'), broken);
  const pages = ['/metrics', '/debug/syncz', '/debug/registry', '/debug/problems'];
  await expect.poll(async () => await control.page('/debug/problems')).toContain('not valid YAML');
  const texts = [...control.lines, ...(await Promise.all(pages.map(async (path) => await control.page(path))))];
  texts.push(JSON.stringify(control.service.problems), JSON.stringify(control.service.snapshot));
  joined.close();
  const secrets = [shop.keyPem, bank.keyPem, certificate.keyPem, (await control.authority()).keyPem].map((pem) =>
    (pem.split('\n')[1] ?? '').slice(0, 40),
  );
  const inBase64 = [shop.keyPem, bank.keyPem].map((pem) => base64(pem).slice(40, 80));
  const [, payload = '', signature = ''] = token.split('.');
  for (const secret of [...secrets, ...inBase64, payload, signature, 'PRIVATE KEY', 'correct horse']) {
    expect(secret.length).toBeGreaterThan(10);
    expect(texts.filter((text) => text.includes(secret))).toEqual([]);
  }
});

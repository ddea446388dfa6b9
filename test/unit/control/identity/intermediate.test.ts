// An authority that is an intermediate of somebody's root, and what the members of one namespace see of another.
import { X509Certificate } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { signingRequest } from '../../../../src/tls/csr.ts';
import { CLUSTER_TYPE } from '../../../../src/xds/type-url.ts';
import { forged, SIGNS_CERTIFICATES } from './forged-certificate.ts';
import { newKey, SecureControl, type NodeClaim } from './secure-control.ts';

const NODE: NodeClaim = { id: 'sidecar~10.0.0.1~a.shop~x', metadata: { NAMESPACE: 'shop' } };

const service = (name: string, namespace: string, exportTo: string): object => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'ServiceEntry',
  metadata: { name, namespace },
  spec: {
    hosts: [`${name}.test`],
    exportTo: [exportTo],
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
    resolution: 'DNS',
  },
});

let control: SecureControl;
afterEach(async () => await control.stop());

test('certificates of an intermediate lead to its root, at both ends, with what lies between', async () => {
  const asAuthority = { isAuthority: true, usage: SIGNS_CERTIFICATES, uris: [] };
  const root = await forged(asAuthority);
  const middle = await forged({ ...asAuthority, by: root });
  const lower = await forged({ ...asAuthority, by: middle });
  const [lowerPem = '', middlePem = ''] = lower.chainPem.match(/-----BEGIN[\s\S]+?END CERTIFICATE-----\n/g) ?? [];
  control = await SecureControl.start('', null, {
    'ca-cert.pem': lowerPem,
    'ca-key.pem': lower.keyPem,
    'cert-chain.pem': middlePem,
    'root-cert.pem': root.chainPem,
  });
  const token = await control.token('shop/reviews');
  const { chain } = await control.sign({ token }, signingRequest(newKey(), ''));
  const subjects = chain.map((pem) => new X509Certificate(pem).subject);
  const above = [lowerPem, middlePem, root.chainPem].map((pem) => new X509Certificate(pem).subject);
  expect(subjects.slice(1)).toEqual(above);
  const certificate = await control.certificate({ token });
  const { response, close } = await control.join({ certificate }, NODE);
  expect(response?.resources.length).toBe(1);
  close();
  // What was signed by the middle one alone is as good: it leads to the same root.
  const other = await forged({ by: middle });
  expect((await control.join({ certificate: other }, NODE)).response?.resources.length).toBe(1);
  // Without what lies between it leads nowhere.
  const alone = {
    ...certificate,
    chainPem: certificate.chainPem.slice(0, certificate.chainPem.indexOf('-----END') + 26),
  };
  const { ended } = await control.join({ certificate: alone }, NODE);
  expect((await ended).status).toBe('UNAUTHENTICATED');
});

test('a workload sees of other namespaces what is exported to its proven one', async () => {
  const rules = [service('open', 'bank', '*'), service('closed', 'bank', '.'), service('own', 'shop', '.')];
  control = await SecureControl.start(rules.map((rule) => JSON.stringify(rule)).join('\n---\n'));
  const token = await control.token('shop/reviews');
  const { response, close } = await control.join({ token }, {}, { type: CLUSTER_TYPE, names: ['*'] });
  close();
  // The node says `default` in its id, so it does not get that far; saying nothing it is of `shop`.
  expect(response).toBe(null);
  const silent = { id: 'sidecar~10.0.0.1~a~x' };
  const joined = await control.join({ token }, silent, { type: CLUSTER_TYPE, names: ['*'] });
  const hosts = joined.response?.resources
    .map(({ name }) => name.split('|')[3])
    .filter((host) => host?.endsWith('.test'));
  expect(hosts?.toSorted()).toEqual(['open.test', 'own.test']);
  joined.close();
});

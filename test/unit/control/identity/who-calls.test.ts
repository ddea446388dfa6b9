// Who gets in at the TLS port, and who does not: real certificates and tokens over real sockets.
import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { alternativeNamesOf } from '../../../../src/tls/alternative-names.ts';
import { signingRequest } from '../../../../src/tls/csr.ts';
import { newKey, SecureControl, type Shown } from './secure-control.ts';

const REVIEWS = { id: 'sidecar~10.0.0.1~reviews-v1.shop~shop.svc.cluster.local', metadata: { NAMESPACE: 'shop' } };

let control: SecureControl;
beforeAll(async () => {
  control = await SecureControl.start();
});
afterAll(async () => await control.stop());

describe('a workload that is let in', () => {
  test('joins with a token, gets its certificate, and joins with that', async () => {
    const token = await control.token('shop/reviews');
    const signed = await control.sign({ token }, signingRequest(newKey(), 'spiffe://cluster.local/ns/shop/sa/reviews'));
    expect({ status: signed.status, details: signed.details }).toEqual({ status: 'OK', details: '' });
    const names = signed.chain.slice(0, -1).map((pem) => alternativeNamesOf(new X509Certificate(pem)).uri);
    expect(names).toEqual([['spiffe://cluster.local/ns/shop/sa/reviews']]);
    const shown: Shown[] = [{ token }, { certificate: await control.certificate({ token }) }];
    for (const each of shown) {
      const { response, close } = await control.join(each, REVIEWS);
      expect(response?.resources.map(({ name }) => name)).toEqual(['virtualOutbound']);
      close();
    }
  });
});

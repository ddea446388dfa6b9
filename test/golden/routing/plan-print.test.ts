// What `/plan` shows of a route.
import { expect, test } from 'vitest';
import { printPlan } from '../../../src/plan/print.ts';
import { oneHost } from '../../unit/routing/routing-case.ts';
import { anExchange, compileTable } from '../../unit/routing/routing-table.ts';

test('a route is printed step by step with the resource it came from', () => {
  const { table } = compileTable(
    oneHost({
      name: 'reviews',
      metadata: {
        filterMetadata: { istio: { config: '/apis/networking.istio.io/v1/namespaces/shop/virtual-service/reviews' } },
      },
      match: { prefix: '/reviews' },
      route: {
        cluster: 'outbound|80||reviews',
        prefixRewrite: '/',
        timeout: '3s',
        requestMirrorPolicies: [{ cluster: 'shadow' }],
      },
      requestHeadersToAdd: [{ header: { key: 'X-A', value: '%REQ(x-b)%' } }],
      requestHeadersToRemove: ['x-c'],
    }),
  );
  const plan = table?.match(anExchange('GET h /reviews/1'));
  const origin = '# /apis/networking.istio.io/v1/namespaces/shop/virtual-service/reviews';
  expect(plan === null || plan === undefined ? '' : printPlan(plan)).toBe(
    [
      `plan reviews  ${origin}`,
      `  onRequest  timeout {"timeoutMs":3000,"idleTimeoutMs":-1,"maxStreamDurationMs":-1}  ${origin}`,
      `  onRequest  cluster {"to":"outbound|80||reviews","notFound":{"status":503,"edits":{"bySplit":[],"levels":[]},"isDeferred":false}}  ${origin}`,
      `  onRequest  edit-request {"levels":[{"remove":["x-c"],"append":["x-a: %REQ(x-b)%"]}]}  ${origin}`,
      `  onRequest  rewrite-path {"kind":"prefix","to":"/","keepsOriginal":true}  ${origin}`,
      '  mirror     shadow 100 %',
      '',
    ].join('\n'),
  );
});

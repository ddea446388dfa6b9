// Header edits whose values come from a client or a token: what would end the line is never written.
import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import type { Problem } from '../../../src/base/problem.ts';
import { internHeader } from '../../../src/http/header-name.ts';
import { Exchange } from '../../../src/plan/exchange.ts';
import { compileHeaderEdits } from '../../../src/plan/header-edits-compile.ts';
import { RouteSchema } from '../../../src/xds/gen/envoy/config/route/v3/route_components_pb.js';

const USER = internHeader('x-user');

function written(sub: string, value: string): string | null {
  const problems: Problem[] = [];
  const header = { key: 'x-user', value };
  const edits = compileHeaderEdits(
    create(RouteSchema, { requestHeadersToAdd: [{ header }] }),
    'request',
    problems,
    'route',
  );
  expect(problems).toEqual([]);
  const x = new Exchange();
  x.metadata.set('jwt', { sub });
  edits?.apply(x.request, x);
  return x.request.get(USER);
}

test.each([
  ['a text', 'ann', 'ann'],
  ['a text beyond ASCII, as its bytes', 'grün', 'gr\u00c3\u00bcn'],
  ['a tab', 'a\tb', 'a\tb'],
  ['a line', 'ann\r\nx-admin: 1', null],
  ['a bare line feed', 'ann\nx-admin: 1', null],
  ['a bare carriage return', 'ann\rx-admin: 1', null],
  ['a NUL', 'ann\0', null],
])('%s of a token', (_, sub, value) => {
  expect(written(sub, '%DYNAMIC_METADATA(jwt:sub)%')).toBe(value);
  expect(written(sub, 'user %DYNAMIC_METADATA(jwt:sub)%')).toBe(value === null ? null : `user ${value}`);
});

test('a constant stands as it is', () => {
  expect(written('', 'constant')).toBe('constant');
});

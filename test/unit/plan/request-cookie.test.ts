// Which value of a cookie a matcher sees, as measured on Envoy 1.40.
import { expect, it } from 'vitest';
import { Head } from '../../../src/http/head.ts';
import { H } from '../../../src/http/header-name.ts';
import { cookieOf } from '../../../src/plan/request-cookie.ts';

it.each([
  ['the only cookie', ['a=1'], '1'],
  ['the first of its name', ['a=2; a=1'], '2'],
  ['behind another', ['b=y; a=1'], '1'],
  ['on a later line', ['b=y', 'a=1'], '1'],
  ['without its quotes', ['a="1"'], '1'],
  ['names keep their case', ['A=1'], null],
  ['a blank behind the name belongs to it', ['a =1'], null],
  ['a name without = is no cookie', ['a'], null],
  ['an empty value', ['a='], ''],
] as const)('%s', (_name, lines, wanted) => {
  const head = new Head();
  for (const line of lines) head.add(H.cookie, line);
  expect(cookieOf(head, 'a')).toBe(wanted);
});

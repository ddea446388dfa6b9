// Fields that another service asks to change: what frames a message is not among those that it can.
import { expect, test } from 'vitest';
import { Head } from '../../../src/http/head.ts';
import { internHeader } from '../../../src/http/header-name.ts';
import { addNamed, appendNamed, namedValue, setNamed } from '../../../src/http/named-field.ts';

function aHead(): Head {
  const head = new Head();
  head.method = 'POST';
  head.add(internHeader('content-length'), '5');
  return head;
}

test.each([
  'connection',
  'content-length',
  'expect',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])('%s is neither set nor added nor lengthened', (name) => {
  const head = aHead();
  const before = namedValue(head, name);
  setNamed(head, name, '0');
  addNamed(head, name, 'chunked');
  expect(appendNamed(head, name, '6')).toBe(false);
  expect([namedValue(head, name), head.count]).toEqual([before, 1]);
});

test('other fields are', () => {
  const head = aHead();
  setNamed(head, 'x-user', 'ann');
  addNamed(head, 'x-role', 'a');
  expect([appendNamed(head, 'x-role', 'b'), namedValue(head, 'x-user'), namedValue(head, 'x-role')]).toEqual([
    true,
    'ann',
    'a,b',
  ]);
});

// Editing a Head, and the interning of names behind it.
import { expect, test } from 'vitest';
import { Head } from '../../../src/http/head.ts';
import { HeadParser } from '../../../src/http/head-parser.ts';
import { writeRequestHead } from '../../../src/http/head-writer.ts';
import { headerNameOf, internHeader } from '../../../src/http/header-name.ts';

const A = internHeader('X-A');
const B = internHeader('x-b');

function aHead(fields: string): Head {
  const head = new Head();
  new HeadParser('request', { bytesMax: 60_000, countMax: 100 }).parse(
    Buffer.from(`GET / HTTP/1.1\r\n${fields}\r\n`, 'latin1'),
    0,
    head,
  );
  return head;
}

test('one name has one id, whatever its case', () => {
  expect(internHeader('x-A')).toBe(A);
  expect(headerNameOf(A)).toBe('x-a');
});

test('keeps thousands of names apart', () => {
  const ids = Array.from({ length: 5000 }, (_, i) => internHeader(`x-many-${i}`));
  expect(new Set(ids).size).toBe(5000);
  expect(aHead('X-Many-4321: v\r\n').get(ids[4321] ?? A)).toBe('v');
});

test('reads the first value, all values joined, and none', () => {
  const head = aHead('x-a: 1\r\nX-A: 2\r\n');
  expect([head.get(A), head.getJoined(A), head.get(B), head.getJoined(B)]).toEqual(['1', '1,2', null, null]);
});

test('set replaces all, add appends, remove takes all away', () => {
  const head = aHead('x-a: 1\r\nq: r\r\nX-A: 2\r\n');
  head.set(A, '3');
  head.add(B, '4');
  head.add(B, '5');
  expect(writeRequestHead(head, 0)).toBe('GET / HTTP/1.1\r\nx-a: 3\r\nq: r\r\nx-b: 4\r\nx-b: 5\r\n\r\n');
  head.remove(B);
  head.remove(A);
  expect(writeRequestHead(head, 0)).toBe('GET / HTTP/1.1\r\nq: r\r\n\r\n');
});

test('a value can not begin a new line', () => {
  const head = aHead('');
  head.set(A, 'x\r\nevil: 1\0');
  expect(writeRequestHead(head, 0)).toBe('GET / HTTP/1.1\r\nx-a: x  evil: 1 \r\n\r\n');
});

test('is empty again after a reset, strings of added entries included', () => {
  const head = aHead('x-a: 1\r\n');
  for (let i = 0; i < 100; i++) head.add(B, 'v');
  head.reset();
  expect([head.count, head.get(A), head.get(B), head.text]).toEqual([0, null, null, '']);
  head.push(A, 0, 0, 0, 0);
  expect(head.valueAt(0)).toBe('');
});

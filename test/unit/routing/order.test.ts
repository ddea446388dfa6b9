// The trees answer as a walk along the list would, and do not grow slower with the list.
import type { JsonObject } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { answers, oneHost } from './routing-case.ts';
import { anExchange, compileTable, replyTo } from './routing-table.ts';

interface ListRoute {
  readonly kind: 'prefix' | 'path' | 'pathSeparatedPrefix' | 'safeRegex';
  readonly text: string;
  readonly isFolded: boolean;
  readonly wantsHeader: boolean;
}

const pathText = fc
  .array(fc.constantFrom('a', 'b', 'B', '/'), { maxLength: 5 })
  .map((characters) => `/${characters.join('')}`);

const listRoute: fc.Arbitrary<ListRoute> = fc.record({
  kind: fc.constantFrom('prefix', 'path', 'pathSeparatedPrefix', 'safeRegex'),
  text: pathText,
  isFolded: fc.boolean(),
  wantsHeader: fc.boolean(),
});

function toMatch(route: ListRoute): JsonObject {
  const separated = `${route.text.replace(/\/+$/, '')}/x`;
  const text = route.kind === 'pathSeparatedPrefix' ? separated : route.text;
  const value = route.kind === 'safeRegex' ? { regex: `${text}[ab]*` } : text;
  const headers = route.wantsHeader ? [{ name: 'x-a' }] : [];
  return { [route.kind]: value, caseSensitive: !route.isFolded, headers };
}

function holds(route: ListRoute, path: string, hasHeader: boolean): boolean {
  if (route.wantsHeader && !hasHeader) return false;
  if (route.kind === 'safeRegex') return path.startsWith(route.text) && /^[ab]*$/.test(path.slice(route.text.length));
  const fold = (text: string): string => (route.isFolded ? text.toLowerCase() : text);
  if (route.kind === 'prefix') return fold(path).startsWith(fold(route.text));
  if (route.kind === 'path') return fold(path) === fold(route.text);
  const separated = fold(`${route.text.replace(/\/+$/, '')}/x`);
  return fold(path) === separated || fold(path).startsWith(`${separated}/`);
}

test('finds the route that a walk along the list finds', () => {
  fc.assert(
    fc.property(
      fc.array(listRoute, { maxLength: 12 }),
      fc.array(pathText, { minLength: 1, maxLength: 8 }),
      (routes, paths) => {
        const { table } = compileTable(oneHost(...routes.map((route, i) => answers(String(i), toMatch(route)))));
        for (const path of paths.flatMap((text) => [text, `${text}/x`, `${text}/x/a`, `${text}/xa`])) {
          for (const header of ['', ' | x-a: 1']) {
            const first = routes.findIndex((route) => holds(route, path, header !== ''));
            const wanted = first === -1 ? '404 ' : `200 ${first}`;
            expect(table === null ? '' : replyTo(table, `GET h ${path}?q=/a${header}`)).toBe(wanted);
          }
        }
      },
    ),
    { numRuns: 300 },
  );
});

/** The least time of one match among `count` routes. */
function nanosOf(count: number): number {
  const routes = Array.from({ length: count }, (_none, i) =>
    answers(String(i), i % 2 === 0 ? { prefix: `/svc-${i}/` } : { path: `/svc-${i}` }),
  );
  const { table } = compileTable(oneHost(...routes));
  const x = anExchange(`GET h /svc-${count - 2}/items`);
  let best = Infinity;
  for (let round = 0; round < 20; round++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < 2000; i++) table?.match(x);
    best = Math.min(best, Number(process.hrtime.bigint() - start) / 2000);
  }
  expect(table?.match(x)).not.toBeNull();
  return best;
}

test('matches among 5,000 routes about as fast as among 50', () => {
  nanosOf(50);
  const few = nanosOf(50);
  const many = nanosOf(5000);
  expect(many).toBeLessThan(few * 10 + 500);
});

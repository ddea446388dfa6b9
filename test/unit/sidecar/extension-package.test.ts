// Where the entry of an installed package is: by main, by exports with their conditions, and never outside of it.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { findPackage } from '../../../src/sidecar/extension-package.ts';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'outrigger-package-')));
afterAll(() => rmSync(folder, { recursive: true }));

it.each<[string, object, string | null]>([
  ['main', { main: './a.js' }, 'a.js'],
  ['no field', {}, 'index.js'],
  ['exports as a text', { exports: './a.js' }, 'a.js'],
  ['exports of the package itself', { exports: { '.': './a.js', './b': './b.js' } }, 'a.js'],
  ['exports for import', { exports: { import: './a.js' } }, 'a.js'],
  ['the first condition that holds', { exports: { browser: './b.js', import: './a.js', default: './b.js' } }, 'a.js'],
  ['conditions in conditions', { exports: { '.': { node: { import: './a.js' }, import: './b.js' } } }, 'a.js'],
  ['conditions that do not hold', { exports: { browser: './b.js' } }, null],
  ['a way out of the package', { exports: { import: './../../a.js' } }, null],
  ['exports of something else', { exports: { './b': './b.js' } }, null],
])('by %s', (name, manifest, expected) => {
  const own = name.replaceAll(' ', '-');
  const place = join(folder, 'node_modules', own);
  mkdirSync(place, { recursive: true });
  writeFileSync(
    join(place, 'package.json'),
    JSON.stringify({ name: own, version: '1.0.0', type: 'module', ...manifest }),
  );
  for (const file of ['a.js', 'b.js', 'index.js']) writeFileSync(join(place, file), '');
  const below = join(folder, 'deep', 'down');
  mkdirSync(below, { recursive: true });
  expect(findPackage(own, below)).toBe(expected === null ? null : join(place, expected));
});

it('not where nothing is installed', () => {
  expect(findPackage('nobody-has-this', folder)).toBeNull();
});

// A value written as YAML: in block style for people, or as JSON where the surroundings are in flow style. What is
// a word stays a word; all else is quoted the way of JSON, which YAML reads the same.

import type { Written } from '../../control/injection/written.ts';

/** Begins like no number or indicator, and has no colon before an end or a space. */
const WORD = /^(?:[A-Za-z_/]|--[a-z])(?:[-\w./=$()]|:(?=\w))*$/;
const RESERVED = /^(?:true|false|null|yes|no|on|off|y|n)$/i;

export function asJson(value: Written): string {
  return JSON.stringify(value);
}

/** The lines of `name: value`. `dash` is how far the dashes of a list stand from its key. */
export function entryLines(name: string, value: Written, indent: string, dash: string): readonly string[] {
  const key = `${indent}${scalar(name)}:`;
  if (Array.isArray(value) && value.length > 0) return [key, ...itemLines(value, indent + dash, dash)];
  if (isMap(value) && Object.keys(value).length > 0) return [key, ...mapLines(value, `${indent}  `, dash)];
  return [`${key} ${inline(value)}`];
}

/** The lines of the items of a list whose dashes stand at `indent`. */
export function itemLines(items: readonly Written[], indent: string, dash: string): readonly string[] {
  return items.flatMap((item) => {
    if (!isMap(item)) return [`${indent}- ${inline(item)}`];
    const [first = '', ...rest] = mapLines(item, `${indent}  `, dash);
    return [`${indent}- ${first.slice(indent.length + 2)}`, ...rest];
  });
}

function mapLines(map: Readonly<Record<string, Written>>, indent: string, dash: string): readonly string[] {
  return Object.entries(map).flatMap(([name, value]) => entryLines(name, value, indent, dash));
}

function inline(value: Written): string {
  return typeof value === 'string' ? scalar(value) : asJson(value);
}

function scalar(text: string): string {
  if (WORD.test(text) && !RESERVED.test(text)) return text;
  const json = JSON.stringify(text);
  // Quotes inside are easier to read between single ones.
  return text.includes('"') && json === `"${text.replaceAll('"', '\\"')}"` && !text.includes("'") ? `'${text}'` : json;
}

function isMap(value: Written): value is Readonly<Record<string, Written>> {
  return typeof value === 'object' && !Array.isArray(value);
}

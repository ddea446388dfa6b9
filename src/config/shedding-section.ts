// The section `shedding` of a ResiliencePolicy: when the app has too much to do, what matters less is turned away
// first. A header of the request names its class; classes stand in the order of their importance. Envoy has nothing
// like it, so that it holds for our own sidecars only.
import type { Fields } from './fields.ts';

export interface SheddingClass {
  readonly name: string;
  /** Of the limit, above 0 and at most 1: once so much is under way, requests of this class are turned away. */
  readonly share: number;
}

export interface SheddingSection {
  readonly kind: 'shedding';
  /** In lower case; empty is x-request-class. */
  readonly header: string;
  /** 1 to 16, each name once. */
  readonly classes: readonly SheddingClass[];
  /** The class of what names none, or one that is not known; empty is the last. */
  readonly otherwise: string;
  /** At a time; null: as many as the app takes well. */
  readonly requests: number | null;
}

const CLASSES_MAX = 16;
const CLASS_NAME = /^[A-Za-z0-9_-]{1,32}$/;
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

export function readSheddingSection(fields: Fields): SheddingSection {
  const header = fields.text('header');
  if (header !== '' && !HEADER_NAME.test(header))
    fields.error('header', `"${header}" is no name of a header`, 'write x-request-class or the like');
  const seen = new Set<string>();
  const classes = fields.list('classes', (entry) => readClass(entry, seen));
  if (classes.length > CLASSES_MAX || (classes.length === 0 && !fields.has('classes'))) {
    const remedy = `list 1 to ${CLASSES_MAX}, such as { name: critical }, the most important one first`;
    fields.error('classes', classes.length === 0 ? 'there are no classes' : 'there are too many classes', remedy);
  } else if (classes.length === 0) {
    fields.error('classes', 'the list is empty', 'add { name: critical }, the most important one first');
  }
  const otherwise = fields.text('default');
  if (otherwise !== '' && !seen.has(otherwise))
    fields.error('default', `"${otherwise}" is not one of the classes`, `name one of ${[...seen].join(', ')}`);
  const requests = fields.integer('requests', { min: 1, max: 4_294_967_294 });
  const isAdaptive = fields.flag('adaptive') ?? false;
  if (isAdaptive === fields.has('requests')) {
    const message = isAdaptive ? 'has both requests and adaptive' : 'there is no limit';
    fields.error('requests', message, 'write requests: 100, or adaptive: true');
  }
  return { kind: 'shedding', header: header.toLowerCase(), classes, otherwise, requests: isAdaptive ? null : requests };
}

function readClass(fields: Fields, seen: Set<string>): SheddingClass {
  fields.refuseUnknown();
  const name = fields.requiredText('name', 'add name: critical or the like');
  if (name !== '' && !CLASS_NAME.test(name))
    fields.error('name', `"${name}" is no name of a class`, 'use at most 32 letters, digits, - and _');
  else if (seen.has(name)) fields.error('name', `the class ${name} is there already`, 'name each class once');
  if (name !== '') seen.add(name);
  return { name, share: fields.decimal('share', { min: 0.001, max: 1 }) ?? 1 };
}

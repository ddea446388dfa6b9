// What every resource has: its identity, its labels, and the place it was written at.
import type { Place } from '../base/problem.ts';
import type { Fields } from './fields.ts';
import { writtenName } from './slip.ts';

export interface Meta {
  readonly name: string;
  readonly namespace: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly annotations: ReadonlyMap<string, string>;
  /** Milliseconds since the epoch; 0 when not given, which makes a resource from a file as old as any other from a file. */
  readonly createdAtMs: number;
  readonly generation: number;
}

/** Where a resource was written and how to find one of its fields again. */
export interface Source {
  readonly file: string;
  readonly place: Place;
  locate(path: string): Place;
}

export const DEFAULT_NAMESPACE = 'default';
const NAME = /^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$/;

/** Reads `metadata`. Cluster-scoped kinds have an empty namespace. */
export function readMeta(fields: Fields, isClusterScoped: boolean): Meta {
  // Policies choose workloads by them.
  fields.refuseUnknown('labels');
  const name = fields.requiredText('name');
  if (name !== '' && !NAME.test(name))
    fields.error('name', `"${name}" is not a resource name`, 'use lower-case letters, digits, - and .');
  // What stands in for a refused policy must stand where it was meant to be.
  const namespace = fields.text(writtenName(fields, 'namespace'));
  if (namespace !== '' && !NAME.test(namespace))
    fields.error('namespace', `"${namespace}" is not a namespace name`, 'use lower-case letters, digits and -');
  const created = fields.text('creationTimestamp');
  const createdAtMs = created === '' ? 0 : Date.parse(created);
  if (Number.isNaN(createdAtMs))
    fields.error('creationTimestamp', `"${created}" is not a time`, 'write it like 2026-01-31T12:00:00Z');
  fields.ignore(
    'uid',
    'resourceVersion',
    'managedFields',
    'ownerReferences',
    'finalizers',
    'generateName',
    'selfLink',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
  );
  return {
    name,
    namespace: isClusterScoped ? '' : namespace === '' ? DEFAULT_NAMESPACE : namespace,
    labels: fields.textMap('labels'),
    annotations: fields.textMap('annotations'),
    createdAtMs: Number.isNaN(createdAtMs) ? 0 : createdAtMs,
    generation: fields.integer('generation') ?? 1,
  };
}

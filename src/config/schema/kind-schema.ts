// What is known of a kind of ours beside its fields: its names, its versions, and what `kubectl get` shows of it.
import { list, object, text, integer, choice } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';

export interface Column {
  readonly name: string;
  readonly path: string;
  readonly description: string;
  readonly type?: 'string' | 'integer' | 'date';
  /** 1 is shown by `-o wide` only. */
  readonly priority?: 0 | 1;
}

export interface KindSchema {
  readonly kind: string;
  readonly group: string;
  readonly plural: string;
  readonly shortNames: readonly string[];
  /** Names under which `kubectl get` lists this kind with others. */
  readonly categories: readonly string[];
  /** All with the same fields; the first is the one that is stored. */
  readonly versions: readonly string[];
  /** Before Accepted and Age. */
  readonly columns: readonly Column[];
  readonly description: string;
  readonly spec: FieldSchema;
}

/** Columns that every kind has, behind its own. */
export const COMMON_COLUMNS: readonly Column[] = [
  {
    name: 'Accepted',
    path: '.status.conditions[?(@.type=="Accepted")].status',
    description: 'Whether the control service follows the resource as it is written.',
  },
  { name: 'Age', path: '.metadata.creationTimestamp', description: 'The time since it was created.', type: 'date' },
];

/** The same for all kinds: conditions as Kubernetes has them (metav1.Condition). */
export const STATUS: FieldSchema = object('What the control service says of the resource; it is written by it alone.', {
  observedGeneration: integer('The generation of the resource that this status is about.', { min: 0 }),
  conditions: list(
    'Accepted: it can be followed. ResolvedRefs: what it names is there. Programmed: how many sidecars have it.',
    object(
      'One statement.',
      {
        type: text('What the statement is about.', { maxLength: 316 }),
        status: choice('Whether it holds.', ['True', 'False', 'Unknown']),
        reason: text('Why, as one word for programs.', { maxLength: 1024 }),
        message: text('Why, as a sentence for people.', { maxLength: 32_768 }),
        lastTransitionTime: text('When status last changed.', { format: 'date-time' }),
        observedGeneration: integer('The generation that the statement is about.', { min: 0 }),
      },
      { required: ['type', 'status'] },
    ),
    { mapKeys: ['type'], maxItems: 32 },
  ),
});

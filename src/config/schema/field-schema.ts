// One field of what users write, as JSON Schema has it, with what two of its readers say differently: fields that exclude
// each other, and rules in CEL. The three renderings (crd.ts, editor-schema.ts, the tests' own) come from this one
// value, so that they cannot disagree. Every field has a description: `kubectl explain` and editors show it.
// Bounds are those of the readers in src/config; a bound that stands only here would refuse in a cluster what a file may say.
import { DURATION_LENGTH_MAX, GO_DURATION_PATTERN } from '../duration.ts';
import { limits } from '../limits.ts';

/** A rule in CEL over `self`; the API server refuses what makes it false, and says `message`. */
export interface Rule {
  readonly rule: string;
  readonly message: string;
}

export interface FieldSchema {
  readonly description: string;
  /** Absent: any value, or a number or a text (`isIntOrString`). */
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  readonly properties?: Readonly<Record<string, FieldSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: FieldSchema;
  readonly items?: FieldSchema;
  readonly enum?: readonly (string | number)[];
  readonly pattern?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  /** Of each group at most one field may be there. */
  readonly atMostOne?: readonly (readonly string[])[];
  /** Of each group at least one field must be there. */
  readonly atLeastOne?: readonly (readonly string[])[];
  readonly rules?: readonly Rule[];
  /**
   * A field of it that is written without a value is a mistake. Elsewhere it is as good as absent, and an API server drops
   * it before anybody could see it; in a policy what was to narrow a rule would widen it.
   */
  readonly refusesNull?: boolean;
  /** Of the entries of a list: two managers that apply own their entries by these, and none is there twice. */
  readonly mapKeys?: readonly string[];
  /** Fields that are not named here are kept. */
  readonly isOpen?: boolean;
  readonly isIntOrString?: boolean;
}

type More = Omit<Partial<FieldSchema>, 'description' | 'type'>;

export function text(description: string, more: More = {}): FieldSchema {
  return { description, type: 'string', ...more };
}

/** A regular expression in RE2's syntax. */
export function regex(description: string): FieldSchema {
  return text(description, { maxLength: limits.regexCharactersMax });
}

export function integer(
  description: string,
  range: { readonly min?: number; readonly max?: number } = {},
): FieldSchema {
  return { description, type: 'integer', format: 'int64', ...rangeOf(range) };
}

export function decimal(
  description: string,
  range: { readonly min?: number; readonly max?: number } = {},
): FieldSchema {
  return { description, type: 'number', ...rangeOf(range) };
}

export function port(description: string): FieldSchema {
  return integer(description, { min: 1, max: 65_535 });
}

export function flag(description: string): FieldSchema {
  return { description, type: 'boolean' };
}

export function choice(description: string, choices: readonly string[]): FieldSchema {
  return { description, type: 'string', enum: choices };
}

/**
 * A time like `1h2m3.5s`. `positive` is at least 1 ms, because Envoy counts whole milliseconds and 0 is refused;
 * `zeroable` is that or 0; `any` is any.
 */
export function duration(description: string, least: 'any' | 'positive' | 'zeroable' = 'any'): FieldSchema {
  const long = `duration(self) >= duration('1ms')`;
  const rules = {
    any: {},
    positive: { rules: [{ rule: long, message: 'must be at least 1ms' }] },
    zeroable: {
      rules: [{ rule: `${long} || duration(self) == duration('0s')`, message: 'must be 0s or at least 1ms' }],
    },
  };
  return text(description, { pattern: GO_DURATION_PATTERN, maxLength: DURATION_LENGTH_MAX, ...rules[least] });
}

export function object(
  description: string,
  properties: Readonly<Record<string, FieldSchema>>,
  more: More = {},
): FieldSchema {
  return { description, type: 'object', properties, ...more };
}

/** An object whose fields are somebody else's. */
export function open(description: string): FieldSchema {
  return { description, type: 'object', isOpen: true };
}

export function list(description: string, items: FieldSchema, more: More = {}): FieldSchema {
  return { description, type: 'array', items, maxItems: limits.listEntriesMax, ...more };
}

export function texts(description: string, more: More = {}, item: More = {}): FieldSchema {
  return list(description, text('One of them.', item), more);
}

export function map(description: string, additionalProperties: FieldSchema, more: More = {}): FieldSchema {
  return { description, type: 'object', additionalProperties, ...more };
}

export function textMap(description: string, more: More = {}): FieldSchema {
  return map(description, text('The value of this name.'), more);
}

/** The same, described for the place where it stands. */
export function described(description: string, schema: FieldSchema): FieldSchema {
  return { ...schema, description };
}

/** A number or a text, as ports by number or by name are written. */
export function intOrString(description: string): FieldSchema {
  return { description, isIntOrString: true };
}

/** How CEL calls a field (Kubernetes: names that CEL reserves are put between underscores). */
export function celName(name: string): string {
  if (RESERVED.has(name)) return `__${name}__`;
  return name.replaceAll('__', '__underscores__').replaceAll('.', '__dot__').replaceAll('-', '__dash__');
}

const RESERVED = new Set(
  ['true', 'false', 'null', 'in', 'as', 'break', 'const', 'continue', 'else', 'for', 'function', 'if', 'import'].concat(
    ['let', 'loop', 'package', 'namespace', 'return', 'var', 'void', 'while'],
  ),
);

function rangeOf({ min, max }: { readonly min?: number; readonly max?: number }): Partial<FieldSchema> {
  return { ...(min === undefined ? {} : { minimum: min }), ...(max === undefined ? {} : { maximum: max }) };
}

// Telemetry (telemetry.istio.io): tracing and access logging, for the mesh (root namespace), a
// namespace, or the workloads that a selector names.
import type { Fields } from './fields.ts';

export type TagSource =
  | { readonly kind: 'literal'; readonly value: string }
  | { readonly kind: 'environment'; readonly name: string; readonly fallback: string }
  | { readonly kind: 'header'; readonly name: string; readonly fallback: string };

export type Direction = 'client' | 'server' | 'both';

export interface TracingSpec {
  readonly direction: Direction;
  /** Null: the wider scope's. */
  readonly providers: readonly string[] | null;
  readonly isDisabled: boolean | null;
  /** Percent, 0 to 100; null: the wider scope's. */
  readonly samplingPercent: number | null;
  readonly customTags: ReadonlyMap<string, TagSource>;
}

export interface AccessLoggingSpec {
  readonly direction: Direction;
  readonly providers: readonly string[] | null;
  readonly isDisabled: boolean | null;
}

export interface TelemetrySpec {
  /** Null selects every workload of the namespace. */
  readonly selector: ReadonlyMap<string, string> | null;
  readonly tracing: readonly TracingSpec[];
  readonly accessLogging: readonly AccessLoggingSpec[];
}

export function readTelemetrySpec(fields: Fields): TelemetrySpec {
  fields.later('metrics', 'targetRef', 'targetRefs');
  return {
    selector: fields.object('selector', (selector) => selector.textMap('matchLabels')),
    tracing: fields.list('tracing', readTracing),
    accessLogging: fields.list('accessLogging', readAccessLogging),
  };
}

function readTracing(fields: Fields): TracingSpec {
  fields.later('disableContextPropagation', 'enableIstioTags', 'useRequestIdForTraceSampling');
  return {
    direction: readDirection(fields),
    providers: readProviders(fields),
    isDisabled: fields.flag('disableSpanReporting'),
    samplingPercent: fields.decimal('randomSamplingPercentage', { min: 0, max: 100 }),
    customTags: fields.objectMap('customTags', readTag),
  };
}

function readAccessLogging(fields: Fields): AccessLoggingSpec {
  fields.later('filter');
  return { direction: readDirection(fields), providers: readProviders(fields), isDisabled: fields.flag('disabled') };
}

function readDirection(fields: Fields): Direction {
  const mode = fields.object('match', (match) => match.choice('mode', ['CLIENT_AND_SERVER', 'CLIENT', 'SERVER']));
  return mode === 'CLIENT' ? 'client' : mode === 'SERVER' ? 'server' : 'both';
}

function readProviders(fields: Fields): readonly string[] | null {
  const providers = fields.list('providers', (provider) => provider.requiredText('name'));
  return fields.has('providers') ? providers : null;
}

export function readTag(fields: Fields): TagSource {
  fields.exclusive('literal', 'environment', 'header', 'formatter');
  fields.later('formatter');
  const literal = fields.object('literal', (literal) => literal.requiredText('value'));
  const environment = fields.object('environment', readNamed);
  const header = fields.object('header', readNamed);
  if (environment !== null) return { kind: 'environment', ...environment };
  if (header !== null) return { kind: 'header', ...header };
  return { kind: 'literal', value: literal ?? '' };
}

function readNamed(fields: Fields): { readonly name: string; readonly fallback: string } {
  return { name: fields.requiredText('name'), fallback: fields.text('defaultValue') };
}

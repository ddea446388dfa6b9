// Telemetry (telemetry.istio.io): traces, access logs and metrics. Fields and meanings are Istio's
// (telemetry/v1alpha1/telemetry.proto), the words ours; reader: config/telemetry.ts.
import { choice, decimal, flag, list, map, object, open, text } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';
import { labelSelector } from './selector-schema.ts';

const NOT_YET = 'Not supported yet, and of no effect.';

export function telemetrySpec(): FieldSchema {
  return object('What sidecars tell: of the mesh in the root namespace, else of a namespace or of some workloads.', {
    selector: labelSelector('The workloads that it is for; all of the namespace by default.'),
    targetRef: open(NOT_YET),
    targetRefs: list(NOT_YET, open('One resource.')),
    tracing: list('Traces.', tracing()),
    metrics: list(`Metrics. ${NOT_YET}`, open('Providers and overrides, as Istio has them.')),
    accessLogging: list(
      'Access logs.',
      object('One setting.', {
        match: direction(),
        providers: providers(),
        disabled: flag('No log is written.'),
        filter: open(`Which requests are logged, as an expression in CEL. ${NOT_YET}`),
      }),
    ),
  });
}

function tracing(): FieldSchema {
  return object('One setting.', {
    match: direction(),
    providers: providers(),
    randomSamplingPercentage: decimal('How many requests that begin here are traced, in percent.', {
      min: 0,
      max: 100,
    }),
    disableSpanReporting: flag('No spans are sent; trace headers are passed on.'),
    customTags: map('Tags of spans, by name.', customTag('Where the value comes from.')),
    disableContextPropagation: flag(NOT_YET),
    enableIstioTags: flag(NOT_YET),
    useRequestIdForTraceSampling: flag(NOT_YET),
  });
}

/** Also of MeshConfig. */
export function customTag(description: string): FieldSchema {
  return object(
    description,
    {
      literal: object('A value.', { value: text('The value.') }, { required: ['value'] }),
      environment: named('A variable of the environment of the sidecar.'),
      header: named('A header of the request.'),
      formatter: open(`A format of Envoy. ${NOT_YET}`),
    },
    { atMostOne: [['literal', 'environment', 'header', 'formatter']] },
  );
}

function direction(): FieldSchema {
  return object('Which side of the sidecar.', {
    mode: choice('CLIENT is what the workload sends, SERVER what it receives; both by default.', [
      'CLIENT_AND_SERVER',
      'CLIENT',
      'SERVER',
    ]),
  });
}

function providers(): FieldSchema {
  const provider = object(
    'One of them.',
    { name: text('An extension provider of the MeshConfig.') },
    { required: ['name'] },
  );
  return list('Who gets it; by default what the wider setting says.', provider);
}

function named(where: string): FieldSchema {
  return object(
    where,
    { name: text('Its name.'), defaultValue: text('The value where it is not there.') },
    { required: ['name'] },
  );
}

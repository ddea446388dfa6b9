// EnvoyFilter (networking.istio.io): patches of what Envoy is told. All of Istio's fields may be written
// (networking/v1alpha3/envoy_filter.proto); which of them are followed says docs/envoy-filter.md, and of a resource its
// condition Accepted. Reader: config/envoy-filter.ts.
import { PATCH_CONTEXTS, PATCH_OPERATIONS, PATCHES_MAX, PRIORITY_MAX } from '../envoy-filter.ts';
import { choice, integer, list, object, open, port, text } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';
import { workloadSelector } from './selector-schema.ts';

const REFUSED = 'Refused: not followed.';

export function envoyFilterSpec(): FieldSchema {
  const patch = object(
    'One patch.',
    {
      applyTo: text('What is patched: HTTP_FILTER; others are refused.'),
      match: match(),
      patch: object(
        'The change.',
        {
          operation: choice('What is done.', PATCH_OPERATIONS),
          value: open('The filter, as Envoy has it: name and typed_config.'),
          filterClass: text(REFUSED),
        },
        {
          required: ['operation'],
          rules: [
            { rule: `(self.operation == 'REMOVE') != has(self.value)`, message: 'value is needed, but not for REMOVE' },
          ],
        },
      ),
    },
    { required: ['applyTo', 'patch'] },
  );
  return object('Patches of the HTTP filters of sidecars.', {
    workloadSelector: workloadSelector('The workloads whose sidecars are patched; all of the namespace by default.'),
    targetRefs: list(REFUSED, open('One resource.')),
    configPatches: list('The patches, in the order in which they are applied.', patch, { maxItems: PATCHES_MAX }),
    priority: integer('EnvoyFilters with lower numbers are applied first; 0 by default.', {
      min: -PRIORITY_MAX,
      max: PRIORITY_MAX,
    }),
  });
}

function match(): FieldSchema {
  const filter = object('The network filter.', {
    name: text('Its name: envoy.filters.network.http_connection_manager.'),
    subFilter: object('The HTTP filter in it.', { name: text('Its name.') }, { required: ['name'] }),
  });
  return object('Where it is patched; everywhere by default.', {
    context: choice('The side of the sidecar.', PATCH_CONTEXTS),
    proxy: open(REFUSED),
    routeConfiguration: open(REFUSED),
    cluster: open(REFUSED),
    listener: object('The listener and the filter in it.', {
      portNumber: port('The port of the service, or of the workload.'),
      portName: text(REFUSED),
      name: text(REFUSED),
      listenerFilter: text(REFUSED),
      filterChain: object('The filter chain.', {
        name: text(REFUSED),
        sni: text(REFUSED),
        transportProtocol: text(REFUSED),
        applicationProtocols: text(REFUSED),
        destinationPort: port(REFUSED),
        filter,
      }),
    }),
  });
}

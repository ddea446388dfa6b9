// ResiliencePolicy (outrigger.dev): resilience that neither Istio's kinds nor the Gateway API can say (docs/resilience.md).
// Sections of services and of routes; readers: config/resilience-policy.ts and config/*-section.ts.
import { TARGET_KINDS, TARGETS_MAX } from '../resilience-policy.ts';
import { choice, integer, list, object, text } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';
import { inboundSections } from './inbound-sections-schema.ts';
import { outboundSections } from './outbound-sections-schema.ts';
import { routeSections } from './route-sections-schema.ts';

const PORT_MAX = 65_535;

export function resiliencePolicySpec(): FieldSchema {
  const sections = { ...outboundSections(), ...inboundSections(), ...routeSections() };
  return object(
    'How services are kept up, and how routes get around failures. Each field but targetRefs is a section.',
    {
      targetRefs: list('What the policy is for, in its own namespace.', target(), { maxItems: TARGETS_MAX }),
      ...sections,
    },
    {
      required: ['targetRefs'],
      atLeastOne: [Object.keys(sections)],
      rules: [
        {
          rule: onlyFor(Object.keys(routeSections()), `'VirtualService', 'HTTPRoute'`),
          message: `${Object.keys(routeSections()).join(', ')} are for a VirtualService or an HTTPRoute`,
        },
        {
          rule: onlyFor(Object.keys(outboundSections()), `'Service', 'ServiceEntry'`),
          message: `${Object.keys(outboundSections()).join(', ')} are for a Service or a ServiceEntry`,
        },
        {
          rule: onlyFor(Object.keys(inboundSections()), `'Service'`),
          message: `${Object.keys(inboundSections()).join(', ')} are for a Service`,
        },
      ],
    },
  );
}

/** The sections that are named are for targets of these kinds only. */
function onlyFor(names: readonly string[], kinds: string): string {
  const isWritten = names.map((name) => `has(self.${name})`).join(' || ');
  return `!(${isWritten}) || self.targetRefs.all(one, one.kind in [${kinds}])`;
}

function target(): FieldSchema {
  return object(
    'One resource.',
    {
      group: text('Its API group; it may be left out.'),
      kind: choice('Its kind.', TARGET_KINDS),
      name: text('Its name.'),
      sectionName: sectionName('A port, by name or number, or a rule, by name; all of it by default.'),
    },
    { required: ['kind', 'name'] },
  );
}

/** A port by name or number, or a rule by name. */
export function sectionName(description: string): FieldSchema {
  const { type: _, format: __, ...bounds } = integer(description, { min: 1, max: PORT_MAX });
  return { ...bounds, isIntOrString: true };
}

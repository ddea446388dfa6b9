// Extension (outrigger.dev): a module in TypeScript that sidecars run for each request (docs/extensions.md); reader:
// config/extension.ts.
import { BUDGET_MS_MAX, PRIORITY_MAX } from '../extension.ts';
import { choice, duration, integer, object, open, text } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';
import { policyTargets } from './selector-schema.ts';

export function extensionSpec(): FieldSchema {
  return object(
    'A module that sidecars run for each request, with its configuration.',
    {
      ...policyTargets(),
      module: text('The name of a file of --extensions, without its ending, or outrigger/NAME.'),
      digest: text('sha256: and what sha256sum prints for the file; nothing for outrigger/NAME.', {
        pattern: '^(sha256:[0-9a-f]{64})?$',
      }),
      config: open('What the module is given; the module says what it takes.'),
      direction: choice('Requests that the workload receives (the default), sends, or both.', [
        'Inbound',
        'Outbound',
        'Both',
      ]),
      failurePolicy: choice('What becomes of a request when the module fails; FailClosed by default.', [
        'FailClosed',
        'FailOpen',
      ]),
      timeBudget: {
        ...duration('How long the module may take for a request; 10ms by default, 1s at most.'),
        rules: [
          {
            rule: `duration(self) >= duration('1ms') && duration(self) <= duration('${BUDGET_MS_MAX}ms')`,
            message: 'must be from 1ms to 1s',
          },
        ],
      },
      priority: integer('Extensions with higher numbers come first; 0 by default.', {
        min: -PRIORITY_MAX,
        max: PRIORITY_MAX,
      }),
    },
    {
      required: ['module'],
      atMostOne: [['selector', 'targetRef', 'targetRefs']],
      rules: [
        {
          rule: `(has(self.digest) && size(self.digest) > 0) != self.module.startsWith('outrigger/')`,
          message: 'digest is needed for modules of yours, and for no other',
        },
      ],
    },
  );
}

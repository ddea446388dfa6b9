// RateLimitPolicy (outrigger.dev): how many requests a service takes (docs/rate-limits.md); reader:
// config/rate-limit-policy.ts.
import {
  ACCOUNTS_MAX,
  LIMITS_MAX,
  LIMIT_TARGET_KINDS,
  OVERRIDES_MAX,
  REQUESTS_MAX,
  SECTION_CHARACTERS_MAX,
  TARGETS_MAX,
} from '../rate-limit-policy.ts';
import { choice, duration, integer, list, object, text, textMap, texts } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';
import { sectionName } from './resilience-policy-schema.ts';
import { labelSelector } from './selector-schema.ts';

const TOKEN = "^[!#$%&'*+\\-.^_`|~0-9A-Za-z]+$";
const COUNT = { min: 1, max: REQUESTS_MAX };

export function rateLimitPolicySpec(): FieldSchema {
  return object(
    'How many requests the instances of a service take.',
    {
      selector: labelSelector(
        'The workloads that it is for; without it, and without targetRefs, all of its namespace.',
      ),
      targetRefs: list('The services, or the routes, that it is for.', target(), { maxItems: TARGETS_MAX }),
      limits: list('The limits; a request must pass all that it matches.', limit(), {
        minItems: 1,
        maxItems: LIMITS_MAX,
      }),
      response: object('What is answered beyond a limit.', {
        status: integer('The status; 429 by default.', { min: 400, max: 599 }),
        headers: textMap('Headers to add.'),
        limitHeaders: choice('Headers that tell of the limit: none, those of the IETF draft, or X-RateLimit-*.', [
          'None',
          'XRateLimit',
          'RateLimit',
        ]),
      }),
    },
    { required: ['limits'], atMostOne: [['selector', 'targetRefs']] },
  );
}

function target(): FieldSchema {
  return object(
    'One service or route.',
    {
      group: text('Its API group; it may be left out.'),
      kind: choice('Its kind.', LIMIT_TARGET_KINDS),
      name: text('Its name, in the namespace of the policy.'),
      sectionName: {
        ...sectionName('A port, by name or number, or a rule, by name; all by default.'),
        maxLength: SECTION_CHARACTERS_MAX,
      },
    },
    {
      required: ['kind', 'name'],
      rules: [
        {
          rule: `self.kind == 'Service' || !has(self.sectionName) || type(self.sectionName) == string`,
          message: 'rules of routes have names, not numbers',
        },
      ],
    },
  );
}

function rate(): Readonly<Record<string, FieldSchema>> {
  return {
    requests: integer('So many requests', COUNT),
    per: {
      ...duration('in so long a time; 1s by default.'),
      rules: [
        {
          rule: `duration(self) >= duration('50ms') && duration(self) <= duration('744h')`,
          message: 'must be from 50ms to 744h',
        },
      ],
    },
    burst: integer('How many at once, when nothing came before; as requests by default.', COUNT),
  };
}

function limit(): FieldSchema {
  const override = object(
    'Some callers.',
    {
      ...rate(),
      serviceAccounts: texts(
        'Who they are: NAMESPACE/NAME.',
        { minItems: 1, maxItems: ACCOUNTS_MAX },
        { pattern: '^[a-z0-9.-]+/[a-z0-9.-]+$' },
      ),
    },
    { required: ['requests', 'serviceAccounts'] },
  );
  return object(
    'One limit.',
    {
      name: text('Its name, for statistics; one of its own for each.', { pattern: '^[A-Za-z0-9_-]{0,32}$' }),
      ...rate(),
      by: choice('Caller: each caller has the limit for itself. All: all of them together, the default.', [
        'Caller',
        'All',
      ]),
      byHeader: text('Each value of this header has the limit for itself.', { pattern: `(^$)|${TOKEN}` }),
      overrides: list('Callers with another rate; with by: Caller.', override, { maxItems: OVERRIDES_MAX }),
      match: match(),
      scope: choice('Instance: each instance has the limit, the default. Service: it is divided among them.', [
        'Instance',
        'Service',
      ]),
      mode: choice('Shadow only counts; Enforce is the default.', ['Enforce', 'Shadow']),
    },
    {
      required: ['requests'],
      atMostOne: [['by', 'byHeader']],
      rules: [
        {
          rule: `!has(self.overrides) || size(self.overrides) == 0 || (has(self.by) && self.by == 'Caller')`,
          message: 'overrides are of callers: write by: Caller',
        },
        {
          rule: `!(has(self.scope) && self.scope == 'Service' && ((has(self.by) && self.by == 'Caller') || (has(self.byHeader) && size(self.byHeader) > 0)))`,
          message: 'only a limit for all requests can be divided',
        },
      ],
    },
  );
}

function match(): FieldSchema {
  return object('Requests that count; all by default.', {
    methods: texts('Any of these methods.', {}, { pattern: TOKEN }),
    paths: texts(
      'Any of these paths, without the query; a * at the end is any rest.',
      {},
      { pattern: '^/[^?#*]*\\*?$' },
    ),
    headers: list(
      'All of these headers.',
      object(
        'One header.',
        { name: text('Its name.', { pattern: `(^$)|${TOKEN}` }), value: text('Its value; any by default.') },
        { required: ['name'] },
      ),
    ),
  });
}

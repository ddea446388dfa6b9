// Sections of a ResiliencePolicy that hold where a service receives: what its sidecars turn away. Readers:
// config/{shedding,adaptive-concurrency,admission-control}-section.ts.
import { decimal, duration, flag, integer, list, object, text } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';

const COUNT = { min: 1, max: 4_294_967_295 };
const PERCENT = { min: 0, max: 100 };
const STATUS = { min: 100, max: 599 };
const CLASSES_MAX = 16;

export function inboundSections(): Readonly<Record<string, FieldSchema>> {
  return { shedding: shedding(), adaptiveConcurrency: adaptiveConcurrency(), admissionControl: admissionControl() };
}

function shedding(): FieldSchema {
  return object(
    'When there is too much to do, what matters less is turned away first.',
    {
      header: text('The header that names the class of a request; x-request-class by default.', {
        pattern: "^[!#$%&'*+\\-.^_`|~0-9A-Za-z]*$",
      }),
      classes: list(
        'The classes, the most important first.',
        object(
          'One class.',
          {
            name: text('Its name.', { pattern: '^[A-Za-z0-9_-]{0,32}$' }),
            share: decimal('Of the limit: with so much under way it is turned away; 1 by default.', {
              min: 0.001,
              max: 1,
            }),
          },
          { required: ['name'] },
        ),
        { minItems: 1, maxItems: CLASSES_MAX, mapKeys: ['name'] },
      ),
      default: text('The class of requests that name none; the last by default.'),
      requests: integer('The limit: requests at a time.', { min: 1, max: 4_294_967_294 }),
      adaptive: flag('The limit is found.'),
    },
    {
      required: ['classes'],
      rules: [
        {
          rule: '(has(self.adaptive) && self.adaptive) != has(self.requests)',
          message: 'write requests: 100, or adaptive: true',
        },
      ],
    },
  );
}

function adaptiveConcurrency(): FieldSchema {
  return object('How many requests the app gets at a time is found from how long they take.', {
    percentile: decimal('Which of the times counts, in percent; 50 by default.', PERCENT),
    maxConcurrency: integer('The limit is never higher; 1000 by default.', COUNT),
    updateInterval: duration('How often it is found anew; 100ms by default.', 'positive'),
    status: { ...integer('The status of what is turned away; 503 by default.'), enum: [429, 503] },
    restTime: object(
      'How long a request takes when there is little to do.',
      {
        interval: duration('How often it is measured; 60s by default.', 'positive'),
        fixed: duration('It is this, and never measured.', 'positive'),
        requests: integer('Requests that are measured; 50 by default.', COUNT),
        minConcurrency: integer('Requests at a time while it is measured, and at least ever; 3 by default.', COUNT),
        jitter: decimal('What is added to the interval by chance, in percent; 15 by default.', PERCENT),
        buffer: decimal('How much longer requests may take, in percent; 25 by default.', PERCENT),
      },
      { atMostOne: [['interval', 'fixed']] },
    ),
  });
}

function admissionControl(): FieldSchema {
  return object('Requests are turned away, by chance, when too many of the last ones failed.', {
    samplingWindow: {
      ...duration('How far back it looks; 30s by default, 1s at least.'),
      rules: [{ rule: `duration(self) >= duration('1s')`, message: 'must be at least 1s' }],
    },
    aggression: decimal('1 is in proportion to what fails, more is sooner; 1 by default.', { min: 1, max: 1000 }),
    successThreshold: decimal('With fewer successes than this, in percent; 95 by default.', { min: 1, max: 100 }),
    minimumRate: integer('With fewer requests a second nothing is turned away; 0 by default.', {
      min: 0,
      max: 4_294_967_295,
    }),
    maxRejection: decimal('How many are turned away at most, in percent; 80 by default.', PERCENT),
    successStatuses: list('Statuses that are successes; 100 to 499 by default.', statusRange()),
    grpcSuccessStatuses: list(
      'Statuses of gRPC that are successes, by number.',
      integer('One of them.', { min: 0, max: 16 }),
    ),
  });
}

/** Both ends included. */
export function statusRange(): FieldSchema {
  return object(
    'From one status to another, both included.',
    { from: integer('The lower one.', STATUS), to: integer('The higher one.', STATUS) },
    { required: ['from', 'to'] },
  );
}

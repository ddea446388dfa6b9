// Sections of a ResiliencePolicy about routes. Readers: config/{hedge,retry-back-off,sticky-split}-section.ts.
import { limits } from '../limits.ts';
import { choice, duration, flag, integer, list, object, text } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';

export function routeSections(): Readonly<Record<string, FieldSchema>> {
  return { hedge: hedge(), retryBackOff: retryBackOff(), stickySplit: stickySplit() };
}

function hedge(): FieldSchema {
  return object('A slow attempt is joined by another; the first answer wins.', {
    after: duration('When an attempt is slow; perTryTimeout of the route by default.', 'positive'),
    attempts: integer('More attempts than the first, at most.', { min: 1, max: 100 }),
  });
}

function retryBackOff(): FieldSchema {
  const header = object(
    'One of them.',
    {
      name: text('Its name.', { pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]*$" }),
      format: choice('What its number is: Seconds from now, the default, or a point in time.', [
        'Seconds',
        'UnixTimestamp',
      ]),
    },
    { required: ['name'] },
  );
  return object('How long a retry waits.', {
    base: duration('The first wait, about; 25ms by default.', 'positive'),
    max: duration('The longest wait; 10 times the first by default.', 'positive'),
    jitter: choice('Full: anything up to the wait. AboveBase: never less than base.', ['Full', 'AboveBase']),
    rateLimited: object(
      'What the service says of when to come back.',
      {
        resetHeaders: list('Headers that say it, tried in this order.', header, {
          minItems: 1,
          maxItems: limits.matchesMax,
        }),
        max: duration('What says more is not believed; 300s by default.', 'positive'),
      },
      { required: ['resetHeaders'] },
    ),
  });
}

function stickySplit(): FieldSchema {
  const keys = ['header', 'cookie', 'identity'];
  return object(
    'The requests of one sender go to the same destination of a split.',
    {
      header: text('The sender is who has the same value of this header.'),
      cookie: object(
        'The sender is who has the same cookie, which is made where it is missing.',
        { name: text('Its name.'), path: text('Its path.'), ttl: duration('Its life; 0s ends with the session.') },
        { required: ['name'] },
      ),
      identity: flag('The sender is the calling workload.'),
    },
    { atMostOne: [keys], atLeastOne: [keys] },
  );
}

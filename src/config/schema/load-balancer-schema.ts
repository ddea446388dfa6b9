// How an instance of a host is chosen: `loadBalancer` of a traffic policy, and its parts that other places have, too.
// Readers: config/load-balancer.ts and config/locality-setting.ts.
import { choice, decimal, duration, flag, integer, list, map, object, open, text, texts } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';

const RING = { min: 0, max: 8_388_608 };
const TABLE = { min: 0, max: 5_000_011 };
const PERCENT = { min: 0, max: 100 };
const SIMPLE = ['UNSPECIFIED', 'RANDOM', 'PASSTHROUGH', 'ROUND_ROBIN', 'LEAST_REQUEST', 'LEAST_CONN'];
const KEYS = ['httpHeaderName', 'httpCookie', 'useSourceIp', 'httpQueryParameterName'];

export function loadBalancer(description: string): FieldSchema {
  return object(
    description,
    {
      simple: choice('By one rule for all requests: LEAST_REQUEST is the default.', SIMPLE),
      consistentHash: consistentHash(),
      localityLbSetting: localitySetting('Which localities take the requests.'),
      zoneAwareLbSetting: open(
        'Callers and instances are brought together by zone. Not supported yet, and of no effect.',
      ),
      warmupDurationSecs: duration('Use warmup.', 'positive'),
      warmup: object(
        'A new instance gets its part of the requests bit by bit.',
        {
          duration: duration('How long it takes.', 'positive'),
          minimumPercent: decimal('What it gets at the beginning, in percent.', PERCENT),
          aggression: decimal('1 is a straight line; with more it gets more in the end.', { min: 1 }),
        },
        { required: ['duration'] },
      ),
    },
    { atMostOne: [['simple', 'consistentHash']] },
  );
}

function consistentHash(): FieldSchema {
  return object(
    'By a part of the request: what is the same goes to the same instance, as long as it is there.',
    { ...hashKeys(), ...hashTables() },
    { atMostOne: [KEYS, ['ringHash', 'maglev']], atLeastOne: [KEYS] },
  );
}

/** Of what the hash is made. */
export function hashKeys(): Readonly<Record<string, FieldSchema>> {
  return {
    httpHeaderName: text('The value of this header.'),
    httpCookie: object(
      'The value of a cookie, which is made where it is missing.',
      {
        name: text('Its name.'),
        path: text('Its path.'),
        ttl: duration('Its life; with 0s it ends with the session.'),
        attributes: list(
          'Further attributes of a cookie that is made.',
          object(
            'One of them.',
            { name: text('Such as SameSite.'), value: text('Its value; without it the name stands alone.') },
            { required: ['name'] },
          ),
        ),
      },
      { required: ['name'] },
    ),
    useSourceIp: flag('The address of the caller.'),
    httpQueryParameterName: text('The value of this parameter of the query.'),
  };
}

/** How instances are found by the hash. */
export function hashTables(): Readonly<Record<string, FieldSchema>> {
  return {
    ringHash: object('A ring; the default.', {
      minimumRingSize: integer('Points on it at least; 1024 by default.', RING),
    }),
    maglev: object('A table as of Maglev.', {
      tableSize: integer('Its size, a prime number; 65537 by default.', TABLE),
    }),
    minimumRingSize: integer('Use ringHash.', RING),
  };
}

export function localitySetting(description: string): FieldSchema {
  return object(
    description,
    {
      enabled: flag('False switches off what a wider setting says.'),
      distribute: list(
        'Where the requests of a locality go, whatever is healthy.',
        object(
          'One locality.',
          {
            from: text('Where the callers are: REGION/ZONE/SUBZONE, with * for any.'),
            to: map('Localities and their shares in percent, 100 together.', integer('The share.', PERCENT)),
          },
          { required: ['from', 'to'] },
        ),
      ),
      failover: list(
        'Where the requests of a region go when it has too few healthy instances.',
        object(
          'One region.',
          { from: text('The region of the callers.'), to: text('The region that takes over.') },
          { required: ['from', 'to'] },
        ),
      ),
      failoverPriority: texts(
        'Labels, KEY or KEY=VALUE: instances that have more of them, from the first on, come first.',
      ),
    },
    {
      atMostOne: [
        ['distribute', 'failover'],
        ['distribute', 'failoverPriority'],
      ],
    },
  );
}

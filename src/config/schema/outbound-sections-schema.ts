// Sections of a ResiliencePolicy about how a service is called. Readers: config/retry-budget.ts and
// config/{concurrency-limit,ejection,fallback,health-check,load-balancer}-section.ts.
import { choice, decimal, duration, flag, integer, list, object, port, regex, text, textMap } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';
import { statusRange } from './inbound-sections-schema.ts';
import { hashKeys, hashTables } from './load-balancer-schema.ts';
import { retryBudget } from './retry-budget-schema.ts';

const COUNT = { min: 1, max: 4_294_967_295 };
const STATUS = { min: 100, max: 599 };
const CHECKS = { min: 1, max: 1000 };
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH'];

export function outboundSections(): Readonly<Record<string, FieldSchema>> {
  return {
    concurrencyLimit: object(
      'What the service serves at a time, divided among its callers.',
      { requests: integer('So many requests.', { min: 1, max: 4_294_967_294 }) },
      { required: ['requests'] },
    ),
    outlierDetection: ejection(),
    retryBudget: retryBudget(),
    fallback: fallback(),
    healthCheck: healthCheck(),
    loadBalancer: loadBalancer(),
  };
}

function ejection(): FieldSchema {
  return object('When an instance is left out, beside what a DestinationRule says.', {
    maxEjectionTime: duration('No instance is left out longer; 300s by default.', 'positive'),
    ejectionJitter: duration('Each time is longer by anything up to this; 0s by default.'),
    alwaysEjectOne: flag('One may be left out whatever maxEjectionPercent says.'),
    healthCheckEndsEjection: flag('A passed health check brings an instance back; true by default.'),
    failurePercentage: object('Instances of which so many requests fail.', {
      threshold: integer('In percent; 85 by default.', { min: 1, max: 100 }),
      minimumHosts: integer('Instances that must have had enough requests; 5 by default.', COUNT),
      requestVolume: integer('What is enough, in an interval; 50 by default.', COUNT),
    }),
    successRate: object('Instances that fail more than the others.', {
      minimumHosts: integer('Instances that must have had enough requests; 5 by default.', COUNT),
      requestVolume: integer('What is enough, in an interval; 100 by default.', COUNT),
      deviations: decimal('How many standard deviations below the mean; 1.9 by default.', { min: 0.001, max: 1000 }),
    }),
  });
}

function fallback(): FieldSchema {
  const host = object(
    'One host.',
    {
      host: text('A service of the mesh; a short name is one of the namespace of the policy.'),
      port: port('Its port; the one that was asked for by default.'),
      subset: text('A subset of it.'),
    },
    { required: ['host'] },
  );
  return object(
    'Who takes the requests when too few instances are healthy.',
    { hosts: list('In this order.', host, { minItems: 1 }) },
    { required: ['hosts'] },
  );
}

function healthCheck(): FieldSchema {
  return object(
    'Callers ask the instances now and then, and send requests to those that answer.',
    {
      http: object(
        'By an HTTP request.',
        {
          path: text('The path, with blanks as %20.', { pattern: '^(/[!-~]*)?$' }),
          port: port('The port of the instance; the one that requests go to by default.'),
          method: choice('The method; GET by default.', METHODS),
          host: text('The Host header; the name of the service by default.'),
          headers: textMap('Headers to add.'),
          expectedStatuses: list('Statuses that pass; 200 to 299 by default.', integer('One of them.', STATUS)),
          expectedStatusRanges: list('Ranges of statuses that pass.', statusRange()),
        },
        { required: ['path'] },
      ),
      tcp: object('By a connection.', {
        port: port('The port of the instance; the one that requests go to by default.'),
        send: text('What is sent.'),
        receive: text('What the answer must hold.'),
      }),
      interval: duration('Between two checks; 3s by default.', 'positive'),
      idleInterval: duration('The same while nothing was sent to the service; as interval by default.', 'positive'),
      timeout: duration('How long a check may take; 1s by default.', 'positive'),
      unhealthyThreshold: integer('Checks in a row that must fail; 3 by default.', CHECKS),
      healthyThreshold: integer('Checks in a row that must pass; 1 by default.', CHECKS),
      jitter: duration('Each wait is longer by anything up to this; a fifth of it by default.'),
    },
    { atMostOne: [['http', 'tcp']], atLeastOne: [['http', 'tcp']] },
  );
}

function loadBalancer(): FieldSchema {
  const keys = { pathRegex: regex('The first group of this expression over the path, in RE2 syntax.'), ...hashKeys() };
  const names = Object.keys(keys);
  return object(
    'How an instance is chosen, in the place of what a DestinationRule says.',
    {
      peakEwma: object('The one that is likely to answer first.', {
        decay: duration('How long a time that was measured counts; 10s by default.', 'positive'),
        defaultLatency: duration('What an instance begins with; 30ms by default.', 'positive'),
        failurePenalty: duration('What a failure counts as; 5s by default.', 'positive'),
      }),
      consistentHash: object(
        'By a part of the request.',
        {
          ...keys,
          ...hashTables(),
          boundPercent: integer('What an instance takes at most of the average, in percent.', {
            min: 100,
            max: 100_000,
          }),
        },
        { atMostOne: [names, ['ringHash', 'maglev']], atLeastOne: [names] },
      ),
    },
    { atMostOne: [['peakEwma', 'consistentHash']], atLeastOne: [['peakEwma', 'consistentHash']] },
  );
}

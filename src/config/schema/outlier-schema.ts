// When an instance that fails is left out: `outlierDetection` of traffic policies and of MeshConfig; reader: config/outlier.ts.
import { duration, flag, integer, list, object } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';

const COUNT = { min: 0, max: 4_294_967_295 };
const PERCENT = { min: 0, max: 100 };

export function outlierDetection(description: string): FieldSchema {
  return object(description, {
    consecutive5xxErrors: integer('Responses of 5xx in a row; 5 by default, 0 is off.', COUNT),
    consecutiveErrors: integer('Use consecutive5xxErrors.', COUNT),
    consecutiveGatewayErrors: integer('Responses of 502, 503 and 504 in a row.', COUNT),
    consecutiveLocalOriginFailures: integer(
      'Connections in a row that failed; with splitExternalLocalOriginErrors.',
      COUNT,
    ),
    splitExternalLocalOriginErrors: flag('Failed connections are counted apart from responses.'),
    interval: duration('How often instances are judged; 10s by default.', 'positive'),
    baseEjectionTime: duration('How long one is left out, times how often it has been; 30s by default.', 'positive'),
    maxEjectionPercent: integer('How many may be left out at a time, in percent; 10 by default.', PERCENT),
    minHealthPercent: integer('With fewer healthy instances than this all are tried, in percent.', PERCENT),
    outlierDetectionHttpErrorCodes: list(
      'Statuses that count as errors. Not supported yet, and of no effect.',
      integer('A status.'),
    ),
  });
}

// HTTPRetry of Istio, in rules and in the mesh's defaults; reader: config/http-retries.ts.
import { duration, flag, integer, object, text } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';

export function httpRetries(description: string): FieldSchema {
  return object(description, {
    attempts: integer('How often at most, the first attempt not counted; 0 is never.', { min: 0, max: 2_147_483_647 }),
    perTryTimeout: duration('How long one attempt may take; by default as long as the whole request.', 'zeroable'),
    retryOn: text('After what: conditions such as connect-failure or 5xx, and status codes, with commas between.'),
    backoff: duration('How long the first wait is, about; 25ms by default, and longer each time.', 'positive'),
    retryRemoteLocalities: flag('Attempts may go to localities that have not been tried.'),
    retryIgnorePreviousHosts: flag('Attempts go to instances that have not been tried; true by default.'),
  });
}

// The faults that a rule of a VirtualService puts in the way of requests; reader: config/http-faults.ts.
import { GRPC_CODES } from '../../base/grpc-codes.ts';
import { choice, decimal, duration, integer, object, text } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';

const PERCENT = { min: 0, max: 100 };

export function httpFault(): FieldSchema {
  const share = object('How many of the requests.', { value: decimal('0 to 100; fractions count.', PERCENT) });
  return object('Faults that are made on purpose, to see how callers take them.', {
    delay: object(
      'Requests that are held back.',
      {
        fixedDelay: duration('How long.'),
        exponentialDelay: duration('Not supported yet, and of no effect.'),
        percentage: share,
        percent: decimal('Use percentage.', PERCENT),
      },
      { required: ['fixedDelay'] },
    ),
    abort: object(
      'Requests that are answered with an error.',
      {
        httpStatus: integer('The HTTP status of the answer.', { min: 200, max: 599 }),
        grpcStatus: choice('The gRPC status of the answer.', GRPC_CODES),
        http2Error: text('Not supported yet, and of no effect.'),
        percentage: share,
      },
      { atMostOne: [['httpStatus', 'grpcStatus']], atLeastOne: [['httpStatus', 'grpcStatus']] },
    ),
  });
}

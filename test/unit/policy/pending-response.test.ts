// What was kept for the response of one request never reaches another's, on an exchange that is used again.
import { expect, test } from 'vitest';
import { Exchange } from '../../../src/plan/exchange.ts';
import { NO_RESPONSE_CHANGES } from '../../../src/policy/ext-authz-decision.ts';
import { PendingResponses } from '../../../src/policy/pending-response.ts';

const CHANGES = { ...NO_RESPONSE_CHANGES, set: [['set-cookie', 'of=one']] } as const;

test('it is taken once, by the request that it is for', () => {
  const pending = new PendingResponses();
  const [x, other] = [new Exchange(), new Exchange()];
  pending.keep(x, CHANGES);
  expect([pending.take(other), pending.take(x), pending.take(x)]).toEqual([null, CHANGES, null]);
});

test('the next request of the exchange gets nothing of it', () => {
  const pending = new PendingResponses();
  const x = new Exchange();
  pending.keep(x, CHANGES);
  x.reset();
  expect(pending.take(x)).toBeNull();
});

// What clients see when one of five instances of a service goes bad, under load: nothing.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { InstanceFleet, type FleetOptions } from './instance-fleet.ts';

const RATE = 2000;
const EJECTION_MS = 2000;
const WARMING_MS = 2000;

const OPTIONS: FleetOptions = {
  instances: 5,
  cluster: {
    lb_policy: 'LEAST_REQUEST',
    least_request_lb_config: { slow_start_config: { slow_start_window: `${WARMING_MS / 1000}s` } },
    outlier_detection: {
      consecutive_5xx: 5,
      interval: '0.5s',
      base_ejection_time: `${EJECTION_MS / 1000}s`,
      max_ejection_percent: 20,
    },
  },
  retryPolicy: {
    retry_on: 'retriable-status-codes,connect-failure,reset',
    retriable_status_codes: [503],
    num_retries: 2,
    retry_host_predicate: [
      {
        name: 'envoy.retry_host_predicates.previous_hosts',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate',
        },
      },
    ],
    host_selection_retry_max_attempts: 5,
  },
};

it('an instance that answers 503 is out within a second, unseen by clients, and back when it is well', async () => {
  await using fleet = await InstanceFleet.start(OPTIONS);
  const warm = fleet.load(RATE);
  await sleep(1500);
  expect(Object.fromEntries((await warm.stop()).failures)).toEqual({});

  await fleet.tell(0, 'fail');
  const load = fleet.load(RATE);
  await sleep(1000);
  const [soon, sooner] = [await fleet.counts(), load.succeeded];
  await sleep(3000);
  const [later, sent] = [await fleet.counts(), load.succeeded - sooner];
  const badShare = ((later[0] ?? 0) - (soon[0] ?? 0)) / sent;
  await fleet.tell(0, 'heal');
  // It may have been ejected again a moment ago, for twice the time.
  await sleep(2 * EJECTION_MS + WARMING_MS);
  const healed = await fleet.counts();
  await sleep(1000);
  const back = await fleet.counts();
  const result = await load.stop();
  const gains = back.map((count, index) => count - (healed[index] ?? 0));
  const share = (gains[0] ?? 0) / gains.reduce((sum, gain) => sum + gain, 0);
  process.stdout.write(
    `bad instance: ${(badShare * 100).toFixed(2)} % after 1 s, ${(share * 100).toFixed(1)} % when it was back; ` +
      `${result.sent - result.succeeded} of ${result.sent} requests failed\n`,
  );
  expect((result.sent - result.succeeded) / result.sent).toBeLessThan(0.001);
  expect(badShare).toBeLessThan(0.005);
  expect(share).toBeGreaterThan(0.1);
}, 60_000);

it('no request that may be tried again fails when an instance is killed', async () => {
  await using fleet = await InstanceFleet.start(OPTIONS);
  const load = fleet.load(RATE);
  await sleep(1500);
  fleet.kill(0);
  await sleep(2500);
  const result = await load.stop();
  expect(Object.fromEntries(result.failures)).toEqual({});
  expect(result.succeeded).toBeGreaterThan(RATE * 3);
}, 60_000);

// A chain of four services, every call of which may be tried three times more, and the last of which fails completely:
// without anybody's care one request would become 64 of them at the last one.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { PacedLoad } from '../support/paced-load.ts';
import { ChainMesh } from './chain-mesh.ts';

const SERVICES = ['front', 'orders', 'stock', 'store'];
/** As any application in a mesh, they pass on the trace headers of the request that they work for. */
const WELL = { passesOn: ['x-request-id', 'traceparent', 'tracestate'], status: 200 };
const RATE = 100;
const STORM_MS = 5000;
const AMPLIFICATION_MAX = 1.2;
const RECOVERY_MS = 2000;

const retries = (service: string): string => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${service}, namespace: default }
spec:
  hosts: [${service}]
  http:
    - retries: { attempts: 3, retryOn: '5xx,connect-failure,reset' }
      route: [{ destination: { host: ${service} } }]
`;

it('a service that fails completely gets at most 1.2 requests for each, and its callers recover within 2 s', async () => {
  await using chain = await ChainMesh.start(SERVICES, SERVICES.map(retries).join('---\n'));
  const before = chain.asked;
  chain.behaviour = { ...WELL, status: 503 };
  const storm = load(chain.entry);
  await sleep(STORM_MS);
  const result = await storm.stop();
  const amplification = (chain.asked - before) / result.sent;
  process.stdout.write(`store got ${amplification.toFixed(3)} requests for each of ${result.sent}\n`);
  expect(result.succeeded).toBe(0);
  expect(amplification).toBeLessThanOrEqual(AMPLIFICATION_MAX);
  // Somebody does try again.
  expect(amplification).toBeGreaterThan(1);

  chain.behaviour = WELL;
  await sleep(RECOVERY_MS);
  const recovered = load(chain.entry);
  await sleep(1000);
  const after = await recovered.stop();
  expect(Object.fromEntries(after.failures)).toEqual({});
  expect(after.succeeded).toBeGreaterThan(RATE / 2);
}, 60_000);

function load(port: number): PacedLoad {
  return new PacedLoad({ perSecond: RATE, connections: 200, host: 'front', ports: () => [port] });
}

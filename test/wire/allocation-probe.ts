// The data plane in a process of its own, which tells its parent how many bytes it has allocated on the
// JavaScript heap so far: what allocation.test.ts divides by requests.
import { getHeapStatistics } from 'node:v8';
import { startDataPlane } from './data-plane.ts';
import { secureSteps } from './secure-part.ts';

/** `secure` puts a token and two RBAC filters in front. */
const secure = process.argv[3] === 'secure' ? secureSteps() : null;
const plane = await startDataPlane(
  Number(process.argv[2]),
  secure === null ? {} : { part: { onRequest: secure.steps } },
);

process.on('message', () => {
  const { total_allocated_bytes: bytes } = getHeapStatistics();
  process.send?.({ bytes });
});
process.send?.({ port: plane.port, authorization: secure?.authorization ?? 'Bearer ' + 'x'.repeat(300) });

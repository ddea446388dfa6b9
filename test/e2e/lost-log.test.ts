// Nobody reads the log any more: the sidecar goes on, quietly, and ends when it is told to.
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { freePorts } from '../support/free-port.ts';
import { usageOf } from '../support/process-usage.ts';
import { OUTRIGGER } from '../support/real-parts.ts';

test('a sidecar whose log is closed neither spins nor stays', async () => {
  const [control = 0, outbound = 0] = await freePorts(2);
  const where = ['--control', `127.0.0.1:${control}`, '--service', 'a', '--outbound', `${outbound}`, '--admin', '0'];
  const sidecar = spawn(process.execPath, [OUTRIGGER, 'sidecar', ...where, '--app', '80'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  // It cannot reach its control service, and says so every now and then.
  await once(sidecar.stderr, 'data');
  sidecar.stderr.destroy();
  await sleep(3000);
  const before = usageOf(sidecar.pid ?? 0).cpuSeconds;
  await sleep(2000);
  expect(usageOf(sidecar.pid ?? 0).cpuSeconds - before).toBeLessThan(0.5);
  sidecar.kill('SIGTERM');
  const [code] = await once(sidecar, 'exit');
  expect(code).toBe(0);
});

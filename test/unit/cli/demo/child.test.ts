// Children of the demo: their output, their end, and that they never outlive the process that started them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Child } from '../../../../src/cli/demo/child.ts';
import { freePorts, isFreePort } from '../../../../src/cli/demo/free-port.ts';
import { createServer } from 'node:net';

const FOREVER = 'setInterval(() => {}, 1000); console.log("up", process.pid)';
const CHILD_MODULE = new URL('../../../../src/cli/demo/child.ts', import.meta.url).href;

async function untilLine(child: Child, text: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  child.onLine((line) => line.includes(text) && resolve(line));
  return child.lines.find((line) => line.includes(text)) ?? promise;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('a child', () => {
  it('is stopped by SIGTERM and is then not mourned', async () => {
    const child = new Child({ name: 'sleeper', args: ['-e', FOREVER], environment: {} });
    await untilLine(child, 'up');
    await child.stop();
    expect({ isRunning: child.isRunning, isStopping: child.isStopping, how: await child.ended }).toEqual({
      isRunning: false,
      isStopping: true,
      how: 'signal SIGTERM',
    });
  });

  it('tells its last lines when it dies by itself', async () => {
    const child = new Child({
      name: 'faller',
      args: ['-e', 'console.log("one"); console.error("two"); process.exit(3)'],
      environment: {},
    });
    await child.ended;
    expect(child.isStopping).toBe(false);
    expect(child.obituary().split('\n')[0]).toBe('faller ended (exit code 3); its last lines:');
    expect(child.lines.toSorted()).toEqual(['one', 'two']);
  });

  it('ends by itself when the demo is killed without a word', async () => {
    const script = `import { Child } from ${JSON.stringify(CHILD_MODULE)};
      const child = new Child({ name: 'orphan', args: ['-e', ${JSON.stringify(FOREVER)}], environment: {} });
      child.onLine((line) => console.log(line)); setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [chunk]: unknown[] = await once(parent.stdout, 'data');
    const orphan = Number(/up (\d+)/.exec(String(chunk))?.[1]);
    expect(isAlive(orphan)).toBe(true);
    parent.kill('SIGKILL');
    for (let tries = 0; tries < 100 && isAlive(orphan); tries++) await sleep(50);
    expect(isAlive(orphan)).toBe(false);
  });
});

describe('free ports', () => {
  it('are as many as asked, all different and all free', async () => {
    const ports = await freePorts(8);
    expect(new Set(ports).size).toBe(8);
    expect(await Promise.all(ports.map((port) => isFreePort(port)))).toEqual(ports.map(() => true));
  });

  it('are not those on which somebody listens', async () => {
    const [port = 0] = await freePorts(1);
    const server = createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    expect(await isFreePort(port)).toBe(false);
    server.close();
  });
});

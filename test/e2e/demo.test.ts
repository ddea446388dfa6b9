// `outrigger demo`, as a person starts it: the story holds, the live table shows traffic, and nothing is left
// running afterwards.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { LAUNCHER } from '../../src/cli/demo/bookshop.ts';
import { freePorts } from '../../src/cli/demo/free-port.ts';
import { STEPS } from '../../src/cli/demo/steps.ts';

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** A demo that does not end is ended, so that a failure leaves nothing behind. */
const LIMIT_MS = 90_000;

/** Runs the demo; `during` sees the output so far after each piece and may send a signal. */
async function demo(args: readonly string[], during: (output: string, pid: number) => void = () => {}): Promise<Ended> {
  const child = spawn(process.execPath, [LAUNCHER, 'demo', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const take = (chunk: string): void => {
    output += chunk;
    during(output, child.pid ?? 0);
  };
  child.stdout.setEncoding('utf8').on('data', take);
  child.stderr.setEncoding('utf8').on('data', take);
  const timer = setTimeout(() => child.kill('SIGTERM'), LIMIT_MS);
  const [code]: unknown[] = await once(child, 'close');
  clearTimeout(timer);
  return { code: typeof code === 'number' ? code : null, output };
}

/** Process ids whose command line mentions `text` (Linux). */
function processesWith(text: string): string[] {
  return readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(text);
    } catch {
      return false;
    }
  });
}

describe('outrigger demo --once', () => {
  it('tells a story in which every step holds, within a minute', async () => {
    const startMs = performance.now();
    const { code, output } = await demo(['--once']);
    process.stdout.write(output);
    expect(output.match(/^ok /gm)?.length ?? 0, output).toBe(STEPS.length);
    expect({ code, failed: /FAILED/.test(output) }).toEqual({ code: 0, failed: false });
    expect(performance.now() - startMs).toBeLessThan(60_000);
  }, 120_000);
});

describe('outrigger demo', () => {
  it('shows traffic within 15 s and leaves nothing behind when it is ended', async () => {
    const startMs = performance.now();
    let shownMs = 0;
    const [door = 0] = await freePorts(1);
    const { code, output } = await demo(['--port', String(door)], (soFar, pid) => {
      if (shownMs > 0 || !/frontend +reviews +v1 .*\n +v2 /.test(soFar)) return;
      shownMs = performance.now() - startMs;
      process.kill(pid, 'SIGTERM');
    });
    expect(shownMs, output).toBeGreaterThan(0);
    expect(shownMs).toBeLessThan(15_000);
    expect(output).toContain('0 failed');
    expect(code).toBe(0);
    expect(processesWith(`--inbound\0${door}`)).toEqual([]);
  }, 110_000);

  it('says so when the port that was asked for is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const { code, output } = await demo(['--port', String(port)]);
    server.close();
    expect({ code, output }).toEqual({
      code: 1,
      output: `outrigger demo: port ${port} is taken by another program; choose another with --port\n`,
    });
  });

  it('refuses a rate that makes no sense', async () => {
    const { code } = await demo(['--rate', 'many']);
    expect(code).toBe(64);
  });
});

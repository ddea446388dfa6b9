// `outrigger drain`, as a pod runs it before it stops: who calls from outside goes elsewhere, the app still sends, nobody is cut,
// and the process is there until it is told to end.
import { expect, it } from 'vitest';
import { startChild } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { statusOf } from '../support/until.ts';
import { SidecarFolder, startUpstream } from './sidecar-process.ts';

interface Ran {
  readonly code: number | null;
  readonly stderr: string;
}

async function drain(...args: readonly string[]): Promise<Ran> {
  const child = startChild(process.execPath, [OUTRIGGER, 'drain', ...args]);
  const code = await child.exited;
  return { code, stderr: child.stderr() };
}

it.each([[[]], [['--concurrency', '2']]])(
  'lets inbound connections end and leaves the app its sidecar: %o',
  async (flags) => {
    using upstream = await startUpstream();
    using folder = new SidecarFolder();
    const [port = 0, outbound = 0, admin = 0] = await freePorts(3);
    const child = await folder.start({ port, outbound, admin, upstream: upstream.port }, flags);
    const connections = async (): Promise<readonly (string | null)[]> =>
      await Promise.all(
        [port, outbound].map(async (at) => (await fetch(`http://127.0.0.1:${at}/`)).headers.get('connection')),
      );
    const before = await connections();
    expect(before).not.toContain('close');
    // A second time changes nothing.
    for (let time = 0; time < 2; time++) expect(await drain('--admin', String(admin))).toEqual({ code: 0, stderr: '' });
    expect(await statusOf(admin, '/ready')).toBe(503);
    const [inbound, app] = await connections();
    expect(inbound).toBe('close');
    expect(app).not.toBe('close');
    expect(child.hasExited()).toBe(false);
    child.kill('SIGTERM');
    expect(await child.exited).toBe(0);
  },
  30_000,
);

it('says where nobody drains, and what to do', async () => {
  const [nobody = 0] = await freePorts(1);
  const away = await drain('--admin', String(nobody));
  expect(away).toEqual({ code: 1, stderr: expect.stringMatching(/:\d+\/drain: .*ECONNREFUSED.*--admin says where/) });
  const wrong = await drain('--admin', 'x');
  expect(wrong).toEqual({ code: 64, stderr: expect.stringContaining('a port is 1 to 65535') });
}, 30_000);

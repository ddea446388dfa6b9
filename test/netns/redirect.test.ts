// `outrigger redirect` against the kernel: real namespaces, both kinds of iptables, real connections. Who
// listens where a connection arrives tells where it was going, by SO_ORIGINAL_DST.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { APP_UID, PodNetwork, PROXY_UID, type Pod, type Ran } from '../support/pod.ts';
import type { Agent } from '../support/pod-agent-client.ts';

const launcher = join(import.meta.dirname, '..', '..', 'bin', 'outrigger.js');

function redirect(pod: Pod, ...args: readonly string[]): Ran {
  return pod.run(process.execPath, launcher, 'redirect', ...args);
}

/** What is in the table, without counters, times and the program's own remarks. */
function rulesOf(pod: Pod, program: string): readonly string[] {
  const lines = pod.run(program).stdout.split('\n');
  return lines.filter((line) => !line.startsWith('#') && line !== '').map((line) => line.replace(/\[\d+:\d+\]/, ''));
}

describe('the rules in the kernel', () => {
  let network: PodNetwork;
  let pod: Pod;
  beforeAll(() => {
    network = new PodNetwork(['alone']);
    pod = network.pod('alone');
  });
  afterAll(() => network.close());

  const options = [
    ['-b', '80,8000-8100', '-d', '8080', '-q', '9000-9001', '-o', '25', '-u', '1337,1338', '-g', ''],
    ['-i', '192.168.1.1/16,2001:db8::/32', '-x', '10.1.2.3/8,fd00::1/16', '-c', 'eth1,tap+', '-k', 'net1'],
  ].flat();
  describe.each(['nft', 'legacy'])('of iptables-%s', (backend) => {
    const [save, save6] = [`iptables-${backend}-save`, `ip6tables-${backend}-save`];
    const on = (action: string, ...args: readonly string[]): Ran =>
      redirect(pod, action, '--backend', backend, ...args);
    beforeAll(() => {
      const foreign = ['-t', 'nat', '-A', 'OUTPUT', '-p', 'udp', '-m', 'comment', '--comment', 'j OUTRIGGER_OUTPUT'];
      for (const program of [`iptables-${backend}`, `ip6tables-${backend}`]) {
        expect(pod.run(program, '-t', 'nat', '-N', 'FOREIGN').status).toBe(0);
        expect(pod.run(program, ...foreign, '-j', 'FOREIGN').status).toBe(0);
        expect(pod.run(program, '-t', 'filter', '-A', 'INPUT', '-p', 'udp', '-j', 'ACCEPT').status).toBe(0);
      }
    });
    afterAll(() => {
      for (const program of [`iptables-${backend}`, `ip6tables-${backend}`]) {
        pod.run(program, '-t', 'nat', '-F');
        pod.run(program, '-t', 'nat', '-X');
        pod.run(program, '-F');
      }
    });

    it.each([{ args: [] }, { args: options }])('are installed, verified, left alone and removed %#', ({ args }) => {
      const before = [rulesOf(pod, save), rulesOf(pod, save6)];
      expect(on('verify', ...args).status).toBe(1);
      expect(on('install', ...args)).toEqual({ status: 0, stdout: '', stderr: 'ipv4: installed\nipv6: installed\n' });
      const installed = [rulesOf(pod, save), rulesOf(pod, save6)];
      expect(on('verify', ...args)).toEqual({ status: 0, stdout: '', stderr: 'ipv4: in force\nipv6: in force\n' });
      const idle = 'in force already, nothing changed';
      expect(on('install', ...args).stderr).toBe(`ipv4: ${idle}\nipv6: ${idle}\n`);
      expect([rulesOf(pod, save), rulesOf(pod, save6)]).toEqual(installed);
      expect(on('remove').stderr).toBe('ipv4: removed\nipv6: removed\n');
      expect([rulesOf(pod, save), rulesOf(pod, save6)]).toEqual(before);
      expect(pod.run('ip', '-6', 'address', 'show', 'dev', 'lo').stdout).not.toContain('::6/128');
      expect(on('remove').stderr).toBe('ipv4: nothing to remove\nipv6: nothing to remove\n');
    });

    it('are put right after somebody meddled', () => {
      on('install');
      const program = `iptables-${backend}`;
      pod.run(program, '-t', 'nat', '-D', 'OUTPUT', '-p', 'tcp', '-j', 'OUTRIGGER_OUTPUT');
      pod.run(program, '-t', 'nat', '-I', 'OUTRIGGER_REDIRECT', '-p', 'tcp', '--dport', '1', '-j', 'RETURN');
      pod.run(program, '-t', 'nat', '-A', 'PREROUTING', '-p', 'tcp', '-j', 'OUTRIGGER_INBOUND');
      const { status, stdout } = on('verify', '--family', 'ipv4');
      expect({ status, lines: stdout.trim().split('\n') }).toEqual({
        status: 1,
        lines: [
          'ipv4: missing: -A OUTPUT -p tcp -j OUTRIGGER_OUTPUT',
          'ipv4: repeated: -A PREROUTING -p tcp -j OUTRIGGER_INBOUND',
          'ipv4: unexpected: -A OUTRIGGER_REDIRECT -p tcp -m tcp --dport 1 -j RETURN',
        ],
      });
      expect(on('install').status).toBe(0);
      expect(on('verify').status).toBe(0);
      expect(on('install', '-b', '').status).toBe(0);
      expect(on('verify', '-b', '').status).toBe(0);
      expect(on('remove').status).toBe(0);
    });
  });

  it('need privileges, and the message says which', () => {
    const user = ['setpriv', '--reuid', '1000', '--regid', '1000', '--clear-groups'];
    const { status, stderr } = pod.run(...user, process.execPath, launcher, 'redirect', 'install');
    expect({ status, help: stderr.includes('run it as root with NET_ADMIN and NET_RAW') }).toEqual({
      status: 1,
      help: true,
    });
  });
});

describe('connections of a redirected pod', () => {
  let network: PodNetwork;
  let captured: Pod;
  let other: Pod;
  let app: Agent;
  let proxy: Agent;
  let peer: Agent;
  beforeAll(async () => {
    network = new PodNetwork(['captured', 'other']);
    captured = network.pod('captured');
    other = network.pod('other');
    [app, proxy, peer] = await Promise.all([captured.agent(APP_UID), captured.agent(PROXY_UID), other.agent()]);
    for (const port of [15_001, 15_006]) await proxy.listen('original', port);
    for (const port of [80, 81, 9000, 15_021]) await app.listen('original', port);
    for (const port of [80, 81, 82, 8050]) await peer.listen('original', port);
    const excluded = ['-o', '81', '-d', '81,15021', '-x', `${other.ipv4.replace(/\d+$/, '200')}/29,fd77::c8/125`];
    expect(redirect(captured, 'install', ...excluded).status).toBe(0);
    other.run('ip', 'address', 'add', '10.77.0.201/24', 'dev', 'eth0');
    other.run('ip', '-6', 'address', 'add', 'fd77::c9/64', 'dev', 'eth0', 'nodad');
  });
  afterAll(() => network.close());

  const away = { ipv4: '10.77.0.201', ipv6: 'fd77::c9' };
  const families = ['ipv4', 'ipv6'] as const;
  it.each(families)('of the app go to the outbound port over %s, and say where they were going', async (family) => {
    const to = other[family];
    expect((await app.dial(to, 80)).text).toBe(`15001 for ${to} 80`);
    // Nobody listens there, and nobody is asked.
    expect((await app.dial(to, 4321)).text).toBe(`15001 for ${to} 4321`);
  });

  it.each(families)('of the app to itself are not redirected over %s', async (family) => {
    expect((await app.dial(captured[family], 80)).text).toBe('80 itself');
    expect((await app.dial(family === 'ipv4' ? '127.0.0.1' : '::1', 80)).text).toBe('80 itself');
  });

  it.each(families)('of the app to what is excluded are not redirected over %s', async (family) => {
    expect((await app.dial(other[family], 81)).text).toBe('81 itself');
    expect((await app.dial(away[family], 80)).text).toBe('80 itself');
  });

  it.each(families)('of the sidecar are not redirected over %s', async (family) => {
    expect((await proxy.dial(other[family], 80)).text).toBe('80 itself');
  });

  it.each(families)('of the sidecar to its own pod are inbound over %s', async (family) => {
    const to = captured[family];
    expect((await proxy.dial(to, 80)).text).toBe(`15006 for ${to} 80`);
    expect((await proxy.dial(family === 'ipv4' ? '127.0.0.1' : '::1', 80)).text).toBe('80 itself');
  });

  it.each(families)(
    'of the sidecar to its app are not redirected, for where they come from, over %s',
    async (family) => {
      const from = family === 'ipv4' ? '127.0.0.6' : '::6';
      expect((await proxy.dial(captured[family], 80, { from })).text).toBe('80 itself');
    },
  );

  it.each(families)('of others go to the inbound port over %s', async (family) => {
    const to = captured[family];
    expect((await peer.dial(to, 80)).text).toBe(`15006 for ${to} 80`);
    expect((await peer.dial(to, 4321)).text).toBe(`15006 for ${to} 4321`);
    expect((await peer.dial(to, 81)).text).toBe('81 itself');
    expect((await peer.dial(to, 15_021)).text).toBe('15021 itself');
  });

  it('that others make to the ports of the sidecar are known for what they are', async () => {
    expect((await peer.dial(captured.ipv4, 15_006)).text).toBe('15006 itself');
    expect((await peer.dial(captured.ipv4, 15_001)).text).toBe(`15006 for ${captured.ipv4} 15001`);
    expect((await app.dial('127.0.0.1', 15_001)).text).toBe('15001 itself');
  });

  it('are named ports and ranges only, where those are given', async () => {
    const narrow = ['-b', '9000', '-i', `${away.ipv4}/32`, '-q', '8000-8100'];
    expect(redirect(captured, 'install', ...narrow).status).toBe(0);
    expect((await app.dial(away.ipv4, 80)).text).toBe(`15001 for ${away.ipv4} 80`);
    expect((await app.dial(other.ipv4, 8050)).text).toBe(`15001 for ${other.ipv4} 8050`);
    expect((await app.dial(other.ipv4, 82)).text).toBe('82 itself');
    expect((await peer.dial(captured.ipv4, 9000)).text).toBe(`15006 for ${captured.ipv4} 9000`);
    expect((await peer.dial(captured.ipv4, 80)).text).toBe('80 itself');
  });

  it('go where they are meant to after the rules were removed', async () => {
    expect(redirect(captured, 'remove').status).toBe(0);
    expect((await app.dial(other.ipv4, 80)).text).toBe('80 itself');
    expect((await peer.dial(captured.ipv6, 80)).text).toBe('80 itself');
  });
});

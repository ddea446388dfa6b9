// What the kernel's answers about redirected connections are read as, and that a connection nobody redirected
// has no original destination. Real redirects are in test/netns.
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { loadDescriptorCalls } from '../../../src/sidecar/descriptor-calls.ts';
import { loadOriginalDestination, originalDestinationBy } from '../../../src/sidecar/original-destination.ts';

const ENOENT = 2;
const V4 = '02001f900a090807' + '00'.repeat(8);
const V6 = '0a001f9000000000fd000000000000000000000000000a0100000000';

describe('the original destination of a connection', () => {
  const table = [
    {
      title: 'an IPv4 address',
      answer: V4,
      own: '127.0.0.1',
      port: 15_001,
      found: { address: '10.9.8.7', port: 8080 },
    },
    { title: 'an IPv6 address', answer: V6, own: '::1', port: 15_001, found: { address: 'fd00::a01', port: 8080 } },
    {
      title: 'the same address, another port',
      answer: V4,
      own: '10.9.8.7',
      port: 15_006,
      found: { address: '10.9.8.7', port: 8080 },
    },
    {
      title: 'an IPv4 connection that was tracked, not redirected',
      answer: V4,
      own: '10.9.8.7',
      port: 8080,
      found: null,
    },
    {
      title: 'an IPv6 connection that was tracked, not redirected',
      answer: V6,
      own: 'fd00::a01',
      port: 8080,
      found: null,
    },
    { title: 'a connection that the kernel does not track', answer: '', own: '10.9.8.7', port: 8080, found: null },
  ];
  it.each(table)('is read from $title', ({ answer, own, port, found }) => {
    const asked: number[] = [];
    const read = originalDestinationBy({
      getSocketOption(fd, level, option, value) {
        asked.push(fd, level, option, value.length);
        return answer === '' ? -ENOENT : Buffer.from(answer, 'hex').copy(value);
      },
    });
    expect(read(7, { address: own, port })).toEqual(found);
    expect(asked).toEqual(own.includes(':') ? [7, 41, 80, 28] : [7, 0, 80, 16]);
  });

  it.each(['127.0.0.1', '::1'])('is nothing for one that was dialled directly to %s', async (host) => {
    const read = await loadOriginalDestination();
    await withConnection(host, (fd, own) => {
      expect(read(fd, own)).toBeNull();
    });
  });
});

describe('descriptor calls', () => {
  it('read options, duplicate descriptors and tell errors', async () => {
    const calls = await loadDescriptorCalls();
    expect(calls).not.toBeNull();
    await withConnection('127.0.0.1', (fd) => {
      const [socketLevel, isListening] = [1, 30];
      const value = Buffer.alloc(4, 7);
      expect(calls?.getSocketOption(fd, socketLevel, isListening, value)).toBe(4);
      expect(value.readUInt32LE()).toBe(0);
      const duplicate = calls?.duplicate(fd) ?? -1;
      expect(duplicate).toBeGreaterThan(fd);
      closeSync(duplicate);
    });
    const badDescriptor = -9;
    expect(calls?.getSocketOption(9999, 1, 9, Buffer.alloc(4))).toBe(badDescriptor);
    expect(calls?.duplicate(9999)).toBeLessThan(0);
  });
});

async function withConnection(
  host: string,
  look: (fd: number, own: { readonly address: string; readonly port: number }) => void,
): Promise<void> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const { address, port }: AddressInfo = Object(server.address());
  const accepting: Promise<Socket[]> = once(server, 'connection');
  const client = connect(port, host);
  const [accepted] = await accepting;
  const handle: { readonly fd: number } = Object(Reflect.get(Object(accepted), '_handle'));
  try {
    look(handle.fd, { address, port });
  } finally {
    client.destroy();
    accepted?.destroy();
    server.close();
  }
}

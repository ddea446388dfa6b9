// The TLS port of the control service against peers that never finish a handshake: anybody who reaches the port can be
// one, so they must cost nothing that lasts.
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectSecurely } from 'node:tls';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { createLog } from '../../../src/base/log.ts';
import { CertificateAuthority } from '../../../src/control/ca/certificate-authority.ts';
import { DirectoryStore } from '../../../src/control/ca/directory-store.ts';
import { SecureFront } from '../../../src/control/secure-front.ts';
import { until } from '../../support/until.ts';

const HALF_A_CLIENT_HELLO = Buffer.from('1603010200010001fc', 'hex');
const UNFINISHED: readonly (readonly [string, Buffer])[] = [
  ['sends nothing', Buffer.alloc(0)],
  ['sends half of its hello', HALF_A_CLIENT_HELLO],
];

let folder = '';
let authority: CertificateAuthority;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'outrigger-front-'));
  const opened = await CertificateAuthority.open({
    store: new DirectoryStore(folder),
    log: createLog('ca', 'off', () => {}),
    trustDomain: 'cluster.local',
    clock: systemClock,
  });
  if (opened.kind === 'refused') throw new Error('the authority was refused');
  ({ authority } = opened);
});

afterEach(async () => {
  await authority.close();
  await rm(folder, { recursive: true, force: true });
});

test.each(UNFINISHED)('a peer that %s is cut off when its time is over', async (_, bytes) => {
  const { front, peer } = await reach(100, bytes);
  const closed = once(peer, 'close');
  peer.resume();
  await closed;
  expect(front.handshakesFailed).toBe(1);
  await front.stop(0);
});

test.each(UNFINISHED)('a peer that %s does not hold up the end', async (_, bytes) => {
  const { front, peer } = await reach(3_600_000, bytes);
  const closed = once(peer, 'close');
  peer.resume();
  await front.stop(50);
  await closed;
});

test.each(['TLSv1.2', 'TLSv1.3'] as const)('a peer that sends what is no %s is cut off', async (version) => {
  const { front, peer } = await reach(3_600_000, Buffer.alloc(0));
  const versions = { minVersion: version, maxVersion: version, rejectUnauthorized: false };
  const client = connectSecurely({ socket: peer, ALPNProtocols: ['h2'], ...versions });
  client.on('error', () => {});
  await once(client, 'secureConnect');
  await until('the connection is there', () => front.connections === 1);
  peer.write(Buffer.from(`1703030020${'5a'.repeat(32)}`, 'hex'));
  await until('the connection is gone', () => front.connections === 0);
  await front.stop(0);
});

async function reach(handshakeTimeoutMs: number, bytes: Buffer): Promise<{ front: SecureFront; peer: Socket }> {
  const front = new SecureFront({
    authority,
    address: '127.0.0.1:0',
    names: ['localhost'],
    log: createLog('tls', 'off', () => {}),
    clock: systemClock,
    onConnection: () => {},
    handshakeTimeoutMs,
  });
  const address = await front.start();
  const peer = connect(Number(address.split(':')[1]), '127.0.0.1');
  peer.on('error', () => {});
  await once(peer, 'connect');
  peer.write(bytes);
  return { front, peer };
}

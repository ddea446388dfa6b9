// The resolver of the sidecar against a real name server on a UDP socket, written here.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { silentLog } from '../../../src/base/log.ts';
import { LiveCluster } from '../../../src/resilience/cluster.ts';
import { createNodeResolver } from '../../../src/resilience/resolver.ts';
import { assignmentJson, HandDelays, lbEndpoint, settingsOf } from './cluster-builders.ts';

const TYPE_A = 1;
const NXDOMAIN = 3;
const SERVFAIL = 2;

interface Records {
  readonly v4: readonly string[];
  readonly ttlSeconds: number;
}

/** Answers A questions from a table; `servfail` fails; names that are not in it do not exist. */
class NameServer {
  readonly zone = new Map<string, Records | 'servfail'>();
  readonly #socket: Socket = createSocket('udp4');

  async listen(): Promise<string> {
    this.#socket.on('message', (question, { port, address }) =>
      this.#socket.send(this.#answer(question), port, address),
    );
    this.#socket.bind(0, '127.0.0.1');
    await once(this.#socket, 'listening');
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  close(): void {
    this.#socket.close();
  }

  #answer(question: Buffer): Buffer {
    const { name, end } = readName(question);
    const isV4 = question.readUInt16BE(end) === TYPE_A;
    const found = this.zone.get(name.toLowerCase());
    const code = found === undefined ? NXDOMAIN : found === 'servfail' ? SERVFAIL : 0;
    const records = found === undefined || found === 'servfail' || !isV4 ? [] : found.v4;
    const ttlSeconds = found === undefined || found === 'servfail' ? 0 : found.ttlSeconds;
    const head = Buffer.from(question.subarray(0, 12));
    head.writeUInt16BE(0x8180 | code, 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(records.length, 6);
    head.writeUInt32BE(0, 8);
    const answers = records.map((address) => {
      const record = Buffer.alloc(16);
      record.writeUInt16BE(0xc00c, 0);
      record.writeUInt16BE(TYPE_A, 2);
      record.writeUInt16BE(1, 4);
      record.writeUInt32BE(ttlSeconds, 6);
      record.writeUInt16BE(4, 10);
      address.split('.').forEach((part, index) => record.writeUInt8(Number(part), 12 + index));
      return record;
    });
    return Buffer.concat([head, question.subarray(12, end + 4), ...answers]);
  }
}

function readName(question: Buffer): { readonly name: string; readonly end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = question.readUInt8(at); length > 0; length = question.readUInt8(at)) {
    labels.push(question.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.'), end: at + 1 };
}

let server: NameServer;
let servers: readonly string[];

beforeEach(async () => {
  server = new NameServer();
  servers = [await server.listen()];
});

afterEach(() => server.close());

describe('createNodeResolver', () => {
  it('asks the given servers and says the time to live', async () => {
    server.zone.set('a.test', { v4: ['10.0.0.1', '10.0.0.2'], ttlSeconds: 17 });
    const result = await createNodeResolver().lookup('a.test', { family: 4, servers, needsTtl: true });
    expect(result).toEqual({
      kind: 'answer',
      addresses: [
        { address: '10.0.0.1', ttlSeconds: 17 },
        { address: '10.0.0.2', ttlSeconds: 17 },
      ],
    });
  });

  it.each([
    {
      says: 'a name that does not exist has no addresses',
      name: 'missing.test',
      family: 4,
      is: { kind: 'answer', addresses: [] },
    },
    {
      says: 'a name without addresses of the family has none',
      name: 'a.test',
      family: 6,
      is: { kind: 'answer', addresses: [] },
    },
    {
      says: 'a server that fails is a failure',
      name: 'broken.test',
      family: 4,
      is: { kind: 'failure', cause: 'ESERVFAIL' },
    },
  ] as const)('$says', async ({ name, family, is }) => {
    server.zone.set('a.test', { v4: ['10.0.0.1'], ttlSeconds: 1 });
    server.zone.set('broken.test', 'servfail');
    expect(await createNodeResolver().lookup(name, { family, servers, needsTtl: false })).toEqual(is);
  });

  it('reads /etc/hosts when it uses the system', async () => {
    const result = await createNodeResolver().lookup('localhost', { family: 4, servers: [], needsTtl: false });
    expect(result).toMatchObject({ kind: 'answer', addresses: [{ address: '127.0.0.1' }] });
  });

  it('drives a cluster whose addresses move and whose server then fails', async () => {
    const delays = new HandDelays();
    const [host = '', port = ''] = (servers[0] ?? '').split(':');
    const settings = settingsOf({
      type: 'STRICT_DNS',
      load_assignment: assignmentJson([lbEndpoint(80, {}, 'a.test')]),
      respect_dns_ttl: true,
      dns_resolution_config: { resolvers: [{ socket_address: { address: host, port_value: Number(port) } }] },
    });
    const cluster = new LiveCluster(settings, {
      clock: systemClock,
      random: () => 0,
      resolver: createNodeResolver(),
      log: silentLog,
      delay: delays.delay,
    });
    const seen = (): readonly string[] => cluster.endpoints.map(({ authority }) => authority);
    server.zone.set('a.test', { v4: ['10.0.0.1'], ttlSeconds: 9 });
    await new Promise<void>((resolve) => {
      cluster.onWarm(resolve);
      cluster.start();
    });
    expect({ seen: seen(), waiting: delays.waiting }).toEqual({ seen: ['10.0.0.1:80'], waiting: [9000] });
    server.zone.set('a.test', { v4: ['10.0.0.2', '10.0.0.3'], ttlSeconds: 9 });
    await new Promise<void>((resolve) => {
      cluster.onEndpoints(() => resolve());
      void delays.pass();
    });
    expect(seen().toSorted()).toEqual(['10.0.0.2:80', '10.0.0.3:80']);
    server.zone.set('a.test', 'servfail');
    const failed = delays.next();
    await delays.pass();
    await failed;
    expect(seen().toSorted()).toEqual(['10.0.0.2:80', '10.0.0.3:80']);
    cluster.close();
  });
});

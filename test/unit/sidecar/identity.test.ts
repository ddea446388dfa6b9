// The life of a workload's certificate on clocks that the test moves: renewal and its jitter, an hour without the control
// service, expiry and the way back, clocks that jump or are wrong, and roots that change.
import { create } from '@bufbuild/protobuf';
import { AnySchema, type Any } from '@bufbuild/protobuf/wkt';
import { toBinary } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { createLog } from '../../../src/base/log.ts';
import { Registry } from '../../../src/observe/registry.ts';
import type { CertificateAnswer, CertificateRequest } from '../../../src/sidecar/certificate-request.ts';
import { ControlAccess } from '../../../src/sidecar/control-access.ts';
import { Identity } from '../../../src/sidecar/identity.ts';
import { Lifetime } from '../../../src/sidecar/identity-lifetime.ts';
import { ADS, IDENTITY, SecretStore } from '../../../src/sidecar/secrets.ts';
import type { KeyPair } from '../../../src/tls/key-pair.ts';
import type { Slot } from '../../../src/tls/slot.ts';
import { SecretSchema } from '../../../src/xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { SECRET_TYPE } from '../../../src/xds/type-url.ts';
import { publicKeyOf, TestAuthority } from '../../support/test-authority.ts';

const ID = 'spiffe://cluster.local/ns/shop/sa/cart';
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 10, 23), toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A workload whose authority is a function. */
class Subject {
  authority = new TestAuthority('root');
  roots = this.authority.pem;
  isAway = false;
  asked = 0;
  /** How far the authority's clock is ahead of ours. */
  aheadMs = 0;
  readonly lines: string[] = [];
  readonly identity: Identity;
  readonly secrets: SecretStore;
  readonly slot: Slot<KeyPair>;
  readonly registry = new Registry();
  readonly #lifeMs: number;

  constructor(lifeMs: number, before: Partial<Pick<Subject, 'isAway' | 'aheadMs'>> = {}) {
    this.#lifeMs = lifeMs;
    Object.assign(this, before);
    const log = createLog('test', 'debug', (line) => void this.lines.push(line));
    const control = { host: '127.0.0.1', port: 1 };
    this.identity = new Identity({
      access: new ControlAccess({ control, tokenFile: null, rootFile: null, rootHash: null }),
      expected: { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'cart' },
      uri: ID,
      lifetimeSeconds: lifeMs / SECOND,
      log,
      clock: systemClock,
      random: seeded(7),
      request: (_access, request) => Promise.resolve(this.#answer(request)),
    });
    this.secrets = new SecretStore(log);
    this.slot = this.secrets.namedCertificate({ name: 'default', source: IDENTITY, waitMs: 0, problems: [], path: '' });
    this.identity.start(this.secrets, this.registry);
  }

  /** One response of SDS by ADS. */
  pushRoots(pem: string): number {
    const trustedCa = { specifier: { case: 'inlineString', value: pem } } as const;
    const secret = create(SecretSchema, { name: 'ROOTCA', type: { case: 'validationContext', value: { trustedCa } } });
    const resource: Any = create(AnySchema, { typeUrl: SECRET_TYPE, value: toBinary(SecretSchema, secret) });
    return this.secrets.apply(ADS, { changed: [{ name: 'ROOTCA', version: '1', resource }] }).length;
  }

  gauge(name: string): string {
    const family = this.registry.families.get(name);
    return [...(family?.series.values() ?? [])]
      .map(({ labels, slot }) => `${labels.join()}=${this.registry.get(slot)}`)
      .join(' ');
  }

  #answer({ csr }: CertificateRequest): CertificateAnswer {
    this.asked++;
    if (this.isAway) return { kind: 'failed', reason: 'unreachable', detail: 'nobody there' };
    const notBeforeMs = Date.now() + this.aheadMs - 2 * MINUTE;
    const notAfterMs = Date.now() + this.aheadMs + this.#lifeMs;
    const leaf = this.authority.sign({ publicKey: publicKeyOf(csr), uris: [ID], notBeforeMs, notAfterMs });
    return { kind: 'issued', chain: [leaf, this.roots], shown: 'token' };
  }
}

async function pass(milliseconds: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(milliseconds);
}

async function began(lifeMs: number): Promise<Subject> {
  const subject = new Subject(lifeMs);
  await pass(0);
  expect(subject.slot.value?.leaf.names.uri).toEqual([ID]);
  return subject;
}

describe('renewal', () => {
  test('comes between 35 % and 65 % of the life, again and again, each time with a new key', async () => {
    const subject = await began(HOUR);
    const keys = new Set<string>();
    for (let renewal = 1; renewal <= 5; renewal++) {
      keys.add(subject.slot.value?.source.key ?? '');
      await pass(0.35 * HOUR - SECOND);
      expect(subject.identity.renewals).toBe(renewal - 1);
      const { renewsInMs = 0 } = subject.identity.lifetime ?? {};
      await pass(renewsInMs + SECOND);
      expect(subject.identity.renewals).toBe(renewal);
      expect(subject.identity.lifetime?.leftMs).toBeGreaterThan(0.99 * HOUR);
    }
    expect([keys.size, subject.asked]).toEqual([5, 6]);
  });

  test('of 100 workloads with certificates of 60 s falls into the same 100 ms for less than 5 % of their pairs', () => {
    const random = seeded(3);
    const now = Date.now();
    let pairs = 0;
    let met = 0;
    for (let rotation = 0; rotation < 10; rotation++) {
      const times = Array.from({ length: 100 }, () => {
        const validity = { notBeforeMs: now - 2 * MINUTE, notAfterMs: now + MINUTE };
        return new Lifetime(validity, { clock: systemClock, random, askedMs: MINUTE }).renewAfterMs;
      });
      expect([Math.min(...times) >= 0.35 * MINUTE, Math.max(...times) <= 0.65 * MINUTE]).toEqual([true, true]);
      for (const [index, time] of times.entries()) {
        for (const other of times.slice(index + 1)) {
          pairs++;
          if (Math.abs(time - other) < 100) met++;
        }
      }
    }
    expect(met / pairs).toBeLessThan(0.05);
  });
});

describe('while the control service is away', () => {
  test('for an hour, the certificate stays in force, the page says until when, and it is renewed afterwards', async () => {
    const subject = await began(2 * HOUR);
    const expires = new Date(subject.slot.value?.leaf.notAfterMs ?? 0).toISOString().replace(/\.\d+Z/, '');
    const pair = subject.slot.value;
    const awaySinceMs = Date.now();
    subject.isAway = true;
    await pass(HOUR + 25 * MINUTE);
    expect([subject.slot.value, subject.identity.isExpired]).toEqual([pair, false]);
    const [first = '', second = ''] = subject.identity.notices(awaySinceMs);
    expect(first.slice(0, first.indexOf(expires) + expires.length)).toBe(
      `the certificate of ${ID} expires at ${expires}`,
    );
    expect(second).toContain(`: traffic goes on until ${expires}`);
    expect(subject.gauge('outrigger_certificate_expiration_seconds')).toBe(
      `=${Math.floor(Date.parse(`${expires}Z`) / 1000)}`,
    );
    expect(Number(subject.gauge('outrigger_certificate_remaining_seconds').slice(1))).toBeCloseTo(35 * 60, -1);
    expect(subject.gauge('istio_agent_cert_expiry_seconds')).toMatch(/^default=2\d{3}$/);
    // Pauses of up to a minute: it keeps asking, and it does not flood.
    expect([subject.asked > 10, subject.asked < 120]).toEqual([true, true]);
    expect(subject.gauge('outrigger_certificate_failures_total')).toContain(`unreachable=${subject.asked - 1}`);
    expect(subject.lines.filter((line) => line.includes('renewal of the certificate is overdue'))).toHaveLength(0);
    await pass(10 * MINUTE);
    expect(subject.lines.filter((line) => line.includes('renewal of the certificate is overdue'))).toHaveLength(1);
    subject.isAway = false;
    await pass(MINUTE);
    expect([subject.identity.renewals, subject.slot.value === pair, subject.identity.notices(null).length]).toEqual([
      1,
      false,
      1,
    ]);
  });

  test('until it expires: nothing is left to make a handshake with, and ten seconds after it is back all is well', async () => {
    const subject = await began(10 * MINUTE);
    subject.isAway = true;
    await pass(10 * MINUTE - SECOND);
    expect(subject.slot.value).not.toBeNull();
    await pass(2 * SECOND);
    expect(subject.slot.value).toBeNull();
    expect(subject.slot.revocation).toMatch(/^own certificate expired at 20/);
    expect([subject.identity.isExpired, subject.identity.access.own?.keyPem]).toEqual([true, '']);
    expect(subject.identity.notices(null)[0]).toMatch(/expired at .*: no handshake begins/);
    await pass(5 * SECOND);
    expect(subject.gauge('outrigger_certificate_remaining_seconds')).toMatch(/^=-\d$/);
    // A context that is made now gets nothing either.
    const late = subject.secrets.namedCertificate({
      name: 'default',
      source: IDENTITY,
      waitMs: 0,
      problems: [],
      path: '',
    });
    expect(late.value).toBeNull();
    await pass(HOUR);
    subject.isAway = false;
    await pass(10 * SECOND);
    expect([subject.slot.value?.leaf.names.uri, subject.slot.revocation, late.value === subject.slot.value]).toEqual([
      [ID],
      '',
      true,
    ]);
    expect(subject.identity.isExpired).toBe(false);
  });

  test('from the beginning, the first certificate is there ten seconds after it comes', async () => {
    const subject = new Subject(HOUR, { isAway: true });
    await pass(20 * MINUTE);
    expect([subject.slot.value, subject.identity.notices(null)[0]]).toEqual([null, 'there is no certificate yet']);
    subject.isAway = false;
    await pass(10 * SECOND);
    expect(subject.slot.value).not.toBeNull();
  });
});

describe('clocks', () => {
  test.each([
    ['an hour ahead, beyond its end', HOUR],
    ['ten minutes ahead', 40 * MINUTE],
  ])('one that jumps %s costs one renewal and takes nothing away', async (_how, jumpMs) => {
    const subject = await began(HOUR);
    await pass(MINUTE);
    vi.setSystemTime(Date.now() + jumpMs);
    await pass(10 * SECOND);
    expect([subject.asked, subject.identity.isExpired]).toEqual([2, false]);
    await pass(20 * MINUTE);
    expect(subject.asked).toBe(2);
    expect(subject.lines.some((line) => line.includes('has expired'))).toBe(false);
  });

  test('one that jumps beyond the end while nobody answers ends it', async () => {
    const subject = await began(HOUR);
    subject.isAway = true;
    vi.setSystemTime(Date.now() + 2 * HOUR);
    await pass(10 * SECOND);
    expect(subject.slot.value).toBeNull();
  });

  test('one that is set back delays no renewal', async () => {
    const subject = await began(HOUR);
    vi.setSystemTime(Date.now() - 24 * HOUR);
    await pass(0.65 * HOUR + SECOND);
    expect(subject.identity.renewals).toBe(1);
  });

  test.each([
    ['two minutes behind', 2 * MINUTE, false],
    ['two minutes ahead', -2 * MINUTE, false],
    ['ten minutes behind', 10 * MINUTE, true],
    ['a day ahead', -24 * HOUR, true],
    ['a day behind', 24 * HOUR, true],
  ])('one that is %s makes no storm', async (_how, aheadMs, isTold) => {
    const subject = new Subject(HOUR, { aheadMs });
    await pass(0);
    expect(subject.slot.value).not.toBeNull();
    await pass(5 * HOUR);
    expect([subject.asked > 5, subject.asked < 20, subject.identity.isExpired]).toEqual([true, true, false]);
    expect(subject.lines.some((line) => line.includes('clock of this machine'))).toBe(isTold);
  });
});

describe('roots that come by ADS', () => {
  test('are trusted at once, and a certificate of one that is not trusted any more is replaced within seconds', async () => {
    const subject = await began(HOUR);
    const old = subject.authority.pem;
    const trust = subject.secrets.namedTrust(
      { name: 'ROOTCA', source: IDENTITY, waitMs: 0, problems: [], path: '' },
      null,
    );
    const next = new TestAuthority('next');
    expect([trust.value?.authorities.length, subject.pushRoots(next.pem + old)]).toEqual([1, 0]);
    expect(trust.value?.authorities.map(({ pem }) => pem)).toEqual([next.pem, old]);
    expect(subject.asked).toBe(1);
    subject.authority = next;
    subject.roots = next.pem;
    subject.pushRoots(next.pem);
    await pass(2 * SECOND);
    expect([subject.asked, trust.value?.authorities.map(({ pem }) => pem)]).toEqual([2, [next.pem]]);
    expect(subject.slot.value?.leaf.x509.verify(subject.slot.value.leaf.x509.publicKey)).toBe(false);
  });

  test.each([
    ['nothing', ''],
    ['no certificate', 'x'],
    ['one that is no root', new TestAuthority('below', new TestAuthority('above')).pem],
  ])('are refused when they are %s', async (_what, pem) => {
    const subject = await began(HOUR);
    expect([subject.pushRoots(pem), subject.identity.rootsPem]).toEqual([1, subject.authority.pem]);
  });
});

/** mulberry32. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

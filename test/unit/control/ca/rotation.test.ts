// The rotation of the root across all its stages, with the clock in the test's hands: whoever is as late as anybody can
// be still gets on with everybody else, and no stage begins earlier.
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { X509Certificate } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../../../src/base/log.ts';
import { CertificateAuthority } from '../../../../src/control/ca/certificate-authority.ts';
import { DirectoryStore } from '../../../../src/control/ca/directory-store.ts';
import { NOTICE_MS, readRotation, rotate, type RotationAction } from '../../../../src/control/ca/rotation.ts';
import { EC_KEY, privateKey, signingRequest } from '../../../support/openssl.ts';

const LIFETIME_MS = 60_000;
const ID = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'reviews' };
const REQUEST = signingRequest(privateKey(EC_KEY));

let wallMs = 0;
let directory = '';
let store: DirectoryStore;
let replicas: readonly CertificateAuthority[] = [];

beforeEach(async () => {
  wallMs = Date.UTC(2026, 5, 1);
  directory = join(await mkdtemp(join(tmpdir(), 'outrigger-rotation-')), 'ca');
  store = new DirectoryStore(directory);
  // Both start on nothing at the same moment.
  replicas = await Promise.all([openReplica(), openReplica()]);
});

afterEach(async () => {
  await Promise.all(replicas.map((replica) => replica.close()));
  await rm(join(directory, '..'), { recursive: true });
});

async function openReplica(): Promise<CertificateAuthority> {
  const clock = { now: () => wallMs, wall: () => wallMs };
  const options = { store: new DirectoryStore(directory), log: silentLog, clock, lifetimeMaxMs: LIFETIME_MS };
  const opened = await CertificateAuthority.open({ ...options, trustDomain: 'cluster.local' });
  if (opened.kind === 'refused') throw new Error(JSON.stringify(opened.problems));
  return opened.authority;
}

/** What a sidecar has that renewed now: its certificate, and the roots by which it judges others. */
interface Holding {
  readonly at: string;
  readonly untilMs: number;
  readonly leaf: X509Certificate;
  readonly roots: readonly X509Certificate[];
}

async function renew(at: string, authority: CertificateAuthority): Promise<Holding> {
  const signed = await authority.sign(REQUEST, ID, 0);
  if (signed.kind === 'refused') throw new Error(signed.reason);
  const leaf = new X509Certificate(signed.chainPem[0] ?? '');
  return {
    at,
    untilMs: signed.notAfterMs,
    leaf,
    roots: authority.trustBundlePem.map((pem) => new X509Certificate(pem)),
  };
}

function strangers(holdings: readonly Holding[]): readonly string[] {
  const living = holdings.filter(({ untilMs }) => untilMs > wallMs);
  return living.flatMap((one) =>
    living
      .filter(({ leaf }) => !one.roots.some((root) => leaf.checkIssued(root) && leaf.verify(root.publicKey)))
      .map((other) => `${one.at} does not trust ${other.at}`),
  );
}

async function apply(action: RotationAction, isForced = false): Promise<string> {
  let kind = '';
  await store.update(async (files) => {
    const step = await rotate(files, { action, nowMs: wallMs, isForced });
    kind = step.kind;
    return step.kind === 'done' ? step.files : null;
  });
  return kind;
}

async function stage(): Promise<string> {
  const state = readRotation(await store.read());
  return typeof state === 'string' ? state : state.stage;
}

describe('a rotation of the root', () => {
  it('keeps everybody in touch with everybody, at the earliest times that it allows', async () => {
    const holdings: Holding[] = [];
    const signers = new Set<string>();
    for (const action of ['start', 'switch', 'finish'] as const) {
      // Of two replicas one notices later: it signs as before until it has.
      for (const replica of replicas) holdings.push(await renew(`before ${action}`, replica));
      expect(await apply(action)).toBe('done');
      expect(await apply(action), 'twice').not.toBe('done');
      await replicas[0]?.reload();
      for (const [index, replica] of replicas.entries())
        holdings.push(await renew(`after ${action} at ${index}`, replica));
      expect(strangers(holdings)).toEqual([]);
      wallMs += NOTICE_MS - 1000;
      if (replicas[1] !== undefined) {
        holdings.push(await renew(`late after ${action}`, replicas[1]));
        await replicas[1].reload();
      }
      expect(strangers(holdings)).toEqual([]);
      const next = action === 'start' ? 'switch' : 'finish';
      wallMs += LIFETIME_MS + 999;
      if (action !== 'finish') expect(await apply(next)).toBe('early');
      wallMs += 1;
      for (const replica of replicas) signers.add(replica.material.signer.fingerprint256);
    }
    expect(signers.size).toBe(2);
    expect(await stage()).toBe('none');
    expect(replicas.map(({ trustBundlePem }) => trustBundlePem.length)).toEqual([1, 1]);
    const files = await store.read();
    expect([...files.keys()].toSorted()).toEqual([
      'ca-cert.pem',
      'ca-key.pem',
      'cert-chain.pem',
      'lifetime-max',
      'root-cert.pem',
    ]);
  });

  it('can be taken back from both stages, without strangers', async () => {
    const before = (await store.read()).get('root-cert.pem');
    const holdings: Holding[] = [];
    const step = async (action: RotationAction): Promise<string> => {
      const kind = await apply(action);
      for (const replica of replicas) {
        await replica.reload();
        holdings.push(await renew(`after ${action}`, replica));
      }
      expect(strangers(holdings)).toEqual([]);
      return kind;
    };
    expect(await step('start')).toBe('done');
    wallMs += LIFETIME_MS + NOTICE_MS;
    expect(await step('switch')).toBe('done');
    expect(await step('abort')).toBe('done');
    expect(await stage()).toBe('started');
    expect(await step('abort'), 'certificates of the new root live').toBe('early');
    wallMs += LIFETIME_MS + NOTICE_MS;
    expect(await step('abort')).toBe('done');
    expect((await store.read()).get('root-cert.pem')).toBe(before);
    expect(await step('start')).toBe('done');
    expect(await step('abort'), 'the new root never signed').toBe('done');
  });

  const REFUSED: readonly (readonly [RotationAction, readonly RotationAction[], string])[] = [
    ['switch', [], 'refused'],
    ['finish', [], 'refused'],
    ['abort', [], 'refused'],
    ['start', ['start'], 'refused'],
    ['finish', ['start'], 'refused'],
    ['switch', ['start'], 'early'],
    ['finish', ['start', 'switch'], 'early'],
    ['switch', ['start', 'switch'], 'refused'],
    ['start', ['start', 'switch'], 'refused'],
  ];
  it.each(REFUSED)('does not %s after %j', async (action, before, kind) => {
    for (const each of before) expect(await apply(each, true)).toBe('done');
    expect(await apply(action)).toBe(kind);
  });

  it('tells every control service of the directory when the roots change, and not when only the signer does', async () => {
    const told = replicas.map((replica) => new Promise<void>((done) => replica.onRootsChanged(done)));
    await apply('start');
    await Promise.all(told);
    expect(replicas.map(({ trustBundlePem }) => trustBundlePem.length)).toEqual([2, 2]);
    let times = 0;
    for (const replica of replicas) replica.onRootsChanged(() => (times += 1));
    await apply('switch', true);
    for (const replica of replicas) await replica.reload();
    expect(times).toBe(0);
    expect(new Set(replicas.map(({ material }) => material.signer.fingerprint256)).size).toBe(1);
  });
});

describe('the directory of an authority', () => {
  it('has one root, whoever started first', () => {
    expect(new Set(replicas.map(({ trustBundlePem }) => trustBundlePem.join(''))).size).toBe(1);
  });

  it('is closed to others, and keeps no keys of before', async () => {
    await apply('start');
    await apply('switch', true);
    await apply('finish', true);
    const modeOf = async (name: string): Promise<number> => (await stat(join(directory, name))).mode & 0o777;
    expect(await modeOf('.')).toBe(0o700);
    const names = await readdir(directory);
    for (const name of names.filter((each) => /pem$|lifetime/.test(each) && !each.startsWith('other')))
      expect([name, await modeOf(name)]).toEqual([name, 0o600]);
    expect(names.filter((name) => name.startsWith('..')).toSorted()).toEqual([
      expect.stringMatching(/^\.\.ca_/),
      '..data',
    ]);
  });
});

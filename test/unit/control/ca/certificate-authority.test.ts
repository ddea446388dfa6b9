// The certificate authority against its contract, with openssl as the second opinion.
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLog } from '../../../../src/base/log.ts';
import { CertificateAuthority, type Signature } from '../../../../src/control/ca/certificate-authority.ts';
import { DirectoryStore } from '../../../../src/control/ca/directory-store.ts';
import { EC_KEY, openssl, privateKey, RSA_KEY, signingRequest } from '../../../support/openssl.ts';

const ID = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'reviews' };
const URI = 'spiffe://cluster.local/ns/shop/sa/reviews';
const lines: string[] = [];
const log = createLog('test', 'info', (line) => lines.push(line));

let directory = '';
let authority: CertificateAuthority;
const HOUR_MS = 3_600_000;
const ecKey = privateKey(EC_KEY);
const request = signingRequest(ecKey, [`URI:${URI}`]);

async function openAt(place: string, wallMs: () => number = Date.now): Promise<CertificateAuthority> {
  const clock = { now: () => performance.now(), wall: wallMs };
  const store = new DirectoryStore(place);
  const opened = await CertificateAuthority.open({ store, log, trustDomain: 'cluster.local', clock });
  if (opened.kind === 'refused') throw new Error(JSON.stringify(opened.problems));
  return opened.authority;
}

function chainOf(signature: Signature): readonly string[] {
  if (signature.kind === 'refused') throw new Error(signature.reason);
  return signature.chainPem;
}

function leafOf(signature: Signature): X509Certificate {
  return new X509Certificate(chainOf(signature)[0] ?? '');
}

async function drafted(place: string, text: string): Promise<string> {
  await writeFile(join(place, 'draft'), text);
  return join(place, 'draft');
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'outrigger-ca-'));
  authority = await openAt(directory);
});

afterAll(async () => {
  await authority.close();
  await rm(directory, { recursive: true });
});

describe('a signed certificate', () => {
  const kinds = [
    { name: 'EC P-256', key: EC_KEY, usage: 'Digital Signature' },
    { name: 'EC P-384', key: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'], usage: 'Digital Signature' },
    { name: 'RSA 2048', key: RSA_KEY, usage: 'Digital Signature, Key Encipherment' },
  ];
  it.each(kinds)('is what a workload needs and openssl verifies, for a key $name', async ({ key, usage }) => {
    const chain = chainOf(await authority.sign(signingRequest(privateKey(key), [`URI:${URI}`]), ID, 0));
    const [leaf = ''] = chain;
    const roots = authority.trustBundlePem.join('');
    for (const purpose of ['sslserver', 'sslclient'])
      expect(
        openssl(['verify', '-x509_strict', '-purpose', purpose, '-CAfile', '$roots', '$leaf'], { roots, leaf }),
      ).toContain(': OK');
    const text = openssl(['x509', '-in', '$leaf', '-noout', '-text'], { leaf });
    expect(text).toMatch(/Subject: *\n/);
    expect(text).toMatch(
      /X509v3 Subject Alternative Name: critical\s+URI:spiffe:\/\/cluster.local\/ns\/shop\/sa\/reviews\n/,
    );
    expect(text).toMatch(/X509v3 Basic Constraints: critical\s+CA:FALSE/);
    expect(text).toMatch(new RegExp(`X509v3 Key Usage: critical\\s+${usage}\\n`));
    expect(text).toMatch(/TLS Web Server Authentication, TLS Web Client Authentication/);
    expect(chain).toHaveLength(1);
  });

  const LIVES = [
    { asked: 0, lives: 24 * HOUR_MS },
    { asked: Number.NaN, lives: 24 * HOUR_MS },
    { asked: -1, lives: 24 * HOUR_MS },
    { asked: 2 * HOUR_MS, lives: 2 * HOUR_MS },
    { asked: 5000, lives: 5000 },
    { asked: 1000 * HOUR_MS, lives: 24 * HOUR_MS },
  ];
  it.each(LIVES)('asked to live $asked ms lives $lives ms', async ({ asked, lives }) => {
    const startMs = Math.floor(Date.now() / 1000) * 1000;
    const leaf = leafOf(await authority.sign(request, ID, asked));
    const fromMs = leaf.validFromDate.getTime();
    expect(fromMs).toBeGreaterThanOrEqual(startMs - 120_000);
    expect(fromMs).toBeLessThan(startMs - 110_000);
    expect(leaf.validToDate.getTime() - fromMs).toBe(lives + 120_000);
  });

  it('never outlives what signed it', async () => {
    const place = await mkdtemp(join(tmpdir(), 'outrigger-ca-'));
    let wallMs = Date.UTC(2026, 0, 1);
    const short = await openAt(place, () => wallMs);
    const endMs = short.material.notAfterMs;
    wallMs = endMs - 10_000;
    expect(leafOf(await short.sign(request, ID, 0)).validToDate.getTime()).toBe(endMs);
    wallMs = endMs;
    expect(await short.sign(request, ID, 0)).toMatchObject({ kind: 'refused', fault: 'authority' });
    await short.close();
    await rm(place, { recursive: true });
  });

  it('has a serial of its own', async () => {
    const signed = await Promise.all(Array.from({ length: 20 }, () => authority.sign(request, ID, 0)));
    const serials = signed.map((one) => leafOf(one).serialNumber);
    expect(new Set(serials).size).toBe(20);
    for (const serial of serials) expect(serial.length).toBeGreaterThan(24);
  });

  it('says nothing of what the request asks for beside', async () => {
    const names = [`URI:${URI}`, 'DNS:bank.example', 'URI:https://bank.example', 'IP:127.0.0.1'];
    const args = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=keyCertSign'];
    const leaf = leafOf(await authority.sign(signingRequest(ecKey, names, args), ID, 0));
    expect(leaf.subjectAltName).toBe(`URI:${URI}`);
    expect([leaf.ca, leaf.subject ?? '']).toEqual([false, '']);
  });

  const OTHERS = [
    'spiffe://cluster.local/ns/shop/sa/admin',
    'spiffe://other.example/ns/shop/sa/reviews',
    'SPIFFE://cluster.local/ns/shop/sa/reviews',
    'spiffe://cluster.local/ns/shop/sa/reviews/',
    'spiffe:x',
  ];
  it.each(OTHERS)('is refused, logged and counted when the request asks for %s', async (uri) => {
    const before = authority.counters().get('citadel_server_id_extraction_err_count') ?? 0;
    lines.length = 0;
    const answer = await authority.sign(signingRequest(ecKey, [`URI:${URI}`, `URI:${uri}`]), ID, 0);
    expect(answer).toEqual({
      kind: 'refused',
      fault: 'identity',
      reason: 'it asks for the identity of another workload',
    });
    expect(lines.join('')).toMatch(
      /"a certificate was refused","caller":"spiffe:\/\/cluster.local\/ns\/shop\/sa\/reviews"/,
    );
    expect(authority.counters().get('citadel_server_id_extraction_err_count')).toBe(before + 1);
  });

  it('is refused to callers whose names no certificate could carry', async () => {
    const bad = { ...ID, namespace: 'shop/sa/admin' };
    expect(await authority.sign(request, bad, 0)).toMatchObject({ kind: 'refused', fault: 'identity' });
  });
});

describe('the authority', () => {
  it('takes over a signer that is put into its directory, and keeps the last good one', async () => {
    const place = await mkdtemp(join(tmpdir(), 'outrigger-ca-'));
    const own = await openAt(place);
    const key = privateKey(EC_KEY);
    const args = ['req', '-x509', '-new', '-key', '$key', '-subj', '/CN=given', '-days', '10'];
    const root = openssl([...args, '-addext', 'keyUsage=critical,keyCertSign'], { key });
    const before = own.trustBundlePem;
    await rename(await drafted(place, root), join(place, 'ca-cert.pem'));
    await own.reload();
    expect(own.trustBundlePem).toEqual(before);
    expect(own.counters().get('outrigger_ca_reload_refused_count')).toBe(1);
    const changed = new Promise<void>((done) => own.onRootsChanged(done));
    await rename(await drafted(place, key), join(place, 'ca-key.pem'));
    await rename(await drafted(place, root), join(place, 'root-cert.pem'));
    await changed;
    const leaf = leafOf(await own.sign(request, ID, 0));
    expect(leaf.issuer).toBe('CN=given');
    expect(openssl(['verify', '-CAfile', '$root', '$leaf'], { root, leaf: leaf.toString() })).toContain(': OK');
    await own.close();
    await rm(place, { recursive: true });
  });

  it('says once a day that its root ends soon', async () => {
    const place = await mkdtemp(join(tmpdir(), 'outrigger-ca-'));
    let wallMs = Date.UTC(2026, 0, 1);
    const old = await openAt(place, () => wallMs);
    const soon = (): number => lines.filter((line) => line.includes('ends soon')).length;
    lines.length = 0;
    wallMs = old.material.notAfterMs - 31 * 24 * HOUR_MS;
    await old.reload();
    expect([soon(), old.counters().get('outrigger_ca_expires_soon')]).toEqual([0, 0]);
    wallMs += 2 * 24 * HOUR_MS;
    await old.reload();
    await old.reload();
    expect([soon(), old.counters().get('outrigger_ca_expires_soon')]).toEqual([1, 1]);
    wallMs += 24 * HOUR_MS;
    await old.reload();
    expect(soon()).toBe(2);
    expect(lines.join('')).not.toContain('PRIVATE KEY');
    await old.close();
    await rm(place, { recursive: true });
  });

  it('does not make a root where one of the files is there', async () => {
    const place = await mkdtemp(join(tmpdir(), 'outrigger-ca-'));
    await writeFile(join(place, 'root-cert.pem'), authority.trustBundlePem.join(''));
    await expect(openAt(place)).rejects.toThrow('ca-cert.pem');
    await rm(place, { recursive: true });
  });
});

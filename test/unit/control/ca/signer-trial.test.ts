// Signers that may not sign what the mesh needs: they are refused at the start, and with other files those of before stay.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { createLog } from '../../../../src/base/log.ts';
import { formatProblem } from '../../../../src/base/problem.ts';
import { readMaterial, type AuthorityMaterial } from '../../../../src/control/ca/authority-material.ts';
import { CertificateAuthority, type OpenedAuthority } from '../../../../src/control/ca/certificate-authority.ts';
import { DirectoryStore } from '../../../../src/control/ca/directory-store.ts';
import { makeNamedCertificate } from '../../../../src/control/server-names.ts';
import { EC_KEY, openssl, privateKey, signingRequest } from '../../../support/openssl.ts';

const CA = 'basicConstraints=critical,CA:TRUE';
const USAGE = 'keyUsage=critical,keyCertSign,cRLSign';

interface Pair {
  readonly certificate: string;
  readonly key: string;
}

function authorityOf(above: Pair | null, extensions: readonly string[]): Pair {
  const key = privateKey(EC_KEY);
  const base = [
    'req',
    '-x509',
    '-new',
    '-key',
    '$key',
    '-subj',
    above === null ? '/CN=root' : '/CN=given',
    '-days',
    '50',
  ];
  const added = [USAGE, ...extensions].flatMap((extension) => ['-addext', extension]);
  if (above === null) return { key, certificate: openssl([...base, ...added], { key }) };
  const files = { key, above: above.certificate, aboveKey: above.key };
  return { key, certificate: openssl([...base, ...added, '-CA', '$above', '-CAkey', '$aboveKey'], files) };
}

const constrained = (names: string): readonly string[] => [CA, `nameConstraints=critical,${names}`];
const PLAIN = authorityOf(null, [CA]);

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function write(folder: string, signer: Pair, root: Pair): void {
  writeFileSync(join(folder, 'root-cert.pem'), root.certificate);
  writeFileSync(join(folder, 'ca-key.pem'), signer.key);
  writeFileSync(join(folder, 'ca-cert.pem'), signer.certificate);
}

async function opened(
  signer: Pair,
  root = signer,
  lines: string[] = [],
): Promise<OpenedAuthority & { folder: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'outrigger-trial-'));
  folders.push(folder);
  write(folder, signer, root);
  const log = createLog('test', 'info', (line) => lines.push(line));
  const store = new DirectoryStore(folder);
  return { folder, ...(await CertificateAuthority.open({ store, log, trustDomain: 'cluster.local' })) };
}

test.each([
  ['for another trust domain', constrained('permitted;URI:other.test'), /permitted subtree violation/],
  ['for domains below ours', constrained('permitted;URI:.cluster.local'), /permitted subtree violation/],
  ['for all but ours', constrained('excluded;URI:cluster.local'), /excluded subtree violation/],
  ['for servers only', [CA, 'extendedKeyUsage=serverAuth'], /purpose/],
  ['for clients only', [CA, 'extendedKeyUsage=clientAuth'], /purpose/],
])('a signer, or a root above one, that may sign %s is refused', async (_, extensions, words) => {
  const root = authorityOf(null, extensions);
  for (const result of [
    await opened(root),
    await opened(authorityOf(PLAIN, extensions), PLAIN),
    await opened(authorityOf(root, [CA]), root),
  ]) {
    const said = result.kind === 'refused' ? result.problems.map((problem) => formatProblem(problem)) : [];
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(/^ca-cert\.pem: may not sign for workloads of the trust domain "cluster\.local"/);
    expect(said[0]).toMatch(words);
  }
});

test('a signer below one that may have none below it is refused', async () => {
  const root = authorityOf(null, ['basicConstraints=critical,CA:TRUE,pathlen:0']);
  const result = await opened(authorityOf(root, [CA]), root);
  expect(result.kind === 'refused' ? result.problems.map(({ message }) => message).join() : '').toMatch(/path length/);
});

test.each([
  ['our trust domain', constrained('permitted;URI:cluster.local')],
  ['ours and others', constrained('permitted;URI:other.test,permitted;URI:cluster.local')],
  ['DNS names of a company only, which are nobody of the mesh', constrained('permitted;DNS:corp.test')],
  ['both ends', [CA, 'extendedKeyUsage=serverAuth,clientAuth']],
])('a signer that may sign for %s is taken', async (_, extensions) => {
  const result = await opened(authorityOf(PLAIN, extensions), PLAIN);
  expect(result.kind).toBe('open');
  if (result.kind === 'open') await result.authority.close();
});

test('other files whose signer may not sign for us are not taken, and no other trust domain is signed for', async () => {
  const lines: string[] = [];
  const result = await opened(authorityOf(PLAIN, constrained('permitted;URI:cluster.local')), PLAIN, lines);
  if (result.kind === 'refused') throw new Error('refused');
  const { authority, folder } = result;
  const sign = async (trustDomain: string): Promise<string> => {
    const id = { trustDomain, namespace: 'a', serviceAccount: 'b' };
    const signature = await authority.sign(signingRequest(privateKey(EC_KEY)), id, 0);
    return signature.kind === 'refused' ? signature.reason : signature.kind;
  };
  expect(await sign('cluster.local')).toBe('signed');
  expect(await sign('other.test')).toMatch(/^peers would not take its certificate: permitted subtree violation/);
  const before = authority.material.signer.fingerprint256;
  write(folder, authorityOf(PLAIN, constrained('permitted;URI:other.test')), PLAIN);
  await authority.reload();
  expect([authority.material.signer.fingerprint256, await sign('cluster.local')]).toEqual([before, 'signed']);
  expect(lines.join('\n')).toMatch(/keeps what it had.*may not sign for workloads/);
  await authority.close();
});

function materialOf(signer: Pair): AuthorityMaterial {
  const files = { 'ca-cert.pem': signer.certificate, 'ca-key.pem': signer.key, 'root-cert.pem': PLAIN.certificate };
  const material = readMaterial(new Map(Object.entries(files)), Date.now(), []);
  if (material === null) throw new Error('no material');
  return material;
}

test('the control service leaves out names that its signer may not sign for, and says so when none is left', async () => {
  const material = materialOf(authorityOf(PLAIN, constrained('permitted;DNS:corp.test')));
  const named = await makeNamedCertificate(material, ['localhost', 'mesh.corp.test', 'b.corp.test'], Date.now());
  expect([named.names, named.leftOut]).toEqual([['mesh.corp.test', 'b.corp.test'], ['localhost']]);
  await expect(makeNamedCertificate(material, ['localhost'], Date.now())).rejects.toThrow(
    /ca-cert\.pem: may sign for none of the names .*permitted subtree violation.*--secure-name/,
  );
  const all = await makeNamedCertificate(materialOf(authorityOf(PLAIN, [CA])), ['localhost'], Date.now());
  expect(all.leftOut).toEqual([]);
});

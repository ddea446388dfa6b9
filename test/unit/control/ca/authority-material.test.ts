// Signers that are given: every form of key that people have, and every way in which the four files do not fit.
import { describe, expect, it } from 'vitest';
import { formatProblem, type Problem } from '../../../../src/base/problem.ts';
import { readMaterial } from '../../../../src/control/ca/authority-material.ts';
import { EC_KEY, openssl, privateKey, RSA_KEY } from '../../../support/openssl.ts';

// Later than every certificate below begins: RSA keys take a slow machine seconds.
const NOW_MS = Date.now() + 3_600_000;
const CA = 'basicConstraints=critical,CA:TRUE';
const USAGE = 'keyUsage=critical,keyCertSign,cRLSign';

interface Pair {
  readonly certificate: string;
  readonly key: string;
}

function root(name: string, key = privateKey(EC_KEY), args: readonly string[] = []): Pair {
  const base = ['req', '-x509', '-new', '-key', '$key', '-subj', `/O=Ünïcode GmbH/CN=${name}`, '-utf8', '-days', '100'];
  return { key, certificate: openssl([...base, '-addext', CA, '-addext', USAGE, ...args], { key }) };
}

function below(above: Pair, name: string, { key = privateKey(EC_KEY), extensions = [CA, USAGE] } = {}): Pair {
  const files = { key, above: above.certificate, aboveKey: above.key };
  const base = ['req', '-x509', '-new', '-key', '$key', '-subj', `/CN=${name}`, '-days', '50'];
  const added = extensions.flatMap((extension) => ['-addext', extension]);
  return { key, certificate: openssl([...base, ...added, '-CA', '$above', '-CAkey', '$aboveKey'], files) };
}

const ROOT = root('root');
const MIDDLE = below(ROOT, 'middle');
const SIGNER = below(MIDDLE, 'signer');
const OTHER = root('other');
const RSA = privateKey(RSA_KEY);
const FULL = {
  'ca-cert.pem': SIGNER.certificate,
  'ca-key.pem': SIGNER.key,
  'cert-chain.pem': SIGNER.certificate + MIDDLE.certificate,
  'root-cert.pem': ROOT.certificate,
};

function read(
  changes: Readonly<Record<string, string | null>>,
  nowMs = NOW_MS,
): ReturnType<typeof readMaterial> | string {
  const problems: Problem[] = [];
  const files = Object.entries({ ...FULL, ...changes }).flatMap(([name, text]): [string, string][] =>
    text === null ? [] : [[name, text]],
  );
  const material = readMaterial(new Map(files), nowMs, problems);
  return material ?? problems.map((problem) => formatProblem(problem)).join('\n');
}

const alone = (pair: Pair): Readonly<Record<string, string | null>> => ({
  'ca-cert.pem': pair.certificate,
  'ca-key.pem': pair.key,
  'cert-chain.pem': null,
});

describe('a given signer', () => {
  it('is taken with its chain, without the root', () => {
    const material = read({});
    if (material === null || typeof material === 'string') throw new Error(String(material));
    expect(material.intermediates.map(({ subject }) => subject)).toEqual(['CN=signer', 'CN=middle']);
    expect(material.roots.map(({ subject }) => subject)).toEqual([expect.stringContaining('CN=root')]);
    expect(material.isSelfSigned).toBe(false);
  });

  const sec1 = openssl(['ec', '-in', '$key'], { key: SIGNER.key });
  const rsaSigner = below(ROOT, 'rsa', { key: RSA });
  const TAKEN: readonly (readonly [string, Readonly<Record<string, string | null>>])[] = [
    ['with a key in SEC1', { 'ca-key.pem': sec1 }],
    ['with EC parameters before its key', { 'ca-key.pem': `${openssl(['ecparam', '-name', 'prime256v1'])}${sec1}` }],
    ['with an RSA key in PKCS#8', { 'ca-cert.pem': rsaSigner.certificate, 'ca-key.pem': RSA, 'cert-chain.pem': null }],
    [
      'with an RSA key in PKCS#1',
      {
        'ca-cert.pem': rsaSigner.certificate,
        'ca-key.pem': openssl(['rsa', '-traditional', '-in', '$key'], { key: RSA }),
        'cert-chain.pem': '',
      },
    ],
    ['beside other roots', { 'root-cert.pem': OTHER.certificate + ROOT.certificate }],
    ['whose chain holds the root too', { 'cert-chain.pem': MIDDLE.certificate + ROOT.certificate }],
    [
      'that is itself the root',
      { 'ca-cert.pem': ROOT.certificate, 'ca-key.pem': ROOT.key, 'cert-chain.pem': ROOT.certificate },
    ],
  ];
  it.each(TAKEN)('is taken %s', (_name, changes) => {
    expect(read(changes)).toMatchObject({ algorithm: expect.anything() });
  });

  const leaf = below(ROOT, 'leaf', { extensions: ['basicConstraints=critical,CA:FALSE'] });
  const noSign = below(ROOT, 'nosign', { extensions: [CA, 'keyUsage=critical,digitalSignature'] });
  const tiny = privateKey(['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024']);
  const p224 = privateKey(['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-224']);
  const ed25519 = privateKey(['-algorithm', 'ED25519']);
  const REFUSED: readonly (readonly [string, Readonly<Record<string, string | null>>, RegExp])[] = [
    ['without a certificate', { 'ca-cert.pem': null }, /^ca-cert\.pem: is missing/],
    ['without a key', { 'ca-key.pem': null }, /^ca-key\.pem: is missing/],
    ['without a root', { 'root-cert.pem': null }, /^root-cert\.pem: is missing/],
    ['with garbage for a certificate', { 'ca-cert.pem': 'garbage' }, /^ca-cert\.pem: holds no PEM certificate/],
    ['with garbage for a key', { 'ca-key.pem': 'garbage' }, /^ca-key\.pem: is no private key/],
    ['with garbage for a chain', { 'cert-chain.pem': 'garbage' }, /^cert-chain\.pem: holds no PEM/],
    [
      'with an encrypted key',
      { 'ca-key.pem': openssl(['pkcs8', '-topk8', '-in', '$key', '-passout', 'pass:secret'], { key: SIGNER.key }) },
      /^ca-key\.pem: is encrypted/,
    ],
    ['with the key of another', { 'ca-key.pem': MIDDLE.key }, /^ca-key\.pem: is not the key of ca-cert\.pem/],
    ['that does not lead to the root', { 'root-cert.pem': OTHER.certificate }, /^cert-chain\.pem: does not lead from/],
    ['whose chain has a gap', { 'cert-chain.pem': SIGNER.certificate }, /^cert-chain\.pem: does not lead from/],
    ['that is no authority', alone(leaf), /^ca-cert\.pem: "CN=leaf" may not sign/],
    ['whose key may not sign certificates', alone(noSign), /^ca-cert\.pem: "CN=nosign" may not sign/],
    ['with a tiny RSA key', alone(below(ROOT, 'tiny', { key: tiny })), /^ca-key\.pem: is an RSA key of 1024 bits/],
    ['on a small curve', alone(below(ROOT, 'small', { key: p224 })), /^ca-key\.pem: is on the curve/],
    ['with an Edwards key', alone(below(ROOT, 'edwards', { key: ed25519 })), /^ca-key\.pem: is of the kind ed25519/],
  ];
  it.each(REFUSED)('%s is refused', (_name, changes, expected) => {
    const said = read(changes, NOW_MS + 1000);
    expect(said).toMatch(expected);
    expect(said).not.toMatch(/PRIVATE KEY|secret/);
  });

  it('is refused before it is valid and after its root has ended', () => {
    expect(read({}, NOW_MS - 86_400_000)).toMatch(/^ca-cert\.pem: "CN=signer" is not valid before/);
    expect(read({}, NOW_MS + 51 * 86_400_000)).toMatch(/^ca-cert\.pem: "CN=signer" expired/);
    expect(read({}, NOW_MS + 101 * 86_400_000)).toMatch(/root-cert\.pem: "CN=root.*" expired/);
  });
});

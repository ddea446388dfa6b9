// A real Envoy takes everything that the translation makes: each golden case of the control service as a
// static bootstrap, checked by `envoy --mode validate`.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { offlineNode, staticBootstrap, translateFiles } from '../../src/control/offline.ts';

const root = join(import.meta.dirname, '..', '..');
const envoy = process.env['OUTRIGGER_ENVOY'] ?? join(root, '.realparts', 'envoy-venv', 'bin', 'envoy');
const folder = join(root, 'test', 'golden', 'control');
const scratch = mkdtempSync(join(tmpdir(), 'outrigger-translate-'));
const shop = readFileSync(join(folder, '_shop.yaml'), 'utf8');
const cases = readdirSync(folder).filter(
  (name) => name.endsWith('.yaml') && !name.startsWith('_') && !name.startsWith('problems-'),
);

afterAll(() => rmSync(scratch, { recursive: true }));

const runs = cases.flatMap((name) => (['explicit', 'redirect'] as const).map((mode) => ({ name, mode })));

/** Envoy 1.40 crashes on secrets by ADS when it only validates, so they come from a file here. */
function withSecretFile(bootstrap: string): string {
  const file = join(scratch, 'secrets.json');
  writeFileSync(file, JSON.stringify({ resources: [] }));
  return bootstrap.replaceAll('"ads":{}', `"path_config_source":{"path":"${file}"}`);
}

/** Validating, it asks for keys without having clusters to ask. */
const ASKS_FOR_KEYS = /^.*jwks_fetcher\.cc.* is not configured\n/gm;

test.each(runs)('Envoy accepts what $name becomes in $mode mode', ({ name, mode }) => {
  const [input = ''] = readFileSync(join(folder, name), 'utf8').split(`#${'='.repeat(40)}\n`);
  // Files that a case names need not exist where Envoy runs.
  const text = input
    .replaceAll('/etc/ca.pem', '/etc/ssl/certs/ca-certificates.crt')
    .replaceAll('/dev/stdout', join(scratch, 'access.log'));
  const files = [{ file: name, text }, ...(input.includes('# base: none') ? [] : [{ file: '_shop.yaml', text: shop }])];
  const namespace = /^# for: [^ .]+\.(\S+)/m.exec(input)?.[1] ?? 'default';
  const node = offlineNode({
    service: `frontend.${namespace}`,
    version: 'v1',
    apps: ['9080/http', '9081/grpc', '7000/tcp'],
    isEnvoy: true,
    mode,
    address: mode === 'redirect' ? '10.0.0.1,fd00::1' : '127.0.0.1',
    isMeshed: /^# meshed: true$/m.test(input),
  });
  if (typeof node === 'string') throw new Error(node);
  const path = join(scratch, 'bootstrap.json');
  const bootstrap = JSON.stringify(staticBootstrap(translateFiles(files).viewOf(node)));
  writeFileSync(path, withSecretFile(bootstrap));
  const { status, stderr } = spawnSync(
    envoy,
    ['-c', path, '--mode', 'validate', '--use-dynamic-base-id', '-l', 'error'],
    { encoding: 'utf8' },
  );
  expect(stderr.replaceAll(ASKS_FOR_KEYS, '')).toBe('');
  expect(status).toBe(0);
});

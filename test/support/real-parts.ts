// Where the real programs lie that tools/realparts/install brings. A part that is missing is an
// error with the command that brings it: a peer test never passes by skipping.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** The root of the checkout. */
export const PROJECT_ROOT = resolve(import.meta.dirname, '../..');
/** The launcher; run it with `process.execPath`. OUTRIGGER_LAUNCHER names another one, such as a bundle. */
export const OUTRIGGER = process.env['OUTRIGGER_LAUNCHER'] ?? join(PROJECT_ROOT, 'bin/outrigger.js');

const PARTS = join(PROJECT_ROOT, '.realparts');
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

export type RealPart =
  | 'envoy'
  | 'otelcol'
  | 'etcd'
  | 'kube-apiserver'
  | 'kube-controller-manager'
  | 'h2spec'
  | 'helm'
  | 'kubeconform'
  | 'skopeo'
  | 'nginx'
  | 'haproxy'
  | 'wrk'
  | 'h2load'
  | 'taskset';

/** The absolute path of a real program. Throws, with the command that brings it, when it is not there. */
export function realPart(name: RealPart): string {
  const own = name === 'envoy' ? join(PARTS, 'envoy-venv/bin/envoy') : join(PARTS, 'bin', name);
  for (const path of [own, ...SYSTEM_FOLDERS.map((folder) => join(folder, name))]) {
    if (existsSync(path)) return path;
  }
  throw new Error(`${name} is not installed: run \`npm run realparts\` (or tools/realparts/install --kube)`);
}

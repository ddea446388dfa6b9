// Completes package-lock.json after `npm install`: npm leaves out the optional packages of other platforms
// that the registry at hand does not serve, and then `npm ci` refuses the lock. Each gets an entry with
// its version, and the platform that its name says, so that no machine tries to install a wrong one.
// Run it as `npm run lock` whenever a dependency changes.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

interface LockEntry {
  readonly version?: string;
  readonly dev?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly [key: string]: unknown;
}

const SYSTEMS = ['darwin', 'linux', 'win32', 'freebsd', 'android', 'openharmony', 'sunos', 'aix', 'netbsd', 'openbsd'];
const PROCESSORS: Readonly<Record<string, string>> = {
  ia32: 'ia32',
  x64: 'x64',
  arm64: 'arm64',
  arm: 'arm',
  armv7: 'arm',
  ppc64: 'ppc64',
  riscv64: 'riscv64',
  s390x: 's390x',
};

const file = join(import.meta.dirname, '..', '..', 'package-lock.json');
const lock: { packages: Record<string, LockEntry> } = JSON.parse(readFileSync(file, 'utf8'));
let added = 0;
for (const entry of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const place = `node_modules/${name}`;
    if (lock.packages[place] !== undefined || !/^\d/.test(version)) continue;
    lock.packages[place] = {
      version,
      ...platformOf(name),
      ...(entry.dev === true ? { dev: true } : {}),
      optional: true,
    };
    added++;
  }
}
const sorted = Object.entries(lock.packages).toSorted(([a], [b]) => (a < b ? -1 : 1));
lock.packages = Object.fromEntries(sorted);
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
process.stderr.write(`lock: added ${added} packages of other platforms\n`);

function platformOf(name: string): { os: string[]; cpu: string[]; libc?: string[] } {
  const words = name.slice(name.indexOf('/') + 1).split('-');
  const os = words.filter((word) => SYSTEMS.includes(word));
  const cpu = words.map((word) => PROCESSORS[word]).filter((word) => word !== undefined);
  // A name that says no platform must never be installed by guess.
  const place = { os: os.length === 0 ? ['none'] : os, cpu: cpu.length === 0 ? ['none'] : cpu };
  return words.some((word) => word.startsWith('musl')) ? { ...place, libc: ['musl'] } : place;
}

// The command around injection: bytes in, bytes out. A mark at the beginning comes back from standard input too, and
// what is no UTF-8 is refused before anything is written.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const launcher = fileURLToPath(new URL('../../../../bin/outrigger.js', import.meta.url));
const POD = 'apiVersion: v1\nkind: Pod\nmetadata:\n  name: app\nspec:\n  containers:\n    - name: app\n';

function run(input: Buffer, ...args: readonly string[]) {
  return spawnSync(process.execPath, [launcher, 'inject', '-f', '-', ...args], { input });
}

test('a byte order mark on standard input stays', () => {
  const input = Buffer.from(`\uFEFF${POD}`);
  const injected = run(input).stdout;
  expect(injected.length).toBeGreaterThan(input.length);
  expect(injected.subarray(0, 3)).toEqual(input.subarray(0, 3));
  expect(run(injected, '--uninject').stdout).toEqual(input);
});

test('what is no UTF-8 is refused, not changed', () => {
  const { status, stdout, stderr } = run(
    Buffer.concat([Buffer.from(`# caf`), Buffer.from([0xe9, 0x0a]), Buffer.from(POD)]),
  );
  expect(status).toBe(1);
  expect(stdout.length).toBe(0);
  expect(stderr.toString()).toContain('cannot read -: ');
});

// Rotates the root of the authority in the directory that it is given, round and round, until it is killed.
import { DirectoryStore } from '../../src/control/ca/directory-store.ts';
import { rotate } from '../../src/control/ca/rotation.ts';

const store = new DirectoryStore(process.argv[2] ?? '');
for (;;) {
  for (const action of ['start', 'switch', 'finish'] as const) {
    await store.update(async (files) => {
      const step = await rotate(files, { action, nowMs: Date.now(), isForced: true });
      return step.kind === 'done' ? step.files : null;
    });
    process.stdout.write('.');
  }
}

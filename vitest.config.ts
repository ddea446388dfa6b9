// Three projects: `node` and `e2e` need nothing but Node, and `e2e` measures times, so it runs alone, one
// file at a time; `peers` needs the real programs that tools/realparts/install brings. Sockets and clocks are real, so files run in processes of their own.
import { defineConfig } from 'vitest/config';

// Where .ci/run wants the counts of each run.
const results = process.env['OUTRIGGER_RESULTS'];

export default defineConfig({
  test: {
    reporters:
      results === undefined ? ['default'] : ['default', ['json', { outputFile: `${results}/${process.pid}.json` }]],
    projects: [
      {
        test: {
          name: 'node',
          include: ['test/{unit,golden,wire,fuzz}/**/*.test.ts', 'test/*.test.ts'],
          pool: 'forks',
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'peers',
          include: ['test/{peer,netns,kube}/**/*.test.ts'],
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});

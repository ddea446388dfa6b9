// Two projects: `node` needs nothing but Node; `peers` needs the real programs that
// tools/realparts/install brings. Sockets and clocks are real, so files run in processes of their own.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'node',
          include: ['test/{unit,golden,wire,fuzz,e2e}/**/*.test.ts', 'test/*.test.ts'],
          pool: 'forks',
          testTimeout: 20_000,
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

import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // On two processors vitest would take one worker by itself, which then waits for servers half of its time.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // `unit` needs no server; `integration` shares one OpenBao and one PostgreSQL for all its files; `deploy` has the same, and a local AWS.
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/integration/**', 'test/deploy/**'],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'deploy',
          include: ['test/deploy/**/*.test.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          testTimeout: 60_000,
          // One thing after another happens to one system: what follows a failure means nothing.
          bail: 1,
        },
      },
    ],
  },
});

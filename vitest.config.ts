import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Those migrate between real servers: npm run test:servers.
    exclude: ['test/servers/**'],
    globalSetup: ['test/support/build.ts', 'test/torture/summary.ts'],
    // Most of the time is spent waiting for children and sockets.
    maxWorkers: 2,
    // A test of the built program starts processes, on a machine that may be busy.
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});

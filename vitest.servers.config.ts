import { defineConfig } from 'vitest/config';

/** The tests against real S3 servers: npm run test:servers. */
export default defineConfig({
  test: {
    include: ['test/servers/**/*.test.ts'],
    globalSetup: ['test/support/build.ts'],
    // Each file starts servers of its own, and those want the machine for themselves.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});

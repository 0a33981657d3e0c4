import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Those migrate between real servers: npm run test:servers.
    exclude: ['test/servers/**'],
    globalSetup: ['test/support/build.ts'],
    // A test of the built program starts processes, on a machine that may be busy.
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});

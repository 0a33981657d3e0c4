import { defineConfig } from 'vitest/config';

/** Kill and resume, without end: npm run torture. */
export default defineConfig({
  test: {
    include: ['test/torture/*-runs.test.ts'],
    globalSetup: ['test/support/build.ts', 'test/torture/summary.ts'],
    maxWorkers: 2,
  },
});

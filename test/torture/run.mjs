/**
 * npm run torture [-- --runs N --seed S]: random migrations, killed at random moments and resumed, compared
 * with a reference model (test/torture/README.md).
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { runs: { type: 'string' }, seed: { type: 'string' } } });
const env = { ...process.env };
for (const name of ['runs', 'seed']) {
  const value = values[name];
  if (value === undefined) continue;
  if (!/^\d{1,15}$/.test(value)) {
    console.error(`torture: --${name} ${value} is not a whole number`);
    process.exit(2);
  }
  env[`S3MIGRATE_TORTURE_${name.toUpperCase()}`] = value;
}
const words = ['--no-install', 'vitest', 'run', '--config', 'vitest.torture.config.ts'];
const { status } = spawnSync('npx', words, { stdio: 'inherit', env });
process.exitCode = status ?? 1;

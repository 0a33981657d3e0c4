/**
 * `s3migrate demo` as a newcomer meets it: a process without a terminal, and a temporary folder that must
 * be as empty afterwards as it was before.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { commandLine, type RunningProgram, startProgram } from '../support/run-s3migrate.ts';

/** The demo's own limit on a slow machine, and the time to come up beside other tests. */
const TIMEOUT_MS = 60_000;

/** What is exported for a migration of one's own must not lead the demo astray. */
const OWN_MIGRATION = {
  S3MIGRATE_DRY_RUN: '1',
  S3MIGRATE_HASH_COUNT: '2',
  S3MIGRATE_HASH_VALUE: '1',
  S3MIGRATE_PREFIX: 'photos/',
};

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 's3migrate-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

function startDemo(temporary: string, env: Record<string, string> = {}): RunningProgram {
  return startProgram(['demo'], { env: { TMPDIR: temporary, ...env } });
}

describe('to its end', () => {
  let temporary: string;
  let stdout: string;
  let stderr: string;

  beforeAll(async () => {
    temporary = await mkdtemp(join(tmpdir(), 's3migrate-test-'));
    const [node = '', ...args] = commandLine(['demo'], 's3migrate');
    // Rejects when the exit code is not 0.
    ({ stdout, stderr } = await promisify(execFile)(node, args, {
      env: { PATH: process.env['PATH'] ?? '', TMPDIR: temporary, ...OWN_MIGRATION },
    }));
  }, TIMEOUT_MS);

  afterAll(() => rm(temporary, { recursive: true, force: true }));

  it('migrates, is killed, goes on, and finds everything right', () => {
    const lines = stdout.split('\n');
    expect(lines.filter((line) => /^\d\. /.test(line))).toHaveLength(5);
    expect(stdout).toMatch(
      /^Killed\. [\d,]+ objects had been stored\.\nmigrate\.log has recorded /m,
    );
    expect(stdout).toContain('s3migrate: complete in');
    expect(stdout).toMatch(/^ {2}before {4}earlier runs: upld /m);
    expect(lines.filter((line) => line.startsWith('  ok '))).toHaveLength(6);
    expect(stdout).toMatch(/\nPASSED: 3,\d+ objects, \d+MB in [\d.]+ s, killed after [\d,]+\.\n$/);
  });

  it('leaves nothing behind', async () => {
    expect(await readdir(temporary)).toEqual([]);
  });

  it('shows each command as it can be typed, with the secrets in variables', () => {
    const commands = stdout.match(/^\$ (?:.*\\\n)*.*/gm) ?? [];
    expect(commands.map((command) => command.replaceAll(/ \\\n +/g, ' '))).toEqual([
      '$ export S3MIGRATE_SRC_SECRET=... S3MIGRATE_DEST_SECRET=...',
      expect.stringMatching(/^\$ S3MIGRATE_SECRET=\$S3MIGRATE_SRC_SECRET s3migrate list --url /),
      expect.stringMatching(/^\$ S3MIGRATE_SECRET=\$S3MIGRATE_DEST_SECRET s3migrate list --url /),
      expect.stringMatching(/^\$ s3migrate --src-url .* --log-folder logs$/),
      expect.stringMatching(/^\$ s3migrate --src-url .* --log-folder logs$/),
    ]);
    expect(stdout).not.toContain('-secret');
  });

  it('prints one text without warnings, and no byte that a terminal would act on', () => {
    expect(stderr).toBe('');
    expect(stdout).not.toMatch(/warning/i);
    // oxlint-disable-next-line no-control-regex
    expect(stdout).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]/);
  });
});

it.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)(
  'removes its folder when %s comes in the middle, and exits with %i',
  async (signal, code) => {
    const temporary = await temporaryFolder();
    const program = startDemo(temporary);
    await program.until('stdout', (printed) => printed.includes('--log-folder logs'));

    program.kill(signal);

    const { exitCode, stdout, stderr } = await program.ended;
    expect(exitCode).toBe(code);
    expect(stderr).toContain('demo interrupted');
    expect(stdout).not.toContain('PASSED');
    expect(await readdir(temporary)).toEqual([]);
  },
  TIMEOUT_MS,
);

it(
  'removes its folder also when it is to leave at once',
  async () => {
    const temporary = await temporaryFolder();
    const program = startDemo(temporary);
    await program.until('stdout', (printed) => printed.includes('--log-folder logs'));

    program.kill('SIGTERM');
    program.kill('SIGINT');

    const { exitCode } = await program.ended;
    expect([130, 143]).toContain(exitCode);
    expect(await readdir(temporary)).toEqual([]);
  },
  TIMEOUT_MS,
);

it(
  'says which command went wrong, keeps what there is of lists and logs, and exits with 1',
  async () => {
    const temporary = await temporaryFolder();
    const meddler = join(await temporaryFolder(), 'meddler.cjs');
    await writeFile(meddler, `if (process.argv.includes('--src-url')) process.exit(9);\n`);

    const { exitCode, stdout } = await startDemo(temporary, {
      NODE_OPTIONS: `--require ${meddler}`,
    }).ended;

    const [kept = ''] = await readdir(temporary);
    expect(stdout).toMatch(
      /\nNOT PASSED: this command ended with exit code 9:\ns3migrate --src-url /,
    );
    expect(stdout).toContain(`Lists and logs are kept in ${join(temporary, kept)}`);
    expect(await readdir(join(temporary, kept, 'lists'))).toEqual(['destination', 'source']);
    expect(exitCode).toBe(1);
  },
  TIMEOUT_MS,
);

it('says in one line that it cannot make its folder', async () => {
  const missing = join(await temporaryFolder(), 'missing');

  const { exitCode, stdout, stderr } = await startDemo(missing).ended;

  expect(stderr).toMatch(
    /^s3migrate: no folder can be made for the demo: ENOENT.*\n {2}Name a folder/,
  );
  expect(stdout).toBe('');
  expect(exitCode).toBe(3);
});

/**
 * `--dry-run` and `--first`: a look at what would be done, and a beginning that is no more than that.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { commandLine, startCommand } from '../support/run-s3migrate.ts';
import { keysIn, type Migration, photo, prepareMigration } from './migration.ts';

async function expectNothingWritten(migration: Migration): Promise<void> {
  expect(migration.writesSeen()).toBe(0);
  expect(migration.source.script.count('GetObject')).toBe(0);
  expect(existsSync(migration.logFolder)).toBe(false);
  expect(await readdir(migration.root)).toEqual(['lists']);
}

/** Everything in the log folder, by name. */
async function logFolderOf({ logFolder }: Migration): Promise<Record<string, string>> {
  const names = await readdir(logFolder, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile());
  const contents = files.map(async ({ parentPath, name }) => [
    `${parentPath}/${name}`,
    await readFile(`${parentPath}/${name}`, 'latin1'),
  ]);
  return Object.fromEntries(await Promise.all(contents)) as Record<string, string>;
}

describe('--dry-run', () => {
  it('prints a line a key on standard output, and writes nothing anywhere', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(3);
    migration.source.put('zebra\tstripes', 'x');
    await migration.listKeys();
    await migration.listKeys('dest', [photo(1)]);

    const { exitCode, stdout, stderr } = await migration.run({ 'dry-run': true });

    expect(stdout.split('\n')).toEqual([
      `transfer ${photo(0)}`,
      `exists ${photo(1)}`,
      `transfer ${photo(2)}`,
      String.raw`transfer zebra\tstripes`,
      '',
    ]);
    expect(stderr).toContain('3 to transfer, 1 exist');
    expect(exitCode).toBe(0);
    await expectNothingWritten(migration);
  });

  it('asks both buckets with the real keys', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(1);
    expect(await migration.run({ 'dry-run': true })).toMatchObject({ exitCode: 0 });
    expect(migration.source.script.requests.map(({ operation }) => operation)).toEqual([
      'HeadBucket',
    ]);
    expect(migration.destination.script.requests.map(({ operation }) => operation)).toEqual([
      'HeadBucket',
    ]);
    const { exitCode, stderr, stdout } = await migration.run({
      'dry-run': true,
      'dest-secret': 'wrong',
    });
    expect(stderr).toMatch(/^s3migrate: destination .*: access denied/);
    expect(stdout).toBe('');
    expect(exitCode).toBe(3);
    await expectNothingWritten(migration);
  });

  it('shows where a stopped run would go on, and leaves its log folder as it is', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(5);
    await migration.run({ first: 2 });
    const before = await logFolderOf(migration);
    const { stdout, stderr } = await migration.run({ 'dry-run': true });
    expect(stdout).toBe(`transfer ${photo(2)}\ntransfer ${photo(3)}\ntransfer ${photo(4)}\n`);
    expect(stderr).toContain('3 to transfer');
    expect(await logFolderOf(migration)).toEqual(before);
  });

  it('refuses a log folder that the command itself would refuse', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(2);
    await migration.run();
    const { exitCode, stderr } = await migration.run({ 'dry-run': true, 'dest-bucket': 'other' });
    expect(stderr).toContain('the log folder is of another run: dest-bucket was "archive"');
    expect(exitCode).toBe(2);
  });

  it('shows only the keys of this host', async () => {
    const migration = await prepareMigration();
    const keys = await migration.givenPhotos(20);
    const shown = await Promise.all(
      [0, 1].map((value) =>
        migration.run({ 'dry-run': true, 'hash-count': 2, 'hash-value': value }),
      ),
    );
    const lines = shown.flatMap(({ stdout }) => stdout.split('\n').slice(0, -1));
    expect(lines.toSorted()).toEqual(keys.map((key) => `transfer ${key}`));
  });

  it('ends quietly when its reader has enough, and does not go on for nobody', async () => {
    const migration = await prepareMigration();
    const keys = Array.from({ length: 100_000 }, (_, i) => `photos/${String(i).padStart(6, '0')}`);
    await migration.listKeys('src', keys);
    const words = commandLine(migration.args({ 'dry-run': true }), 's3migrate');
    const shell = '{ "$@"; echo "exit code $?" >&2; } | head -1';
    const { stdout, stderr } = await startCommand(['sh', '-c', shell, 'sh', ...words]).ended;
    expect(stdout).toBe(`transfer ${keys[0]}\n`);
    expect(stderr).toMatch(/^s3migrate: dry run, cut short: /m);
    expect(stderr).not.toContain(`${keys.length} to transfer`);
    expect(stderr).toMatch(/^exit code 0$/m);
    expect(stderr).not.toMatch(/EPIPE|Error:|^ +at /m);
  });
});

describe('--first N', () => {
  it('stops after N keys that need a transfer; the same command without it copies the rest', async () => {
    const migration = await prepareMigration();
    const keys = await migration.givenPhotos(8);
    await migration.listKeys('dest', [photo(0), photo(2)]);

    const first = await migration.run({ first: 3 });

    expect(first.exitCode).toBe(0);
    expect(first.stderr).toContain('stopped after the first 3 (--first)');
    expect(first.stderr).toContain(
      'obj 5 = ign 0 + exist 2 + skip 0 (dn 0, up 0) + fail 0 + upld 3',
    );
    expect(keysIn(await migration.migrateLog())).toEqual([photo(1), photo(3), photo(4)]);

    const rest = await migration.run();

    expect(rest.exitCode).toBe(0);
    expect(rest.stderr).toContain('complete in');
    expect(keysIn(await migration.migrateLog())).toEqual(
      keys.filter((key) => key !== photo(0) && key !== photo(2)),
    );
    expect(migration.source.script.count('GetObject')).toBe(6);
  });

  it('copies N more when it is given again', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(5);
    for (const copied of [2, 4, 5]) {
      expect(await migration.run({ first: 2 })).toMatchObject({ exitCode: 0 });
      expect(migration.destination.bucket.keys()).toHaveLength(copied);
    }
  });

  it('is complete when there are no more keys than that', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(2);
    const { exitCode, stderr } = await migration.run({ first: 3 });
    expect(stderr).toContain('s3migrate: complete in');
    expect(exitCode).toBe(0);
  });

  it('bounds a dry run too', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(5);
    await migration.listKeys('dest', [photo(0)]);
    const { stdout, stderr } = await migration.run({ 'dry-run': true, first: 2 });
    expect(stdout).toBe(`exists ${photo(0)}\ntransfer ${photo(1)}\ntransfer ${photo(2)}\n`);
    expect(stderr).toContain('2 to transfer, 1 exist');
    await expectNothingWritten(migration);
  });
});

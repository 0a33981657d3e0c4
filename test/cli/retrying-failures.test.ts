/**
 * `--failed-to-folder`: the failures of one run become the lists of the next.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { runProgram } from '../support/run-s3migrate.ts';
import { type Migration, photo, prepareMigration } from './migration.ts';

/** A finished run in which three keys failed, one of them with a line feed in it. */
async function givenFailures(): Promise<Migration> {
  const migration = await prepareMigration();
  const { source } = migration;
  await migration.givenPhotos(6);
  source.put('line\nfeed', 'content');
  await migration.writeList('src', 'escaped.csv', 'key\nline\\nfeed\n');
  for (const key of [photo(1), photo(4), 'line\nfeed']) {
    source.script.on('GetObject', key).status(403, { code: 'AccessDenied' });
  }
  expect(await migration.run()).toMatchObject({ exitCode: 1 });
  source.script.clear();
  return migration;
}

const toFolder = (migration: Migration, folder: string) =>
  runProgram(['--failed-to-folder', folder, '--log-folder', migration.logFolder]);

describe('--failed-to-folder', () => {
  it('makes lists of the failed keys, and a run with these retries just those', async () => {
    const migration = await givenFailures();
    const { source, destination } = migration;
    const folder = migration.path('failed', 'lists');

    const { exitCode, stdout, stderr } = await toFolder(migration, folder);

    expect(exitCode).toBe(0);
    expect(stdout).toBe('');
    expect(stderr).toContain(`3 failed keys in 2 list files in ${folder}`);
    const readBefore = source.script.count('GetObject');

    const retried = await migration.run({
      'src-folder': folder,
      'log-folder': migration.path('retry-logs'),
    });

    expect(retried.exitCode).toBe(0);
    expect(source.script.count('GetObject') - readBefore).toBe(3);
    expect(destination.contents()).toEqual(source.contents());
  });

  it('needs no other flag than the log folder, whose logs it leaves alone', async () => {
    const migration = await givenFailures();
    const before = await readFile(`${migration.logFolder}/failed.log`);
    const folder = migration.path('lists-of-failed');
    const ended = await runProgram(['--failed-to-folder', folder], { cwd: migration.logFolder });
    expect(ended.exitCode).toBe(0);
    expect(await readFile(`${migration.logFolder}/failed.log`)).toEqual(before);
  });

  it('takes a folder that is there and empty, and no other', async () => {
    const migration = await givenFailures();
    const folder = migration.path('failed');
    await mkdir(folder);
    expect(await toFolder(migration, folder)).toMatchObject({ exitCode: 0 });
    const { exitCode, stderr } = await toFolder(migration, folder);
    expect(stderr).toMatch(
      /^s3migrate: the list folder .*failed is not empty: it holds .*\n {2}\S/,
    );
    expect(exitCode).toBe(2);
    expect(await readdir(folder)).toHaveLength(2);
  });

  it('refuses a log folder without failed.log, and makes nothing', async () => {
    const migration = await prepareMigration();
    const folder = migration.path('failed');
    const { exitCode, stderr } = await toFolder(migration, folder);
    expect(stderr).toMatch(/^s3migrate: .*failed\.log: no such file\n {2}Give the --log-folder/);
    expect(exitCode).toBe(2);
    expect(existsSync(folder)).toBe(false);
  });

  it('refuses a failed.log that somebody edited, and leaves no half list', async () => {
    const migration = await givenFailures();
    const path = `${migration.logFolder}/failed.log`;
    await writeFile(
      path,
      (await readFile(path, 'latin1')).replace('line\\nfeed', 'zebra'),
      'latin1',
    );
    const folder = migration.path('failed');
    const { exitCode, stderr } = await toFolder(migration, folder);
    expect(stderr).toMatch(/failed\.log:\d+: is no line of this log/);
    expect(exitCode).toBe(2);
    expect(existsSync(folder) ? await readdir(folder) : []).toEqual([]);
  });

  it('of a run without failures is an empty list, which a next run refuses by name', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(1);
    await migration.run();
    const folder = migration.path('failed');
    expect(await toFolder(migration, folder)).toMatchObject({ exitCode: 0 });
    const next = await migration.run({ 'src-folder': folder, 'log-folder': migration.path('l') });
    expect(next.stderr).toContain('no keys to migrate in this folder');
    expect(next.exitCode).toBe(2);
  });
});

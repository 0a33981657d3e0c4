/**
 * What the tool writes is private, and nobody makes it write elsewhere by a link put where its file is to be.
 */
import { chmod, lstat, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Migration, prepareMigration } from '../cli/migration.ts';
import { runProgram } from '../support/run-s3migrate.ts';

const FILES = [
  'migrate.log',
  'failed.log',
  'migrate.run.json',
  'migrate.run.json.part',
  'migrate.uploads',
  'migrate.uploads.part',
  'migrate.lock',
  'migrate.ahead',
];

const VICTIM = 'what somebody else has here\n';

async function givenVictim(migration: Migration): Promise<string> {
  const victim = migration.path('victim');
  await writeFile(victim, VICTIM);
  await chmod(victim, 0o644);
  return victim;
}

async function givenLargeAndFailing(migration: Migration): Promise<void> {
  migration.source.put('large', Buffer.alloc(17 * 1024 ** 2));
  migration.source.put('refused', 'x');
  migration.source.script.on('GetObject', 'refused').status(403, { code: 'AccessDenied' });
  await migration.listKeys();
}

const IN_PARTS = { 'multipart-threshold': '16MiB' };

test('every file of a run is for its owner alone, whatever the umask', async () => {
  const migration = await prepareMigration();
  await givenLargeAndFailing(migration);
  const umask = process.umask(0o000);
  try {
    expect((await migration.run(IN_PARTS)).exitCode).toBe(1);
  } finally {
    process.umask(umask);
  }
  expect((await stat(migration.logFolder)).mode & 0o777).toBe(0o700);
  for (const name of await readdir(migration.logFolder)) {
    const file = await stat(join(migration.logFolder, name));
    expect([name, file.mode & 0o077]).toEqual([name, 0]);
  }
});

test.each(FILES)('a symbolic link planted as %s is not followed', async (name) => {
  const migration = await prepareMigration();
  await givenLargeAndFailing(migration);
  const victim = await givenVictim(migration);
  await mkdir(migration.logFolder);
  await symlink(victim, join(migration.logFolder, name));
  const { exitCode } = await migration.run(IN_PARTS);
  // Refused, or replaced by the tool's own file; never written through.
  expect([1, 2, 3]).toContain(exitCode);
  expect(await readFile(victim, 'utf8')).toBe(VICTIM);
  expect((await stat(victim)).mode & 0o777).toBe(0o644);
});

test('a link planted as a list of failed keys is not followed', async () => {
  const migration = await prepareMigration();
  await givenLargeAndFailing(migration);
  await migration.run(IN_PARTS);
  const victim = await givenVictim(migration);
  const folder = migration.path('retry');
  await mkdir(folder);
  await symlink(victim, join(folder, '00000000.txt'));
  await migration.run({ 'failed-to-folder': folder });
  expect(await readFile(victim, 'utf8')).toBe(VICTIM);
});

test.each(['verify.log', 'verify.run.json'])(
  'a link planted as %s is not followed',
  async (name) => {
    const migration = await prepareMigration();
    await migration.givenPhotos(2);
    const victim = await givenVictim(migration);
    await mkdir(migration.logFolder);
    await symlink(victim, join(migration.logFolder, name));
    await runProgram(['verify', ...migration.args()], { cwd: migration.root });
    expect(await readFile(victim, 'utf8')).toBe(VICTIM);
  },
);

test('keys never name files: a list of hostile ones is written where it was asked for, and nowhere else', async () => {
  const migration = await prepareMigration();
  const { source } = migration;
  for (const key of ['../../victim', '/etc/victim', '..\\victim', 'a/../../victim', 'nul\u0000']) {
    source.put(key, 'x');
  }
  const before = await readdir(migration.root);
  const args = ['list', '--url', source.server.url, '--bucket', source.bucketName];
  const ended = await runProgram(
    [...args, '--key', source.accessKey, '--secret', source.secret, migration.path('out')],
    { cwd: migration.root },
  );
  // A key with a NUL has no place in a plain list: it is refused by name.
  expect([0, 3]).toContain(ended.exitCode);
  expect((await readdir(migration.root)).filter((name) => !before.includes(name))).toEqual(['out']);
  for (const name of await readdir(migration.path('out'))) {
    expect((await lstat(join(migration.path('out'), name))).isFile()).toBe(true);
    expect(name).toMatch(/^\.?[\w.-]+$/);
  }
});

test.each([
  ['{"__proto__": {"state": "complete"}, "run": 1}'],
  ['{"state": "complete", "identity": {"__proto__": "x"}, "checkpoint": {"log": 1e308}}'],
  ['[[[[]]]]'],
  [`{"a": ${'['.repeat(50_000)}${']'.repeat(50_000)}}`],
])('a state file that somebody has made up is refused in one line: %#', async (text) => {
  const migration = await prepareMigration();
  await migration.givenPhotos(2);
  await mkdir(migration.logFolder);
  await writeFile(join(migration.logFolder, 'migrate.run.json'), text);
  const { exitCode, stderr } = await migration.run();
  expect([exitCode, stderr]).toEqual([2, expect.stringContaining('migrate.run.json')]);
  expect(migration.writesSeen()).toBe(0);
});

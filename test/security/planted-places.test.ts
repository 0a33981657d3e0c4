/**
 * Somebody else who may write into the log folder, or knows where it will be, plants links, FIFOs and folders in the
 * place of what the program writes. It may be refused, but never writes to, cuts or creates what a link leads to, and
 * never waits.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, lstat, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Migration, photo, prepareMigration } from '../cli/migration.ts';
import { type Ended, runProgram } from '../support/run-s3migrate.ts';

const PRECIOUS = 'precious\n'.repeat(100);

async function givenPrecious(path: string): Promise<void> {
  await writeFile(path, PRECIOUS);
  await chmod(path, 0o644);
}

/** Plants each kind of thing at a path, and tells where a link leads. */
const KINDS: Readonly<Record<string, (path: string, target: string) => Promise<unknown> | void>> = {
  'a link to a file': async (path, target) => {
    await givenPrecious(target);
    await symlink(target, path);
  },
  'a link to nothing': (path, target) => symlink(target, path),
  'a link to a folder': async (path, target) => {
    await mkdir(target);
    await givenPrecious(join(target, 'file'));
    await symlink(target, path);
  },
  'a FIFO': (path) => void execFileSync('mkfifo', [path]),
  'a folder': (path) => mkdir(path),
};

type Command = (migration: Migration) => Promise<Ended>;

const IN_PARTS = { 'multipart-threshold': '16MiB' };
const migrate: Command = (migration) => migration.run(IN_PARTS);
const verify: Command = (migration) =>
  runProgram(['verify', ...migration.args({ 'src-folder': undefined, 'dest-folder': undefined })]);

const PLACES: readonly [path: string, command: Command][] = [
  ...[
    'migrate.log',
    'failed.log',
    'migrate.run.json',
    'migrate.run.json.part',
    'migrate.uploads',
    'migrate.uploads.part',
    'migrate.lock',
    'migrate.lock.0123456789abcdef',
    'migrate.lock.0123456789abcdef.part',
    'migrate.ahead',
    'migrate.ahead/00000001.page',
    'migrate.ahead/00000001.part',
  ].map((path): [string, Command] => [path, migrate]),
  ...[
    'verify.log',
    'verify.run.json',
    'verify.run.json.part',
    'lists',
    'lists/source',
    'lists/source.part',
    'lists/destination.part',
  ].map((path): [string, Command] => [path, verify]),
];

describe.each(Object.entries(KINDS))('%s', (_, plant) => {
  test.each(PLACES)('in the place of %s leads nowhere', async (path, command) => {
    const migration = await prepareMigration();
    await givenAllKinds(migration);
    const place = migration.path('logs', path);
    const target = migration.path('target');
    await mkdir(join(place, '..'), { recursive: true });
    await plant(place, target);

    const { exitCode, stderr } = await command(migration);

    expect([0, 1, 2, 3]).toContain(exitCode);
    if (exitCode === 2 || exitCode === 3) expect(stderr).toContain(migration.logFolder);
    await expectUntouched(target);
  });

  test('in the place of a list leads nowhere', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(1);
    const { source } = migration;
    const bucket = ['--url', source.server.url, '--bucket', source.bucketName];
    const keys = ['--key', source.accessKey, '--secret', source.secret];
    await mkdir(migration.path('tree'));
    await writeFile(migration.path('tree', 'a'), '');
    for (const name of ['00000000.txt', '.00000000.txt', '.00000000.txt.part']) {
      const folder = migration.path(`made-${name}`);
      await mkdir(folder);
      const target = migration.path(`target-${name}`);
      await plant(join(folder, name), target);
      const ends = [
        await runProgram(['list', ...bucket, ...keys, folder]),
        await runProgram([migration.path('tree'), folder], { program: 's3find' }),
      ];
      for (const { exitCode } of ends) expect(exitCode).toBe(2);
      await expectUntouched(target);
      expect(await readdir(folder)).toEqual([name]);
    }
  });
});

/** What makes a run write all of its files: an object, one in parts, one that fails. */
async function givenAllKinds(migration: Migration): Promise<void> {
  const { source } = migration;
  source.put('large', Buffer.alloc(17 * 1024 ** 2));
  await migration.givenPhotos(2);
  await migration.listKeys();
  source.script.on('GetObject', photo(0)).status(403, { code: 'InvalidObjectState' });
}

/** Whatever it was before: a precious file, a folder with one, or nothing. */
async function expectUntouched(target: string): Promise<void> {
  if (!existsSync(target)) return;
  const isFolder = (await lstat(target)).isDirectory();
  if (isFolder) expect(await readdir(target)).toEqual(['file']);
  const file = isFolder ? join(target, 'file') : target;
  expect(await readFile(file, 'latin1')).toBe(PRECIOUS);
  // As it was made, and not as private as a log.
  expect((await lstat(file)).mode & 0o044).toBe(0o044);
}

test('all that a run writes is its owner’s alone, whatever the umask', async () => {
  const migration = await prepareMigration();
  await givenAllKinds(migration);
  const openly = ['sh', '-c', 'umask 0; exec "$0" "$@"'];
  const { exitCode } = await migration.run(IN_PARTS, { under: openly });
  expect(exitCode).toBe(1);
  await runProgram(
    ['verify', ...migration.args({ 'src-folder': undefined, 'dest-folder': undefined })],
    { under: openly },
  );
  const modes = await modesBelow(migration.logFolder);
  expect(Object.keys(modes)).toEqual(
    expect.arrayContaining(['.', 'migrate.log', 'failed.log', 'migrate.run.json', 'verify.log']),
  );
  const open = Object.entries(modes).filter(([, mode]) => (mode & 0o077) !== 0);
  expect(open.map(([name]) => name).filter((name) => !name.startsWith('lists/'))).toEqual([]);
});

async function modesBelow(folder: string): Promise<Record<string, number>> {
  const names = ['.', ...(await readdir(folder, { recursive: true }))];
  const modes = names.map(async (name) => [name, (await lstat(join(folder, name))).mode] as const);
  return Object.fromEntries(await Promise.all(modes));
}

test('keys that lead out of a folder are keys in the lists of --failed-to-folder and s3find', async () => {
  const migration = await prepareMigration();
  const keys = ['../../evil', '../evil', '/etc/evil', 'a/../../evil'];
  for (const key of keys) migration.source.put(key, 'content');
  await migration.listKeys('src', keys);
  migration.source.script.on('GetObject').status(403, { code: 'InvalidObjectState' });
  expect(await migration.run()).toMatchObject({ exitCode: 1 });
  const made = migration.path('retry', 'lists');
  const before = await readdir(migration.root);
  expect(await migration.run({ 'failed-to-folder': made })).toMatchObject({ exitCode: 0 });
  expect(await readdir(migration.root)).toEqual([...before, 'retry'].toSorted());
  expect(await readdir(migration.path('retry'), { recursive: true })).toEqual([
    'lists',
    'lists/00000000.txt',
  ]);
  expect(await readFile(join(made, '00000000.txt'), 'latin1')).toBe(`${keys.join('\n')}\n`);
});

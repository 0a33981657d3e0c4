/**
 * A list out of order, noticed in the middle of a run: what went before stays recorded, and nothing is lost.
 */
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { keysIn, type Migration, photo, prepareMigration } from './migration.ts';

/** Long keys, so that the list is read in many pieces and the break is not in the first. */
const FOLDER = 'an album with a long name/'.repeat(4);
const name = (number: number): string => FOLDER + photo(number);
const MISPLACED = `${name(7)}-edited`;
const PAGE_KEYS = 2000;
/** Whole pages before the break. */
const GOOD_KEYS = 2 * PAGE_KEYS;

/**
 * A list with a key out of order in its third page, that belongs into the first; and the keys before
 * and after that have to be copied, every 25th.
 */
async function givenBreakInThirdPage(): Promise<{ migration: Migration; toCopy: string[] }> {
  const migration = await prepareMigration();
  const keys = Array.from({ length: 6000 }, (_, i) => name(i));
  const toCopy = keys.filter((_, i) => i % 25 === 0);
  for (const key of [...toCopy, MISPLACED]) migration.source.put(key, `bytes of ${key}`);
  await migration.listKeys('src', [...keys.slice(0, 5400), MISPLACED, ...keys.slice(5400)]);
  await migration.listKeys(
    'dest',
    keys.filter((_, i) => i % 25 !== 0),
  );
  return { migration, toCopy };
}

/** Runs the command that the error's hint gives. */
function repair(stderr: string): void {
  const [command] = /LC_ALL=C sort -u -o \S+ \S+/.exec(stderr) ?? [];
  expect(command).toBeDefined();
  execFileSync('sh', ['-c', command as string]);
}

describe('a list out of order', () => {
  it('stops the run with file, line, both keys and the command that repairs it', async () => {
    const { migration } = await givenBreakInThirdPage();
    const { exitCode, stderr } = await migration.run();
    const path = migration.path('lists', 'src', '00000.txt');
    expect(stderr).toContain(`${path}:5401: key "${MISPLACED}" comes before "${name(5399)}"`);
    expect(stderr).toContain(`LC_ALL=C sort -u -o ${path} ${path}`);
    expect(exitCode).toBe(2);
  });

  it('has what went before recorded, and nothing of its page begun', async () => {
    const { migration, toCopy } = await givenBreakInThirdPage();
    await migration.run();
    const before = toCopy.filter((key) => key < name(GOOD_KEYS));
    expect(keysIn(await migration.migrateLog())).toEqual(before);
    expect(migration.destination.bucket.keys()).toEqual(before);
    expect(migration.source.script.count('GetObject')).toBe(before.length);
  });

  it('that is not repaired stops the same command again', async () => {
    const { migration } = await givenBreakInThirdPage();
    await migration.run();
    const { exitCode, stderr } = await migration.run();
    expect(stderr).toContain(`:5401: key "${MISPLACED}" comes before`);
    expect(exitCode).toBe(2);
  });

  it('that is repaired is another list: its key may belong to what is recorded already', async () => {
    const { migration, toCopy } = await givenBreakInThirdPage();
    repair((await migration.run()).stderr);

    const same = await migration.run();
    expect(same.stderr).toContain('the log folder is of another run: source lists was ');
    expect(same.exitCode).toBe(2);

    const anew = await migration.run({ 'log-folder': migration.path('new-logs') });
    expect(anew.exitCode).toBe(0);
    expect(migration.destination.contents()).toEqual(migration.source.contents());
    expect(keysIn(await migration.migrateLog(migration.path('new-logs')))).toEqual(
      [...toCopy, MISPLACED].toSorted(),
    );
  });

  it('in its first lines has nothing started at all', async () => {
    const migration = await prepareMigration();
    await migration.listKeys('src', ['b', 'a']);
    const { exitCode, stderr } = await migration.run();
    expect(stderr).toContain('00000.txt:2: key "a" comes before "b"');
    expect(exitCode).toBe(2);
    expect(migration.source.script.count('GetObject')).toBe(0);
    expect(migration.destination.bucket.keys()).toEqual([]);
  });

  it('on the destination side stops the run too: its keys could seem to be missing', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(3);
    await migration.listKeys('dest', [photo(1), photo(0)]);
    const { exitCode, stderr } = await migration.run();
    expect(stderr).toContain(`dest/00000.txt:2: key "${photo(0)}" comes before "${photo(1)}"`);
    expect(exitCode).toBe(2);
    expect(migration.destination.bucket.keys()).toEqual([]);
  });

  it.each([
    ['an empty line', '\n', /:2: empty key/],
    ['a NUL', 'b\0c\n', /:2: a key holds a NUL byte/],
    ['a key of more than 1,024 bytes', `${'k'.repeat(1025)}\n`, /:2: key of more than 1024 bytes/],
  ])('is not the only fault found on the way: %s', async (_, line, message) => {
    const migration = await prepareMigration();
    await migration.writeList('src', '00000.txt', `a\n${line}z\n`);
    const { exitCode, stderr } = await migration.run();
    expect(stderr).toMatch(message);
    expect(exitCode).toBe(2);
    expect(migration.source.script.count('GetObject')).toBe(0);
  });
});

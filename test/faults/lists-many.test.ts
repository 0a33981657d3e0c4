/**
 * L6: ten thousand list files, in few descriptors and little memory, whether they follow one another or interleave
 * key by key.
 */
import { expect, test } from 'vitest';
import { type Migration, prepareMigration } from '../cli/migration.ts';
import { needs } from '../support/system-faults.ts';
import { Invariants } from './invariants.ts';

const FILES = 10_000;
const KEYS_A_FILE = 5;
const TO_COPY_EVERY = 1000;

/** @param fileOf the number of the list file that the nth key is in */
async function givenManyLists(
  fileOf: (n: number) => number,
): Promise<{ migration: Migration; toCopy: string[] }> {
  const migration = await prepareMigration();
  const keys = Array.from(
    { length: FILES * KEYS_A_FILE },
    (_, n) => `album/${String(n).padStart(6, '0')}`,
  );
  const lists = Array.from({ length: FILES }, (): string[] => []);
  for (const [n, key] of keys.entries()) lists[fileOf(n)]?.push(key);
  const named = [...lists.entries()];
  for (let from = 0; from < FILES; from += 500) {
    await Promise.all(
      named
        .slice(from, from + 500)
        .map(([number, list]) =>
          migration.writeList(
            'src',
            `${String(number).padStart(5, '0')}.txt`,
            list.map((key) => `${key}\n`).join(''),
          ),
        ),
    );
  }
  const toCopy = keys.filter((_, n) => n % TO_COPY_EVERY === 0);
  for (const key of toCopy) migration.source.put(key, `bytes of ${key}`);
  await migration.listKeys(
    'dest',
    keys.filter((_, n) => n % TO_COPY_EVERY !== 0),
  );
  return { migration, toCopy };
}

test.each([
  ['follow one another', (n: number) => Math.floor(n / KEYS_A_FILE)],
  ['interleave key by key', (n: number) => n % FILES],
])('L6: ten thousand lists that %s need few descriptors and little memory', async (_, fileOf) => {
  needs('prlimit');
  const { migration, toCopy } = await givenManyLists(fileOf);
  const invariants = new Invariants(migration);
  const options = {
    under: ['prlimit', '--nofile=120:120'],
    env: { NODE_OPTIONS: '--max-old-space-size=160' },
  };
  const { exitCode, stderr } = await migration.run({ threads: 4, cores: 1 }, options);
  expect(stderr).toContain(
    `obj 50,000 = ign 0 + exist ${(50_000 - toCopy.length).toLocaleString('en')} `,
  );
  expect(exitCode).toBe(0);
  const { migrate } = await invariants.expectComplete();
  expect(migrate.map(({ key }) => key)).toEqual(toCopy);
});

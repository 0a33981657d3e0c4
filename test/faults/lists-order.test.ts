/**
 * L1, L2 and L5: lists out of order, lists that overlap, and lists that change under the run. What cannot be relied
 * upon stops the run with file and line before any key behind it is used; nothing is copied or counted twice.
 */
import { execFileSync } from 'node:child_process';
import { appendFile, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { gate, keysIn, type Migration, photo, prepareMigration, utf8 } from '../cli/migration.ts';
import { Invariants } from './invariants.ts';

/** Objects under these keys (byte strings) in the source; lists are the test's to write. */
async function givenObjects(
  keys: readonly string[],
): Promise<{ migration: Migration; invariants: Invariants }> {
  const migration = await prepareMigration();
  for (const key of keys) migration.source.put(key, `bytes of ${key}`);
  return { migration, invariants: new Invariants(migration) };
}

const linesOf = (keys: readonly string[]): string => keys.map((key) => `${key}\n`).join('');

/** Runs the command that a hint gives, if it gives one. */
function repair(stderr: string): void {
  const [command = ''] = /(?:LC_ALL=C sort -u -o|gunzip -c|awk) .*$/m.exec(stderr) ?? [];
  execFileSync('bash', ['-c', command.replace(/ \(if keys are quoted.*/, '')]);
}

const EMOJI = utf8('😀');
const FULLWIDTH = utf8('～');
const DISORDERS: readonly [what: string, keys: readonly string[], broken: number][] = [
  ['unsorted', ['a', 'c', 'b', 'd'], 3],
  ['locale-sorted', ['apple', 'Banana', 'cherry'], 2],
  ['UTF-16-sorted', ['a', EMOJI, FULLWIDTH], 3],
  ['sorted backwards', ['c', 'b', 'a'], 2],
];

test.each(DISORDERS)(
  'L1: a list that is %s stops the run by file and line, and its hint mends it',
  async (_, keys, line) => {
    const { migration, invariants } = await givenObjects(keys);
    for (const [name, content] of [
      ['00000.txt', Buffer.from(linesOf(keys), 'latin1')],
      ['00000.txt.gz', gzipSync(Buffer.from(linesOf(keys), 'latin1'))],
      ['00000.csv', Buffer.from(`key\n${linesOf(keys)}`, 'latin1')],
    ] as const) {
      await migration.writeList('src', name, content);
      const path = migration.path('lists', 'src', name);
      const number = name.endsWith('.csv') ? line + 1 : line;
      const { exitCode, stderr } = await migration.run({
        'log-folder': migration.path(`broken-${name}`),
      });
      expect(stderr).toContain(`: ${path}:${number}: key "`);
      expect(stderr).toContain('" comes before "');
      expect(exitCode).toBe(2);
      expect(migration.destination.bucket.keys()).toEqual([]);

      repair(stderr);
      const logs = migration.path(`logs-${name}`);
      expect(await migration.run({ 'log-folder': logs })).toMatchObject({ exitCode: 0 });
      await invariants.expectComplete(logs);
      expect(migration.destination.bucket.keys()).toEqual(keys.toSorted());

      for (const key of keys) migration.destination.bucket.delete(key as never);
      await rm(path);
    }
  },
);

test('L1: a break in the middle of many pages leaves recorded what was before it, and uses nothing behind it', async () => {
  const names = Array.from({ length: 9000 }, (_, i) => `${'album/'.repeat(10)}${photo(i)}`);
  const toCopy = names.filter((_, i) => i % 25 === 0);
  const { migration, invariants } = await givenObjects(toCopy);
  await migration.writeList('dest', '00000.txt', linesOf(names.filter((_, i) => i % 25 !== 0)));
  const broken = [...names.slice(0, 7000), names[10] as string, ...names.slice(7000)];
  await migration.writeList('src', '00000.txt', linesOf(broken));
  for (let start = 0; start < 2; start++) {
    const { exitCode, stderr } = await migration.run();
    expect(stderr).toContain('00000.txt:7001: key "');
    expect(exitCode).toBe(2);
    const { migrate } = await invariants.expectSound();
    expect(migrate.length).toBeGreaterThan(80);
    expect(migrate.every(({ key }) => key < (names[7000] as string))).toBe(true);
    expect(migration.destination.bucket.keys()).toEqual(migrate.map(({ key }) => key));
  }
});

test('L1: a break behind the point where a killed run goes on is found, also in a file that another overlaps', async () => {
  const long = (name: string): string => `${name}-${'x'.repeat(60)}`;
  const first = Array.from({ length: 2000 }, (_, i) => long(`a${String(i).padStart(5, '0')}`));
  const others = ['b1', 'b2', 'b3'].map(long);
  const tail = long('m');
  const { migration, invariants } = await givenObjects([first[0] as string, ...others, tail]);
  await migration.writeList('dest', '00000.txt', linesOf(first.slice(1)));
  // In order up to `m`; its last line is out of place, and before where the run is killed.
  await migration.writeList('src', '00000.txt', linesOf([...first, tail, first[5] as string]));
  await migration.writeList('src', '00001.txt', linesOf([first[100] as string, ...others]));
  const { exitCode, stderr } = await migration.run({ 'start-after': others[2] as string });
  expect(stderr).toContain('00000.txt:2002: key "');
  expect(exitCode).toBe(2);
  await invariants.expectSound();
});

const THREE = [photo(0), photo(1), photo(2)];

test.each<[what: string, lists: Record<string, readonly string[]>]>([
  ['overlapping', { '0.txt': THREE.slice(0, 2), '1.txt': THREE.slice(1) }],
  ['identical', { '0.txt': THREE, '1.txt': THREE, '2.txt': THREE }],
  ['nested', { '0.txt': THREE, '1.txt': THREE.slice(1, 2) }],
  ['interleaved', { '0.txt': [photo(0), photo(2)], '1.txt': [photo(1)] }],
  ['with a key twice', { '0.txt': [photo(0), photo(0), photo(1), photo(2), photo(2)] }],
  ['with an empty file before', { '.hidden': [photo(9)], '0.txt': [], '1.txt': THREE }],
  [
    'with an empty file between',
    { '0.txt': THREE.slice(0, 1), '1.txt': [], '2.txt': THREE.slice(1) },
  ],
])('L2: lists %s count and copy each key once', async (_, lists) => {
  const { migration, invariants } = await givenObjects(THREE);
  for (const [name, keys] of Object.entries(lists))
    await migration.writeList('src', name, linesOf(keys));
  const { exitCode, stderr } = await migration.run();
  expect(stderr).toContain('obj 3 = ign 0 + exist 0');
  expect(exitCode).toBe(0);
  const { migrate } = await invariants.expectComplete();
  expect(migrate.map(({ key, outcome }) => [key, outcome])).toEqual(
    THREE.map((key) => [key, 'copied']),
  );
  expect(migration.source.script.count('GetObject')).toBe(3);
});

test.each<[what: string, lists: readonly string[]]>([
  ['no file', []],
  ['an empty file', ['0.txt']],
  ['several empty files', ['0.txt', '1.csv', '2.txt']],
])('L2: a source folder with %s is refused, whatever the destination has', async (_, names) => {
  const { migration } = await givenObjects(THREE);
  await migration.writeList('dest', '0.txt', linesOf(THREE));
  for (const name of names)
    await migration.writeList('src', name, name.endsWith('.csv') ? 'key\n' : '');
  const { exitCode, stderr } = await migration.run();
  expect(stderr).toMatch(/^s3migrate: --src-folder .*: no keys to migrate in this folder\n {2}\S/);
  expect(exitCode).toBe(2);
  expect(migration.destination.bucket.keys()).toEqual([]);
});

test('L2: the destination alone may have a key, which is nobody’s business', async () => {
  const { migration, invariants } = await givenObjects(THREE);
  await migration.writeList('src', '0.txt', linesOf(THREE));
  await migration.writeList('dest', '0.txt', linesOf([photo(1), 'zebra']));
  const { exitCode, stderr } = await migration.run();
  expect(stderr).toContain('obj 3 = ign 0 + exist 1 + skip 0 (dn 0, up 0) + fail 0 + upld 2');
  expect(exitCode).toBe(0);
  await invariants.expectComplete();
});

const CHANGES: readonly [
  what: string,
  change: (path: string) => Promise<unknown>,
  message: RegExp,
][] = [
  ['grows', (path) => appendFile(path, 'zebra\n'), /changed while it was being read/],
  [
    'is cut',
    async (path) => writeFile(path, (await readFile(path)).subarray(0, 900_000)),
    /changed while/,
  ],
  ['is rewritten', async (path) => writeFile(path, await readFile(path)), /changed while/],
  ['vanishes', (path) => rm(path), /cannot be read any more: ENOENT/],
  [
    'is replaced by another',
    async (path) => {
      await writeFile(`${path}.new`, 'zebra\n');
      await rename(`${path}.new`, path);
    },
    /changed while/,
  ],
];

test.each(
  CHANGES.flatMap((change) => (['src', 'dest'] as const).map((side) => [side, ...change] as const)),
)(
  'L5: a list of %s that %s while the run reads it stops the run, which goes on when it is back',
  async (side, _, change, message) => {
    const names = Array.from(
      { length: 20_000 },
      (_, i) => `${'album/'.repeat(10)}${String(i).padStart(6, '0')}`,
    );
    const toCopy = names.filter((_, i) => i % 50 === 0);
    const { migration, invariants } = await givenObjects(toCopy);
    await migration.writeList('src', '00000.txt', linesOf(names));
    await migration.writeList('dest', '00000.txt', linesOf(names.filter((_, i) => i % 50 !== 0)));
    const { opened, open } = gate();
    migration.source.script
      .on('GetObject')
      .skip(10)
      .before(() => opened);
    const program = migration.start({ threads: 2, cores: 1 });
    await program.reaches(migration.source.script.seen('GetObject', 12));
    const path = migration.path('lists', side, '00000.txt');
    const original = await readFile(path);
    await change(path);
    open();

    const { exitCode, stderr } = await program.ended;

    expect(stderr).toMatch(message);
    expect(stderr).toContain(`: ${path}: `);
    expect(stderr).toContain('it continues where it stopped');
    expect(exitCode).toBe(3);
    await invariants.expectSound();
    await writeFile(path, original);
    expect(await migration.run()).toMatchObject({ exitCode: 0 });
    await invariants.expectComplete();
    expect(keysIn(await migration.migrateLog())).toEqual(toCopy);
  },
);

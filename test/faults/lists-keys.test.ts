/**
 * L7, L8 and L9: keys that are hard to carry arrive byte for byte on both sides, or their reason is told; and lists
 * that are not what the stores hold are told of, not believed.
 */

import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { escapeKey, type ObjectKey } from '../../src/object-key.ts';
import { argumentsOf, type Migration, photo, prepareMigration, utf8 } from '../cli/migration.ts';
import { runProgram } from '../support/run-s3migrate.ts';
import { Invariants } from './invariants.ts';

const CONTROLS = Array.from({ length: 0x20 }, (_, code) => code).filter((code) => code > 0);

const AWKWARD: readonly [what: string, keys: readonly string[]][] = [
  ['slashes', ['a//b', '//', '/lead', 'trail/', 'a///', '/']],
  ['dots', ['.', '..', 'a/.', 'a/..', 'a/../b', './c', '...']],
  [
    'what URLs give a meaning',
    [
      'a+b',
      'a%b',
      'a%2Fb',
      'a%',
      'a?b',
      'a#b',
      'a&b=c',
      'a;b',
      'a:b',
      'a@b',
      'a[b]',
      '*',
      "a'b(c)!",
    ],
  ],
  ['blanks at the ends', [' lead', 'trail ', ' ', '  ', '\ttab\t']],
  ['emoji and other planes', [utf8('😀'), utf8('👩‍👩‍👧'), utf8('～'), utf8('日本語/写真')]],
  ['composed and decomposed letters', [utf8('\u00e9'), utf8('e\u0301')]],
  [
    'control characters',
    [...CONTROLS.map((code) => `c${String.fromCharCode(code)}d`), 'e\x7f', 'f\x1b[31m'],
  ],
  ['bytes that are not UTF-8', ['\xff', 'a\x80', '\xc0\xaf', '\xed\xa0\x80', 'a\xf5b']],
  ['quotes, commas and backslashes', ['"', 'a"b', 'a,b', '"a,b"', '\\', 'a\\nb', '\\x41', 'key']],
  ['1,023 and 1,024 bytes', ['k'.repeat(1023), 'k'.repeat(1024), utf8('é'.repeat(512))]],
  ['invisible and turning characters', [utf8('a\u202eb'), utf8('a\u200bb'), utf8('\ufeff')]],
];

function csvList(keys: readonly string[]): string {
  const rows = keys.map((key) => `"${escapeKey(key as ObjectKey).replaceAll('"', '""')}"\n`);
  return `key\n${rows.join('')}`;
}

async function givenObjects(
  keys: readonly string[],
): Promise<{ migration: Migration; invariants: Invariants }> {
  const migration = await prepareMigration();
  for (const key of keys) migration.source.put(key, `bytes of ${key}`);
  return { migration, invariants: new Invariants(migration) };
}

test.each(AWKWARD)(
  'L7: keys with %s are on the wire what they are in the list, on both sides',
  async (_, keys) => {
    const sorted = keys.toSorted();
    const { migration, invariants } = await givenObjects(sorted);
    await migration.writeList('src', '00000.csv', csvList(sorted));

    const { exitCode, stderr } = await migration.run();

    expect(stderr).toContain('every listed key is accounted for');
    expect(exitCode).toBe(0);
    const { source, destination } = migration;
    const asked = source.script.requests.filter(({ operation }) => operation === 'GetObject');
    expect(asked.map(({ key }) => key).toSorted()).toEqual(sorted);
    const sent = destination.script.requests.filter(({ operation }) => operation === 'PutObject');
    expect(sent.map(({ key }) => key).toSorted()).toEqual(sorted);
    expect([...asked, ...sent].filter(({ status }) => status !== 200)).toEqual([]);
    expect(destination.contents()).toEqual(source.contents());
    const { migrate } = await invariants.expectComplete();
    expect(migrate.map(({ key, outcome }) => [key, outcome])).toEqual(
      sorted.map((key) => [key, 'copied']),
    );
    // Nothing of a key reaches the terminal as it is.
    // oxlint-disable-next-line no-control-regex
    expect(stderr).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f]/);
  },
);

test('L7: all of them in a plain list too, but for those that it cannot hold', async () => {
  const keys = AWKWARD.flatMap(([, some]) => some)
    .filter((key) => !key.includes('\n'))
    .toSorted();
  const { migration, invariants } = await givenObjects(keys);
  await migration.listKeys('src', keys);
  expect(await migration.run()).toMatchObject({ exitCode: 0 });
  expect(migration.destination.contents()).toEqual(migration.source.contents());
  const { migrate } = await invariants.expectComplete();
  expect(migrate.map(({ key }) => key)).toEqual(keys);
});

test('L7: where they fail, each has its line and its reason, and can be tried again', async () => {
  const keys = AWKWARD.flatMap(([, some]) => some).toSorted();
  const { migration, invariants } = await givenObjects(keys);
  await migration.writeList('src', '00000.csv', csvList(keys));
  migration.destination.script.on('PutObject').skip(1).status(400, { code: 'InvalidObjectName' });
  const { exitCode, stderr } = await migration.run({ threads: 1 });
  expect(exitCode).toBe(1);
  // oxlint-disable-next-line no-control-regex
  expect(stderr).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f\x80-\x9f]/);
  const { failed } = await invariants.expectComplete();
  expect(failed.map(({ key, code }) => [key, code])).toEqual(
    keys.slice(1).map((key) => [key, 'InvalidObjectName']),
  );

  migration.destination.script.clear();
  const retry = migration.path('retry');
  expect(await migration.run({ 'failed-to-folder': retry })).toMatchObject({ exitCode: 0 });
  const logs = migration.path('logs-retry');
  expect(await migration.run({ 'src-folder': retry, 'log-folder': logs })).toMatchObject({
    exitCode: 0,
  });
  expect(migration.destination.contents()).toEqual(migration.source.contents());
  await invariants.expectComplete(logs);
});

test.each([
  ['00000.txt', `${'k'.repeat(1025)}\n`],
  ['00000.csv', `key\n${'k'.repeat(1025)}\n`],
  ['00000.csv', `key\n${'\\xFF'.repeat(1025)}\n`],
])('L7: a key of 1,025 bytes is in no list: %s', async (name, list) => {
  const { migration } = await givenObjects([photo(0)]);
  await migration.writeList('src', name, list);
  const { exitCode, stderr } = await migration.run();
  expect(stderr).toMatch(/:[12]: key of more than 1024 bytes, beginning with "/);
  expect(stderr).toContain('S3 takes keys of at most 1024 bytes');
  expect(exitCode).toBe(2);
});

test("L8: what the destination's list names is taken as there; verify finds what is not", async () => {
  const { migration, invariants } = await givenObjects([photo(0), photo(1)]);
  await migration.listKeys();
  await migration.listKeys('dest', [photo(0)]);
  const { exitCode, stderr } = await migration.run();
  expect(stderr).toContain('obj 2 = ign 0 + exist 1 + skip 0 (dn 0, up 0) + fail 0 + upld 1');
  expect(exitCode).toBe(0);
  expect(migration.source.script.count('GetObject', photo(0))).toBe(0);
  await invariants.expectComplete();
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  expect(readme).toMatch(/What the destination's list names is taken as there, without\s+a look/);

  // The lists made anew by verify itself.
  const verified = { ...migration.flags(), 'src-folder': undefined, 'dest-folder': undefined };
  const args = [
    'verify',
    ...argumentsOf({ ...verified, 'log-folder': migration.path('verified') }),
  ];
  const end = await runProgram(args, { cwd: migration.root });
  expect(end.stderr).toContain('1 object missing on the destination');
  expect(end.exitCode).toBe(1);
});

test('L9: a name of the file system that is no key of the source is told of, one by one, and nothing is made of it', async () => {
  const { migration, invariants } = await givenObjects(['dir/a', 'dir/b']);
  const listed = ['dir/a', 'dir/a.snapshot', 'dir/b'];
  await migration.listKeys('src', listed);
  const { stderr } = await migration.run();
  expect(stderr).toMatch(/^ {2}NOT FOUND 1 listed object not in the source \(404\), not copied/m);
  expect(stderr).toContain('\n      dir/a.snapshot\n');
  expect(stderr).toContain('skip 1 (dn 1, up 0)');
  const { migrate } = await invariants.expectComplete();
  expect(migrate.map(({ key, outcome, detail }) => [key, outcome, detail])[1]).toEqual([
    'dir/a.snapshot',
    'skipped-download',
    'NoSuchKey',
  ]);
  expect(migration.destination.bucket.keys()).toEqual(['dir/a', 'dir/b']);
});

/**
 * L3 and L4: list files as editors, spreadsheets and accidents leave them. What is not a list is passed over or refused
 * by name, within bounded memory and without a wait; what is a key is taken byte for byte.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { gzipSync } from 'node:zlib';
import { expect, onTestFinished, test } from 'vitest';
import { type Migration, photo, prepareMigration } from '../cli/migration.ts';
import type { Ended, RunOptions } from '../support/run-s3migrate.ts';
import { failing } from '../support/system-faults.ts';
import { Invariants } from './invariants.ts';

const THREE = [photo(0), photo(1), photo(2)];
const LINES = THREE.map((key) => `${key}\n`).join('');
/** Enough for the program, and not for a line of some hundred megabytes. */
const SMALL_HEAP = { env: { NODE_OPTIONS: '--max-old-space-size=128' } };

async function givenObjects(
  keys: readonly string[] = THREE,
): Promise<{ migration: Migration; invariants: Invariants }> {
  const migration = await prepareMigration();
  for (const key of keys) migration.source.put(key, `bytes of ${key}`);
  return { migration, invariants: new Invariants(migration) };
}

/** Before any object is copied, with what and where, and a hint. */
async function expectRefused(
  migration: Migration,
  message: RegExp,
  options: RunOptions = {},
): Promise<Ended> {
  const end = await migration.run({}, options);
  expect(end.stderr).toMatch(message);
  expect(end.stderr).toMatch(/^s3migrate: .*\n {2}\S|^ {2}next {6}\S/m);
  expect(end.exitCode).toBe(2);
  expect(migration.destination.bucket.keys()).toEqual([]);
  return end;
}

async function expectCopied(
  migration: Migration,
  invariants: Invariants,
  keys = THREE,
): Promise<Ended> {
  const end = await migration.run();
  expect(end.stderr).toContain('every listed key is accounted for');
  expect(end.exitCode).toBe(0);
  await invariants.expectComplete();
  expect(migration.destination.bucket.keys()).toEqual(keys);
  return end;
}

test.each<[what: string, list: string, message: RegExp, mended: (bytes: string) => string]>([
  [
    'CR LF at the end of every line',
    LINES.replaceAll('\n', '\r\n'),
    /:1: lines end in CR LF/,
    (text) => text.replaceAll('\r', ''),
  ],
  ['a byte order mark', `\xef\xbb\xbf${LINES}`, /:1: .*byte order mark/, (text) => text.slice(3)],
  [
    'a blank line in the middle',
    LINES.replace('\n', '\n\n'),
    /:2: empty key/,
    (text) => text.replace('\n\n', '\n'),
  ],
  ['blank lines at the end', `${LINES}\n\n`, /:4: empty key/, (text) => text.trimEnd()],
])(
  'L3: %s is refused by file and line, and the hint mends it',
  async (_, list, message, mended) => {
    const { migration, invariants } = await givenObjects();
    await migration.writeList('src', '00000.txt', list);
    const { stderr } = await expectRefused(migration, message);
    const [command = ''] = /sed -i '.*' \S+/.exec(stderr) ?? [];
    execFileSync('bash', ['-c', command]);
    const path = migration.path('lists', 'src', '00000.txt');
    expect((await readFile(path, 'latin1')).trimEnd()).toBe(mended(list).trimEnd());
    const logs = migration.path('new-logs');
    expect(await migration.run({ 'log-folder': logs })).toMatchObject({ exitCode: 0 });
    await invariants.expectComplete(logs);
  },
);

test.each([
  ['between keys', 'a\n\0\nb\n'],
  ['in a key', 'a\0b\n'],
  ['behind the last line, as a crash leaves them', `${LINES}${'\0'.repeat(5000)}`],
])('L3: NULs %s are refused by file and line', async (_, list) => {
  const { migration } = await givenObjects();
  await migration.writeList('src', '00000.txt', list);
  await expectRefused(migration, /00000\.txt:\d+: a key holds a NUL byte/);
});

test.each([
  ['without a last line feed', LINES.slice(0, -1)],
  ['of one key without a line feed', photo(0)],
])('L3: a list %s is whole', async (_, list) => {
  const { migration, invariants } = await givenObjects();
  await migration.writeList('src', '00000.txt', list);
  await expectCopied(migration, invariants, list.split('\n').filter(Boolean));
});

test('L3: a .csv list may have CR LF at the end of its lines, as spreadsheets write them', async () => {
  const { migration, invariants } = await givenObjects();
  await migration.writeList('src', '00000.csv', `key,size\r\n${LINES.replaceAll('\n', ',3\r\n')}`);
  const { stderr } = await migration.run();
  expect(stderr).toContain('upld 3');
  await invariants.expectSound();
  expect(migration.destination.bucket.keys()).toEqual(THREE);
});

test.each([
  ['./', ['./a', './b']],
  ['/', ['/a', '/b']],
])(
  'L3: a leading %s is part of the key: copied where there is such an object, told of where there is none',
  async (lead, keys) => {
    const { migration, invariants } = await givenObjects(keys);
    await migration.listKeys('src', [...keys, `${lead}gone`]);
    const { stderr } = await migration.run();
    expect(stderr).toMatch(/NOT FOUND 1 listed object not in the source/);
    expect(stderr).toContain(`\n      ${lead}gone\n`);
    const { migrate } = await invariants.expectComplete();
    expect(migrate.map(({ key, outcome }) => [key, outcome])).toEqual([
      ...keys.map((key) => [key, 'copied']),
      [`${lead}gone`, 'skipped-download'],
    ]);
  },
);

test('L4: a binary file is refused by name', async () => {
  const { migration } = await givenObjects();
  await migration.writeList('src', '00000.txt', LINES);
  let bytes = Buffer.alloc(0);
  for (let i = 0; bytes.length < 100_000; i++) {
    bytes = Buffer.concat([bytes, createHash('sha512').update(String(i)).digest()]);
  }
  await migration.writeList('src', 'photo.jpg', bytes);
  await expectRefused(migration, /photo\.jpg:\d+: /);
});

test.each(['src', 'dest'] as const)(
  'L4: a gigabyte of NULs in the lists of %s is refused without being read',
  async (side) => {
    const { migration } = await givenObjects();
    await migration.writeList('src', '00000.txt', LINES);
    const path = migration.path('lists', side, 'sparse');
    await writeFile(path, '');
    await truncate(path, 1024 ** 3);
    await expectRefused(migration, /sparse:1: a key holds a NUL byte/, SMALL_HEAP);
  },
);

test.each([
  ['long', 1024, ''],
  ['long.csv', 100, ''],
  ['long.gz', 1024, '| gzip -1'],
])(
  'L4: an endless line is refused in little memory: %s of %i MiB',
  async (name, mebibytes, pack) => {
    const { migration } = await givenObjects();
    await migration.writeList('src', '00000.txt', LINES);
    const path = migration.path('lists', 'src', name);
    const begin = name === 'long.csv' ? 'key\\n' : 'zebra\\n';
    const line = `head -c ${mebibytes * 1024 ** 2} /dev/zero | tr '\\0' '~'`;
    execFileSync('bash', ['-c', `{ printf '${begin}'; ${line}; } ${pack} > '${path}'`]);
    await expectRefused(
      migration,
      /:2: (?:key of more than 1024 bytes|a line of 65536 bytes or more)/,
      SMALL_HEAP,
    );
  },
);

test.each<[what: string, bytes: Buffer, message: RegExp]>([
  ['cut short', gzipSync(LINES).subarray(0, 30), /not a whole gzip file/],
  ['no gzip', Buffer.from(LINES), /not a whole gzip file/],
  [
    'followed by other bytes',
    Buffer.concat([gzipSync(LINES), Buffer.from('x')]),
    /not a whole gzip file/,
  ],
])('L4: a .gz list that is %s is refused by name', async (_, bytes, message) => {
  const { migration } = await givenObjects();
  await migration.writeList('src', '00000.gz', bytes);
  await expectRefused(migration, message);
});

test('L4: a .gz list of several members is read to its end', async () => {
  const { migration, invariants } = await givenObjects();
  const members = THREE.map((key) => gzipSync(`${key}\n`));
  await migration.writeList('src', '00000.gz', Buffer.concat(members));
  await expectCopied(migration, invariants);
});

test('L4: folders, FIFOs, sockets, devices and hidden files are passed over; links to lists are read', async () => {
  const { migration, invariants } = await givenObjects();
  const path = (name: string): string => migration.path('lists', 'src', name);
  await migration.writeList('src', '00000.txt', `${photo(0)}\n`);
  await mkdir(path('folder'));
  await writeFile(path('folder/00001.txt'), 'not-read\n');
  execFileSync('mkfifo', [path('fifo')]);
  const server = createServer();
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(path('socket'), resolve));
  await symlink('/dev/zero', path('device'));
  await writeFile(path('.hidden'), 'not-read\n');
  await writeFile(path('.00000.txt.swp'), Buffer.from([0, 1, 2]));
  await writeFile(migration.path('elsewhere.txt'), `${photo(1)}\n${photo(2)}\n`);
  await symlink(migration.path('elsewhere.txt'), path('link'));
  const { exitCode, stderr } = await migration.run();
  expect(stderr).toContain('obj 3 = ');
  expect(exitCode).toBe(0);
  await invariants.expectSound();
  expect(migration.destination.bucket.keys()).toEqual(THREE);
});

test('L4: a link that leads nowhere is refused: what it named may be missed', async () => {
  const { migration } = await givenObjects();
  await migration.writeList('src', '00000.txt', LINES);
  await symlink('nowhere.txt', migration.path('lists', 'src', 'link'));
  await expectRefused(migration, /link: cannot be read: ENOENT/);
});

// Root may read everything: the system is made to say no.
test.each([
  ['at the start', 'access', 2, 'cannot be read: EACCES'],
  ['when it is opened', 'openat', 3, 'cannot be read any more: EACCES'],
])('L4: a list that may not be read (%s) is refused by name', async (_, calls, code, message) => {
  const { migration, invariants } = await givenObjects();
  await migration.writeList('src', '00000.txt', LINES);
  const path = migration.path('lists', 'src', '00000.txt');
  const { exitCode, stderr } = await migration.run(
    {},
    failing({ paths: [path], calls, fault: 'error=EACCES' }),
  );
  expect(stderr).toMatch(/^s3migrate: .*\n {2}\S.*\n$/);
  expect(stderr).toContain(`${path}: ${message}`);
  expect(exitCode).toBe(code);
  await expectCopied(migration, invariants);
});

test.each([
  '00000.txt~',
  '00000.txt.bak',
  '00000.txt.orig',
  '00000.tmp',
  '00000.txt.part',
  '00000.txt.swp',
  '#00000.txt#',
])(
  'L4: what an editor or a copy left beside the lists is refused, not taken for a list: %s',
  async (name) => {
    const { migration, invariants } = await givenObjects();
    await migration.writeList('src', '00000.txt', LINES);
    await migration.writeList('src', name, 'an-old-key\n');
    const { stderr } = await expectRefused(migration, /looks like a backup or an unfinished copy/);
    expect(stderr).toContain(name);
    execFileSync('rm', [migration.path('lists', 'src', name)]);
    await expectCopied(migration, invariants);
  },
);

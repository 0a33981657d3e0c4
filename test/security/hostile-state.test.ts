/**
 * State files that somebody has written by hand: nothing in them changes the program, fills the memory or is taken for
 * something it is not. One clear error and 2, or the line is dropped (docs/formats.md).
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseUploadLine } from '../../src/record/upload-lines.ts';
import { type Migration, prepareMigration } from '../cli/migration.ts';

async function givenBegunRun(): Promise<Migration> {
  const migration = await prepareMigration();
  await migration.givenPhotos(3);
  expect(await migration.run({ first: 1 })).toMatchObject({ exitCode: 0 });
  return migration;
}

type Change = (json: string) => string;

/** With a field of the text replaced by other JSON. */
function field(name: string, json: string): Change {
  return (text) => text.replace(new RegExp(`("${name}": )(?:"[^"]*"|[0-9]+|null)`), `$1${json}`);
}

const CHANGES: Readonly<Record<string, Change>> = {
  'no JSON': () => '{',
  nothing: () => '',
  null: () => 'null',
  'an array': () => '[]',
  'a text': () => '"x"',
  '__proto__ alone': () => '{"__proto__": {"format": 1, "state": "complete"}}',
  'deep nesting': () => '['.repeat(1_000_000),
  'deep nesting that ends': () => `{"a": ${'['.repeat(50_000)}${']'.repeat(50_000)}}`,
  'an identity and a checkpoint that are made up': () =>
    '{"state": "complete", "identity": {"__proto__": "x"}, "checkpoint": {"log": 1e308}}',
  'a huge format': field('format', '1e308'),
  'a format that is text': field('format', '"1"'),
  'a state of its own': field('state', '"\\u001b[31m"'),
  'a negative length': field('logBytes', '-1'),
  'a huge length': field('logBytes', '1e308'),
  'a length that is none': field('logBytes', '"12"'),
  'an endless number': field('logBytes', '1'.repeat(400)),
  'a time that is none': field('startedAt', '"\\u001b[2Jnow"'),
  'a key that is none': field('upTo', String.raw`"\\q\u001b[31m"`),
  'a key that is a number': field('upTo', '7'),
  'a run that is an object': field('run', '{}'),
};

describe.each(Object.entries(CHANGES))('%s', (_, change) => {
  test('in migrate.run.json is one clear error', async () => {
    const migration = await givenBegunRun();
    const path = join(migration.logFolder, 'migrate.run.json');
    const before = await readFile(path, 'utf8');
    const after = change(before);
    expect(after).not.toBe(before);
    await writeFile(path, after);
    const writes = migration.writesSeen();
    const { exitCode, stdout, stderr } = await migration.run();
    expect(stderr).toContain(`s3migrate: ${migration.logFolder}`);
    expectOneError(stderr);
    expect(stdout).toBe('');
    expect(exitCode).toBe(2);
    expect(migration.writesSeen()).toBe(writes);
    expect(await readFile(path, 'utf8')).toBe(after);
  });
});

function expectOneError(stderr: string): void {
  expect(stderr.trimEnd().split('\n')).toHaveLength(2);
  // oxlint-disable-next-line no-control-regex
  expect(stderr).not.toMatch(/[\x00-\x09\x0b-\x1f]/);
  expect(stderr.length).toBeLessThan(2_000);
}

test('__proto__ in migrate.run.json is a field that nobody knows, and pollutes nothing', async () => {
  const migration = await givenBegunRun();
  const path = join(migration.logFolder, 'migrate.run.json');
  const polluted =
    '"__proto__": {"dryRun": true, "state": "complete", "format": 9}, "constructor": {"prototype": {}},';
  await writeFile(
    path,
    (await readFile(path, 'utf8')).replaceAll('{', `{${polluted}`).replaceAll(/,\s*\}/g, '}'),
  );
  const { exitCode, stderr } = await migration.run();
  // What names the run has two fields more.
  expect(stderr).toMatch(/the log folder is of another run|cannot be understood/);
  expectOneError(stderr);
  expect(exitCode).toBe(2);
});

test.each([
  '{',
  '{}',
  'null',
  '{"__proto__": {"id": "a", "pid": 1, "host": "b"}}',
  '{"id": "a", "pid": -1, "host": "b"}',
  '{"id": "a", "pid": 1e308, "host": "b"}',
  '{"id": 1, "pid": 1, "host": "b"}',
  '{"id": "a", "pid": 1, "host": "\\u001b[31m\\nevil", "since": "\\u202e\\u001b[2J"}',
  '['.repeat(1_000_000),
])('a lock that says %s is one clear error', async (text) => {
  const migration = await prepareMigration();
  await migration.givenPhotos(1);
  await mkdir(migration.logFolder);
  await writeFile(join(migration.logFolder, 'migrate.lock'), text);
  const { exitCode, stderr } = await migration.run();
  expect(stderr).toContain('migrate.lock: ');
  expectOneError(stderr);
  expect(stderr).not.toContain('\u202e');
  expect(exitCode).toBe(2);
});

describe('migrate.uploads', () => {
  const begun = {
    upload: 1,
    event: 'begun',
    bytes: 1,
    etag: 'e',
    lastModified: '',
    headersSha256: '',
    proof: 'md5',
  };

  test.each([
    'null',
    '[]',
    '{"__proto__": {"upload": 1, "event": "over"}}',
    '{"upload": -1, "event": "over"}',
    '{"upload": 1.5, "event": "over"}',
    '{"upload": 1, "event": "__proto__"}',
    '{"upload": 1, "event": "created", "key": {}, "id": "u"}',
    '{"upload": 1, "event": "created", "key": "a", "id": 7}',
    JSON.stringify({ ...begun, parts: {} }),
    JSON.stringify({ ...begun, parts: [[10_001, 1]] }),
    JSON.stringify({ ...begun, parts: Array.from({ length: 100_000 }, () => [10_000, 1]) }),
    '['.repeat(1_000_000),
  ])('a line that is no event is dropped: %s', (line) => {
    expect(parseUploadLine(line)).toBeUndefined();
  });

  test('a line that is one is read', () => {
    const line = JSON.stringify({ ...begun, parts: [[10_000, 1]] });
    expect(parseUploadLine(line)).toMatchObject({ upload: 1, event: { kind: 'begun' } });
  });
});

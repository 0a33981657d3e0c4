/**
 * Nothing that a key or a server says reaches the terminal as a control: it is shown escaped, wherever it is told.
 */
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { type Migration, prepareMigration, utf8 } from '../cli/migration.ts';
import { type Ended, runProgram } from '../support/run-s3migrate.ts';

/** C0 but for the line feed, DEL, C1, zero-width, bidi, separators, the byte order mark. */
const ACTIVE = new RegExp(
  String.raw`[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]`,
  'u',
);

const HOSTILE = [
  '\u001b]0;owned\u0007',
  '\u001b[2J\u001b[31mred',
  'two\nlines',
  'back\rover',
  '\u009b31m C1',
  'bidi \u202egpj.exe',
  'isolate \u2066x',
  'zero\u200bwidth',
  'line\u2028paragraph\u2029',
  '\ufeffmark',
  'bell\u0007 del\u007f',
];

async function givenHostileKeys(): Promise<Migration> {
  const migration = await prepareMigration();
  for (const key of HOSTILE) migration.source.put(utf8(key), key);
  await migration.writeList(
    'src',
    '00000.csv',
    `key\n${migration.source.bucket
      .keys()
      .map((key) => {
        const escaped = key
          .replaceAll('\\', '\\\\')
          .replaceAll('\n', '\\n')
          .replaceAll('\r', '\\r');
        return `"${escaped.replaceAll('"', '""')}"`;
      })
      .join('\n')}\n`,
  );
  return migration;
}

function expectQuiet({ stdout, stderr }: Ended): void {
  for (const line of `${stdout}\n${stderr}`.split('\n')) {
    expect([line, ACTIVE.test(line)]).toEqual([line, false]);
  }
}

test('keys, in a rehearsal, in failures, and in a verification', async () => {
  const migration = await givenHostileKeys();
  expectQuiet(await migration.run({ 'dry-run': true }));
  migration.source.script.on('GetObject').status(400, {
    code: 'Invalid\u001b[31m\u202e',
    message: `no: ${HOSTILE.join(' ')}`,
  });
  const failed = await migration.run();
  expect(failed.exitCode).toBe(1);
  expectQuiet(failed);
  migration.source.script.clear();
  expectQuiet(
    await runProgram(['verify', ...migration.args({ 'log-folder': migration.path('v') })], {
      cwd: migration.root,
    }),
  );
  for (const name of ['migrate.log', 'failed.log']) {
    const text = await readFile(`${migration.logFolder}/${name}`, 'utf8');
    // One record is one line, and none of them can move a cursor.
    expect(text.trimEnd().split('\n').length).toBe(HOSTILE.length + 1);
    expect(text).not.toMatch(new RegExp(String.raw`[\u0000-\u0009\u000b-\u001f\u007f]`));
  }
});

test.each(HOSTILE)('what a store answers when it is opened: %j', async (text) => {
  const migration = await prepareMigration();
  await migration.givenPhotos(1);
  migration.destination.script.seeProbe().on('PUT').status(403, { code: text, message: text });
  const ended = await migration.run();
  expect(ended.exitCode).toBe(3);
  expectQuiet(ended);
});

test('what is given by flags and refused, and names of list files', async () => {
  const migration = await prepareMigration();
  await migration.givenPhotos(1);
  for (const [flag, value] of [
    ['src-bucket', 'b\u001b[31m'],
    ['src-url', 'http://\u202ehost'],
    ['threads', '\u001b[2J'],
    ['start-after', '\\x\u001b'],
    ['on-loss', '\u200bwarn'],
    ['log-folder', `${migration.root}/victim\u001b[31m/\u0007`],
    ['src-folder', `${migration.root}/none\u001b[31m`],
  ] as const) {
    expectQuiet(await migration.run({ [flag]: value }));
  }
  await migration.writeList('src', 'evil\u001b[31m\u202e.txt', 'b\na\n');
  const ended = await migration.run();
  expectQuiet(ended);
  expect(ended.exitCode).not.toBe(0);
});

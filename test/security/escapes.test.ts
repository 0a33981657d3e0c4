/**
 * Text that is an attack on whoever reads it: escape sequences, C1 controls, bidirectional and zero-width characters,
 * line ends. It comes in keys, in what servers say, in names of files and folders; what a probe,
 * s3find and a refused command line show is escaped (the rest: terminal.test.ts), and a line end in it never begins another line or record.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Answer } from '../../src/s3-server/answer.ts';
import { prepareMigration } from '../cli/migration.ts';
import { type Ended, runProgram } from '../support/run-s3migrate.ts';

const ATTACKS: Readonly<Record<string, string>> = {
  'an escape sequence': '\x1b[2J\x1b]0;owned\x07',
  'a C1 control': '\x9b2J',
  'a bidirectional override': '\u202egpj.exe\u2066',
  'zero width': 'a\u200bb\u2060c\ufeff',
  'a line separator': 'x\u2028y\u2029z',
  'a line feed': 'x\ncopied,done',
  'a carriage return': 'x\rs3migrate: all is well',
  'a backspace': 'abc\b\b\b',
  'a soft hyphen': 'a\u00adb',
  'a tag character': 'a\u{e0041}b',
};

/** Whatever a terminal would not show as it is; line feeds end the program's own lines. */
const MISLEADING =
  // oxlint-disable-next-line no-control-regex no-misleading-character-class
  /[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}]/u;

function expectHarmless({ stdout, stderr }: Ended, attack: string): void {
  for (const output of [stdout, stderr]) {
    expect(output).not.toMatch(MISLEADING);
    for (const line of output.split('\n')) expect(line).not.toMatch(/^(?:copied,done|all is well)/);
    if (attack.includes('\n')) expect(output).not.toContain('x\ncopied');
  }
}

/** A refusal in a store's words, which XML can carry as references only. */
function refusal(text: string): Answer {
  const references = Array.from(text, (char) => `&#${char.codePointAt(0)};`).join('');
  return {
    status: 400,
    headers: { 'content-type': 'application/xml' },
    body: Buffer.from(
      `<Error><Code>C${references}</Code><Message>M${references}</Message></Error>`,
    ),
  };
}

describe.each(Object.entries(ATTACKS))('%s', (_, attack) => {
  test('in the answers to a probe is escaped in its table, and in its JSON', async () => {
    const migration = await prepareMigration();
    const { destination } = migration;
    destination.script
      .seeProbe()
      .on('PutObject')
      .alter(() => refusal(attack));
    const bucket = ['--url', destination.server.url, '--bucket', destination.bucketName];
    const keys = ['--key', destination.accessKey, '--secret', destination.secret];
    for (const more of [[], ['--json']]) {
      expectHarmless(await runProgram(['probe', ...bucket, ...keys, ...more]), attack);
    }
  });

  test('in a flag, in a folder’s name and in the name of a list is escaped', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(1);
    await migration.writeList('src', `1${attack}.csv`, 'nothing\n');
    const folder = migration.path(`f${attack}`);
    await mkdir(folder);
    const ends = [
      await migration.run(),
      await migration.run({ 'src-folder': join(folder, 'missing') }),
      await migration.run({ 'src-folder': folder }),
      await migration.run({ 'log-folder': migration.path('lists/src/00000.txt', attack) }),
      await migration.run({ 'src-url': `http://${attack}` }),
      await migration.run({ 'src-bucket': attack }),
      await migration.run({ 'start-after': `\\q${attack}` }),
      await migration.run({ 'on-loss': attack }),
      await migration.run({ 'src-ca-file': attack, 'src-url': 'https://127.0.0.1:1' }),
    ];
    for (const ended of ends) {
      expect(ended.exitCode).toBe(2);
      expect(ended.stderr.trimEnd().split('\n')).toHaveLength(2);
      expectHarmless(ended, attack);
    }
  });

  test('in the names of files is escaped by s3find, whose lists hold the keys as they are', async () => {
    const migration = await prepareMigration();
    const tree = migration.path('tree');
    await mkdir(join(tree, `d${attack}`, 'x'), { recursive: true });
    await writeFile(join(tree, `d${attack}`, 'file'), '');
    // An output folder inside is passed over, and named.
    const lists = join(tree, `d${attack}`, 'lists');
    const ended = await runProgram([tree, lists], { program: 's3find' });
    expect(ended.exitCode).toBe(0);
    expectHarmless(ended, attack);
    if (!attack.includes('\n')) {
      expect(await readFile(join(lists, '00000000.txt'), 'utf8')).toBe(`d${attack}/file\n`);
    }
    const refused = await runProgram([join(tree, `d${attack}`, 'file'), lists], {
      program: 's3find',
    });
    expect(refused.exitCode).toBe(2);
    expectHarmless(refused, attack);
  });
});

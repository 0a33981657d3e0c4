/**
 * `s3migrate list`: the lists of a bucket that cannot be mounted.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { type Ended, runProgram, startProgram } from '../support/run-s3migrate.ts';
import {
  argumentsOf,
  type Flags,
  gate,
  type Migration,
  photo,
  prepareMigration,
  utf8,
} from './migration.ts';

function listArguments({ source }: Migration, folder: string, changes: Flags = {}): string[] {
  const flags = {
    url: source.server.url,
    bucket: source.bucketName,
    key: source.accessKey,
    secret: source.secret,
    ...changes,
  };
  return ['list', ...argumentsOf(flags), folder];
}

function list(migration: Migration, folder: string, changes?: Flags): Promise<Ended> {
  return runProgram(listArguments(migration, folder, changes));
}

/** The files of a folder with their contents as byte strings. */
async function filesOf(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).toSorted();
  const contents = names.map(async (name) => [name, await readFile(join(folder, name), 'latin1')]);
  return Object.fromEntries(await Promise.all(contents)) as Record<string, string>;
}

describe('s3migrate list', () => {
  it('writes all keys, page after page, in the order of their bytes', async () => {
    const migration = await prepareMigration();
    const keys = Array.from({ length: 2500 }, (_, i) => photo(i));
    for (const key of keys.toReversed()) migration.source.put(key, 'x');
    const folder = migration.path('out', 'lists');

    const { exitCode, stdout, stderr } = await list(migration, folder);

    expect(stderr).toContain(`2500 keys of bucket photos in 1 list file in ${folder}`);
    expect(stdout).toBe('');
    expect(exitCode).toBe(0);
    expect(Object.values(await filesOf(folder)).join('')).toBe(`${keys.join('\n')}\n`);
    expect(migration.source.script.count('ListObjectsV2')).toBe(3);
  });

  it('writes keys as they are, and those with a line feed escaped into a list of their own', async () => {
    const migration = await prepareMigration();
    const plain = ['%2F', '+', '//', 'a b', 'a+b', 'tab\t', utf8('\u{1f600}'), 'not utf-8 \xff'];
    for (const key of [...plain, 'line\nfeed']) migration.source.put(key, 'x');
    const folder = migration.path('out');

    expect(await list(migration, folder)).toMatchObject({ exitCode: 0 });

    const files = Object.entries(await filesOf(folder));
    const csv = files.filter(([name]) => name.endsWith('.csv')).map(([, content]) => content);
    const others = files.filter(([name]) => !name.endsWith('.csv')).map(([, content]) => content);
    expect(csv).toEqual(['key\nline\\nfeed\n']);
    expect(others.join('')).toBe(
      plain
        .toSorted()
        .map((key) => `${key}\n`)
        .join(''),
    );
  });

  it.each(['-csv', '--csv'])('writes size, etag and time too with %s', async (flag) => {
    const migration = await prepareMigration();
    migration.source.put('a', 'four');
    migration.source.put('b,"c"', '');
    const folder = migration.path('out');

    const { exitCode } = await runProgram([...listArguments(migration, folder), flag]);

    expect(exitCode).toBe(0);
    const [content = ''] = Object.values(await filesOf(folder));
    const told = (key: string): string => {
      const { etag = '', lastModified } = migration.source.bucket.get(key as ObjectKey) ?? {};
      return `${etag},${lastModified?.toISOString()}`;
    };
    expect(content.split('\n')).toEqual([
      'key,size,etag,last_modified',
      `a,4,${told('a')}`,
      `"b,""c""",0,${told('b,"c"')}`,
      '',
    ]);
  });

  it('lists only keys that begin with --prefix, in the escaped form', async () => {
    const migration = await prepareMigration();
    for (const key of ['2019/a', '2020/a', '2020/b', 'tab\tbed']) migration.source.put(key, 'x');
    await list(migration, migration.path('years'), { prefix: '2020/' });
    await list(migration, migration.path('tabs'), { prefix: String.raw`tab\t` });
    expect(Object.values(await filesOf(migration.path('years')))).toEqual(['2020/a\n2020/b\n']);
    expect(Object.values(await filesOf(migration.path('tabs')))).toEqual(['tab\tbed\n']);
  });

  it('decodes the keys of an answer only when it says that they are encoded', async () => {
    const migration = await prepareMigration();
    migration.source.put('50%25+1', 'x');
    migration.source.script.on('ListObjectsV2').alter((answer) => ({
      ...answer,
      body: Buffer.from(answer.body.toString().replace('<EncodingType>url</EncodingType>', '')),
    }));
    await list(migration, migration.path('out'));
    expect(Object.values(await filesOf(migration.path('out')))).toEqual(['50%2525%2B1\n']);
  });

  it('of an empty bucket is a list without keys, which is not a missing list', async () => {
    const migration = await prepareMigration();
    const { exitCode } = await list(migration, migration.path('out'));
    expect(exitCode).toBe(0);
    expect(Object.values(await filesOf(migration.path('out')))).toEqual(['']);
  });

  it('makes lists that s3migrate takes for both sides', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    for (const key of ['a b', 'line\nfeed', 'z\xff']) source.put(key, 'x');
    destination.put('a b', 'x');
    await list(migration, migration.path('of-source'));
    await list(migration, migration.path('of-destination'), {
      url: destination.server.url,
      bucket: destination.bucketName,
      key: destination.accessKey,
      secret: destination.secret,
    });
    const { exitCode, stderr } = await migration.run({
      'src-folder': migration.path('of-source'),
      'dest-folder': migration.path('of-destination'),
    });
    expect(stderr).toContain('obj 3 = ign 0 + exist 1 + skip 0 (dn 0, up 0) + fail 0 + upld 2');
    expect(exitCode).toBe(0);
    expect(destination.contents()).toEqual(source.contents());
  });

  it('tries a page again that was refused for now', async () => {
    const migration = await prepareMigration();
    migration.source.put('a', 'x');
    migration.source.script.on('ListObjectsV2').status(503, { code: 'SlowDown' }).times(2);
    expect(await list(migration, migration.path('out'))).toMatchObject({ exitCode: 0 });
    expect(Object.values(await filesOf(migration.path('out')))).toEqual(['a\n']);
  });
});

describe('s3migrate list leaves no half list', () => {
  it('when the store lists out of order: exit code 3 with both keys', async () => {
    const migration = await prepareMigration();
    for (const key of ['a', 'b']) migration.source.put(key, 'x');
    migration.source.script.on('ListObjectsV2').alter((answer) => ({
      ...answer,
      body: Buffer.from(answer.body.toString().replace('<Key>a</Key>', '<Key>c</Key>')),
    }));
    const { exitCode, stderr } = await list(migration, migration.path('out'));
    expect(stderr).toMatch(
      /^s3migrate: bucket photos cannot be listed: .*"b" was listed after "c"/,
    );
    expect(exitCode).toBe(3);
    expect(await filesOf(migration.path('out'))).toEqual({});
  });

  it('when the store refuses a later page', async () => {
    const migration = await prepareMigration();
    for (let i = 0; i < 1500; i++) migration.source.put(photo(i), 'x');
    migration.source.script.on('ListObjectsV2').skip(1).status(403, { code: 'AccessDenied' });
    const { exitCode, stderr } = await list(migration, migration.path('out'));
    expect(stderr).toMatch(/^s3migrate: bucket photos cannot be listed: .*AccessDenied/);
    expect(exitCode).toBe(3);
    expect(await filesOf(migration.path('out'))).toEqual({});
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('after %s: exit code %i', async (signal, code) => {
    const migration = await prepareMigration();
    for (let i = 0; i < 1500; i++) migration.source.put(photo(i), 'x');
    const { opened } = gate();
    migration.source.script
      .on('ListObjectsV2')
      .skip(1)
      .before(() => opened);
    const program = startProgram(listArguments(migration, migration.path('out')));
    await program.reaches(migration.source.script.seen('ListObjectsV2', 2));
    program.kill(signal);
    const { exitCode, stderr } = await program.ended;
    expect(stderr).toContain('interrupted; no list was written');
    expect(exitCode).toBe(code);
    expect(await filesOf(migration.path('out'))).toEqual({});
  });
});

describe('s3migrate list refuses', () => {
  it('a folder that is not empty', async () => {
    const migration = await prepareMigration();
    await mkdir(migration.path('out'));
    await writeFile(migration.path('out', 'old'), '');
    const { exitCode, stderr } = await list(migration, migration.path('out'));
    expect(stderr).toMatch(/^s3migrate: the list folder .*out is not empty: it holds old\n {2}\S/);
    expect(exitCode).toBe(2);
  });

  it.each<[what: string, changes: Flags, code: number, message: RegExp]>([
    ['missing flags', { bucket: undefined, secret: undefined }, 2, /missing --bucket, --secret\n/],
    ['a URL with a path', { url: 'http://127.0.0.1:1/x' }, 2, /--url .*has a path/],
    ['a prefix with a malformed escape', { prefix: '\\' }, 2, /--prefix .* malformed escape/],
    ['a wrong secret', { secret: 'wrong' }, 3, /access denied .*\n {2}Check --key and --secret/],
    ['a missing bucket', { bucket: 'nowhere' }, 3, /no such bucket .*\n {2}Check --bucket/],
  ])('%s, and makes no folder', async (_, changes, code, message) => {
    const migration = await prepareMigration();
    const { exitCode, stderr } = await list(migration, migration.path('out'), changes);
    expect(stderr).toMatch(/^s3migrate: /);
    expect(stderr).toMatch(message);
    expect(stderr.split('\n')).toHaveLength(3);
    expect(exitCode).toBe(code);
    expect(existsSync(migration.path('out'))).toBe(false);
  });

  it('a missing or a second folder', async () => {
    expect(await runProgram(['list'])).toMatchObject({ exitCode: 2 });
    expect(await runProgram(['list', 'a', 'b'])).toMatchObject({ exitCode: 2 });
  });
});

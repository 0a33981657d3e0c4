import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MigrateError } from '../../src/errors.ts';
import { createListWriter } from '../../src/lists/list-writer.ts';
import { keyFromText, type ObjectKey, unescapeKey } from '../../src/object-key.ts';

let home: string;
let folder: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'list-writer-'));
  folder = join(home, 'lists');
});
afterEach(() => rm(home, { recursive: true }));

/** Name and content of each file, in the order of the names; the content as a byte string. */
async function filesIn(path: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const name of (await readdir(path)).toSorted()) {
    files[name] = await readFile(join(path, name), 'latin1');
  }
  return files;
}

async function write(names: readonly string[], options: { keysPerFile?: number } = {}) {
  const writer = await createListWriter({ folder, ...options });
  await writer.append({ names });
  return await writer.finish();
}

async function failureOf(work: Promise<unknown>): Promise<MigrateError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(MigrateError);
  return error as MigrateError;
}

describe('plain lists', () => {
  it('holds one key a line and so many keys a file, in files whose names sort as they do', async () => {
    const summary = await write(['a', 'b', 'c', 'd', 'e'], { keysPerFile: 2 });

    expect(await filesIn(folder)).toEqual({
      '00000000.txt': 'a\nb\n',
      '00000001.txt': 'c\nd\n',
      '00000002.txt': 'e\n',
    });
    expect(summary).toMatchObject({ files: 3, keys: 5 });
  });

  it('fills files across pages', async () => {
    const writer = await createListWriter({ folder, keysPerFile: 3 });
    await writer.append({ names: ['a', 'b'] });
    await writer.append({ prefix: 'b/', names: ['1', '2', '3', '4', '5'] });
    await writer.finish();

    expect(await filesIn(folder)).toEqual({
      '00000000.txt': 'a\nb\nb/1\n',
      '00000001.txt': 'b/2\nb/3\nb/4\n',
      '00000002.txt': 'b/5\n',
    });
  });

  it('keeps every byte of a key', async () => {
    await write(['\x01', ' a,"b" ', '\\n', 'a\r', keyFromText('日本'), '\xff\xfe']);

    expect(await filesIn(folder)).toEqual({
      '00000000.txt': '\x01\n a,"b" \n\\n\na\r\n\xe6\x97\xa5\xe6\x9c\xac\n\xff\xfe\n',
    });
  });

  it('writes what is longer than its buffer', async () => {
    const names = Array.from(
      { length: 3000 },
      (_, i) => `${String(i).padStart(4, '0')}${'x'.repeat(996)}`,
    );
    await write(names);

    expect(await filesIn(folder)).toEqual({ '00000000.txt': `${names.join('\n')}\n` });
  });

  it('puts keys with a line feed or a NUL into an extra list in the escaped form', async () => {
    const summary = await write(['a', 'a\nb', 'b', 'c\0,"']);

    expect(await filesIn(folder)).toEqual({
      '00000000.txt': 'a\nb\n',
      'escaped-00000000.csv': 'key\na\\nb\n"c\\x00,"""\n',
    });
    expect(summary).toMatchObject({ files: 2, keys: 4 });
  });

  it('takes equal neighbours once', async () => {
    const writer = await createListWriter({ folder });
    await writer.append({ names: ['a', 'b', 'b'] });
    await writer.append({ names: ['b', 'c'] });

    expect(await writer.finish()).toMatchObject({ keys: 3 });
    expect(await filesIn(folder)).toEqual({ '00000000.txt': 'a\nb\nc\n' });
  });

  it('counts keys that no object can have and leaves them out', async () => {
    const long = 'k'.repeat(1025);
    const summary = await write(['', 'a', 'k'.repeat(1024), long, `${long}x`]);

    expect(summary).toMatchObject({ keys: 2, impossible: { count: 2 + 1 } });
    expect(await filesIn(folder)).toEqual({ '00000000.txt': `a\n${'k'.repeat(1024)}\n` });
  });

  it('shows an example of the keys that no object can have', async () => {
    const writer = await createListWriter({ folder });
    await writer.append({ prefix: `${'d'.repeat(1000)}/`, names: ['short', 'x'.repeat(24)] });

    const { impossible, keys } = await writer.finish();
    expect(keys).toBe(1);
    expect(impossible).toEqual({ count: 1, example: `${'d'.repeat(1000)}/${'x'.repeat(24)}` });
  });

  it('writes one empty list when there are no keys, so that nothing is told from a missing list', async () => {
    expect(await write([])).toMatchObject({ files: 1, keys: 0 });
    expect(await filesIn(folder)).toEqual({ '00000000.txt': '' });
  });

  it('lists what it was given, whatever the pages', async () => {
    const byte = fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code));
    const keys = fc
      .uniqueArray(fc.string({ unit: byte, minLength: 1, maxLength: 6 }), { maxLength: 40 })
      .map((some) => some.toSorted());
    let round = 0;
    await fc.assert(
      fc.asyncProperty(
        keys,
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 9 }),
        async (some, pageKeys, keysPerFile) => {
          const path = join(home, String(round++));
          const writer = await createListWriter({ folder: path, keysPerFile });
          for (let i = 0; i < some.length; i += pageKeys) {
            await writer.append({ names: some.slice(i, i + pageKeys) });
          }
          await writer.finish();
          // The escaped keys come last; the lists are merged by whoever reads them.
          expect(new Set(keysOf(await filesIn(path)))).toEqual(new Set(some));
        },
      ),
      { numRuns: 60 },
    );
  });
});

function keysOf(files: Record<string, string>): (ObjectKey | undefined)[] {
  return Object.entries(files).flatMap(([name, text]) => {
    const lines = text.split('\n').slice(0, -1);
    if (name.endsWith('.txt')) return lines as ObjectKey[];
    return lines
      .slice(1)
      .map((field) => unescapeKey(field.replace(/^"(.*)"$/, '$1').replaceAll('""', '"')));
  });
}

describe('.csv lists', () => {
  it('holds the columns that were asked for, in their order', async () => {
    const writer = await createListWriter({
      folder,
      csv: { columns: ['size', 'etag', 'last_modified'] },
    });
    await writer.append({
      names: ['a', 'b,\n"'],
      size: [0, 5_000_000_000_000],
      etag: ['d41d8cd98f00b204e9800998ecf8427e', 'x-2'],
      lastModifiedMs: [0, Date.UTC(2024, 1, 29, 12, 0, 0, 7)],
    });
    await writer.finish();

    expect(await filesIn(folder)).toEqual({
      '00000000.csv':
        'key,size,etag,last_modified\n' +
        'a,0,d41d8cd98f00b204e9800998ecf8427e,1970-01-01T00:00:00.000Z\n' +
        '"b,\\n""",5000000000000,x-2,2024-02-29T12:00:00.007Z\n',
    });
  });

  it('begins every file with the header', async () => {
    const writer = await createListWriter({ folder, keysPerFile: 1, csv: { columns: ['size'] } });
    await writer.append({ names: ['a', 'b'], size: [1, 2] });
    await writer.finish();

    expect(await filesIn(folder)).toEqual({
      '00000000.csv': 'key,size\na,1\n',
      '00000001.csv': 'key,size\nb,2\n',
    });
  });

  it('leaves a time empty that has no date', async () => {
    const writer = await createListWriter({ folder, csv: { columns: ['last_modified'] } });
    await writer.append({ names: ['a'], lastModifiedMs: [1e300] });
    await writer.finish();

    expect(await filesIn(folder)).toEqual({ '00000000.csv': 'key,last_modified\na,\n' });
  });
});

describe('a listing that cannot be completed', () => {
  it('refuses keys out of order within a page, naming both, and leaves no file', async () => {
    const error = await failureOf(write(['a', 'c', 'b\n']));

    expect(error.message).toContain('"b\\n" comes after "c"');
    expect(error.exitCode).toBe(3);
    expect(await readdir(folder)).toEqual([]);
  });

  it('refuses keys out of order from page to page', async () => {
    const writer = await createListWriter({ folder, keysPerFile: 1 });
    await writer.append({ names: ['b', 'c'] });
    const error = await failureOf(writer.append({ names: ['a', 'd'] }));

    expect(error.message).toContain('"a" comes after "c"');
    expect(await readdir(folder)).toEqual([]);
  });

  it('shows no list before all are complete', async () => {
    const writer = await createListWriter({ folder, keysPerFile: 1 });
    await writer.append({ names: ['a', 'b', 'c'] });

    const names = await readdir(folder);
    expect(names).toHaveLength(3);
    expect(names.every((name) => name.startsWith('.'))).toBe(true);
    await writer.finish();
  });

  it('leaves no file when it is discarded', async () => {
    const writer = await createListWriter({ folder, keysPerFile: 1 });
    await writer.append({ names: ['a', 'b\n', 'c'] });
    await writer.discard();

    expect(await readdir(folder)).toEqual([]);
  });

  it('keeps the lists when it is discarded after they are complete', async () => {
    const writer = await createListWriter({ folder });
    await writer.append({ names: ['a'] });
    await writer.finish();
    await writer.discard();

    expect(await readdir(folder)).toEqual(['00000000.txt']);
  });

  it('says which file cannot be written, and leaves none', async () => {
    const writer = await createListWriter({ folder, keysPerFile: 1 });
    await writer.append({ names: ['a'] });
    await mkdir(join(folder, '.00000001.txt'));
    const error = await failureOf(writer.append({ names: ['b'] }));

    expect(error).toMatchObject({ exitCode: 3 });
    expect(error.message).toContain('cannot write the list');
    expect(error.message).toContain('.00000001.txt');
    expect(await readdir(folder)).toEqual(['.00000001.txt']);
  });
});

describe('the folder', () => {
  it('is made with its parents', async () => {
    folder = join(home, 'a', 'b', 'lists');
    await write(['x']);

    expect((await stat(folder)).isDirectory()).toBe(true);
  });

  it('may exist when it is empty', async () => {
    await mkdir(folder);
    await write(['x']);

    expect(await readdir(folder)).toEqual(['00000000.txt']);
  });

  it.each(['00000000.txt', '.00000000.txt'])('is refused when it holds %s', async (name) => {
    await mkdir(folder);
    await writeFile(join(folder, name), 'a\n');
    const error = await failureOf(createListWriter({ folder }));

    expect(error.exitCode).toBe(2);
    expect(error.message).toContain(folder);
    expect(error.message).toContain(name);
    expect(error.hint).toMatch(/new or empty/);
    expect(await readFile(join(folder, name), 'utf8')).toBe('a\n');
  });

  it('is refused when it is a file', async () => {
    await writeFile(folder, '');
    const error = await failureOf(createListWriter({ folder }));

    expect(error.exitCode).toBe(2);
    expect(error.message).toContain(folder);
  });
});

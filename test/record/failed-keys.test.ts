import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { readFailedKeys } from '../../src/record/failed-keys.ts';
import { FAILED_HEADER, formatPage } from '../../src/record/log-lines.ts';
import { failed, page } from './model-run.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'failed-keys-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function keysOf(content: string): Promise<{ keys: ObjectKey[]; pages: number }> {
  await writeFile(join(folder, 'failed.log'), content, 'latin1');
  const keys: ObjectKey[] = [];
  let pages = 0;
  for await (const found of readFailedKeys(folder)) {
    keys.push(...found);
    pages++;
  }
  return { keys, pages };
}

function linesFor(keys: readonly string[]): string {
  return formatPage(
    page(
      '',
      '~',
      keys.map((name) => failed(name)),
    ),
  ).failedLines;
}

describe('readFailedKeys', () => {
  it('gives the keys as they were listed, bytes for bytes', async () => {
    const keys = ['a"b', 'a,b', 'a\\b', 'b\nc', 'c\xff', 'd'];
    expect(await keysOf(FAILED_HEADER + linesFor(keys))).toEqual({ keys, pages: 1 });
  });

  it('gives many keys in pages', async () => {
    const keys = Array.from({ length: 25_000 }, (_, index) => String(index).padStart(6, '0'));
    expect(await keysOf(FAILED_HEADER + linesFor(keys))).toEqual({ keys, pages: 3 });
  });

  it('leaves out a torn last line', async () => {
    const lines = FAILED_HEADER + linesFor(['a', 'b']);
    expect((await keysOf(lines.slice(0, -1))).keys).toEqual(['a']);
    expect((await keysOf(`${lines}c,20\0\0\0`)).keys).toEqual(['a', 'b']);
    expect((await keysOf('key,at')).keys).toEqual([]);
    expect((await keysOf('')).keys).toEqual([]);
  });

  it('refuses a line that does not come after the one before, naming file and line', async () => {
    await expect(
      keysOf(FAILED_HEADER + linesFor(['a', 'c']) + linesFor(['b', 'd'])),
    ).rejects.toMatchObject({
      exitCode: 2,
      message: `${join(folder, 'failed.log')}:4: is no line of this log, or its key does not come after "c"`,
    });
  });

  it('refuses it as the last line too: no crash leaves a whole line of another place', async () => {
    for (const key of ['b', 'c']) {
      await expect(
        keysOf(FAILED_HEADER + linesFor(['a', 'c']) + linesFor([key])),
      ).rejects.toMatchObject({ message: expect.stringContaining('failed.log:4: is no line') });
    }
  });

  it('refuses a file that is no failed.log, and a folder without one', async () => {
    await expect(keysOf('key,outcome,bytes,etag,detail\n')).rejects.toMatchObject({ exitCode: 2 });
    await rm(join(folder, 'failed.log'));
    await expect(readFailedKeys(folder).next()).rejects.toMatchObject({
      exitCode: 2,
      message: `${join(folder, 'failed.log')}: no such file`,
    });
  });
});

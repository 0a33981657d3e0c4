/**
 * Lists that a verification makes itself: whole or not there, and of one pair of buckets.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openVerifyLists, type VerifyLists } from '../../src/record/verify-lists.ts';

const IDENTITY = { 'src-bucket': 'photos', prefix: '' };

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 's3migrate-lists-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

async function withLists<T>(
  folder: string,
  work: (lists: VerifyLists) => Promise<T>,
  identity = IDENTITY,
): Promise<T> {
  const lists = await openVerifyLists({ folder, identity, now: Date.now });
  try {
    return await work(lists);
  } finally {
    await lists.close();
  }
}

/** Makes one list, `content`, and gives what was made. */
function making(content: string): (folder: string) => Promise<string> {
  return async (folder) => {
    await mkdir(folder);
    await writeFile(join(folder, '00000000.txt'), content);
    return content;
  };
}

function listIn(folder: string): Promise<string> {
  return readFile(join(folder, '00000000.txt'), 'utf8');
}

describe('the lists of a side', () => {
  it('are made once', async () => {
    const folder = await newFolder();
    await withLists(folder, async (lists) => {
      expect(await lists.make('source', making('a\n'))).toBe('a\n');
    });
    await withLists(folder, async (lists) => {
      expect(await lists.make('source', making('b\n'))).toBeUndefined();
      expect(await lists.make('destination', making('c\n'))).toBe('c\n');
      expect(await listIn(lists.of('source'))).toBe('a\n');
      expect(await listIn(lists.of('destination'))).toBe('c\n');
    });
  });

  it('are not there when making them fails in the middle', async () => {
    const folder = await newFolder();
    await withLists(folder, async (lists) => {
      const failing = async (fresh: string): Promise<never> => {
        await making('half')(fresh);
        throw new Error('the store went away');
      };
      await expect(lists.make('source', failing)).rejects.toThrow('the store went away');
      expect(existsSync(lists.of('source'))).toBe(false);
      expect(await lists.make('source', making('whole\n'))).toBe('whole\n');
    });
  });

  it('are made anew over what a kill has left of them', async () => {
    const folder = await newFolder();
    await withLists(folder, async (lists) => {
      const left = `${lists.of('source')}.part`;
      await making('half')(left);
      await writeFile(join(left, '00000001.txt'), 'b');
      await lists.make('source', making('a\n'));
      expect(await listIn(lists.of('source'))).toBe('a\n');
      expect(existsSync(join(lists.of('source'), '00000001.txt'))).toBe(false);
      expect(existsSync(left)).toBe(false);
    });
  });
});

describe('a log folder is refused', () => {
  it('when its lists are of something else, which is named', async () => {
    const folder = await newFolder();
    await withLists(folder, async () => undefined);
    const other = { ...IDENTITY, 'src-bucket': 'archive' };
    await expect(withLists(folder, async () => undefined, other)).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining('src-bucket was "photos" and is "archive"'),
    });
  });

  it.each(['', '{', '{"format":2,"identity":{}}', '{"format":1,"identity":{"prefix":1}}'])(
    'when it cannot be understood what its lists are of: %j',
    async (content) => {
      const folder = await newFolder();
      await writeFile(join(folder, 'verify.lists.json'), content);
      await expect(withLists(folder, async () => undefined)).rejects.toMatchObject({
        exitCode: 2,
        message: expect.stringMatching(/verify\.lists\.json: cannot be understood/),
      });
    },
  );

  it('while another process works with it, and not after that', async () => {
    const folder = await newFolder();
    await withLists(folder, async () => {
      await expect(withLists(folder, async () => undefined)).rejects.toMatchObject({
        exitCode: 2,
        message: expect.stringContaining('another s3migrate works with this folder'),
      });
    });
    await withLists(folder, async () => undefined);
  });
});

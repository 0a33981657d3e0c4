import { execFileSync } from 'node:child_process';
import { mkdir, readdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Tuning } from '../../src/find/directory-reader.ts';
import { type WalkOptions, walkFiles } from '../../src/find/walk.ts';
import { newWalkCounts, type WalkCounts } from '../../src/find/walk-counts.ts';
import { freshFolder, makeTooDeep, makeTree } from './tree.ts';

/** The ways in which directories are read; what comes of it is the same. */
const READING: { how: string; tuning: Tuning }[] = [
  { how: 'waiting for each', tuning: { slowCallMs: Infinity } },
  { how: 'many at once', tuning: { slowCallMs: 0 } },
  { how: 'in chunks', tuning: { longDirectoryBytes: 0, runNames: 3 } },
  { how: 'in chunks, many at once', tuning: { longDirectoryBytes: 0, slowCallMs: 0 } },
];

let home: string;
let remove: () => void;
let root: string;
let spillFolder: string;

beforeEach(async () => {
  ({ path: home, remove } = await freshFolder());
  root = join(home, 'tree');
  spillFolder = join(home, 'spill');
  await mkdir(root);
  await mkdir(spillFolder);
});
afterEach(() => remove());

interface Walked {
  paths: string[];
  sizes: number[];
  counts: WalkCounts;
  unreadable: string[];
}

async function walk(options: Partial<WalkOptions> = {}): Promise<Walked> {
  const walked: Walked = { paths: [], sizes: [], counts: newWalkCounts(), unreadable: [] };
  const files = walkFiles({
    root,
    counts: walked.counts,
    details: false,
    spillFolder,
    onUnreadable: (path, error) => walked.unreadable.push(`${path} ${error.code}`),
    signal: new AbortController().signal,
    ...options,
  });
  for await (const run of files) {
    for (const name of run.names) walked.paths.push(run.prefix + name);
    if (run.size !== undefined) walked.sizes.push(...run.size);
  }
  return walked;
}

describe('order', () => {
  it('is that of the paths, not of the directories', async () => {
    await makeTree(root, ['a/b', 'a-b', 'a.b', 'a0', 'a/c/d', 'a/c-d', 'A', 'b']);

    expect((await walk()).paths).toEqual(['A', 'a-b', 'a.b', 'a/b', 'a/c-d', 'a/c/d', 'a0', 'b']);
  });

  it.each(READING)('is that of a sort of all paths, for any tree ($how)', async ({ tuning }) => {
    // Bytes around the slash, where a directory's place differs from its name's.
    const byte = fc.constantFrom('!', '-', '.a', '0', 'a', 'b', '\n', '\x7f', '\xe9', '\xff');
    const name = fc.string({ unit: byte, minLength: 1, maxLength: 3 });
    const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'));
    let round = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(path, { maxLength: 40 }), async (paths) => {
        // A path that leads through another one cannot be a file as well.
        const files = [...new Set(paths)].filter(
          (file) => !paths.some((other) => other.startsWith(`${file}/`)),
        );
        const tree = join(home, `tree-${round++}`);
        await makeTree(tree, files);

        expect((await walk({ root: tree, tuning })).paths).toEqual(files.toSorted());
      }),
      { numRuns: 40 },
    );
  });

  it('is the same where the root ends with a slash', async () => {
    await makeTree(root, ['a/b', 'c']);

    expect((await walk({ root: `${root}/` })).paths).toEqual(['a/b', 'c']);
  });
});

describe('what is listed', () => {
  it.each(READING)('is every regular file, by the bytes of its name ($how)', async ({ tuning }) => {
    await makeTree(root, [
      'plain',
      'line\nfeed',
      'tab\t',
      'bad\xff\xfe/\x80',
      'e\xcc\x81',
      '\xc3\xa9',
    ]);

    const { paths, counts } = await walk({ tuning });
    expect(paths).toEqual(
      ['plain', 'line\nfeed', 'tab\t', 'bad\xff\xfe/\x80', 'e\xcc\x81', '\xc3\xa9'].toSorted(),
    );
    expect(counts).toMatchObject({ files: 6, directories: 2 });
  });

  it('is no link, socket or FIFO; these are counted and not followed', async () => {
    await makeTree(root, ['dir/file']);
    await symlink('file', join(root, 'dir', 'link'));
    await symlink('.', join(root, 'dir', 'loop'));
    execFileSync('sh', ['-c', 'mkfifo "$1"', 'sh', join(root, 'fifo')]);
    const server = createServer().listen(join(root, 'socket'));
    await new Promise((resolve) => server.once('listening', resolve));

    const { paths, counts } = await walk();
    server.close();
    expect(paths).toEqual(['dir/file']);
    expect(counts.skipped).toEqual({ symlink: 2, socket: 1, fifo: 1, device: 0, other: 0 });
  });

  it('is not what lies in the excluded directory', async () => {
    await makeTree(root, ['a/out/x', 'a/outer/y', 'out/z']);

    expect((await walk({ excluded: 'a/out/' })).paths).toEqual(['a/outer/y', 'out/z']);
  });

  it('is nothing in a tree of empty directories', async () => {
    await makeTree(root, ['a/b/', 'c/']);

    const { paths, counts } = await walk();
    expect(paths).toEqual([]);
    expect(counts).toMatchObject({ files: 0, directories: 4 });
  });

  it.each(READING)('comes with sizes when they are asked for ($how)', async ({ tuning }) => {
    await makeTree(root, ['a/x/', 'b', 'c', 'a.1']);
    await writeFile(join(root, 'a', 'x', 'ten'), '0123456789');
    await writeFile(join(root, 'c'), 'abc');

    const { paths, sizes } = await walk({ details: true, tuning });
    expect(paths).toEqual(['a.1', 'a/x/ten', 'b', 'c']);
    expect(sizes).toEqual([0, 10, 0, 3]);
  });

  it.each(READING)('is only what was modified late enough ($how)', async ({ tuning }) => {
    await makeTree(root, ['a/new', 'a/old', 'b', 'c']);
    const day = 86_400;
    const now = Date.now() / 1000;
    for (const path of ['a/old', 'b']) await utimes(join(root, path), now, now - 3 * day);

    const { paths, counts } = await walk({ notBeforeMs: (now - 2 * day) * 1000, tuning });
    expect(paths).toEqual(['a/new', 'c']);
    expect(counts).toMatchObject({ files: 2, older: 2 });
  });
});

describe('what cannot be read', () => {
  it('is a directory that was removed after it was seen: counted, no failure', async () => {
    await makeTree(root, ['a/first', 'b/gone', 'c/last']);
    const counts = newWalkCounts();
    const paths: string[] = [];
    const files = walkFiles({
      root,
      counts,
      details: false,
      spillFolder,
      onUnreadable: () => expect.unreachable(),
      signal: new AbortController().signal,
    });
    for await (const run of files) {
      paths.push(...run.names.map((name) => run.prefix + name));
      if (run.prefix === 'a/') execFileSync('rm', ['-r', join(root, 'b')]);
    }

    expect(paths).toEqual(['a/first', 'c/last']);
    expect(counts.vanished).toBe(1);
  });

  it.each(READING)(
    'is a directory the system refuses: told, and the rest goes on ($how)',
    async ({ tuning }) => {
      await makeTree(root, ['a/x', 'z']);
      await makeTooDeep(root, 'a');

      const { paths, counts, unreadable } = await walk({ tuning });
      expect(paths).toEqual(['a/x', 'z']);
      expect(counts).toMatchObject({ unreadable: 1, vanished: 0 });
      expect(unreadable).toHaveLength(1);
      expect(unreadable[0]).toMatch(/^a\/deep0+\/.*\/ ENAMETOOLONG$/);
    },
  );
});

it('stops with the reason of its signal', async () => {
  await makeTree(root, ['a/1', 'b/2', 'c/3']);
  const controller = new AbortController();
  const reason = new Error('enough');
  const files = walkFiles({
    root,
    counts: newWalkCounts(),
    details: false,
    spillFolder,
    onUnreadable: () => expect.unreachable(),
    signal: controller.signal,
  });
  await files.next();
  controller.abort(reason);

  await expect(files.next()).rejects.toBe(reason);
  expect(await readdir(spillFolder)).toEqual([]);
});

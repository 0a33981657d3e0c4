/** Laws of the lists, for any keys: bytes of every kind, blocks so small that borders fall everywhere. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { formatOf, type ListFile } from '../../src/lists/list-file.ts';
import { openListFolder } from '../../src/lists/list-folder.ts';
import { firstKeyOf } from '../../src/lists/list-reader.ts';
import { type MergeInput, mergeLists } from '../../src/lists/merge-lists.ts';
import { escapeKey, type ObjectKey } from '../../src/object-key.ts';
import { folderOf, keysOf, linesOf, pagesOf } from './list-folders.ts';

/** Few letters make shared prefixes and equal keys likely; the others are what breaks parsers. */
const byte = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('a', 'b', '/') },
  fc
    .mapToConstant({ num: 255, build: (n) => String.fromCharCode(n + 1) })
    .filter((one) => one !== '\n'),
  fc.constantFrom(' ', '"', ',', '\\', '\r', '\t', '\x80', '\xa0', '\xff'),
);
const key = fc.string({ unit: byte, minLength: 1, maxLength: 12 }) as fc.Arbitrary<ObjectKey>;
const keySet = fc.array(key, { maxLength: 40 }).map((keys) => [...new Set(keys)].toSorted());

type Form = 'plain' | 'plain.gz' | 'csv' | 'csv.gz';
const list = fc.record({
  keys: keySet,
  form: fc.constantFrom<Form>('plain', 'plain', 'plain.gz', 'csv', 'csv.gz'),
  lastLf: fc.boolean(),
});
type List = typeof list extends fc.Arbitrary<infer T> ? T : never;

function csvField(text: string): string {
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function contentOf({ keys, form, lastLf }: List): Buffer {
  const csv = form.startsWith('csv');
  const lines = csv ? ['size,key', ...keys.map((one) => `7,${csvField(escapeKey(one))}`)] : keys;
  const text = lastLf ? linesOf(lines) : lines.join('\n');
  const bytes = Buffer.from(text, 'latin1');
  return form.endsWith('.gz') ? gzipSync(bytes) : bytes;
}

/** A plain list that is taken for one with CR LF at every line's end is another matter. */
function isFit({ keys, form, lastLf }: List): boolean {
  const ended = lastLf ? keys : keys.slice(0, -1);
  return form.startsWith('csv') || ended.length === 0 || !ended.every((one) => one.endsWith('\r'));
}

function folderOfLists(lists: readonly List[]): string {
  const named = lists.map((one, i) => [`${i}.${one.form}`, contentOf(one)] as const);
  return folderOf(Object.fromEntries(named));
}

async function inputsOf(folder: string): Promise<MergeInput[]> {
  const inputs: MergeInput[] = [];
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const { size, mtimeMs } = statSync(path);
    const file: ListFile = { name, path, size, modifiedMs: mtimeMs, ...formatOf(name) };
    const firstKey = await firstKeyOf(file);
    if (firstKey !== undefined) inputs.push({ file, firstKey, offset: 0 });
  }
  return inputs;
}

function unionOf(lists: readonly List[]): ObjectKey[] {
  return [...new Set(lists.flatMap(({ keys }) => keys))].toSorted();
}

const lists = fc.array(list.filter(isFit), { minLength: 1, maxLength: 5 });

it('a merge is the sorted union of its lists, each key once, whatever the blocks and pages', async () => {
  await fc.assert(
    fc.asyncProperty(
      lists,
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 1, max: 20 }),
      key,
      async (some, maxBlockBytes, pageKeys, after) => {
        const inputs = await inputsOf(folderOfLists(some));
        const options = { after, pageKeys, maxBlockBytes, skippedBytes: 7 };

        const pages = await pagesOf(mergeLists(inputs, options));

        expect(pages.flatMap(({ keys }) => keys)).toEqual(
          unionOf(some).filter((one) => one > after),
        );
        const bytes = pages.map(({ listBytes }) => listBytes);
        expect(bytes).toEqual(bytes.toSorted((a, b) => a - b));
        const total = inputs.reduce((sum, { file }) => sum + file.size, 7);
        expect(bytes.at(-1) ?? total).toBe(total);
        expect(pages.slice(0, -1).every(({ keys }) => keys.length === pageKeys)).toBe(true);
      },
    ),
    { numRuns: 150 },
  );
});

it('reading on after any key is the rest of reading from the start', async () => {
  const words = fc.integer({ min: 0, max: 20_000 }).map((n) => `key/${String(n).padStart(8, '0')}`);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(words, { minLength: 300, maxLength: 2_500 }), {
        minLength: 1,
        maxLength: 3,
      }),
      words,
      async (some, after) => {
        const named = some.map((keys, i) => [String(i), linesOf([...new Set(keys)].toSorted())]);
        const folder = await openListFolder(folderOf(Object.fromEntries(named)), {
          side: 'source',
        });

        const all = await keysOf(folder);

        expect(await keysOf(folder, after)).toEqual(all.filter((one) => one > after));
      },
    ),
    { numRuns: 25 },
  );
});

it('a swapped pair of lines is found wherever it stands', async () => {
  await fc.assert(
    fc.asyncProperty(
      keySet.filter((keys) => keys.length >= 2 && keys.some((one) => !one.endsWith('\r'))),
      fc.nat(),
      fc.integer({ min: 1, max: 60 }),
      async (keys, seed, maxBlockBytes) => {
        const at = seed % (keys.length - 1);
        const swapped = keys.toSpliced(at, 2, keys[at + 1] as ObjectKey, keys[at] as ObjectKey);
        const inputs = await inputsOf(folderOf({ list: linesOf(swapped) }));
        const options = { after: '' as ObjectKey, pageKeys: 1, maxBlockBytes, skippedBytes: 0 };
        const read: ObjectKey[] = [];

        const reading = (async () => {
          for await (const page of mergeLists(inputs, options)) read.push(...page.keys);
        })();

        await expect(reading).rejects.toThrow(`list:${at + 2}: key `);
        expect(read).toEqual(swapped.slice(0, read.length));
        expect(read.length).toBeLessThanOrEqual(at + 1);
      },
    ),
    { numRuns: 100 },
  );
});

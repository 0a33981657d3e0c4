import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { MigrateError } from '../../src/errors.ts';
import { SortedNames } from '../../src/find/sorted-names.ts';
import { freshFolder } from './tree.ts';

let folder: string;
let remove: () => void;

beforeEach(async () => {
  ({ path: folder, remove } = await freshFolder());
});
afterEach(() => remove());

async function sorted(chunks: readonly (readonly string[])[], runNames: number): Promise<string[]> {
  const names = new SortedNames({ folder, runNames });
  for (const chunk of chunks) await names.add(chunk);
  const all: string[] = [];
  for await (const batch of names.batches()) all.push(...batch);
  await names.close();
  return all;
}

it('gives every name once and in byte order, however many runs they fill', async () => {
  const byte = fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code));
  const name = fc.string({ unit: byte, minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(name, { maxLength: 10 }), { maxLength: 10 }),
      fc.integer({ min: 1, max: 20 }),
      async (chunks, runNames) => {
        expect(await sorted(chunks, runNames)).toEqual(chunks.flat().toSorted());
      },
    ),
    { numRuns: 60 },
  );
});

it('joins names that were torn between two reads of a run', async () => {
  const names = Array.from(
    { length: 3000 },
    (_, i) => `${(i * 7919) % 3000}-${'x'.repeat(i % 200)}`,
  );

  expect(await sorted([names.slice(0, 2000), names.slice(2000)], 1500)).toEqual(names.toSorted());
});

it('leaves nothing in the folder, not even while it is at work', async () => {
  const names = new SortedNames({ folder, runNames: 2 });
  await names.add(['b', 'a']);
  await names.add(['d', 'c']);

  expect(await readdir(folder)).toEqual([]);
  await names.close();
});

it('says that it cannot write its runs', async () => {
  const missing = join(folder, 'missing');
  const names = new SortedNames({ folder: missing, runNames: 1 });

  const error = await names.add(['a']).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(MigrateError);
  expect(error).toMatchObject({ exitCode: 3, message: expect.stringContaining(missing) });
  await names.close();
});

/**
 * The README's tables name every row of the fault list, and tests that there are.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const README = await readFile(join(import.meta.dirname, 'README.md'), 'utf8');

const ROWS = Object.entries({ S: 16, T: 20, P: 14, L: 9 }).flatMap(([letter, count]) =>
  Array.from({ length: count }, (_, index) => `${letter}${index + 1}`),
);

/** The cells of a line of a table, by the row's name. */
const LINES = new Map(
  README.split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .filter(([, row = '']) => /^[STPL]\d+$/.test(row))
    .map(([, row = '', , files = '', tests = '']) => [row, { files, tests }]),
);

test('every row has a line', () => {
  expect([...LINES.keys()]).toEqual(ROWS);
});

test('every test that a line names is in a file that it names', async () => {
  for (const [row, { files, tests }] of LINES) {
    const names = Array.from(files.matchAll(/`([^`]+)`/g), ([, name]) => `${name}.test.ts`);
    const texts = await Promise.all(
      names.map((name) => readFile(join(import.meta.dirname, name), 'utf8')),
    );
    for (const [, quoted = ''] of tests.matchAll(/"([^"]+)"/g)) {
      const beginning = quoted.split('…')[0] as string;
      const isThere = texts.some((text) =>
        ["'", '"', '`'].some((quote) => text.includes(quote + beginning)),
      );
      expect([row, beginning, isThere]).toEqual([row, beginning, true]);
    }
  }
});

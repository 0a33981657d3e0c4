/**
 * Sorted keys cut into list files in every way that docs/formats.md allows: chunks, overlaps, the same
 * file twice, empty ones; plain, CSV, packed.
 */
import { gzipSync } from 'node:zlib';
import { escapeKey, type ObjectKey } from '../../src/object-key.ts';
import type { Dice } from './dice.ts';

export interface ListedFile {
  readonly name: string;
  readonly content: Buffer;
}

/**
 * @param keys byte strings, ascending
 * @returns at least one file; every key is in one or more of them
 */
export function cutIntoFiles(dice: Dice, keys: readonly string[]): ListedFile[] {
  const files = dice.chance(0.3) ? scattered(dice, keys) : chunks(dice, keys);
  if (dice.chance(0.15)) files.push(dice.of(files));
  if (dice.chance(0.2)) files.push([]);
  const written = dice.shuffled(files).flatMap((file, index) => write(dice, file, index));
  if (dice.chance(0.2)) written.push({ name: '.unfinished', content: Buffer.from('z\na\n') });
  return written;
}

/** One after another; neighbours may share some keys. */
function chunks(dice: Dice, keys: readonly string[]): (readonly string[])[] {
  const count = dice.whole(1, 5);
  const cuts = Array.from({ length: count - 1 }, () => dice.whole(0, keys.length));
  const borders = [0, ...cuts.toSorted((a, b) => a - b), keys.length];
  const overlap = dice.chance(0.3) ? dice.whole(1, 20) : 0;
  return borders
    .slice(1)
    .map((end, index) => keys.slice(Math.max(0, (borders[index] ?? 0) - overlap), end));
}

/** Each key is in any one of the files, or in two. */
function scattered(dice: Dice, keys: readonly string[]): (readonly string[])[] {
  const files: string[][] = Array.from({ length: dice.whole(2, 6) }, () => []);
  for (const key of keys)
    for (const file of dice.some(files, dice.chance(0.2) ? 2 : 1)) file.push(key);
  return files;
}

/** Keys that a plain list cannot hold get a CSV list of their own beside it. */
function write(dice: Dice, keys: readonly string[], number: number): ListedFile[] {
  const stem = `${dice.of(['', 'list-', 'z', '~'])}${String(number).padStart(8, '0')}`;
  if (dice.chance(0.35)) return [packed(dice, `${stem}.csv`, csv(dice, keys))];
  const isPlain = (key: string): boolean => !/[\n\r]/.test(key) && !key.startsWith('\xef\xbb\xbf');
  const others = keys.filter((key) => !isPlain(key));
  const files = [packed(dice, dice.of([stem, `${stem}.txt`]), plain(dice, keys.filter(isPlain)))];
  if (others.length > 0) files.push(packed(dice, `escaped-${stem}.csv`, csv(dice, others)));
  return files;
}

function packed(dice: Dice, name: string, text: string): ListedFile {
  const content = Buffer.from(text, 'latin1');
  if (dice.chance(0.75)) return { name, content };
  return { name: `${name}.gz`, content: gzipSync(content, { level: 1 }) };
}

function plain(dice: Dice, keys: readonly string[]): string {
  return `${keys.join('\n')}${keys.length === 0 || dice.chance(0.1) ? '' : '\n'}`;
}

function csv(dice: Dice, keys: readonly string[]): string {
  const isLast = dice.chance(0.5);
  const end = !isLast && dice.chance(0.3) ? '\r\n' : '\n';
  const quotesAll = dice.chance(0.2);
  const row = (key: string, size: string): string => (isLast ? `${size},${key}` : `${key},${size}`);
  const rows = keys.map((key) => {
    const escaped = escapeKey(key as ObjectKey);
    const quoted = `"${escaped.replaceAll('"', '""')}"`;
    return row(quotesAll || /[",]|^\s*$/.test(escaped) ? quoted : escaped, String(key.length));
  });
  return [row('key', 'size'), ...rows, ''].join(end);
}

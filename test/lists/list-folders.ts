/** Fresh list folders for tests, written as they would be by hand: names and bytes. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { KeyPage } from '../../src/domain.ts';
import { MigrateError } from '../../src/errors.ts';
import type { ListFolder } from '../../src/lists/list-folder.ts';
import { BEFORE_ALL, type ObjectKey } from '../../src/object-key.ts';

/** Makes a folder that goes with the test. A string is written as latin1: one char a byte. */
export function folderOf(lists: Record<string, string | Uint8Array>): string {
  const folder = mkdtempSync(join(tmpdir(), 's3migrate-lists-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [name, content] of Object.entries(lists)) {
    writeFileSync(join(folder, name), content, 'latin1');
  }
  return folder;
}

/** The lines of a plain list. */
export function linesOf(keys: Iterable<string>): string {
  return [...keys].map((key) => `${key}\n`).join('');
}

/** `photos/000000.jpg` and so on, in order. */
export function photos(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `photos/${String(i).padStart(6, '0')}.jpg`);
}

export async function pagesOf(pages: AsyncIterable<KeyPage>): Promise<KeyPage[]> {
  const read: KeyPage[] = [];
  for await (const page of pages) read.push(page);
  return read;
}

export async function keysOf(folder: ListFolder, after = ''): Promise<ObjectKey[]> {
  const pages = await pagesOf(folder.pages({ after: after as ObjectKey }));
  return pages.flatMap(({ keys }) => keys);
}

/** Reads until it throws. */
export async function brokenReading(
  folder: ListFolder,
  pageKeys: number,
  after: string = BEFORE_ALL,
): Promise<{ keys: string[]; error: MigrateError }> {
  const keys: string[] = [];
  try {
    for await (const page of folder.pages({ after: after as ObjectKey, pageKeys }))
      keys.push(...page.keys);
  } catch (error) {
    if (error instanceof MigrateError) return { keys, error };
    throw error;
  }
  throw new Error(`no error after ${keys.length} keys`);
}

/** What a promise that must fail with a MigrateError fails with. */
export async function failureOf(promise: Promise<unknown>): Promise<MigrateError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof MigrateError) return error;
  throw new Error(`expected a MigrateError, got ${String(error)}`);
}

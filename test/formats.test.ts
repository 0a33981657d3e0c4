/**
 * The files of docs/formats.md as an earlier version has left them: later versions must read them alike.
 */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openListFolder } from '../src/lists/list-folder.ts';
import { BEFORE_ALL, keyFromText, type ObjectKey } from '../src/object-key.ts';
import { readFailedKeys } from '../src/record/failed-keys.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures/formats');

describe('files of format 1', () => {
  it('are read as list files: plain, escaped and compressed, merged in byte order', async () => {
    const folder = await openListFolder(join(FIXTURES, 'lists'), { side: 'source' });
    const keys: ObjectKey[] = [];
    for await (const page of folder.pages({ after: BEFORE_ALL })) keys.push(...page.keys);
    expect(keys).toEqual([
      keyFromText('photos/2019/a b.jpg'),
      keyFromText('photos/2019/é.jpg'),
      'photos/caf\xe9.jpg',
      keyFromText('photos/two\nlines, one key.jpg'),
      keyFromText('photos/\u{1f600}.jpg'),
      keyFromText('video/\\x41.mp4'),
    ]);
  });

  it('are read as failed.log', async () => {
    const keys: ObjectKey[] = [];
    for await (const batch of readFailedKeys(join(FIXTURES, 'logs'))) keys.push(...batch);
    expect(keys).toEqual([
      keyFromText('photos/2019/a b.jpg'),
      keyFromText('photos/two\nlines, one key.jpg'),
    ]);
  });
});

import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { openListFolder } from '../../src/lists/list-folder.ts';
import { BEFORE_ALL, type ObjectKey } from '../../src/object-key.ts';
import {
  brokenReading,
  failureOf,
  folderOf,
  keysOf,
  linesOf,
  pagesOf,
  photos,
} from './list-folders.ts';

const source = (folder: string) => openListFolder(folder, { side: 'source' });
const destination = (folder: string) => openListFolder(folder, { side: 'destination' });

describe('the files of a list folder', () => {
  it('are regular files and links to them, but not hidden ones, folders, pipes', async () => {
    const elsewhere = folderOf({ 'c.list': 'c\n' });
    const folder = folderOf({ '1': 'a\n', '2.txt': 'b\n', '.hidden': 'x\n' });
    mkdirSync(join(folder, 'sub'));
    writeFileSync(join(folder, 'sub', 'list'), 'x\n');
    execFileSync('sh', ['-c', 'mkfifo "$0"', join(folder, 'pipe')]);
    symlinkSync(join(elsewhere, 'c.list'), join(folder, '3'));

    const lists = await source(folder);

    expect(lists.files).toBe(3);
    expect(await keysOf(lists)).toEqual(['a', 'b', 'c']);
  });

  it('must exist, and the flag is named when their folder does not', async () => {
    const missing = join(folderOf({}), 'nowhere');
    const file = join(folderOf({ file: 'a\n' }), 'file');

    await expect(source(missing)).rejects.toMatchObject({
      exitCode: 2,
      message: `--src-folder ${missing}: no such folder`,
    });
    await expect(destination(missing)).rejects.toMatchObject({
      exitCode: 2,
      message: `--dest-folder ${missing}: no such folder`,
    });
    await expect(destination(file)).rejects.toMatchObject({
      exitCode: 2,
      message: `--dest-folder ${file}: not a folder`,
    });
  });

  it('may be none at the destination, and must hold a key at the source', async () => {
    const none = folderOf({});
    const empty = folderOf({ a: '', 'b.csv': 'key,size\n', 'c.gz': gzipSync('') });

    for (const folder of [none, empty]) {
      await expect(source(folder)).rejects.toMatchObject({
        exitCode: 2,
        message: `--src-folder ${folder}: no keys to migrate in this folder`,
      });
      expect(await keysOf(await destination(folder))).toEqual([]);
    }
  });

  it('must all be readable: a link that leads nowhere could lose keys', async () => {
    const folder = folderOf({ a: 'a\n' });
    symlinkSync('nowhere', join(folder, 'b'));

    const error = await failureOf(source(folder));

    expect(error.exitCode).toBe(2);
    expect(error.message).toContain(`${join(folder, 'b')}: cannot be read`);
  });

  it('have the same fingerprint in another place, and another when one differs', async () => {
    const lists = { '1': 'a\nb\n', '2.csv': 'key\nc\n' };
    const fingerprint = async (of: Record<string, string>) =>
      (await source(folderOf(of))).fingerprint;
    const original = await fingerprint(lists);

    expect(original).toMatch(/^[0-9a-f]{64}$/);
    expect(await fingerprint({ ...lists })).toBe(original);
    expect(await fingerprint({ ...lists, '1': 'a\nb\nbb\n' })).not.toBe(original);
    expect(await fingerprint({ ...lists, '1': 'A\nb\n' })).not.toBe(original);
    expect(await fingerprint({ ...lists, '1': 'a\nc\n' })).not.toBe(original);
    expect(await fingerprint({ '1': lists['1'], '3.csv': lists['2.csv'] })).not.toBe(original);
  });
});

describe('pages', () => {
  it('keep every byte of a plain line, with or without a last LF', async () => {
    const keys = [
      '\x01',
      ' ',
      '"quoted",',
      '\\n',
      'a\r',
      'b\xff\xfe',
      'photos//./..',
      '\xf0\x9f\x98\x80',
    ];
    const folder = folderOf({ list: linesOf(keys).slice(0, -1) });

    expect(await keysOf(await source(folder))).toEqual(keys);
  });

  it('have as many keys as asked for, and count the bytes of the lists up to their end', async () => {
    const folder = folderOf({ '1': linesOf(photos(250)), '2': linesOf(photos(100)) });
    const lists = await source(folder);

    const pages = await pagesOf(lists.pages({ after: BEFORE_ALL, pageKeys: 100 }));

    expect(pages.map(({ keys }) => keys.length)).toEqual([100, 100, 50]);
    const bytes = pages.map(({ listBytes }) => listBytes);
    expect(bytes).toEqual(bytes.toSorted((a, b) => a - b));
    expect(bytes.at(-1)).toBe(lists.totalBytes);
  });

  it('read gzip lists, of one member or several', async () => {
    const keys = photos(20_000);
    const halves = [keys.slice(0, 9_999), keys.slice(9_999)];
    const folder = folderOf({
      'whole.gz': gzipSync(linesOf(keys)),
      'members.gz': Buffer.concat(halves.map((half) => gzipSync(linesOf(half)))),
    });
    const lists = await source(folder);

    const pages = await pagesOf(lists.pages({ after: BEFORE_ALL }));

    expect(pages.flatMap((page) => page.keys)).toEqual(keys);
    expect(pages.at(-1)?.listBytes).toBe(lists.totalBytes);
  });

  it('can be read again, and let go of early', async () => {
    const lists = await source(folderOf({ 'list.gz': gzipSync(linesOf(photos(5_000))) }));

    for await (const page of lists.pages({ after: BEFORE_ALL, pageKeys: 10 })) {
      expect(page.keys).toEqual(photos(10));
      break;
    }
    expect(await keysOf(lists)).toEqual(photos(5_000));
  });

  it('end with the reason of an abort, not as if there were no more keys', async () => {
    const abort = new AbortController();
    const folder = folderOf({ '1': linesOf(photos(10)), '2': 'z\n' });
    const lists = await openListFolder(folder, { side: 'source', signal: abort.signal });
    const pages = lists.pages({ after: BEFORE_ALL, pageKeys: 10 })[Symbol.asyncIterator]();

    await pages.next();
    abort.abort(new Error('interrupted'));

    await expect(pages.next()).rejects.toThrow('interrupted');
  });
});

describe('many lists that overlap', () => {
  const interleaved = (count: number) =>
    Array.from({ length: count }, (_, i) => photos(3 * count).filter((_, at) => at % count === i));

  it('are merged without holding a descriptor', async () => {
    const named = interleaved(300).map((keys, i) => [String(i), linesOf(keys)]);
    const lists = await source(folderOf(Object.fromEntries(named)));
    const descriptors = () => readdirSync('/proc/self/fd').length;
    const before = descriptors();
    const read: string[] = [];

    for await (const { keys } of lists.pages({ after: BEFORE_ALL, pageKeys: 100 })) {
      read.push(...keys);
      expect(descriptors()).toBe(before);
    }
    expect(read).toEqual(photos(900));
  });

  it('may be compressed up to a bound that is told', async () => {
    const named = interleaved(257).map((keys, i) => [`${i}.gz`, gzipSync(linesOf(keys))]);
    const lists = await source(folderOf(Object.fromEntries(named)));

    const error = await failureOf(keysOf(lists));

    expect(error.exitCode).toBe(2);
    expect(error.message).toBe(
      'more than 256 compressed list files overlap at key "photos/000256.jpg"',
    );
    expect(error.hint).toContain('gunzip');
  });
});

describe('pages after a key', () => {
  const keys = photos(30_000);
  const overlapping = keys.filter((_, i) => i % 3 === 0);
  const lists = {
    '1': linesOf(keys.slice(0, 10_000)),
    '2': linesOf(keys.slice(10_000, 20_000)),
    '3': linesOf(keys.slice(20_000)),
    '4.gz': gzipSync(linesOf(overlapping)),
    '5.csv': `key\n${linesOf(overlapping)}`,
  };

  it('begin behind it, whether it is listed or not', async () => {
    const folder = await source(folderOf(lists));

    for (const at of [0, 1, 9_999, 10_000, 15_555, 29_999]) {
      expect(await keysOf(folder, keys[at])).toEqual(keys.slice(at + 1));
      expect(await keysOf(folder, `${keys[at]}~`)).toEqual(keys.slice(at + 1));
    }
    expect(await keysOf(folder, 'a')).toEqual(keys);
  });

  it('count all bytes even when no key is left', async () => {
    const folder = await source(folderOf(lists));

    const pages = await pagesOf(folder.pages({ after: 'z' as ObjectKey }));

    expect(pages).toEqual([{ keys: [], listBytes: folder.totalBytes }]);
  });

  it('do not wait for plain files that end before it: those are read through last', async () => {
    const broken = linesOf([...photos(5_000), 'aaa', ...photos(5_000)]);
    const folder = await source(folderOf({ '1': broken, '2': 'photos/006\nz\n' }));

    const { keys, error } = await brokenReading(folder, 1, 'photos/007');

    expect(keys).toEqual(['z']);
    expect(error.message).toContain('1:5001: key "aaa" comes before "photos/004999.jpg"');
  });

  it('find a break in a file that another overlaps, though both seem to end before it', async () => {
    const folder = await source(
      folderOf({ '1': linesOf(['a', 'x', 'b']), '2': linesOf(['c', 'd']) }),
    );

    const { keys, error } = await brokenReading(folder, 1, 'd');

    expect(keys).toEqual([]);
    expect(error.message).toContain('1:3: key "b" comes before "x"');
  });

  it('read through the file the earlier run was in: it may have stopped at its disorder', async () => {
    const list = linesOf([...keys, ...keys.slice(0, 9)]);
    const folder = await source(folderOf({ '1': 'a\n', '2': list }));
    const reading = pagesOf(folder.pages({ after: keys[29_000] as ObjectKey }));

    expect((await failureOf(reading)).message).toContain('2:30001: key "photos/000000.jpg" comes');
  });

  it('name the right line of a file entered in its middle', async () => {
    const folder = await source(folderOf({ list: linesOf([...keys, 'a', 'z']) }));
    const reading = pagesOf(folder.pages({ after: keys[20_000] as ObjectKey }));

    expect((await failureOf(reading)).message).toContain('list:30001: key "a" comes before');
  });
});

describe('a list that is not sorted', () => {
  it('is rejected with file, line, both keys and the repairing command', async () => {
    const folder = folderOf({ 'my list': 'a\nc\nb\n' });
    const path = join(folder, 'my list');

    const { keys, error } = await brokenReading(await source(folder), 10);

    expect(keys).toEqual([]);
    expect(error.exitCode).toBe(2);
    expect(error.message).toBe(`${path}:3: key "b" comes before "c"`);
    expect(error.hint).toBe(`Sort the list by bytes: LC_ALL=C sort -u -o '${path}' '${path}'`);
  });

  it('stops before any key beyond the break, after the full pages before it', async () => {
    const good = photos(10_000);
    const folder = folderOf({
      '1': linesOf(good.slice(0, 5_000)),
      '2': linesOf([...good.slice(5_000), 'a', 'z']),
    });

    const { keys, error } = await brokenReading(await source(folder), 100);

    expect(error.message).toContain('2:5001: key "a" comes before "photos/009999.jpg"');
    expect(keys.length).toBeGreaterThanOrEqual(5_000);
    expect(keys).toEqual(good.slice(0, keys.length));
    expect(keys.length % 100).toBe(0);
  });

  it('is an error at the destination too', async () => {
    const { error } = await brokenReading(await destination(folderOf({ list: 'b\na\n' })), 10);

    expect(error.message).toContain('list:2: key "a" comes before "b"');
  });

  it('is one sorted by a locale or by UTF-16 units', async () => {
    const byLocale = folderOf({ list: linesOf(['a', 'B', 'c']) });
    const utf16 = folderOf({
      list: Buffer.from(linesOf(['\u{1f600}', '\uff5e'])),
    });

    expect((await brokenReading(await source(byLocale), 10)).error.message).toContain(
      'list:2: key "B" comes before "a"',
    );
    expect((await brokenReading(await source(utf16), 10)).error.message).toContain(
      'list:2: key "\uff5e" comes before "\u{1f600}"',
    );
  });

  it('is repaired by the command of its hint, also when compressed or a .csv list', async () => {
    const folder = folderOf({
      "it's.gz": gzipSync('c\na\n'),
      'rows.csv': 'key,size\nb c,1\nb,2\nab,3\n',
      plain: 'e\nd\n',
    });
    for (let repairs = 0; repairs < 3; repairs++) {
      const { error } = await brokenReading(await source(folder), 10);
      const command = /: ((?:LC_ALL|gunzip|awk).*?)(?: \(if .*)?$/.exec(error.hint ?? '')?.[1];
      execFileSync('sh', ['-c', command ?? 'exit 1']);
    }

    expect(await keysOf(await source(folder))).toEqual(['a', 'ab', 'b', 'b c', 'c', 'd', 'e']);
  });
});

describe('a plain list', () => {
  it('counts equal neighbours once', async () => {
    const folder = folderOf({ '1': 'a\na\nb\nb\nb\n', '2': 'b\nb\nc\n' });

    expect(await keysOf(await source(folder))).toEqual(['a', 'b', 'c']);
  });

  it.each([
    ['an empty line', 'a\n\nb\n', ':2: empty key'],
    ['an empty first line', '\na\n', ':1: empty key'],
    ['a NUL', 'a\nb\0\n', ':2: a key holds a NUL byte'],
    ['a key too long', `a\n${'b'.repeat(1_025)}\n`, ':2: key of more than 1024 bytes'],
    ['a first key too long', 'b'.repeat(1_025), ':1: key of more than 1024 bytes'],
  ])('with %s is rejected', async (_, content, message) => {
    const folder = folderOf({ list: content });
    const reading = source(folder).then((lists) => keysOf(lists));

    const error = await failureOf(reading);

    expect(error.exitCode).toBe(2);
    expect(error.message).toContain(join(folder, 'list') + message);
  });

  it('takes a key of 1,024 bytes', async () => {
    const key = '\xff'.repeat(1_024);

    expect(await keysOf(await source(folderOf({ list: `a\n${key}` })))).toEqual(['a', key]);
  });

  it('with CR LF on every line is rejected on opening, and repaired by the hint', async () => {
    const folder = folderOf({ list: 'a\r\nb\r\n' });
    const path = join(folder, 'list');

    const error = await failureOf(source(folder));

    expect(error).toMatchObject({ exitCode: 2 });
    expect(error.message).toContain(`${path}:1: lines end in CR LF`);
    expect(error.hint).toContain(`sed -i 's/\\r$//' ${path}`);
  });

  it('with a byte order mark is rejected on opening, and repaired by the hint', async () => {
    const folder = folderOf({ list: '\xef\xbb\xbfa\nb\n' });
    const error = await failureOf(source(folder));

    expect(error.message).toContain('byte order mark');
    execFileSync('sh', ['-c', (error.hint ?? '').replace('Remove it: ', '')]);
    expect(await keysOf(await source(folder))).toEqual(['a', 'b']);
  });

  it('of one endless line is rejected without being read', async () => {
    const folder = folderOf({ list: 'a\n', endless: '' });
    truncateSync(join(folder, 'endless'), 1024 ** 4);
    const text = folderOf({ list: `a\n${'b'.repeat(300_000)}` });

    expect((await failureOf(source(folder))).message).toContain(
      'endless:1: a key holds a NUL byte',
    );
    expect((await brokenReading(await source(text), 10)).error.message).toContain(
      'list:2: key of more than 1024 bytes, beginning with "bbb',
    );
  });
});

describe('a .csv list', () => {
  it('has its keys unquoted and unescaped, wherever the key column stands', async () => {
    const rows = ['1, e ,x', '2,a\\nb,', '3,"c,""d""","""etag"""', '4,"e""\\\\",', '5,\\xFF,"z"'];
    const folder = folderOf({ '1.csv': `size,key,etag\n${linesOf(rows)}` });

    expect(await keysOf(await source(folder))).toEqual([' e ', 'a\nb', 'c,"d"', 'e"\\', '\xff']);
  });

  it('may be compressed, and its lines may end in CR LF', async () => {
    const folder = folderOf({ '1.csv.gz': gzipSync('key,size\r\na,1\r\n"b",2\r\n') });

    expect(await keysOf(await source(folder))).toEqual(['a', 'b']);
  });

  it('is ordered by the bytes of its keys, not by their escaped form', async () => {
    const folder = folderOf({ '1.csv': 'key\na\\x01\naB\n' });

    expect(await keysOf(await source(folder))).toEqual(['a\x01', 'aB']);
  });

  it.each([
    ['no key column', 'size\n1\n', ':1: the header row names no column "key"'],
    ['two key columns', 'key,key\na,a\n', ':1: the header row names "key" twice'],
    ['a malformed escape', 'key\na\nb\\q\n', ':3: malformed escape in "b\\q"'],
    ['an open quote', 'key,size\na,1\n"b,2\nc,3\n', ':3: unbalanced quotes'],
    [
      'quotes amid a field',
      'key,size\n"a",1\nb"c,"d\n"e"f,2\n',
      ':3: Parse Error: missing closing',
    ],
    ['text after a quote', 'key,size\n"a",1\n"b"c,2\n', ':3: Parse Error: expected'],
    ['a bare comma in a key', 'key,size\na,b,1\n', ':2: 3 fields, but the header row has 2'],
    ['an empty key', 'key,size\na,1\n,2\n', ':3: empty key'],
    ['a key out of order', 'key,size\nb,1\na,2\n', ':3: key "a" comes before "b"'],
    ['a NUL in a key', 'key\n\\x00\n', ':2: a key holds a NUL byte'],
    ['a bare CR in a key', 'key\na\rb\n', ':2: a CR within a line'],
  ])('with %s is rejected', async (_, content, message) => {
    const folder = folderOf({ 'list.csv': content });

    const error = await failureOf(source(folder).then((lists) => keysOf(lists)));

    expect(error.exitCode).toBe(2);
    expect(error.message).toContain(join(folder, 'list.csv') + message);
  });
});

describe('a compressed list', () => {
  const whole = gzipSync(linesOf(photos(50_000)));

  it.each([
    ['cut short', whole.subarray(0, -9)],
    ['followed by other bytes', Buffer.concat([whole, Buffer.from('other bytes')])],
    ['of nothing', Buffer.alloc(0)],
    ['not compressed', Buffer.from('a\nb\n')],
  ])('that is %s is rejected by name', async (_, content) => {
    const folder = folderOf({ 'list.gz': content });

    const error = await failureOf(source(folder).then((lists) => keysOf(lists)));

    expect(error.exitCode).toBe(2);
    expect(error.message).toContain(`${join(folder, 'list.gz')}: not a whole gzip file`);
  });
});

describe('a list that changes while it is read', () => {
  const changes: [string, (path: string) => void][] = [
    ['grows', (path) => writeFileSync(path, 'zz\n', { flag: 'a' })],
    ['is replaced', (path) => utimesSync(path, 1, 1)],
    ['vanishes', (path) => rmSync(path)],
  ];

  it.each(changes)('and %s stops the run, resumably', async (_, change) => {
    const folder = folderOf({ '1': linesOf(photos(10)), '2': 'z\n' });
    const lists = await source(folder);
    const pages = lists.pages({ after: BEFORE_ALL, pageKeys: 10 })[Symbol.asyncIterator]();
    await pages.next();

    change(join(folder, '2'));
    const error = await failureOf(pages.next());

    expect(error.exitCode).toBe(3);
    expect(error.message).toContain(join(folder, '2'));
    expect(error.hint).toContain('continues where it stopped');
  });
});

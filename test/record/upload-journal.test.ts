/**
 * The journal of uploads: what was noted is there after a kill or a power loss, and only what is not over; a
 * line that is torn or damaged costs that line alone.
 */
import { copyFile, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { JournalledUpload, UploadPlan } from '../../src/domain.ts';
import { BEFORE_ALL, keyFromText, type ObjectKey } from '../../src/object-key.ts';
import { FileUploadJournal, UPLOADS_FILE } from '../../src/record/upload-journal.ts';
import { runs } from '../support/random-runs.ts';
import { A_TIME, anyKey } from './model-run.ts';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'upload-journal-'));
  path = join(folder, UPLOADS_FILE);
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
});

/** Closes with the test. */
async function open(recorded: readonly [after: string, last: string][] = [], at = folder) {
  const ranges = recorded.map(([after, last]) => ({
    after: after as ObjectKey,
    last: last as ObjectKey,
  }));
  const journal = await FileUploadJournal.open({ folder: at, recorded: ranges, now: () => A_TIME });
  onTestFinished(() => journal.close());
  return journal;
}

const film = keyFromText('films/h\u00e4fen.mov');
const plan: UploadPlan = {
  version: { bytes: 2_001_000, etag: 'e1-3', lastModified: 'Wed, 21 Oct 2015 07:28:00 GMT' },
  headersSha256: 'ab12',
  partLengths: [1_000_000, 1_000_000, 1_000],
  proof: 'crc32',
};
const part = (partNumber: number) =>
  ({
    partNumber,
    etag: `"p"${partNumber}\u00e9`,
    digest: { algorithm: partNumber % 2 === 0 ? 'md5' : 'crc32', base64: `AA${partNumber}==` },
  }) as const;

/** One of three parts, of which two are there. */
async function begin(journal: FileUploadJournal, key = film): Promise<number> {
  const number = await journal.intend(key);
  await journal.created(number, `id/${number}\u2028`);
  await journal.begin(number, plan);
  journal.acknowledge(number, part(1));
  journal.acknowledge(number, part(2));
  return number;
}

/** What the next start would find if the process were killed now. */
async function found(...recorded: [after: string, last: string][]) {
  const copy = await mkdtemp(join(folder, 'copy-'));
  await copyFile(path, join(copy, UPLOADS_FILE));
  return (await open(recorded, copy)).uploads;
}

const begun = (number: number): JournalledUpload => ({
  number,
  key: film,
  intendedAt: A_TIME,
  uploadId: `id/${number}\u2028`,
  plan,
  parts: new Map([
    [1, part(1)],
    [2, part(2)],
  ]),
  state: { kind: 'open' },
  isEarlier: true,
  isRecorded: false,
});

describe('the journal', () => {
  it('is no file while there is nothing to tell', async () => {
    const journal = await open();
    expect(journal.uploads).toEqual([]);
    await expect(stat(path)).rejects.toThrow('ENOENT');
    const number = await journal.intend(film);
    journal.over(number);
    await journal.close();
    await expect(stat(path)).rejects.toThrow('ENOENT');
  });

  it('is for its owner alone, and holds nothing but ASCII', async () => {
    const journal = await open();
    await begin(journal, 'films/\x1b\xff\xe2\x80\xae' as ObjectKey);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readFile(path, 'latin1')).toMatch(/^[\x20-\x7e\n]+$/);
  });

  it('tells the next start of an upload with its version, layout, digests and parts', async () => {
    const journal = await open();
    const number = await begin(journal);
    await journal.close();
    expect(await found()).toEqual([begun(number)]);
  });

  it('has an intent in the file before it is answered, and a beginning too', async () => {
    const journal = await open();
    const intent = await journal.intend(film);
    expect(await found()).toMatchObject([{ number: intent, uploadId: undefined, plan: undefined }]);
    await journal.created(intent, 'id');
    expect(await found()).toMatchObject([{ number: intent, uploadId: 'id', plan: undefined }]);
    await journal.begin(intent, plan);
    expect(await found()).toMatchObject([{ number: intent, uploadId: 'id', plan }]);
  });

  it('numbers on after what is left', async () => {
    const journal = await open();
    const first = await begin(journal);
    await journal.close();
    expect(await (await open()).intend(film)).toBeGreaterThan(first);
  });

  it.each<[string, (journal: FileUploadJournal, number: number) => void]>([
    ['is over', (journal, number) => journal.over(number)],
    [
      'was aborted',
      (journal, number) => {
        journal.abandon(number);
        journal.over(number);
      },
    ],
  ])('forgets an upload that %s', async (_, end) => {
    const journal = await open();
    const other = await begin(journal);
    end(journal, await begin(journal));
    await journal.close();
    expect(await found()).toEqual([begun(other)]);
  });

  it('keeps one that is to be aborted, and does not offer it', async () => {
    const journal = await open();
    journal.abandon(await begin(journal));
    await journal.close();
    const next = await open();
    expect(next.uploads).toMatchObject([{ state: { kind: 'abandoned' } }]);
    expect(await next.earlier(film)).toEqual([]);
  });

  it('keeps what has become an object until its key is recorded', async () => {
    const journal = await open();
    journal.completed(await begin(journal), 'made-3');
    await journal.close();
    expect(await found()).toMatchObject([{ state: { kind: 'completed', etag: 'made-3' } }]);
    expect((await open([['films/', film]])).uploads).toEqual([]);
    await expect(stat(path)).rejects.toThrow('ENOENT');
  });

  it('tells which uploads are of keys that are recorded', async () => {
    const journal = await open();
    await begin(journal);
    journal.recorded({ after: film, last: 'z' as ObjectKey });
    expect(journal.uploads).toMatchObject([{ isRecorded: false }]);
    journal.recorded({ after: BEFORE_ALL, last: film });
    expect(journal.uploads).toMatchObject([{ isRecorded: true }]);
    await journal.close();
    expect(await found(['a', 'z'])).toMatchObject([{ isRecorded: true }]);
  });

  it('offers what earlier starts have left of a key, until it is gone on with', async () => {
    const journal = await open();
    const number = await begin(journal);
    await begin(journal, keyFromText('films/other.mov'));
    expect(await journal.earlier(film)).toEqual([]);
    await journal.close();
    const next = await open();
    expect(await next.earlier(film)).toEqual([begun(number)]);
    next.resume(number);
    expect(await next.earlier(film)).toEqual([]);
    next.acknowledge(number, part(3));
    await next.close();
    const [left] = await (await open()).earlier(film);
    expect([...(left?.parts.keys() ?? [])]).toEqual([1, 2, 3]);
  });

  it('has after opening nothing of what is over', async () => {
    const journal = await open();
    const left = await begin(journal);
    for (let i = 0; i < 50; i++) journal.over(await begin(journal));
    await journal.close();
    const { size } = await stat(path);
    expect((await open()).uploads).toEqual([begun(left)]);
    expect((await stat(path)).size).toBeLessThan(size / 20);
  });

  it('does not grow without end while the run goes on', async () => {
    const journal = await open();
    const left = await begin(journal);
    const number = await begin(journal);
    // Much more than is kept of what is over.
    for (let i = 0; i < 300_000; i++) journal.acknowledge(number, part(1 + (i % 10)));
    journal.over(number);
    await begin(journal);
    await begin(journal);
    expect((await stat(path)).size).toBeLessThan(1024 ** 2);
    await journal.close();
    expect((await found())[0]).toEqual(begun(left));
  });
});

describe('after a power loss', () => {
  /** What is known of the upload by so many whole lines of the journal, its header aside. */
  const stages = [
    [],
    [{ uploadId: undefined, plan: undefined }],
    [{ uploadId: 'id/1\u2028', plan: undefined }],
    [{ plan, parts: new Map() }],
    [{ plan, parts: new Map([[1, part(1)]]) }],
    [begun(1)],
    [{ state: { kind: 'abandoned' } }],
    [],
  ];

  it.each([
    ['and nothing after it', 0],
    ['and a tail of NULs', 5000],
  ])(
    'cut at any byte, %s, it tells what its whole lines say',
    { timeout: 120_000 },
    async (_, nulls) => {
      const journal = await open();
      const number = await begin(journal);
      journal.abandon(number);
      // Keeps the file from being removed.
      await journal.intend(film);
      await journal.close();
      // As it was written, line by line: opening makes it anew, in the same order.
      const lines = (await readFile(path, 'latin1')).split(/(?<=\n)/);
      const first = lines.filter((line) => !line.includes(`"upload":${number + 1}`)).join('');
      const whole = `${first}{"upload":1,"event":"over"}\n`;
      for (let cut = 0; cut <= whole.length; cut++) {
        await writeFile(path, whole.slice(0, cut) + '\0'.repeat(nulls), 'latin1');
        const cutLines = whole.slice(0, cut).split('\n').length - 2;
        const uploads = await found();
        // The last line is whole but for its line feed: nothing of it is missing.
        const isWhole = whole[cut] === '\n' && nulls === 0;
        const stage = stages[Math.max(0, cutLines + (isWhole ? 1 : 0))] as object[];
        expect(uploads, `cut at ${cut}`).toMatchObject(stage);
        expect(uploads, `cut at ${cut}`).toHaveLength(stage.length);
      }
    },
  );

  it('a damaged line in the middle costs that line alone', async () => {
    const journal = await open();
    const number = await begin(journal);
    await journal.close();
    const text = await readFile(path, 'latin1');
    for (const damaged of ['\0\0\0\0\n', '{"upload":1,"event":"part","part":-1}\n', '[]\n', '\n']) {
      await writeFile(path, text.replace(/^.*"part":1,.*\n/m, damaged));
      const [upload] = await found();
      expect(upload).toEqual({ ...begun(number), parts: new Map([[2, part(2)]]) });
    }
    await writeFile(path, text.replace(/^.*"intended".*\n/m, ''));
    expect(await found()).toEqual([{ ...begun(number), intendedAt: 0 }]);
  });
});

it('what was noted is what is found, whatever was noted and whichever keys it was about', async () => {
  type Op = { readonly op: number; readonly key: ObjectKey; readonly at: number };
  const operations: fc.Arbitrary<Op[]> = fc.array(
    fc.record({ op: fc.nat(6), key: anyKey(), at: fc.nat(5) }),
    { maxLength: 30 },
  );
  await fc.assert(
    fc.asyncProperty(operations, async (ops) => {
      await rm(path, { force: true });
      const options = { folder, recorded: [], now: () => A_TIME };
      const journal = await FileUploadJournal.open(options);
      const numbers: number[] = [];
      for (const { op, key, at } of ops) {
        const number = numbers[at % Math.max(1, numbers.length)] ?? 0;
        if (op === 0 || numbers.length === 0) numbers.push(await journal.intend(key));
        else if (op === 1) await journal.created(number, key);
        else if (op === 2) await journal.begin(number, plan);
        else if (op === 3) journal.acknowledge(number, part(at + 1));
        else if (op === 4) journal.completed(number, key);
        else if (op === 5) journal.abandon(number);
        else journal.over(number);
      }
      const known = journal.uploads.map((upload) => ({ ...upload, isEarlier: true }));
      await journal.close();
      const again = await FileUploadJournal.open(options);
      expect(again.uploads).toEqual(known);
      await again.close();
      // Once more, from the file as it was made anew.
      const third = await FileUploadJournal.open(options);
      expect(third.uploads).toEqual(known);
      await third.close();
    }),
    { numRuns: runs(40) },
  );
});

describe('a journal that cannot be used is refused on opening:', () => {
  it('a symbolic link', async () => {
    await writeFile(join(folder, 'elsewhere'), '');
    await symlink(join(folder, 'elsewhere'), path);
    await expect(open()).rejects.toMatchObject({ exitCode: 2, message: /a symbolic link/ });
  });

  it('a folder', async () => {
    await mkdir(path);
    await expect(open()).rejects.toMatchObject({
      exitCode: 2,
      message: /not a regular file|directory/,
    });
  });

  it.each(['{"format":2}\n', 'key,outcome\n', '\x7fELF'])(
    'a file that begins with %j',
    async (text) => {
      await writeFile(path, `${text}${'x'.repeat(100)}\n`);
      await expect(open()).rejects.toMatchObject({
        exitCode: 2,
        message: `${path}: does not begin with {"format":1}`,
      });
    },
  );
});

describe('a disk that does not take a note', () => {
  it('keeps whoever wants to note something from doing it, and ends the record', async () => {
    const journal = await open();
    const number = await begin(journal);
    await journal.close();
    const next = await open();
    // Where the journal is made anew.
    await rm(folder, { recursive: true });
    next.resume(number);
    for (let i = 0; i < 300_000; i++) next.acknowledge(number, part(1));
    await expect(next.begin(number, plan)).resolves.toBeUndefined();
    await expect(next.intend(film)).rejects.toMatchObject({ exitCode: 3 });
    expect(next.failure.reason).toMatchObject({
      name: 'MigrateError',
      exitCode: 3,
      message: expect.stringMatching(`^${path}: cannot be written: ENOENT`) as string,
    });
    await expect(next.begin(number, plan)).rejects.toMatchObject({ exitCode: 3 });
    next.acknowledge(number, part(1));
  });
});

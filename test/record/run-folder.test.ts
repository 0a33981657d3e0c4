import { execFileSync } from 'node:child_process';
import {
  appendFile,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { OutcomePage } from '../../src/domain.ts';
import { openRunFolder, peekRunFolder } from '../../src/record/run-folder.ts';
import {
  copied,
  failed,
  failedLines,
  key,
  linesOf,
  logLines,
  optionsFor,
  page,
} from './model-run.ts';

let root: string;
let folder: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'run-folder-'));
  folder = join(root, 'logs');
});
afterEach(() => rm(root, { recursive: true, force: true }));

const path = (name: string) => join(folder, name);
const open = (changes = {}) => openRunFolder(optionsFor(folder, changes));
const keysOf = async (name: 'migrate.log' | 'failed.log') =>
  (await (name === 'migrate.log' ? logLines(folder) : failedLines(folder))).map(
    (line) => line?.key,
  );
const runFile = async () => JSON.parse(await readFile(path('migrate.run.json'), 'utf8'));

/** Records the pages, then ends, complete or not. */
async function record(pages: readonly OutcomePage[], complete = false) {
  const opened = await open();
  for (const each of pages) await opened.write(each);
  return await opened.close({ complete });
}

/** What a kill leaves: the folder without what `close` would add. */
async function recordAndDie(pages: readonly OutcomePage[]): Promise<void> {
  const opened = await open();
  for (const each of pages) await opened.write(each);
  const living = `${folder}.living`;
  await cp(folder, living, { recursive: true });
  await opened.close({ complete: false });
  await rm(folder, { recursive: true });
  await rm(join(living, 'migrate.lock'));
  await cp(living, folder, { recursive: true });
  await rm(living, { recursive: true });
}

const FIRST = page('', 'b', [copied('a'), failed('b')], { ignored: 1 });
const SECOND = page('b', 'd', [copied('c'), failed('d')], { exists: 2 });
const THIRD = page('d', 'f', [copied('e'), copied('f')]);

describe('a new run', () => {
  it('logs what became of each key, in key order, failures in both logs', async () => {
    const totals = await record([FIRST, SECOND], true);
    expect(await linesOf(folder, 'migrate.log')).toEqual([
      'a,copied,10,e1,md5',
      'b,failed,,,AccessDenied',
      'c,copied,10,e1,md5',
      'd,failed,,,AccessDenied',
    ]);
    expect(await linesOf(folder, 'failed.log')).toEqual([
      'b,2024-05-01T12:00:00.000Z,AccessDenied,403,2,Access Denied.',
      'd,2024-05-01T12:00:00.000Z,AccessDenied,403,2,Access Denied.',
    ]);
    expect(totals).toMatchObject({ copied: 2, bytes: 20, failed: 2, ignored: 1, exists: 2 });
  });

  it('tells in migrate.run.json what it is and how it went', async () => {
    await record([FIRST, SECOND], true);
    expect(await runFile()).toEqual({
      format: 1,
      toolVersion: '0.1.0',
      run: expect.stringMatching(/^[0-9a-f]{16}$/),
      state: 'complete',
      startedAt: '2024-05-01T12:00:00.000Z',
      updatedAt: '2024-05-01T12:00:00.000Z',
      endedAt: '2024-05-01T12:00:00.000Z',
      identity: { 'src-bucket': 'photos', 'dest-bucket': 'archive', 'hash-count': '1' },
      startAfter: '',
      totals: {
        copied: 2,
        bytes: 20,
        skippedDownload: 0,
        skippedUpload: 0,
        failed: 2,
        ignored: 1,
        exists: 2,
      },
      errors: [
        {
          code: 'AccessDenied',
          count: 2,
          examples: [
            { key: 'b', message: 'Access Denied.' },
            { key: 'd', message: 'Access Denied.' },
          ],
        },
      ],
      checkpoint: {
        upTo: 'd',
        logBytes: (await stat(path('migrate.log'))).size,
        lastLogged: 'd',
        failedBytes: (await stat(path('failed.log'))).size,
        lastFailed: 'd',
      },
    });
  });

  it('keeps its files to the operator alone, whatever the umask', async () => {
    const before = process.umask(0);
    try {
      const opened = await open();
      await opened.write(THIRD);
      const modes = Object.fromEntries(
        await Promise.all(
          [
            '',
            'migrate.log',
            'failed.log',
            'migrate.run.json',
            'migrate.lock',
            'migrate.ahead',
            `migrate.ahead/${(await readdir(path('migrate.ahead')))[0]}`,
          ].map(async (name) => [name, (await stat(path(name))).mode & 0o777] as const),
        ),
      );
      const { '': folderMode, 'migrate.ahead': aheadMode, ...files } = modes;
      expect([folderMode, aheadMode]).toEqual([0o700, 0o700]);
      expect(Object.values(files)).toEqual([0o600, 0o600, 0o600, 0o600, 0o600]);
      await opened.close({ complete: false });
    } finally {
      process.umask(before);
    }
  });

  it('can begin after a key', async () => {
    const opened = await open({ startAfter: key('b') });
    expect(opened.start).toBe('b');
    await opened.write(SECOND);
    await opened.close({ complete: true });
    expect(await keysOf('migrate.log')).toEqual(['c', 'd']);
  });

  it('with no key at all is complete', async () => {
    await record([], true);
    expect((await runFile()).state).toBe('complete');
  });
});

describe('a page that is done before its turn', () => {
  it('waits in migrate.ahead and reaches both logs in key order', async () => {
    const opened = await open();
    await opened.write(THIRD);
    await opened.write(SECOND);
    expect(opened.ahead).toEqual({ pages: 2, bytes: 8192 });
    expect(opened.position).toBe('');
    expect(await keysOf('failed.log')).toEqual([]);
    await opened.write(FIRST);
    expect(opened.ahead).toEqual({ pages: 0, bytes: 0 });
    expect(opened.position).toBe('f');
    expect(await keysOf('migrate.log')).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    expect(await keysOf('failed.log')).toEqual(['b', 'd']);
    await opened.checkpoint();
    expect(await readdir(path('migrate.ahead'))).toEqual([]);
    await opened.close({ complete: true });
  });

  it('takes no file when it has nothing to log', async () => {
    const opened = await open();
    await opened.write(page('b', 'd', [], { exists: 1_000_000 }));
    expect(opened.ahead).toEqual({ pages: 0, bytes: 0 });
    await opened.write(FIRST);
    expect(opened.position).toBe('d');
    expect(await opened.close({ complete: true })).toMatchObject({ exists: 1_000_000 });
  });

  it('makes others wait when its like take too much disk, until the page they wait for is done', async () => {
    const opened = await open({ aheadLimitBytes: 5000 });
    for (let pages = 0; pages < 3; pages++) await opened.room();
    await opened.write(THIRD);
    await opened.write(SECOND);
    const order: string[] = [];
    const entered = opened.room().then(() => order.push('entered'));
    await opened.checkpoint();
    order.push('nothing for long');
    await opened.write(FIRST);
    await entered;
    expect(order).toEqual(['nothing for long', 'entered']);
    await opened.close({ complete: true });
  });

  it('is transferred again when its file is torn, or is of another run', async () => {
    await recordAndDie([SECOND, THIRD]);
    const [first, second] = await readdir(path('migrate.ahead'));
    await truncate(path(`migrate.ahead/${first}`), 100);
    const foreign = join(root, 'other');
    const other = await openRunFolder(optionsFor(foreign));
    await other.write(SECOND);
    await cp(
      join(foreign, 'migrate.ahead', (await readdir(join(foreign, 'migrate.ahead')))[0]!),
      path(`migrate.ahead/${second}`),
    );
    await other.close({ complete: false });
    const opened = await open();
    expect(opened.doneRanges).toEqual([]);
    expect(await readdir(path('migrate.ahead'))).toEqual([]);
    await opened.close({ complete: false });
  });
});

describe('the same command again', () => {
  it('goes on after what is logged, and counts all starts together', async () => {
    await record([FIRST]);
    const opened = await open();
    expect(opened).toMatchObject({ state: 'resumed', start: 'b', doneRanges: [], warnings: [] });
    expect(opened.earlier).toMatchObject({ copied: 1, bytes: 10, failed: 1, ignored: 1 });
    await opened.write(SECOND);
    await opened.write(THIRD);
    expect(await opened.close({ complete: true })).toMatchObject({
      copied: 4,
      failed: 2,
      exists: 2,
    });
    expect(await keysOf('migrate.log')).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    expect((await runFile()).errors).toMatchObject([{ code: 'AccessDenied', count: 2 }]);
  });

  it('plans around what a killed one has logged after its checkpoint, or had ahead', async () => {
    await recordAndDie([FIRST, THIRD]);
    const opened = await open();
    expect(opened.start).toBe('');
    expect(opened.doneRanges).toEqual([
      { after: '', last: 'b' },
      { after: 'd', last: 'f' },
    ]);
    expect(opened.earlier).toMatchObject({ copied: 3, failed: 1, ignored: 0 });
    await opened.write(page('d', 'f'));
    await opened.write(page('', 'b', [], { ignored: 1 }));
    await opened.write(SECOND);
    expect(await opened.close({ complete: true })).toMatchObject({ copied: 4, ignored: 1 });
    expect(await keysOf('migrate.log')).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
  });

  it('has nothing to do when the run is complete, and changes nothing', async () => {
    const totals = await record([FIRST, SECOND], true);
    const before = await runFile();
    const opened = await open();
    expect(opened).toMatchObject({ state: 'complete', start: 'd', doneRanges: [] });
    expect(await opened.close({ complete: true })).toEqual(totals);
    expect(await runFile()).toEqual(before);
  });

  it('removes migrate.ahead when the run was killed after its very last checkpoint', async () => {
    await record([FIRST, SECOND], true);
    await mkdir(path('migrate.ahead'), { mode: 0o700 });
    await writeFile(path('migrate.ahead/1f2e3d4c-0.page'), 'appended before that checkpoint');
    await (await open()).close({ complete: true });
    expect(await readdir(folder)).not.toContain('migrate.ahead');
  });

  it('transfers again what a complete run has lost of its log', async () => {
    await record([FIRST, SECOND], true);
    const lines = await readFile(path('migrate.log'), 'latin1');
    await truncate(path('migrate.log'), lines.lastIndexOf('d,failed'));
    const opened = await open();
    expect(opened).toMatchObject({ state: 'resumed', doneRanges: [{ after: '', last: 'c' }] });
    expect(opened.warnings).toEqual([expect.stringContaining('is transferred again')]);
    expect(await keysOf('failed.log')).toEqual(['b']);
    await opened.close({ complete: false });
  });

  it('makes lines that failed.log has lost again, from migrate.log, and says so', async () => {
    await record([FIRST, SECOND]);
    const lines = await readFile(path('failed.log'), 'latin1');
    await truncate(path('failed.log'), lines.indexOf('\nd,') + 5);
    const opened = await open();
    expect(opened.warnings).toEqual([expect.stringContaining('lines at its end were missing (1)')]);
    await opened.close({ complete: false });
    expect(await linesOf(folder, 'failed.log')).toEqual([
      'b,2024-05-01T12:00:00.000Z,AccessDenied,403,2,Access Denied.',
      'd,2024-05-01T12:00:00.000Z,AccessDenied,0,0,"line lost, made again from migrate.log"',
    ]);
  });

  it('warns when failed.log lacks a line that cannot be made again', async () => {
    await record([FIRST, SECOND]);
    const [header, , second] = (await readFile(path('failed.log'), 'latin1')).split('\n');
    await writeFile(path('failed.log'), `${header}\n${second}\n`);
    const opened = await open();
    expect(opened.warnings).toEqual([
      expect.stringContaining(
        'its lines (1) are not as many as the failed keys of migrate.log (2)',
      ),
    ]);
    await opened.close({ complete: false });
  });

  it('refuses a log that was changed before its checkpoint, naming file and line', async () => {
    await record([FIRST, SECOND]);
    const lines = (await readFile(path('migrate.log'), 'latin1')).split('\n');
    await writeFile(path('migrate.log'), [lines[0], lines[1], 'rubbish', lines[3], ''].join('\n'));
    await expect(open()).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining(`${path('migrate.log')}:3: `),
    });
  });

  it.each(['migrate.log', 'failed.log'])(
    'goes on from a %s cut at any byte, with a tail of NULs or without',
    async (name) => {
      await record([FIRST, page('b', 'c', [failed('c', 'Söme, "thing"')])], true);
      const whole = `${folder}.whole`;
      await cp(folder, whole, { recursive: true });
      const { size } = await stat(path(name));
      for (let bytes = 0; bytes <= size; bytes++) {
        await rm(folder, { recursive: true });
        await cp(whole, folder, { recursive: true });
        await truncate(path(name), bytes);
        if (bytes % 2 === 0) await appendFile(path(name), Buffer.alloc(4096));
        const opened = await open();
        if (opened.state !== 'complete') {
          const left = [FIRST, page('b', 'c', [failed('c')])].flatMap(({ outcomes }) =>
            outcomes.filter((outcome) => opened.doneRanges.every(({ last }) => last < outcome.key)),
          );
          const reached = opened.doneRanges.at(-1)?.last ?? opened.start;
          if (reached > '') await opened.write(page('', reached, [], { ignored: 1 }));
          await opened.write(page(reached, 'c', left, { ignored: reached > '' ? 0 : 1 }));
        }
        expect(await opened.close({ complete: true })).toMatchObject({
          copied: 1,
          failed: 2,
          ignored: 1,
        });
        expect(await keysOf('migrate.log')).toEqual(['a', 'b', 'c']);
        expect(await keysOf('failed.log')).toEqual(['b', 'c']);
      }
    },
  );
});

describe('another command in the folder', () => {
  it('is refused with every field that differs, both values and what to do', async () => {
    await record([FIRST]);
    const identity = { 'src-bucket': 'films', 'dest-bucket': 'archive', prefix: 'x' };
    await expect(open({ identity })).rejects.toMatchObject({
      exitCode: 2,
      message: `${path('migrate.run.json')}: the log folder is of another run: src-bucket was "photos" and is "films"; hash-count was "1" and is not given; prefix was not given and is "x"`,
      hint: 'Give the same command again, or another --log-folder.',
    });
  });

  it('may begin after the last key of the log, or where the run began, and nowhere else', async () => {
    const started = await open({ startAfter: key('\n') });
    await started.write(page('\n', 'b', [copied('a'), copied('b')]));
    await started.close({ complete: false });
    for (const startAfter of [key('\n'), key('b')]) {
      const opened = await open({ startAfter });
      expect(opened).toMatchObject({ state: 'resumed', start: 'b' });
      await opened.close({ complete: false });
    }
    for (const [startAfter, shown] of [
      [key('a'), '--start-after "a"'],
      [undefined, 'no --start-after'],
    ] as const) {
      await expect(open({ startAfter })).rejects.toMatchObject({
        exitCode: 2,
        message: `${path('migrate.run.json')}: the log folder is of a run with --start-after "\\n", and this is one with ${shown}`,
      });
    }
  });

  it.each(['migrate.log', 'failed.log', 'migrate.uploads'])(
    'is refused when %s is there and no run.json',
    async (name) => {
      await mkdir(folder);
      await writeFile(path(name), '');
      await expect(open()).rejects.toMatchObject({
        exitCode: 2,
        message: expect.stringContaining(`${path(name)}: is a log of another run`),
      });
    },
  );

  it.each(['', '{', '{"format":2}', '[]'])('is refused when run.json is %j', async (content) => {
    await record([FIRST]);
    await writeFile(path('migrate.run.json'), content);
    await expect(open()).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining(`${path('migrate.run.json')}: cannot be understood`),
    });
  });

  it('is refused when the log is gone that run.json tells of', async () => {
    await record([FIRST]);
    await rm(path('migrate.log'));
    await expect(open()).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining('migrate.log: is missing'),
    });
  });
});

describe('what is in the place of a log', () => {
  it.each(['migrate.log', 'failed.log', 'migrate.run.json', 'migrate.ahead', 'migrate.uploads'])(
    'is refused when it is a link, a pipe or of another kind: %s',
    async (name) => {
      await record([FIRST]);
      const makers = [
        () => symlink(join(root, 'elsewhere'), path(name)),
        () => execFileSync('/bin/sh', ['-c', 'mkfifo "$1"', 'sh', path(name)]),
        () => (name === 'migrate.ahead' ? writeFile(path(name), '') : mkdir(path(name))),
      ];
      for (const make of makers) {
        await rm(path(name), { recursive: true, force: true });
        await make();
        await expect(open()).rejects.toMatchObject({
          exitCode: 2,
          message: expect.stringContaining(`${path(name)}: is `),
        });
      }
      expect(await readdir(root)).toEqual(['logs']);
    },
  );

  it('is refused, before anything starts, when the folder is a file or cannot be made', async () => {
    await writeFile(folder, '');
    await expect(open()).rejects.toMatchObject({ exitCode: 2 });
    await expect(open({ folder: join(folder, 'below') })).rejects.toMatchObject({ exitCode: 2 });
  });
});

describe('a record that fails', () => {
  it('stops for good: every call tells the first error, and the folder is unlocked', async () => {
    const opened = await open();
    await rm(path('migrate.ahead'), { recursive: true });
    const error = {
      exitCode: 3,
      message: expect.stringContaining('cannot be written: ENOENT'),
      hint: 'Remove the cause.',
    };
    await expect(opened.write(SECOND)).rejects.toMatchObject(error);
    expect(opened.failure.reason).toMatchObject(error);
    await expect(opened.write(FIRST)).rejects.toMatchObject(error);
    await expect(opened.room()).rejects.toMatchObject(error);
    await expect(opened.checkpoint()).rejects.toMatchObject(error);
    await expect(opened.close({ complete: true })).rejects.toMatchObject(error);
    expect(await keysOf('migrate.log')).toEqual([]);
    const again = await open();
    await again.write(FIRST);
    await again.close({ complete: true });
    expect(await keysOf('migrate.log')).toEqual(['a', 'b']);
  });

  it('calls no run complete in which the pages leave a gap', async () => {
    const opened = await open();
    await opened.write(SECOND);
    await expect(opened.close({ complete: true })).rejects.toMatchObject({
      exitCode: 3,
      message: expect.stringContaining('no page has come for the keys after ""'),
    });
  });

  it('takes no page that overlaps what is recorded', async () => {
    const opened = await open();
    await opened.write(FIRST);
    await expect(opened.write(page('a', 'c', [copied('b')]))).rejects.toThrow('does not chain');
    await expect(opened.close({ complete: false })).rejects.toThrow('does not chain');
    expect(await keysOf('migrate.log')).toEqual(['a', 'b']);
  });
});

describe('peekRunFolder', () => {
  it('finds what opening would find, and neither writes nor locks', async () => {
    expect(await peekRunFolder(optionsFor(folder))).toEqual({
      state: 'new',
      start: '',
      doneRanges: [],
    });
    expect(await readdir(root)).toEqual([]);
    await recordAndDie([FIRST, THIRD]);
    await appendFile(path('migrate.log'), 'torn');
    const before = await readdir(folder);
    expect(await peekRunFolder(optionsFor(folder))).toEqual({
      state: 'resumed',
      start: '',
      doneRanges: [
        { after: '', last: 'b' },
        { after: 'd', last: 'f' },
      ],
    });
    expect(await readdir(folder)).toEqual(before);
    expect(await readFile(path('migrate.log'), 'latin1')).toMatch(/torn$/);
  });
});

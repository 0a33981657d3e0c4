/**
 * What the system does to a process that records: kill -9, a full disk, two processes at once.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openRunFolder } from '../../src/record/run-folder.ts';
import { failedLines, logLines, optionsFor } from './model-run.ts';

const PROGRAM = join(import.meta.dirname, 'recording-process.js');
const KEYS = 4000;

let root: string;
let folders = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'process-faults-'));
});
afterAll(() => rm(root, { recursive: true }));
const newFolder = () => join(root, String(folders++));

interface StartOptions {
  readonly folder: string;
  readonly task: 'record' | 'lock' | 'uploads';
  readonly messageBytes?: number;
  /** Blocks of 512 or 1024 bytes, by the shell, after which no file can grow. */
  readonly fileBlocks?: number | 'unlimited';
}

function start({ folder, task, messageBytes = 20, fileBlocks = 'unlimited' }: StartOptions) {
  const program = [process.execPath, PROGRAM, folder, task, String(messageBytes)];
  return spawn('/bin/sh', ['-c', `ulimit -f ${fileBlocks}; exec "$@"`, 'sh', ...program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

/** Runs to its end; its last line is JSON. */
async function finish(child: ChildProcess) {
  const [output, [exitCode]] = await Promise.all([text(child.stdout!), once(child, 'exit')]);
  return { exitCode, ...JSON.parse(output.trimEnd().split('\n').at(-1)!) };
}

/** Kills it once it has said something so many times. */
async function killAfter(child: ChildProcess, lines: number): Promise<void> {
  let seen = 0;
  const exit = once(child, 'exit');
  child.stdout!.on('data', (chunk: Buffer) => {
    for (const byte of chunk) if (byte === 0x0a && ++seen === lines) child.kill('SIGKILL');
  });
  await exit;
}

async function expectAllRecorded(folder: string): Promise<void> {
  const lines = await logLines(folder);
  expect(lines.map((line) => line?.key)).toEqual(
    Array.from({ length: KEYS }, (_, index) => `photo-${String(index + 1).padStart(5, '0')}`),
  );
  const failedKeys = lines.filter((line) => line?.kind === 'failed').map((line) => line?.key);
  expect(failedKeys).toHaveLength(Math.floor(KEYS / 7));
  expect((await failedLines(folder)).map((line) => line?.key)).toEqual(failedKeys);
}

describe('a process that is killed', () => {
  it('is continued by the next one, with every key once, after five kills', async () => {
    const folder = newFolder();
    for (const lines of [3, 17, 1, 30, 11]) {
      await killAfter(start({ folder, task: 'record' }), lines);
    }
    const { exitCode, totals } = await finish(start({ folder, task: 'record' }));
    expect(exitCode).toBe(0);
    expect(totals.copied + totals.failed).toBe(KEYS);
    await expectAllRecorded(folder);
  });
});

describe('a disk that takes no more', () => {
  it.each([
    { log: 'migrate.log', messageBytes: 20 },
    { log: 'failed.log', messageBytes: 2000 },
  ])(
    'stops the run at a whole line of $log, and after making room it goes on exactly',
    async ({ log, messageBytes }) => {
      const folder = newFolder();
      const stopped = await finish(
        start({ folder, task: 'record', messageBytes, fileBlocks: 100 }),
      );
      expect(stopped.exitCode).toBe(3);
      expect(stopped.message).toContain(`${join(folder, log)}: cannot be written: EFBIG`);
      expect(stopped.hint).toBe('Free space on that disk.');
      // Throw unless the last line is whole.
      const logged = await logLines(folder);
      expect(logged.length).toBeGreaterThan(100);
      expect(logged).not.toContain(undefined);
      expect(await failedLines(folder)).not.toContain(undefined);
      expect(await readdir(folder)).not.toContain('migrate.lock');

      const { exitCode } = await finish(start({ folder, task: 'record', messageBytes }));
      expect(exitCode).toBe(0);
      await expectAllRecorded(folder);
    },
  );
});

describe('a disk that takes no more of the journal of uploads', () => {
  it('stops the run at a whole line of it, and what was noted is found', async () => {
    const folder = newFolder();
    const stopped = await finish(start({ folder, task: 'uploads', fileBlocks: 100 }));
    expect(stopped.exitCode).toBe(3);
    expect(stopped.message).toContain(
      `${join(folder, 'migrate.uploads')}: cannot be written: EFBIG`,
    );
    expect(stopped.hint).toBe('Free space on that disk.');
    const run = await openRunFolder(optionsFor(folder, { identity: { 'src-bucket': 'photos' } }));
    const [upload] = run.uploads.uploads;
    const parts = [...(upload?.parts.keys() ?? [])];
    expect(parts.length).toBeGreaterThan(100);
    expect(parts).toEqual(Array.from(parts, (_, index) => index + 1));
    await run.close({ complete: false });
  });
});

describe('the lock of a folder', () => {
  it('keeps a second process out, which names the first', async () => {
    const folder = newFolder();
    const first = start({ folder, task: 'lock' });
    await once(first.stdout, 'data');
    const second = await finish(start({ folder, task: 'lock' }));
    expect(second.exitCode).toBe(2);
    expect(second.message).toMatch(
      new RegExp(`another s3migrate works with this folder since 20.*: process ${first.pid}$`),
    );
    first.stdin.end();
    await once(first, 'exit');
    expect(await readdir(folder)).not.toContain('migrate.lock');
  });

  it('goes to exactly one of many processes that find a dead one at once', async () => {
    const folder = newFolder();
    const dead = start({ folder, task: 'lock' });
    await once(dead.stdout, 'data');
    dead.kill('SIGKILL');
    await once(dead, 'exit');
    const rivals = Array.from({ length: 6 }, () => start({ folder, task: 'lock' }));
    // The owner holds the folder until all others have given up: only then does its stdin end.
    let left = rivals.length;
    const ends = rivals.map(async (rival) => {
      const end = await finishLock(rival);
      if (--left === 1) for (const each of rivals) each.stdin.end();
      return end;
    });
    expect((await Promise.all(ends)).toSorted((a, b) => a - b)).toEqual([0, 2, 2, 2, 2, 2]);
    const names = await readdir(folder);
    expect(names.filter((name) => name.startsWith('migrate.lock'))).toEqual([]);
  });

  async function finishLock(rival: ChildProcess): Promise<number> {
    rival.stdout!.resume();
    const [exitCode] = await once(rival, 'exit');
    return exitCode as number;
  }

  it('is taken over when its process id has gone to another process', async () => {
    const folder = newFolder();
    await lockedAs(folder, { pid: process.pid, host: hostname(), started: 'another boot:1' });
    const opened = await openRunFolder(optionsFor(folder));
    expect(JSON.parse(await readFile(join(folder, 'migrate.lock'), 'utf8'))).toMatchObject({
      pid: process.pid,
      since: '2024-05-01T12:00:00.000Z',
    });
    await opened.close({ complete: false });
  });

  it('leaves nothing of an announcement that a kill has left half written', async () => {
    const folder = newFolder();
    await mkdir(folder);
    await writeFile(join(folder, 'migrate.lock.732f8f84ff8e7c9b.part'), '{"id":"732f8f84f');
    await (await openRunFolder(optionsFor(folder))).close({ complete: false });
    const names = await readdir(folder);
    expect(names.filter((name) => name.startsWith('migrate.lock'))).toEqual([]);
  });

  it('of another host is respected, and the way to remove it told', async () => {
    const folder = newFolder();
    await lockedAs(folder, { pid: 1, host: 'other.example', started: 'x' });
    await expect(openRunFolder(optionsFor(folder))).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining('process 1 on other.example'),
      hint: expect.stringContaining(`remove ${join(folder, 'migrate.lock')}`),
    });
  });

  it('that says nothing is not guessed at', async () => {
    const folder = newFolder();
    await mkdir(folder);
    await writeFile(join(folder, 'migrate.lock'), '');
    await expect(openRunFolder(optionsFor(folder))).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining('says nothing about who locked the folder'),
    });
  });

  it('is given back when the folder cannot be opened', async () => {
    const folder = newFolder();
    await mkdir(folder);
    await writeFile(join(folder, 'migrate.log'), 'key\n');
    await expect(openRunFolder(optionsFor(folder))).rejects.toThrow('log of another run');
    expect(await readdir(folder)).toEqual(['migrate.log']);
  });

  async function lockedAs(folder: string, owner: object): Promise<void> {
    await mkdir(folder);
    const lock = { id: 'abc', since: '2024-01-01T00:00:00.000Z', ...owner };
    await writeFile(join(folder, 'migrate.lock'), JSON.stringify(lock));
  }
});

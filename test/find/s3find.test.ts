/** The built program, as an operator uses it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, readdir, readFile, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freshFolder, makeTooDeep, makeTree } from './tree.ts';

const PROGRAM = fileURLToPath(new URL('../../bin/s3find', import.meta.url));

let home: string;
let remove: () => void;
let tree: string;
let lists: string;

beforeEach(async () => {
  ({ path: home, remove } = await freshFolder());
  tree = join(home, 'tree');
  lists = join(home, 'lists');
  await mkdir(tree);
});
afterEach(() => remove());

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

function ended(child: ChildProcess): Promise<Ended> {
  return new Promise((resolve) => {
    let stdout = '';
    let stderr = '';
    child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

function s3find(...args: string[]): Promise<Ended> {
  return ended(spawn(process.execPath, [PROGRAM, ...args], { cwd: home }));
}

function list(name: string): Promise<string> {
  return readFile(join(lists, name), 'latin1');
}

/** Makes a function that the program calls throw what nothing of it expects. */
const DEFECT = `data:text/javascript,${encodeURIComponent(`
  import fs from 'node:fs/promises';
  import { syncBuiltinESMExports } from 'node:module';
  fs.realpath = () => { throw new TypeError('planted') };
  syncBuiltinESMExports();
`)}`;

describe('s3find', () => {
  it('tells a defect of its own with what a report needs, and ends with 3', async () => {
    const child = spawn(process.execPath, ['--import', DEFECT, PROGRAM, tree, lists]);
    const { code, stderr } = await ended(child);
    expect(stderr).toMatch(/^s3find: unexpected error: planted\n {2}This is a defect of s3migrate/);
    expect(code).toBe(3);
  });

  it('writes sorted lists, and says what it did and what to type next', async () => {
    await makeTree(tree, ['b/2', 'b-1', 'a', 'b/1', 'bad\xff', 'line\nfeed']);
    const { code, stdout, stderr } = await s3find(tree, lists);

    expect(code).toBe(0);
    expect(await list('00000000.txt')).toBe('a\nb-1\nb/1\nb/2\nbad\xff\n');
    expect(await list('escaped-00000000.csv')).toBe('key\nline\\nfeed\n');
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^s3find: 6 keys of 2 directories in 2 list files in .*, 0\.\ds\n/);
    expect(stderr).toContain(`next: s3migrate --src-folder ${lists} `);
  });

  it('writes nothing but the summary when stderr is no terminal', async () => {
    await makeTree(tree, ['a']);

    // oxlint-disable-next-line no-control-regex
    expect((await s3find(tree, lists)).stderr).not.toMatch(/[\r\x1b]/);
  });

  it.each(['-csv', '--csv'])('adds size and time with %s', async (flag) => {
    await makeTree(tree, ['d/']);
    await writeFile(join(tree, 'd', 'a,b'), 'five!');
    await utimes(join(tree, 'd', 'a,b'), 0, Date.UTC(2024, 0, 2, 3, 4, 5) / 1000);

    expect((await s3find(flag, tree, lists)).code).toBe(0);
    expect(await list('00000000.csv')).toBe(
      'key,size,last_modified\n"d/a,b",5,2024-01-02T03:04:05.000Z\n',
    );
  });

  it.each([['-later-than', '2'], ['--later-than', '2'], ['--later-than=1.5'], ['-later-than=2']])(
    'lists only what was modified of late with %s',
    async (...flag) => {
      await makeTree(tree, ['new', 'old']);
      const then = Date.now() / 1000 - 3 * 86_400;
      await utimes(join(tree, 'old'), then, then);
      const { code, stderr } = await s3find(tree, lists, ...flag);

      expect(code).toBe(0);
      expect(await list('00000000.txt')).toBe('new\n');
      expect(stderr).toContain('too old for -later-than: 1 file');
    },
  );

  it('counts what it does not follow', async () => {
    await makeTree(tree, ['a']);
    await symlink('a', join(tree, 'l1'));
    await symlink('a', join(tree, 'l2'));
    const { code, stderr } = await s3find(tree, lists);

    expect(code).toBe(0);
    expect(stderr).toContain('skipped: 2 symbolic links');
    expect(await list('00000000.txt')).toBe('a\n');
  });

  it('follows a link that is the directory itself', async () => {
    await makeTree(tree, ['a']);
    await symlink('tree', join(home, 'link'));

    expect((await s3find(join(home, 'link'), lists)).code).toBe(0);
    expect(await list('00000000.txt')).toBe('a\n');
  });

  it('names what it cannot read, lists the rest and exits with 1', async () => {
    await makeTree(tree, ['a', 'b\x1b/x', 'c']);
    await makeTooDeep(tree, 'b\x1b');
    const { code, stderr } = await s3find(tree, lists);

    expect(code).toBe(1);
    expect(stderr).toMatch(/^s3find: cannot read b\\x1B\/deep0.*: ENAMETOOLONG\n/);
    expect(stderr).toContain('UNREADABLE: 1 ');
    expect(await list('00000000.txt')).toBe('a\nb\x1b/x\nc\n');
  });

  it('leaves out paths that no key can have, shows one and exits with 1', async () => {
    const long = Array.from({ length: 5 }, () => 'd'.repeat(250)).join('/');
    await makeTree(tree, ['a', `${long}/x`, `${long}/y`]);
    const { code, stderr } = await s3find(tree, lists);

    expect(code).toBe(1);
    expect(stderr).toContain('NOT LISTED: 2 paths over 1024 bytes');
    expect(stderr).toContain(`such as ${long}/x`);
    expect(await list('00000000.txt')).toBe('a\n');
  });

  it('passes over its own lists when they are below the directory', async () => {
    await makeTree(tree, ['a', 'lists/old/x']);
    lists = join(tree, 'lists', 'new');
    const { code, stderr } = await s3find(tree, lists);

    expect(code).toBe(0);
    expect(stderr).toContain('passed over: lists/new/');
    expect(await list('00000000.txt')).toBe('a\nlists/old/x\n');
  });

  it('writes an empty list for an empty directory', async () => {
    expect((await s3find(tree, lists)).code).toBe(0);
    expect(await list('00000000.txt')).toBe('');
  });

  it.each([
    { signal: 'SIGINT', code: 130 },
    { signal: 'SIGTERM', code: 143 },
  ] as const)('stops at $signal without leaving a list', async ({ signal, code }) => {
    await makeTree(
      tree,
      Array.from({ length: 5000 }, (_, i) => `${i}/`),
    );
    await makeTooDeep(tree, '0');
    const child = spawn(process.execPath, [PROGRAM, '-csv', tree, lists], { cwd: home });
    // The first thing it says comes in the middle of its work.
    child.stderr.once('data', () => child.kill(signal));
    const end = await ended(child);

    expect(end.code).toBe(code);
    expect(end.stderr).toContain('s3find: interrupted; no list was written.');
    expect(await readdir(lists)).toEqual([]);
  });
});

describe('s3find refuses with exit code 2, a line and a hint', () => {
  async function refused(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await s3find(...args);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^s3find: [^\n]+\n {2}[^\n]+\n$/);
    return stderr;
  }

  it('a missing directory', async () => {
    expect(await refused(join(home, 'none'), lists)).toContain(`there is no ${home}/none`);
  });

  it('a directory that is a file', async () => {
    await writeFile(join(home, 'file'), '');
    expect(await refused(join(home, 'file'), lists)).toContain('is not a directory');
  });

  it('an output folder that is not empty', async () => {
    await makeTree(lists, ['x']);
    expect(await refused(tree, lists)).toContain('is not empty');
    expect(await readdir(lists)).toEqual(['x']);
  });

  it('an output folder that is the directory', async () => {
    expect(await refused(tree, tree)).toContain('the output folder is the directory');
  });

  it.each(['0', '-1', 'x', '', '1e3', 'Infinity'])('%j days', async (days) => {
    expect(await refused(tree, lists, '-later-than', days)).toContain('a positive number of days');
  });

  it('a missing argument', async () => {
    expect(await refused(tree)).toContain("missing required argument 'output_dir'");
  });

  it('an unknown flag', async () => {
    expect(await refused(tree, lists, '--nope')).toContain("unknown option '--nope'");
  });
});

describe('s3find tells', () => {
  it('its version', async () => {
    const { version } = JSON.parse(
      await readFile(new URL('../../package.json', import.meta.url), 'utf8'),
    ) as { version: string };

    expect(await s3find('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  it.each(['--help', '-help', '-h'])('how it is used with %s', async (flag) => {
    const { code, stdout } = await s3find(flag);

    expect(code).toBe(0);
    expect(stdout).toContain('s3find /mnt/photos lists/src -later-than 7');
  });
});

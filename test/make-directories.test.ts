import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeDirectories } from '../src/make-directories.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3migrate-directories-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('makeDirectories', () => {
  it('makes a directory and those above it, with the mode that was asked for', async () => {
    await makeDirectories(join(folder, 'a/b/c'), 0o700);
    expect((await stat(join(folder, 'a/b/c'))).mode & 0o777).toBe(0o700);
    expect((await stat(join(folder, 'a'))).mode & 0o777).toBe(0o700);
  });

  it('leaves a directory that is there as it is', async () => {
    await makeDirectories(join(folder, 'a'), 0o755);
    await makeDirectories(join(folder, 'a'), 0o700);
    expect((await stat(join(folder, 'a'))).mode & 0o777).toBe(0o755);
  });

  it('refuses a place that is a file, or below one', async () => {
    await writeFile(join(folder, 'file'), '');
    await expect(makeDirectories(join(folder, 'file'))).rejects.toThrow('EEXIST');
    await expect(makeDirectories(join(folder, 'file/below'))).rejects.toThrow('ENOTDIR');
  });

  it('comes to an end where the file system answers ENOENT below a directory that is there', async () => {
    await expect(makeDirectories('/proc/s3migrate/logs')).rejects.toThrow('ENOENT');
  });
});

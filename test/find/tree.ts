/** Directory trees for the tests of the walk, from paths that are byte strings. */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

function toPath(bytes: string): Buffer {
  return Buffer.from(bytes, 'latin1');
}

/** Makes empty files; a path that ends with a slash becomes a directory. */
export async function makeTree(root: string, paths: readonly string[]): Promise<void> {
  await mkdir(root, { recursive: true });
  for (const path of paths) {
    const full = `${root}/${path}`;
    if (path.endsWith('/')) {
      await mkdir(toPath(full), { recursive: true });
    } else {
      await mkdir(toPath(dirname(full)), { recursive: true });
      await writeFile(toPath(full), '');
    }
  }
}

/**
 * Makes a directory nobody can read, not even root: its path from `/` is longer than PATH_MAX.
 *
 * It can only be put there by moving a deep tree to the end of another one. Below `root` it is
 * `folder` and sixteen times the same name of 255 bytes.
 */
export async function makeTooDeep(root: string, folder: string): Promise<void> {
  const name = 'deep'.padEnd(255, '0');
  const half = Array.from({ length: 8 }, () => name);
  const upper = join(root, folder, ...half);
  await mkdir(upper, { recursive: true });
  const moved = await mkdtemp(join(root, 'moved-'));
  await mkdir(join(moved, ...half), { recursive: true });
  await rename(join(moved, name), join(upper, name));
  execFileSync('rm', ['-r', moved]);
}

/** A fresh folder, removed by `remove`. */
export async function freshFolder(): Promise<{ path: string; remove: () => void }> {
  const path = await mkdtemp(join(tmpdir(), 's3find-'));
  // Node's own rm cannot remove what makeTooDeep leaves.
  return { path, remove: () => execFileSync('rm', ['-r', path]) };
}

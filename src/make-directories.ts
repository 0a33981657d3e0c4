/**
 * Makes a directory and those above it.
 */
import { mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/**
 * Not `mkdir` with `recursive`: Node 20 tries for ever where the file system answers ENOENT although
 * the parent is there, as /proc does. A directory that is there already stays as it is.
 *
 * @param mode of those that are made, before the umask; 0o777 by default
 * @throws what the file system says
 */
export async function makeDirectories(path: string, mode = 0o777): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    if (codeOf(error) === 'EEXIST' && (await stat(path)).isDirectory()) return;
    const parent = dirname(resolve(path));
    if (codeOf(error) !== 'ENOENT' || (await isThere(parent))) throw error;
    await makeDirectories(parent, mode);
    await mkdir(path, { mode });
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

/**
 * The lists that a verification has made itself, in its log folder: whole or not there, and of the same
 * buckets whenever it is continued.
 *
 * Each side's lists are made in a folder beside their own, and moved there when all of them are on the disk.
 * verify.lists.json says what they are of, and is written before the first of them is begun.
 */
import { constants } from 'node:fs';
import { lstat, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SIDES, type Side } from '../domain.ts';
import { MigrateError, messageOf } from '../errors.ts';
import {
  cannotOpen,
  cannotWrite,
  errorCode,
  makePrivateDirectory,
  openRegular,
  prepareLogFolder,
  refuseUnlessDirectory,
  replaceFile,
  syncDirectory,
} from './disk.ts';
import { lockFolder } from './folder-lock.ts';
import { fields, type RunIdentity, text } from './run-file.ts';
import { refuseOtherRun } from './same-run.ts';

const ORIGIN_FILE = 'verify.lists.json';
/** A program refuses a file of another format. */
const FORMAT = 1;

export interface VerifyListsOptions {
  /** The log folder. Made when it is not there. */
  readonly folder: string;
  /** What the lists are of. */
  readonly identity: RunIdentity;
  /** ms since the epoch. */
  readonly now: () => number;
}

/**
 * Locks the log folder until `close`. To be closed.
 *
 * @throws MigrateError (2) when the folder cannot be written, another process works with it, or its lists are
 *   of something else
 */
export async function openVerifyLists(options: VerifyListsOptions): Promise<VerifyLists> {
  const { folder, identity, now } = options;
  await prepareLogFolder(folder);
  const lock = await lockFolder(folder, now);
  const lists = new VerifyLists(folder, () => lock.release());
  try {
    await claim(folder, identity, lists);
    return lists;
  } catch (error) {
    await lock.release();
    throw error instanceof MigrateError ? error : cannotOpen(folder, error);
  }
}

async function claim(folder: string, identity: RunIdentity, lists: VerifyLists): Promise<void> {
  const path = join(folder, ORIGIN_FILE);
  const recorded = await readOrigin(path);
  if (recorded !== undefined) {
    refuseOtherRun(path, recorded, identity);
  } else {
    for (const side of SIDES) await refuseStrayLists(lists.of(side));
    await replaceFile(path, `${JSON.stringify({ format: FORMAT, identity }, undefined, 2)}\n`);
  }
  await refuseUnlessDirectory(join(folder, 'lists'));
  await makePrivateDirectory(join(folder, 'lists'));
  await syncDirectory(folder);
}

async function readOrigin(path: string): Promise<RunIdentity | undefined> {
  const file = await openRegular(path, constants.O_RDONLY);
  if (file === undefined) return undefined;
  try {
    const { format, identity } = fields(JSON.parse(await file.readFile('utf8')));
    if (format !== FORMAT) {
      throw new Error(`its format is ${JSON.stringify(format)}, this program reads ${FORMAT}`);
    }
    return Object.fromEntries(
      Object.entries(fields(identity)).map(([name, value]) => [name, text(value)]),
    );
  } catch (error) {
    throw new MigrateError(
      `${path}: cannot be understood, so it is not known what the lists are of: ${messageOf(error)}`,
      { exitCode: 2, hint: 'Restore it, or give another --log-folder.', cause: error },
    );
  } finally {
    await file.close();
  }
}

/** Lists that somebody else has put there are neither used nor replaced. */
async function refuseStrayLists(path: string): Promise<void> {
  if (!(await isThere(path))) return;
  throw new MigrateError(`${path}: is not of this verification: there is no ${ORIGIN_FILE}`, {
    exitCode: 2,
    hint: 'Give --src-folder and --dest-folder to verify given lists, or another --log-folder.',
  });
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw cannotOpen(path, error);
  }
}

export class VerifyLists {
  readonly #folder: string;
  readonly #unlock: () => Promise<void>;

  constructor(folder: string, unlock: () => Promise<void>) {
    this.#folder = folder;
    this.#unlock = unlock;
  }

  /** The folder of a side's lists, whether they are there or not. */
  of(side: Side): string {
    return join(this.#folder, 'lists', side);
  }

  /**
   * @param write makes the lists in the new folder that it is given
   * @returns what `write` gave; undefined when the lists were there already, whole
   * @throws what `write` threw, with nothing left of it; MigrateError (3) when the disk does not take them
   */
  async make<T>(side: Side, write: (folder: string) => Promise<T>): Promise<T | undefined> {
    const path = this.of(side);
    if (await isThere(path)) {
      await refuseUnlessDirectory(path);
      return undefined;
    }
    const fresh = `${path}.part`;
    try {
      // What a kill has left.
      await rm(fresh, { recursive: true, force: true });
      const written = await write(fresh);
      await putInPlace(fresh, path);
      return written;
    } catch (error) {
      await rm(fresh, { recursive: true, force: true }).catch(() => {});
      throw error;
    }
  }

  /** Unlocks the folder. */
  async close(): Promise<void> {
    await this.#unlock();
  }
}

/** All of it is on the disk before: after a power loss no list that was cut passes for a whole one. */
async function putInPlace(fresh: string, path: string): Promise<void> {
  try {
    for (const name of await readdir(fresh)) await syncFile(join(fresh, name));
    await syncDirectory(fresh);
    await rename(fresh, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    throw cannotWrite(path, error);
  }
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * One process at a time writes a log folder: migrate.lock says which.
 *
 * Node has no flock(2), so a crash leaves the file behind and the next process must decide whether
 * its owner is alive: the pid and, where the system tells it, the time that process started (pids are
 * used again). Two processes may find the same dead owner at once, so nobody removes a lock to make
 * their own. Each announces itself in a file of its own, `migrate.lock.<id>`, *then* looks at all
 * others, and only one that sees no living one renames its announcement to `migrate.lock`, over the
 * dead owner's. Of any two, the one that announced itself later sees the other; both may see each
 * other, then both step back and try again after a random moment.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { MigrateError } from '../errors.ts';
import { cannotOpen, errorCode, openRegular, writeFully } from './disk.ts';

const LOCK_FILE = 'migrate.lock';
const ANNOUNCED = `${LOCK_FILE}.`;
/** An announcement being written: it means nothing yet. */
const PART = '.part';
/** Processes that start in the same milliseconds are apart long before. */
const MAX_TRIES = 200;
const MAX_WAIT_MS = 25;

interface Owner {
  readonly id: string;
  readonly pid: number;
  readonly host: string;
  /** Boot and moment of the process's start, opaque; absent where the system does not tell. */
  readonly started?: string | undefined;
  /** ISO 8601. */
  readonly since: string;
}

/** The right to write a folder. */
export interface FolderLock {
  /** Gives it up. Whoever dies without doing so is found out by the next process. */
  release(): Promise<void>;
}

/**
 * Takes the folder, which exists.
 *
 * @param now ms since the epoch
 * @throws MigrateError (2) when another process has it, or the folder cannot be written
 */
export async function lockFolder(folder: string, now: () => number): Promise<FolderLock> {
  const path = join(folder, LOCK_FILE);
  const owner: Owner = {
    id: randomBytes(8).toString('hex'),
    pid: process.pid,
    host: hostname(),
    started: (await processState(process.pid))?.started,
    since: new Date(now()).toISOString(),
  };
  for (let tries = 1; ; tries++) {
    const rival = await tryToLock(folder, owner).catch((error: unknown) => {
      throw error instanceof MigrateError ? error : cannotOpen(path, error);
    });
    if (rival === undefined) break;
    // The owner of migrate.lock stays; other announcements are gone in a moment.
    if (rival.holds || tries === MAX_TRIES) throw lockedBy(path, rival.owner);
    await delay(Math.random() * MAX_WAIT_MS);
  }
  return {
    async release() {
      if ((await readOwner(path))?.id === owner.id) await rm(path, { force: true });
    },
  };
}

/** @returns undefined when the folder is locked, else who is in the way */
async function tryToLock(
  folder: string,
  owner: Owner,
): Promise<{ owner: Owner; holds: boolean } | undefined> {
  const path = join(folder, LOCK_FILE);
  const mine = `${ANNOUNCED}${owner.id}`;
  let announced = false;
  // Who has just got the lock may have taken it for one that a kill left unfinished.
  while (!announced) announced = await announce(join(folder, mine), owner);
  try {
    const dead: string[] = [];
    for (const name of await readdir(folder)) {
      if (!name.startsWith(ANNOUNCED) || name === mine) continue;
      if (name.endsWith(PART)) {
        dead.push(name);
        continue;
      }
      const other = await readOwner(join(folder, name));
      if (other === undefined) continue;
      if (await mayLive(other)) return { owner: other, holds: false };
      dead.push(name);
    }
    // Last, so that an announcement renamed while the folder was read is seen here.
    const holder = await readOwner(path);
    if (holder !== undefined && (await mayLive(holder))) return { owner: holder, holds: true };
    await rename(join(folder, mine), path);
    for (const name of dead) await rm(join(folder, name), { force: true });
    return undefined;
  } finally {
    await rm(join(folder, mine), { force: true });
  }
}

/** @returns false when it was removed before it was finished */
async function announce(path: string, owner: Owner): Promise<boolean> {
  const part = `${path}${PART}`;
  try {
    const { O_WRONLY, O_CREAT, O_EXCL } = constants;
    const file = await openRegular(part, O_WRONLY | O_CREAT | O_EXCL);
    if (file === undefined) throw new Error('O_CREAT opens or throws');
    try {
      await writeFully(file, Buffer.from(`${JSON.stringify(owner)}\n`));
      // A lock that a power loss has emptied would have to be removed by hand.
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    await rm(part, { force: true }).catch(() => {});
    throw error instanceof MigrateError ? error : cannotOpen(path, error);
  }
}

/**
 * @returns undefined when there is no such file
 * @throws MigrateError (2) when it says nothing that can be understood
 */
async function readOwner(path: string): Promise<Owner | undefined> {
  // Not followed, and not waited for: it may be a link or a FIFO.
  const file = await openRegular(path, constants.O_RDONLY);
  if (file === undefined) return undefined;
  try {
    const { id, pid, host, started, since } = JSON.parse(await file.readFile('utf8')) as Owner;
    if (typeof id === 'string' && Number.isInteger(pid) && pid > 0 && typeof host === 'string') {
      return { id, pid, host, started, since };
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw cannotOpen(path, error);
  } finally {
    await file.close();
  }
  throw new MigrateError(`${path}: says nothing about who locked the folder`, {
    exitCode: 2,
    hint: 'If no s3migrate works with this folder, remove that file and give the same command again.',
  });
}

/** Whether the process may still be there; of another host's nothing can be known. */
async function mayLive({ pid, host, started }: Owner): Promise<boolean> {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (errorCode(error) === 'ESRCH') return false;
  }
  const state = await processState(pid);
  if (state === undefined) return true;
  return !state.ended && (started === undefined || started === state.started);
}

/** What Linux says about a process; undefined elsewhere, or when there is none. */
async function processState(pid: number): Promise<{ started: string; ended: boolean } | undefined> {
  try {
    const [stat, boot] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'utf8'),
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
    ]);
    // proc_pid_stat(5): after the name, which may hold anything, state is field 3, start time field 22.
    const after = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A killed process stays as a zombie until its parent asks for it.
    return { started: `${boot.trim()}:${after[19]}`, ended: after[0] === 'Z' || after[0] === 'X' };
  } catch {
    return undefined;
  }
}

function lockedBy(path: string, { pid, host, since }: Owner): MigrateError {
  const here = host === hostname();
  return new MigrateError(
    `${path}: another s3migrate works with this folder since ${since}: process ${pid}${here ? '' : ` on ${host}`}`,
    {
      exitCode: 2,
      hint: here
        ? 'Wait for it or stop it, or give another --log-folder.'
        : `If ${host} or that process is gone for good, remove ${path} and give the same command again.`,
    },
  );
}

/**
 * Faults of the operating system, brought about for the built program: system calls that fail, kills in the
 * middle of a write, small disks.
 *
 * A tool that is missing fails the test with what to install; nothing is skipped. `.ci/run` installs them
 * all. What needs the rights of root (a mount) fails without them in the same way.
 */
import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { RunOptions } from './run-s3migrate.ts';

/** Tools by their Debian packages. */
const PACKAGES = {
  strace: 'strace',
  faketime: 'faketime',
  prlimit: 'util-linux',
  mount: 'mount',
  script: 'bsdutils',
  setsid: 'util-linux',
} as const;
type Tool = keyof typeof PACKAGES;

/** @throws Error naming the package when a tool is not installed */
export function needs(...tools: readonly Tool[]): void {
  for (const tool of tools) {
    if (folders().some((folder) => isExecutable(join(folder, tool)))) continue;
    throw new Error(
      `this test needs ${tool}: apt-get install ${PACKAGES[tool]} (.ci/run installs all that is needed)`,
    );
  }
}

function folders(): string[] {
  return [...(process.env['PATH'] ?? '').split(':'), '/usr/bin', '/bin', '/usr/sbin', '/sbin'];
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What is to happen to system calls that concern a file. */
export interface Injection {
  /** The file; it need not be there yet. Counting is for all paths and calls of an injection together. */
  readonly paths: readonly string[];
  /** By their names: `write`, `fdatasync`; strace's own classes too. */
  readonly calls: string;
  /** `error=ENOSPC`, or `signal=KILL`, which comes before the call is carried out. */
  readonly fault: string;
  /** Which of the calls, from 1; `2+` is the second and all after it. By default all. */
  readonly when?: number | `${number}+` | undefined;
}

/**
 * Runs a program under strace, which makes some of its system calls fail.
 *
 * strace counts calls by thread. Node leaves those to files to a pool of threads, which is given one only.
 */
export function failing({ paths, calls, fault, when }: Injection): Required<Under> {
  needs('strace');
  const which = when === undefined ? '' : `:when=${when}`;
  const places = paths.flatMap((path) => ['-P', path]);
  // -D: the program keeps the process id that was spawned, and dies with it.
  const words = ['strace', '-D', '-f', '-qq', '-o', '/dev/null', ...places];
  return {
    under: [...words, '-e', `trace=${calls}`, '-e', `inject=${calls}:${fault}${which}`],
    env: { UV_THREADPOOL_SIZE: '1' },
  };
}

type Under = Pick<RunOptions, 'under' | 'env'>;

/** Files of no more than so many bytes: a write that would exceed them is cut short there, the next one fails. */
export function withFilesOf(bytes: number, inner: Under = {}): Under {
  needs('prlimit');
  return { ...inner, under: ['prlimit', `--fsize=${bytes}`, ...(inner.under ?? [])] };
}

/** A disk of its own, mounted where the path says until the test ends. */
export interface SmallDisk {
  /** Makes it another size. */
  resize(bytes: number): void;
}

export async function smallDisk(path: string, bytes: number): Promise<SmallDisk> {
  needs('mount');
  await mkdir(path, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 's3migrate-test', path]);
  onTestFinished(() => {
    execFileSync('umount', ['--lazy', path]);
  });
  return {
    resize: (to) => void execFileSync('mount', ['-o', `remount,size=${to}`, path]),
  };
}

/**
 * Runs the program on a host whose clock is wrong, or is set while it runs, or on one whose time passes faster. Needs
 * `faketime`, whose library the program is loaded with.
 */
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import type { Flags, Migration } from '../cli/migration.ts';
import { commandLine, type RunningProgram, startCommand } from '../support/run-s3migrate.ts';

/** @throws Error when it is not installed */
function needsFaketime(): void {
  if (spawnSync('faketime', ['--version']).error === undefined) return;
  throw new Error('this test needs faketime: apt-get install faketime (.ci/run installs it)');
}

/** Starts the command in a time of its own, timers included, that passes so many times as fast. */
export function startHurried(migration: Migration, times: number, changes: Flags): RunningProgram {
  needsFaketime();
  const command = commandLine(migration.args(changes), 's3migrate');
  return startCommand(['faketime', '-m', '-f', `+0 x${times}`, ...command], {
    cwd: migration.root,
  });
}

/** A host's clock. Timers go on by the real time, as they do when a clock is set. */
export class FakeClock {
  readonly #file: string;
  readonly #migration: Migration;

  /** @throws Error when `faketime` is not installed */
  constructor(migration: Migration) {
    needsFaketime();
    this.#migration = migration;
    this.#file = migration.path('clock');
  }

  /** @param ahead - of the true time: `+1d`, `-10m` */
  set(ahead: string): Promise<void> {
    return writeFile(this.#file, `${ahead}\n`);
  }

  /** Starts the command with what the clock was set to, or will be. */
  start(changes: Flags = {}): RunningProgram {
    const { root } = this.#migration;
    const settings = [
      `FAKETIME_TIMESTAMP_FILE=${this.#file}`,
      'FAKETIME_NO_CACHE=1',
      'FAKETIME_DONT_FAKE_MONOTONIC=1',
    ];
    const command = commandLine(this.#migration.args(changes), 's3migrate');
    // The wrapper finds the library; the time it sets itself would count more than the file.
    const wrapped = ['faketime', '-m', '-f', '+0', 'env', '-u', 'FAKETIME', ...settings];
    return startCommand([...wrapped, ...command], { cwd: root });
  }
}

/**
 * Whether a command may continue the run of a log folder. Logs of two runs in one file would make a
 * promise about neither.
 */
import { join } from 'node:path';
import { MigrateError } from '../errors.ts';
import { displayKey, displayText, type ObjectKey } from '../object-key.ts';
import { RUN_FILE, type RunIdentity } from './run-file.ts';

const HINT = 'Give the same command again, or another --log-folder.';

/**
 * @param file where the recorded identity was found
 * @throws MigrateError (2) naming every field that differs, with both values
 */
export function refuseOtherRun(file: string, recorded: RunIdentity, now: RunIdentity): void {
  const names = new Set([...Object.keys(recorded), ...Object.keys(now)]);
  const differences = [...names]
    .filter((name) => recorded[name] !== now[name])
    .map((name) => `${name} was ${shown(recorded[name])} and is ${shown(now[name])}`);
  if (differences.length === 0) return;
  throw new MigrateError(`${file}: the log folder is of another run: ${differences.join('; ')}`, {
    exitCode: 2,
    hint: HINT,
  });
}

/**
 * Another version of the program continues a folder where its major number is the same; docs/formats.md promises that.
 *
 * @returns what to tell the operator when the version is another one
 * @throws MigrateError (2) when the major number is another one
 */
export function noteOtherVersion(file: string, recorded: string, now: string): string | undefined {
  if (recorded === now) return undefined;
  if (majorOf(recorded) !== majorOf(now)) {
    throw new MigrateError(
      `${file}: the log folder is of another major version: tool version was ${shown(recorded)} and is ${shown(now)}`,
      { exitCode: 2, hint: 'Go on with a version of that number, or give another --log-folder.' },
    );
  }
  return `${file}: written by version ${displayText(recorded)}, continued by ${displayText(now)}`;
}

function majorOf(version: string): string | undefined {
  return /^[0-9]+(?=\.)/.exec(version)?.[0];
}

function shown(value: string | undefined): string {
  return value === undefined ? 'not given' : `"${displayText(value)}"`;
}

export interface StartAfterOptions {
  readonly folder: string;
  /** Where the recorded run began. */
  readonly recorded: ObjectKey;
  /** The last key of its migrate.log. */
  readonly lastLogged: ObjectKey | undefined;
  readonly now: ObjectKey;
}

/**
 * `--start-after` is the recorded one, or the log's last key: who continues by hand names that, and
 * it means the same as continuing.
 *
 * @throws MigrateError (2) for any other
 */
export function refuseOtherStart({ folder, recorded, lastLogged, now }: StartAfterOptions): void {
  if (now === recorded || now === lastLogged) return;
  throw new MigrateError(
    `${join(folder, RUN_FILE)}: the log folder is of a run with ${shownStart(recorded)}, and this is one with ${shownStart(now)}`,
    {
      exitCode: 2,
      hint: 'The run continues by itself: give the same command again. To begin somewhere else, give another --log-folder.',
    },
  );
}

function shownStart(key: ObjectKey): string {
  return key === '' ? 'no --start-after' : `--start-after "${displayKey(key)}"`;
}

/**
 * The keys of failed.log, for `--failed-to-folder`. Takes no lock and writes nothing.
 */
import { constants } from 'node:fs';
import { join } from 'node:path';
import { MigrateError } from '../errors.ts';
import { BEFORE_ALL, displayKey, type ObjectKey } from '../object-key.ts';
import { openRegular } from './disk.ts';
import { FAILED_HEADER, parseFailedLine } from './log-lines.ts';
import { headerOf, scanLog } from './log-scan.ts';
import { FAILED_LOG } from './recovery.ts';

const BATCH_KEYS = 10_000;

/**
 * Reads failed.log of a log folder: its keys in key order, each once, some thousand at a time. A torn
 * last line is left out.
 *
 * @throws MigrateError (2) when there is no failed.log, or a line of it is not what the record writes
 */
export async function* readFailedKeys(folder: string): AsyncGenerator<ObjectKey[]> {
  const path = join(folder, FAILED_LOG);
  const file = await openRegular(path, constants.O_RDONLY);
  if (file === undefined) {
    throw new MigrateError(`${path}: no such file`, {
      exitCode: 2,
      hint: 'Give the --log-folder of the run whose failed keys are wanted.',
    });
  }
  try {
    switch (await headerOf(file, FAILED_HEADER)) {
      case 'torn':
        return;
      case 'foreign':
        throw new MigrateError(`${path}: does not begin with "${FAILED_HEADER.trimEnd()}"`, {
          exitCode: 2,
          hint: 'Give the --log-folder of the run whose failed keys are wanted.',
        });
      case 'whole':
    }
    let from = FAILED_HEADER.length;
    let last = BEFORE_ALL;
    let lineNumber = 1;
    for (;;) {
      const keys: ObjectKey[] = [];
      const scan = await scanLog({
        file,
        from,
        after: last,
        parse: parseFailedLine,
        visit({ key }) {
          if (keys.length === BATCH_KEYS) return 'stop';
          keys.push(key);
          return 'go on';
        },
      });
      if (keys.length > 0) yield keys;
      lineNumber += scan.lines;
      if (scan.rest === 'damaged') {
        throw new MigrateError(
          `${path}:${lineNumber + 1}: is no line of this log, or its key does not come after "${displayKey(scan.last)}"`,
          { exitCode: 2, hint: 'Somebody changed the log: repair or remove that line.' },
        );
      }
      if (scan.rest !== 'unwanted') return;
      from = scan.end;
      last = scan.last;
    }
  } finally {
    await file.close();
  }
}

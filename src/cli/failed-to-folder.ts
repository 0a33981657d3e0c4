/**
 * `--failed-to-folder`: the keys of failed.log as list files, for a run that retries just those.
 */
import type { ExitCode } from '../errors.ts';
import { createListWriter } from '../lists/list-writer.ts';
import { displayText } from '../object-key.ts';
import { readFailedKeys } from '../record/failed-keys.ts';

/** @throws MigrateError (2) when there is no failed.log or the folder is not empty */
export async function writeFailedLists(logFolder: string, folder: string): Promise<ExitCode> {
  const keys = readFailedKeys(logFolder);
  // Read before the folder is made: a mistyped --log-folder must leave nothing behind.
  let batch = await keys.next();
  const writer = await createListWriter({ folder });
  try {
    for (; batch.done !== true; batch = await keys.next()) {
      await writer.append({ names: batch.value });
    }
  } catch (error) {
    await writer.discard();
    throw error;
  }
  const { keys: written, files } = await writer.finish();
  process.stderr.write(
    `s3migrate: ${written} failed keys in ${files} list files in ${displayText(folder)}\n` +
      `  next      the same command with --src-folder ${displayText(folder)} and a new --log-folder\n`,
  );
  return 0;
}

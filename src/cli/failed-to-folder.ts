/**
 * `--failed-to-folder`: the keys of failed.log as list files, for a run that retries just those.
 */
import type { ExitCode } from '../errors.ts';
import { createListWriter, type ListSummary } from '../lists/list-writer.ts';
import { displayText } from '../object-key.ts';
import { readFailedKeys } from '../record/failed-keys.ts';
import { exitCodeOf, watchSignals } from './signals.ts';

/**
 * Writes all of the lists; none when it fails or is interrupted.
 *
 * @throws MigrateError (2) when there is no failed.log or the folder is not empty
 */
export async function writeFailedLists(logFolder: string, folder: string): Promise<ExitCode> {
  const interruption = watchSignals();
  const { signal } = interruption;
  try {
    tellLists(await failedLists(logFolder, folder, signal), folder);
    return 0;
  } catch (error) {
    if (!signal.aborted) throw error;
    process.stderr.write(
      's3migrate: interrupted; no list was written. Give the same command again.\n',
    );
    return exitCodeOf(signal.reason as 'SIGINT' | 'SIGTERM');
  } finally {
    interruption.end();
  }
}

/** @throws the signal's reason too */
async function failedLists(
  logFolder: string,
  folder: string,
  signal: AbortSignal,
): Promise<ListSummary> {
  const keys = readFailedKeys(logFolder);
  // Read before the folder is made: a mistyped --log-folder must leave nothing behind.
  let batch = await keys.next();
  const writer = await createListWriter({ folder });
  try {
    for (; batch.done !== true; batch = await keys.next()) {
      await writer.append({ names: batch.value });
      signal.throwIfAborted();
    }
    return await writer.finish();
  } catch (error) {
    await writer.discard();
    throw error;
  }
}

function tellLists({ keys, files }: ListSummary, folder: string): void {
  process.stderr.write(
    `s3migrate: ${keys} failed keys in ${files} list ${files === 1 ? 'file' : 'files'} in ${displayText(folder)}\n` +
      `  next      the same command with --src-folder ${displayText(folder)} and a new --log-folder\n`,
  );
}

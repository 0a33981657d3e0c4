/**
 * A run without a run: what would be done, key by key.
 */
import { Decision, newCounters, type PlanPage } from './domain.ts';
import { MigrateError, messageOf } from './errors.ts';
import { closeAll, folderOptionsOf, type MigrateOptions, planOf } from './migrate.ts';
import { displayKey, type ObjectKey } from './object-key.ts';
import { peekRunFolder } from './record/run-folder.ts';
import { openLists, openStores, type Surroundings } from './run-inputs.ts';

/**
 * Shows what a run would do, a line a key on `stdout`, and writes nothing: neither to a bucket nor to the
 * logs. Where a run has been recorded it begins where the same command would go on.
 *
 * @throws MigrateError as {@link migrate}
 */
export async function rehearse(options: MigrateOptions, surroundings: Surroundings): Promise<void> {
  const { stdout, stderr, signal } = surroundings;
  const lists = await openLists(options, signal);
  if (lists === undefined) return;
  const start = await peekRunFolder(folderOptionsOf(options, lists));
  const stores = await openStores(options, surroundings, options.maxOutageMs);
  if (stores === undefined) return;
  const counters = newCounters();
  let transfers = 0;
  // Standard output is never `destroyed`, whatever becomes of it.
  let broken: NodeJS.ErrnoException | undefined;
  stdout.once('error', (error) => {
    broken = error;
  });
  try {
    const pages = planOf({ options, lists, counters, start, signal });
    for await (const page of pages) {
      const lines = linesOf(page);
      transfers += lines.transfers;
      if (lines.text !== '' && !stdout.write(lines.text)) await drained(stdout, signal);
      if (broken !== undefined) break;
    }
  } finally {
    closeAll(stores);
  }
  await written(stdout);
  // A reader that has seen enough (head, a pager) leaves: that is no fault.
  if (broken !== undefined && broken.code !== 'EPIPE') {
    throw new MigrateError(`standard output cannot be written: ${messageOf(broken)}`, {
      exitCode: 3,
      hint: 'Nothing was copied. Let it go to a terminal, or to a disk with room.',
    });
  }
  const { ignored, exists, done } = counters;
  stderr.write(
    `s3migrate: dry run${broken !== undefined || signal.aborted ? ', cut short' : ''}: both buckets can be used; what the destination does with conditional writes was not probed\n` +
      `  ${transfers} to transfer, ${exists} exist, ${ignored} of other hosts, ${done} recorded already; nothing was written\n`,
  );
}

function linesOf({ keys, decisions }: PlanPage): { text: string; transfers: number } {
  let text = '';
  let transfers = 0;
  for (const [index, decision] of decisions.entries()) {
    const key = keys[index] as ObjectKey;
    if (decision === Decision.transfer) {
      transfers++;
      text += `transfer ${displayKey(key)}\n`;
    } else if (decision === Decision.exists) {
      text += `exists ${displayKey(key)}\n`;
    }
  }
  return { text, transfers };
}

/** Waits until all is written, or never will be. */
function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    // Called with the error too, where there is one.
    stream.write('', () => resolve());
  });
}

/** Waits until more can be written, or never will. */
function drained(stream: NodeJS.WriteStream, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    for (const event of ['drain', 'error', 'close']) stream.once(event, resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

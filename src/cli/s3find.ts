/**
 * The command s3find: the keys of a mounted bucket's files as sorted list files.
 *
 * Joins the walk (src/find) to the list writer (src/lists) and owns what a user meets: arguments,
 * the progress line, the summary and the exit code. Everything it says goes to stderr.
 */
import { constants } from 'node:fs';
import { access, realpath, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { type ExitCode, MigrateError } from '../errors.ts';
import { walkFiles } from '../find/walk.ts';
import { newWalkCounts, type WalkCounts } from '../find/walk-counts.ts';
import { createListWriter, type ListWriter } from '../lists/list-writer.ts';
import { displayKey, displayText, keyFromText, type ObjectKey } from '../object-key.ts';
import { tellDefect } from './defect.ts';
import { FindProgress, findSummary } from './s3find-report.ts';
import { exitCodeOf, watchSignals } from './signals.ts';
import { withDoubleDashes } from './single-dash.ts';
import { releaseTerminal } from './terminal.ts';

/** What the command line asks for. */
interface FindRequest {
  readonly directory: string;
  readonly outputFolder: string;
  /** Only files modified within so many days before now; undefined: all. */
  readonly laterThanDays: number | undefined;
  readonly csv: boolean;
}

const MS_PER_DAY = 86_400_000;
const PROGRAM = 's3find';

/** As the reference takes them, with one dash. */
const SINGLE_DASH_FLAGS = ['later-than', 'csv', 'help', 'version'];

/**
 * Runs s3find.
 *
 * @param argv - the arguments after the program's name
 * @returns the exit code: 0 all files are listed, 1 some could not be read or cannot be keys, 2 bad
 *   arguments, 3 the lists could not be written, 130 interrupted; only with 0 and 1 are there lists
 */
export async function main(argv: string[]): Promise<number> {
  process.stderr.on('error', () => {});
  const terminalSettled = releaseTerminal();
  try {
    const request = parse(argv);
    return request === undefined ? 0 : await find(request);
  } catch (error) {
    return tell(error);
  } finally {
    await terminalSettled();
  }
}

function tell(error: unknown): ExitCode {
  if (!(error instanceof MigrateError)) return tellDefect(error, PROGRAM);
  say(`s3find: ${error.message}`);
  if (error.hint !== undefined) say(`  ${error.hint}`);
  return error.exitCode;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** @returns undefined when help or version was asked for and given */
function parse(argv: readonly string[]): FindRequest | undefined {
  let request: FindRequest | undefined;
  const program = new Command('s3find')
    .description(
      'Writes the keys of all regular files below DIRECTORY, a mounted bucket, as sorted lists for s3migrate.',
    )
    .argument('<directory>', 'where the bucket is mounted; keys are paths from here')
    .argument('<output_dir>', 'folder for the lists, new or empty')
    .option('--later-than <N_days>', 'only files modified within the last N days')
    .option('--csv', 'write .csv lists with size and last_modified instead of plain ones')
    .version(packageVersion())
    .addHelpText('after', HELP)
    .configureOutput({ writeErr: () => undefined })
    .exitOverride()
    .action((directory: string, outputFolder: string, options: Record<string, unknown>) => {
      request = {
        directory,
        outputFolder,
        laterThanDays: days(options['laterThan'] as string | undefined),
        csv: options['csv'] === true,
      };
    });
  try {
    program.parse(withDoubleDashes(argv, SINGLE_DASH_FLAGS), { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return undefined;
    throw usageError(displayText(error.message.replace(/^error: /, '')));
  }
  return request;
}

const HELP = `
-later-than and -csv are taken too.

Example:
  s3find /mnt/photos lists/src -later-than 7

Four threads read at once; on a network file system more of them are faster:
  UV_THREADPOOL_SIZE=32 s3find /mnt/photos lists/src

Exit codes: 0 every file is in a list, 1 some could not be read (named), 2 bad arguments,
3 the lists cannot be written, 130 interrupted.`;

function days(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (value > 0) return value;
  throw usageError(`-later-than takes a positive number of days, not "${displayText(text)}"`);
}

function usageError(message: string): MigrateError {
  return new MigrateError(message, {
    exitCode: 2,
    hint: 's3find <directory> <output_dir> [-later-than <N_days>] [-csv]; s3find --help tells more.',
  });
}

function packageVersion(): string {
  const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };
  return version;
}

async function find(request: FindRequest): Promise<ExitCode> {
  await checkDirectory(request.directory);
  const writer = await createListWriter({
    folder: request.outputFolder,
    ...(request.csv && { csv: { columns: ['size', 'last_modified'] } }),
  });
  const excluded = await placeBelow(request.directory, request.outputFolder);
  const interruption = watchSignals(PROGRAM);
  const counts = newWalkCounts();
  const progress = new FindProgress(process.stderr, counts);
  const beganMs = performance.now();
  try {
    await writeLists({ request, excluded, counts, progress, writer, signal: interruption.signal });
    const lists = await writer.finish();
    progress.end();
    const elapsedMs = performance.now() - beganMs;
    const { outputFolder } = request;
    findSummary({ counts, lists, outputFolder, excluded, elapsedMs }).forEach(say);
    return counts.unreadable > 0 || lists.impossible.count > 0 ? 1 : 0;
  } catch (error) {
    progress.end();
    await writer.discard();
    if (!interruption.signal.aborted) throw error;
    say('s3find: interrupted; no list was written. Run the same command again to start over.');
    return exitCodeOf(interruption.signal.reason as 'SIGINT' | 'SIGTERM');
  } finally {
    interruption.end();
  }
}

async function checkDirectory(directory: string): Promise<void> {
  const hint = 'Give the directory where the bucket is mounted.';
  const shown = displayText(directory);
  let isDirectory: boolean;
  try {
    isDirectory = (await stat(directory)).isDirectory();
    if (isDirectory) await access(directory, constants.R_OK | constants.X_OK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const what = code === 'ENOENT' ? `there is no ${shown}` : `cannot read ${shown}: ${code}`;
    throw new MigrateError(what, { exitCode: 2, hint, cause });
  }
  if (!isDirectory) throw new MigrateError(`${shown} is not a directory`, { exitCode: 2, hint });
}

/**
 * Where the output folder lies when it is inside the directory, as the walk names it: a list must not
 * name its own files.
 *
 * @throws MigrateError (2) when both are the same
 */
async function placeBelow(directory: string, outputFolder: string): Promise<string | undefined> {
  const [top, output] = await Promise.all([
    realpath(directory, 'latin1'),
    realpath(outputFolder, 'latin1'),
  ]);
  if (top === output) throw usageError('the output folder is the directory to be listed');
  const start = top === '/' ? top : `${top}/`;
  return output.startsWith(start) ? `${output.slice(start.length)}/` : undefined;
}

interface WriteListsOptions {
  request: FindRequest;
  excluded: string | undefined;
  counts: WalkCounts;
  progress: FindProgress;
  writer: ListWriter;
  signal: AbortSignal;
}

async function writeLists(options: WriteListsOptions): Promise<void> {
  const { request, excluded, counts, progress, writer, signal } = options;
  const { laterThanDays } = request;
  const files = walkFiles({
    root: keyFromText(request.directory),
    counts,
    details: request.csv,
    notBeforeMs: laterThanDays === undefined ? undefined : Date.now() - laterThanDays * MS_PER_DAY,
    excluded,
    spillFolder: request.outputFolder,
    onUnreadable: (path, error) => {
      const shown = path === '' ? displayText(request.directory) : displayKey(path as ObjectKey);
      progress.say(`s3find: cannot read ${shown}: ${error.code}`);
    },
    signal,
  });
  for await (const run of files) {
    progress.where = run.prefix;
    await writer.append(run);
  }
}

/**
 * `s3migrate cleanup`: which multipart uploads a run has left at its destination, and their end, on request.
 *
 * Only what the journal of the log folder names is aborted. An upload whose creation was not answered has no name:
 * what was begun at its key since then is shown, may be another client's, and is aborted only when that is asked
 * for by a flag of its own.
 */
import { type JournalledUpload, newCounters } from '../domain.ts';
import { type ExitCode, MigrateError } from '../errors.ts';
import { type RetryContext, retryPolicy } from '../load/retry.ts';
import { displayKey, displayText, type ObjectKey } from '../object-key.ts';
import { openUploadsFolder, type UploadsFolder } from '../record/uploads-folder.ts';
import { urlOf } from '../run-inputs.ts';
import { type ObjectStore, StoreError } from '../s3/object-store.ts';
import { type BucketAddress, openBucket } from '../s3/open-store.ts';
import { insist } from '../transfer/insist.ts';
import { unnamedUploads } from '../transfer/parts/unnamed-uploads.ts';
import { at, TransferError } from '../transfer/transfer-error.ts';
import { warnOfInsecure } from './insecure.ts';
import { bucketAddress, keyFlags, type RawOptions, requireFlags, usageError } from './options.ts';
import { exitCodeOf, watchSignals } from './signals.ts';
import { PATIENCE_OF_A_PERSON_MS, tellingOfWaits } from './waiting.ts';

/** What is to be done with what is found. */
type Task = 'list' | 'abort' | 'abort-unnamed-too';

/**
 * A line for each upload goes to stdout, what it means to stderr.
 *
 * @returns 0 shown, and aborted where that was asked for; 1 something could not be aborted; 130 or 143 interrupted
 * @throws MigrateError (2) when the folder is no migration's, or a run is at work in it; (3) when the store
 *   does not tell
 */
export async function cleanUpUploads(raw: RawOptions): Promise<ExitCode> {
  const task = taskOf(raw);
  requireFlags(raw, ['dest-url', 'dest-bucket', ...keyFlags(raw, '--dest')]);
  const address = bucketAddress(raw, { prefix: '--dest', side: 'destination' });
  warnOfInsecure([address]);
  const folder = await openFolderOf(String(raw['logFolder']), address);
  const interruption = watchSignals();
  const { signal } = interruption;
  try {
    const { store } = await openBucket(address, tellingOfWaits(signal, PATIENCE_OF_A_PERSON_MS));
    try {
      const cleanup = new Cleanup({ store, folder, task, signal });
      await cleanup.run();
      process.stderr.write(cleanup.summary());
      if (signal.aborted) return exitCodeOf(signal.reason as 'SIGINT' | 'SIGTERM');
      return cleanup.counts.failed > 0 ? 1 : 0;
    } finally {
      store.close();
    }
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error;
    return exitCodeOf(signal.reason as 'SIGINT' | 'SIGTERM');
  } finally {
    interruption.end();
    await folder.close();
  }
}

function taskOf(raw: RawOptions): Task {
  const alsoUnnamed = raw['alsoUnnamed'] === true;
  if (raw['abort'] === true) return alsoUnnamed ? 'abort-unnamed-too' : 'abort';
  if (!alsoUnnamed) return 'list';
  throw usageError(
    '--also-unnamed is given without --abort',
    'Without either flag the uploads are shown, those without a name too.',
  );
}

function openFolderOf(folder: string, address: BucketAddress): Promise<UploadsFolder> {
  const identity = { 'dest-url': urlOf(address), 'dest-bucket': address.bucket };
  return openUploadsFolder({ folder, identity, now: Date.now });
}

interface CleanupOptions {
  readonly store: ObjectStore;
  readonly folder: UploadsFolder;
  readonly task: Task;
  /** Once aborted, nothing more is asked or aborted. */
  readonly signal: AbortSignal;
}

/** An upload that is at the destination. */
interface Found {
  readonly key: ObjectKey;
  readonly uploadId: string;
  /** In ms since the epoch. */
  readonly begunAt: number;
  readonly isNamed: boolean;
  readonly parts: number;
  readonly bytes: number;
}

class Cleanup {
  readonly counts = { open: 0, unnamed: 0, aborted: 0, failed: 0 };
  readonly #options: CleanupOptions;
  readonly #retrying: RetryContext;

  constructor(options: CleanupOptions) {
    this.#options = options;
    this.#retrying = {
      retry: retryPolicy(options.signal),
      counters: newCounters(),
      // Who cleans up wants to know soon that the store does not answer.
      outlast: () => Promise.resolve(false),
    };
  }

  async run(): Promise<void> {
    const { folder, signal } = this.#options;
    const known = folder.uploads.uploads.filter(({ state }) => state.kind !== 'completed');
    const named = new Set(known.flatMap(({ uploadId }) => uploadId ?? []));
    for (const upload of known) {
      if (signal.aborted) return;
      if (upload.uploadId === undefined) await this.#lookForUnnamed(upload, named);
      else await this.#lookFor(upload, upload.uploadId);
    }
  }

  async #lookFor(upload: JournalledUpload, uploadId: string): Promise<void> {
    const { folder, task } = this.#options;
    const { key, number, intendedAt } = upload;
    const parts = await this.#partsOf(key, uploadId);
    // Perhaps it has become the object: a run that goes on in this folder finds that out by its note.
    if (parts === undefined) return;
    const found = { key, uploadId, begunAt: intendedAt, isNamed: true, ...parts };
    if (task === 'list') {
      this.#show(found, 'open');
      return;
    }
    folder.uploads.abandon(number);
    if (await this.#abort(found)) folder.uploads.over(number);
  }

  async #lookForUnnamed(intent: JournalledUpload, named: Set<string>): Promise<void> {
    const { store, folder, task } = this.#options;
    const { key, number } = intent;
    const listing = await this.#ask(key, () => store.listUploads(key));
    let left = 0;
    for (const { uploadId, initiatedAt } of unnamedUploads({
      intent,
      listing,
      named,
      now: Date.now(),
    })) {
      // Several intents of one key would show it several times.
      named.add(uploadId);
      const parts = await this.#partsOf(key, uploadId);
      if (parts === undefined) continue;
      const found = { key, uploadId, begunAt: initiatedAt, isNamed: false, ...parts };
      if (task !== 'abort-unnamed-too') this.#show(found, "may be another client's");
      if (task !== 'abort-unnamed-too' || !(await this.#abort(found))) left++;
    }
    if (task !== 'list' && left === 0) folder.uploads.over(number);
  }

  /** @returns undefined when there is no such upload */
  async #partsOf(
    key: ObjectKey,
    uploadId: string,
  ): Promise<Pick<Found, 'parts' | 'bytes'> | undefined> {
    const { store } = this.#options;
    const parts = await this.#ask(key, () => store.listParts(key, uploadId).catch(goneIsNothing));
    if (parts === undefined) return undefined;
    return { parts: parts.length, bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0) };
  }

  /** @throws MigrateError (3) when the store does not tell */
  async #ask<T>(key: ObjectKey, question: () => Promise<T>): Promise<T> {
    try {
      return await insist(key, () => at('destination', question()), this.#retrying);
    } catch (error) {
      if (!(error instanceof TransferError)) throw error;
      throw new MigrateError(
        `destination ${displayText(this.#options.store.name)}: does not tell of its uploads: ${displayText(`${error.code}: ${error.message}`)}`,
        {
          exitCode: 3,
          hint: 'Check that it can be reached, and that this user may list parts and uploads (s3:ListMultipartUploadParts, s3:ListBucketMultipartUploads).',
          cause: error,
        },
      );
    }
  }

  /** @returns whether it is gone */
  async #abort(found: Found): Promise<boolean> {
    const { store } = this.#options;
    const { key, uploadId } = found;
    try {
      const abort = (): Promise<void> => store.abortMultipartUpload(key, uploadId);
      await insist(key, () => at('destination', abort()), this.#retrying);
      this.counts.aborted++;
      this.#show(found, 'aborted');
      return true;
    } catch (error) {
      if (!(error instanceof TransferError)) throw error;
      this.counts.failed++;
      this.#show(found, `not aborted: ${displayText(`${error.code}: ${error.message}`)}`);
      return false;
    }
  }

  #show({ key, uploadId, begunAt, isNamed, parts, bytes }: Found, state: string): void {
    if (!isNamed) this.counts.unnamed++;
    else if (state === 'open') this.counts.open++;
    const begun = begunAt === 0 ? 'unknown' : new Date(begunAt).toISOString();
    const columns = [displayKey(key), displayText(uploadId), begun, `${parts} parts`];
    process.stdout.write(`${[...columns, `${bytes} bytes`, state].join('\t')}\n`);
  }

  /** For standard error. */
  summary(): string {
    const { task, folder } = this.#options;
    const { open, unnamed, aborted, failed } = this.counts;
    const lines = [`s3migrate: ${[...this.#found()].join(', ')}`];
    if (open > 0) lines.push('  next      the same command with --abort aborts them');
    if (unnamed > 0 && task !== 'abort-unnamed-too') {
      lines.push(
        "  NOTE      those that may be another client's were begun at a key of this run when an answer was lost: --abort --also-unnamed aborts them too",
      );
    }
    if (failed > 0) lines.push('  next      mend the cause, then give the same command again');
    if (folder.runState !== undefined && folder.runState !== 'complete' && open + aborted > 0) {
      lines.push(
        '  NOTE      the run of this folder is not complete: it would go on with such uploads, and begins anew what is aborted',
      );
    }
    return lines.map((line) => `${line}\n`).join('');
  }

  *#found(): Generator<string> {
    const { task } = this.#options;
    const { open, unnamed, aborted, failed } = this.counts;
    if (open + unnamed + aborted + failed === 0) yield 'no upload of this run is left';
    if (open > 0) yield `${open} of this run's uploads left`;
    if (aborted > 0) yield `${aborted} aborted`;
    if (failed > 0) yield `${failed} could not be aborted`;
    if (unnamed > 0 && task !== 'abort-unnamed-too')
      yield `${unnamed} that may be another client's`;
  }
}

function goneIsNothing(error: unknown): undefined {
  if (error instanceof StoreError && error.kind === 'no-such-upload') return undefined;
  throw error;
}

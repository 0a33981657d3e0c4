/**
 * migrate.uploads: what was begun inside large objects and is not over, so that the next start goes on
 * inside them, and no upload of this tool is left at a destination without a name.
 *
 * The file is there while there is something to tell: it is made with the first upload, made anew on opening
 * and when most of it is about what is over, and removed with the last upload. A line of it that is torn or
 * damaged counts for nothing: at worst a part is sent again, or the store is asked about an upload
 * that is over.
 */
import { constants } from 'node:fs';
import { type FileHandle, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type {
  AcknowledgedPart,
  DoneRange,
  JournalledUpload,
  UploadJournal,
  UploadPlan,
} from '../domain.ts';
import { MigrateError } from '../errors.ts';
import type { ObjectKey } from '../object-key.ts';
import { AppendLog } from './append-log.ts';
import { cannotOpen, cannotWrite, openRegular, replaceFile, syncDirectory } from './disk.ts';
import { headerOf } from './log-scan.ts';
import {
  formatUploadLine,
  parseUploadLine,
  UPLOADS_HEADER,
  type UploadEvent,
} from './upload-lines.ts';

export const UPLOADS_FILE = 'migrate.uploads';
/** What may be in the file about uploads that are over, in bytes, besides as much as is about others. */
const SPENT_BYTES = 16 * 1024 ** 2;

export interface UploadJournalOptions {
  /** Locked by the caller as long as the journal is open. */
  readonly folder: string;
  /** Ranges of keys that are recorded: their uploads are of no use any more. */
  readonly recorded: readonly DoneRange[];
  /** ms since the epoch. */
  readonly now: () => number;
}

type Mutable<T> = { -readonly [name in keyof T]: T[name] };
type Entry = Mutable<Omit<JournalledUpload, 'parts'>> & {
  readonly parts: Map<number, AcknowledgedPart>;
};

/** Who waits for what was noted so far: to be with the system, or on the disk. */
interface Waiting {
  readonly onDisk: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class FileUploadJournal implements UploadJournal {
  readonly #folder: string;
  readonly #now: () => number;
  readonly #entries: Map<number, Entry>;
  readonly #failure = new AbortController();
  #lastNumber: number;
  /** Undefined while there is no file, or one that is to be made anew. */
  #log: AppendLog | undefined;
  #spentBytesAllowed = 0;
  #pending = '';
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;

  private constructor({ folder, now }: UploadJournalOptions, entries: Map<number, Entry>) {
    this.#folder = folder;
    this.#now = now;
    this.#entries = entries;
    this.#lastNumber = Math.max(0, ...entries.keys());
  }

  /**
   * To be closed.
   *
   * @throws MigrateError (2) when the file cannot be read or made anew, or is no journal of this program
   */
  static async open(options: UploadJournalOptions): Promise<FileUploadJournal> {
    const path = join(options.folder, UPLOADS_FILE);
    const entries = await readEntries(path);
    const journal = new FileUploadJournal(options, entries ?? new Map());
    for (const range of options.recorded) journal.recorded(range);
    try {
      if (journal.#entries.size > 0) await journal.#rewrite();
      else if (entries !== undefined) await rm(path, { force: true });
    } catch (error) {
      throw cannotOpen(path, error instanceof MigrateError ? error.cause : error);
    }
    return journal;
  }

  /** Aborted, with the error as its reason, when the disk did not take a note. */
  get failure(): AbortSignal {
    return this.#failure.signal;
  }

  /** All that are not known to be over, and those that have become objects whose keys are not recorded. */
  get uploads(): readonly JournalledUpload[] {
    return [...this.#entries.values()];
  }

  earlier(key: ObjectKey): Promise<readonly JournalledUpload[]> {
    return Promise.resolve(
      this.uploads.filter(
        (upload) => upload.isEarlier && upload.key === key && upload.state.kind !== 'abandoned',
      ),
    );
  }

  async intend(key: ObjectKey): Promise<number> {
    this.#lastNumber++;
    const number = this.#lastNumber;
    const at = this.#now();
    this.#note(number, { kind: 'intended', key, at });
    await this.#written({ onDisk: false });
    return number;
  }

  async created(number: number, uploadId: string): Promise<void> {
    const key = this.#entries.get(number)?.key;
    if (key !== undefined) this.#note(number, { kind: 'created', key, uploadId });
    await this.#written({ onDisk: false });
  }

  async begin(number: number, plan: UploadPlan): Promise<void> {
    this.#note(number, { kind: 'begun', plan });
    await this.#written({ onDisk: true });
  }

  resume(number: number): void {
    const entry = this.#entries.get(number);
    if (entry !== undefined) entry.isEarlier = false;
  }

  acknowledge(number: number, part: AcknowledgedPart): void {
    this.#note(number, { kind: 'part', part });
  }

  completed(number: number, etag: string): void {
    this.#note(number, { kind: 'completed', etag });
  }

  abandon(number: number): void {
    this.#note(number, { kind: 'abandoned' });
  }

  over(number: number): void {
    this.#note(number, { kind: 'over' });
  }

  /** Every key K with `after` < K ≤ `last` has its outcome in the logs. */
  recorded({ after, last }: DoneRange): void {
    for (const [number, entry] of this.#entries) {
      if (entry.key <= after || entry.key > last) continue;
      if (entry.state.kind === 'completed') this.#entries.delete(number);
      else entry.isRecorded = true;
    }
  }

  /** Waits for what is being written. What could not be written was told by {@link failure}. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#log?.close();
    if (this.#entries.size > 0 || this.#log === undefined || this.#failure.signal.aborted) return;
    // It tells of nothing: the next opening finds that out as well.
    await rm(join(this.#folder, UPLOADS_FILE), { force: true }).catch(() => {});
  }

  #note(number: number, event: UploadEvent): void {
    apply(this.#entries, number, event);
    if (this.#failure.signal.aborted) return;
    this.#pending += formatUploadLine(number, event);
    this.#write();
  }

  #written({ onDisk }: Pick<Waiting, 'onDisk'>): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure.signal.aborted) {
        reject(this.#failure.signal.reason);
        return;
      }
      this.#waiting.push({ onDisk, resolve, reject });
      this.#write();
    });
  }

  /** One writing at a time takes all that has come together meanwhile. */
  #write(): void {
    this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    // What is noted in the same turn goes out in one write.
    await Promise.resolve();
    while (this.#pending !== '' || this.#waiting.length > 0) {
      const waiting = this.#waiting;
      this.#waiting = [];
      try {
        await this.#writePending(waiting.some(({ onDisk }) => onDisk));
        for (const { resolve } of waiting) resolve();
      } catch (error) {
        this.#failure.abort(error);
        for (const { reject } of [...waiting, ...this.#waiting]) reject(error);
        this.#waiting = [];
        this.#pending = '';
      }
    }
    this.#writing = undefined;
  }

  async #writePending(toDisk: boolean): Promise<void> {
    if (this.#log === undefined || this.#log.size > this.#spentBytesAllowed) {
      await this.#rewrite();
      return;
    }
    const lines = this.#pending;
    this.#pending = '';
    await this.#log.append(lines);
    if (toDisk) await this.#log.sync();
  }

  /**
   * Makes the file anew, of what is not over; it is on the disk then.
   *
   * @throws MigrateError (3)
   */
  async #rewrite(): Promise<void> {
    const path = join(this.#folder, UPLOADS_FILE);
    const lines = [...this.#entries.values()].map(linesOf);
    const text = `${UPLOADS_HEADER}${lines.join('')}`;
    this.#pending = '';
    await replaceFile(path, text);
    try {
      await syncDirectory(this.#folder);
      const replaced = this.#log;
      this.#log = undefined;
      await replaced?.close();
      this.#log = await AppendLog.open({ path, header: UPLOADS_HEADER, end: text.length });
    } catch (error) {
      throw cannotWrite(path, error instanceof MigrateError ? error.cause : error);
    }
    this.#spentBytesAllowed = 2 * text.length + SPENT_BYTES;
  }
}

/**
 * @returns undefined when there is no such file
 * @throws MigrateError (2)
 */
async function readEntries(path: string): Promise<Map<number, Entry> | undefined> {
  const file = await openRegular(path, constants.O_RDONLY);
  if (file === undefined) return undefined;
  try {
    const entries = new Map<number, Entry>();
    switch (await headerOf(file, UPLOADS_HEADER)) {
      case 'torn':
        return entries;
      case 'foreign':
        throw new MigrateError(`${path}: does not begin with ${UPLOADS_HEADER.trimEnd()}`, {
          exitCode: 2,
          hint: 'It is no journal of this version: give another --log-folder.',
        });
      case 'whole':
        await readLines(file, entries);
        for (const entry of entries.values()) entry.isEarlier = true;
        return entries;
    }
  } catch (error) {
    throw error instanceof MigrateError ? error : cannotOpen(path, error);
  } finally {
    await file.close();
  }
}

async function readLines(file: FileHandle, entries: Map<number, Entry>): Promise<void> {
  const lines = file.readLines({
    encoding: 'latin1',
    start: UPLOADS_HEADER.length,
    autoClose: false,
  });
  for await (const line of lines) {
    const parsed = parseUploadLine(line);
    if (parsed !== undefined) apply(entries, parsed.upload, parsed.event);
  }
}

/** What is told of an upload whose beginning is not known is passed over. */
function apply(entries: Map<number, Entry>, number: number, event: UploadEvent): void {
  if (event.kind === 'intended') {
    entries.set(number, newEntry(number, event));
    return;
  }
  const entry = entries.get(number);
  if (event.kind === 'created') {
    const created = entry ?? newEntry(number, { key: event.key, at: 0 });
    created.uploadId = event.uploadId;
    entries.set(number, created);
    return;
  }
  if (entry === undefined) return;
  switch (event.kind) {
    case 'begun':
      entry.plan = event.plan;
      return;
    case 'part':
      if (entry.state.kind === 'open') entry.parts.set(event.part.partNumber, event.part);
      return;
    case 'completed':
      entry.state = { kind: 'completed', etag: event.etag };
      entry.parts.clear();
      return;
    case 'abandoned':
      entry.state = { kind: 'abandoned' };
      entry.parts.clear();
      return;
    case 'over':
      entries.delete(number);
      return;
  }
}

function newEntry(number: number, { key, at }: { key: ObjectKey; at: number }): Entry {
  return {
    number,
    key,
    intendedAt: at,
    uploadId: undefined,
    plan: undefined,
    parts: new Map(),
    state: { kind: 'open' },
    isEarlier: false,
    isRecorded: false,
  };
}

/** The events that make an upload what it is known to be. */
function linesOf({ number, key, intendedAt, uploadId, plan, parts, state }: Entry): string {
  const events: UploadEvent[] = [{ kind: 'intended', key, at: intendedAt }];
  if (uploadId !== undefined) events.push({ kind: 'created', key, uploadId });
  if (plan !== undefined) events.push({ kind: 'begun', plan });
  for (const part of parts.values()) events.push({ kind: 'part', part });
  if (state.kind !== 'open') events.push(state);
  return events.map((event) => formatUploadLine(number, event)).join('');
}

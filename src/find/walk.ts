/**
 * Walks a directory tree and gives its regular files in the byte order of their paths.
 *
 * No sort over all files is needed (directory-reader.ts says why), so memory holds only the names of
 * the directories on the way down, of those read ahead, and for a directory of millions of entries
 * one sorted run. Names are bytes: nothing is decoded. Links are not followed; mount points are
 * crossed. What changes during the walk is met in its old or its new state.
 */
import { setImmediate } from 'node:timers/promises';
import {
  type Batch,
  DirectoryReader,
  type DirectoryReaderOptions,
  type Listing,
  type LongListing,
} from './directory-reader.ts';
import { nextDirectory, ReadAhead } from './read-ahead.ts';

export interface WalkOptions extends Omit<DirectoryReaderOptions, 'root'> {
  /** The top directory, a byte string. */
  root: string;
  /** Once aborted, the walk throws its reason. */
  signal: AbortSignal;
}

/** Files of one directory that follow each other: their paths are `prefix` and each of `names`. */
export interface FileRun {
  /** Byte strings, as are `names`. */
  readonly prefix: string;
  readonly names: readonly string[];
  /** Bytes of each; given with `details`. */
  readonly size?: Float64Array;
  /** Milliseconds since the epoch of each; given with `details`. */
  readonly lastModifiedMs?: Float64Array;
}

const BREATH_MS = 20;

/** A directory the walk is in. */
interface Step {
  readonly prefix: string;
  batch: Batch;
  /** Of the next name in the batch. */
  index: number;
  /** Where further batches come from. */
  readonly long: LongListing | undefined;
}

/** @throws MigrateError (3) when a long directory cannot be sorted; the reason of an aborted signal */
export async function* walkFiles(options: WalkOptions): AsyncGenerator<FileRun, void, undefined> {
  const root = options.root.endsWith('/') ? options.root : `${options.root}/`;
  const reader = new DirectoryReader({ ...options, root });
  const readAhead = new ReadAhead(reader);
  const way: Step[] = [];
  try {
    const top = stepInto('', await reader.read(''));
    way.push(top);
    readAhead.add('', top.batch.names);
    const breath = new Breath();
    for (let here = way.at(-1); here !== undefined; here = way.at(-1)) {
      await breath.take();
      options.signal.throwIfAborted();
      const { prefix, batch, index } = here;
      const end = nextDirectory(batch.names, index);
      if (end > index) {
        options.counts.files += end - index;
        yield filesBetween(here, end);
      }
      const directory = batch.names[end];
      here.index = end + 1;
      if (directory !== undefined) {
        const below = prefix + directory;
        way.push(stepInto(below, await readAhead.take(below)));
      } else if (await nextBatch(here)) {
        readAhead.add(prefix, here.batch.names);
      } else {
        way.pop();
      }
    }
  } finally {
    await readAhead.close();
    for (const { long } of way) await long?.close();
  }
}

/** Lets timers and signals have their turn while the walk has nothing to wait for. */
class Breath {
  #lastMs = performance.now();

  async take(): Promise<void> {
    if (performance.now() - this.#lastMs < BREATH_MS) return;
    await setImmediate();
    this.#lastMs = performance.now();
  }
}

function stepInto(prefix: string, listing: Listing): Step {
  if (listing.kind === 'whole') return { prefix, batch: listing.batch, index: 0, long: undefined };
  return { prefix, batch: { names: [], details: undefined }, index: 0, long: listing.long };
}

async function nextBatch(step: Step): Promise<boolean> {
  const batch = await step.long?.next();
  if (batch === undefined) return false;
  step.batch = batch;
  step.index = 0;
  return true;
}

/** The files from where the step stands up to `end`. */
function filesBetween({ prefix, batch, index }: Step, end: number): FileRun {
  const { names, details } = batch;
  const all = index === 0 && end === names.length;
  return {
    prefix,
    names: all ? names : names.slice(index, end),
    ...(details && {
      size: details.size.subarray(index, end),
      lastModifiedMs: details.lastModifiedMs.subarray(index, end),
    }),
  };
}

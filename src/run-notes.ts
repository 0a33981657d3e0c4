/**
 * What a run says of itself besides its figures: stores that are slow or down, and what everything waits for.
 */
import { type LoadState, SIDES } from './domain.ts';
import { displayKey } from './object-key.ts';
import type { RunFolder } from './record/run-folder.ts';
import { loadNote } from './report/load-note.ts';
import { Outages } from './report/outages.ts';
import type { Progress } from './report/progress.ts';
import type { Transfer } from './transfer/transfer.ts';

/** Pages ahead of a slow one from which on the line names the key that all wait for. */
const WORTH_NAMING_PAGES = 16;
const LOOK_FOR_OUTAGES_MS = 500;

/** Who knows how both stores fare. */
interface Loaded {
  readonly load: LoadState;
}

/** Tells when a store stops answering, and when it is back; until the interval is cleared. */
export function watchOutages(
  loaded: Loaded,
  maxOutageMs: number,
  progress: Progress,
): NodeJS.Timeout {
  const outages = new Outages();
  return setInterval(() => {
    const { load } = loaded;
    for (const side of SIDES) {
      const text = outages.look(side, load[side].down, maxOutageMs);
      if (text !== undefined) progress.message(`s3migrate: ${text}`);
    }
  }, LOOK_FOR_OUTAGES_MS).unref();
}

/** What slows a run down, if anything does. */
export function noteOf(
  { load }: Loaded,
  maxOutageMs: number,
  waiting?: string,
): string | undefined {
  const notes = [...SIDES.map((side) => loadNote(side, { ...load[side], maxOutageMs })), waiting];
  return notes.filter((note) => note !== undefined).join('; ') || undefined;
}

/** The key that everything waits for, if it is worth naming. */
export function waitingNote(folder: RunFolder, transfer: Transfer): string | undefined {
  const oldest = transfer.oldestUnderWay;
  if (folder.ahead.pages < WORTH_NAMING_PAGES || oldest === undefined) return undefined;
  return `waiting for ${displayKey(oldest)}`;
}

/**
 * Whether an object has the same bytes on both sides, read from both at once and kept on neither.
 */
import type { Side } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';
import { type ObjectHead, StoreError } from '../s3/object-store.ts';
import { type Comparison, patiently, type ReadableStore } from './comparison.ts';
import { SameBytes } from './same-bytes.ts';

/** The objects as they are known to be, of one length above 0. */
export interface ContentPair {
  readonly source: ObjectHead;
  readonly destination: ObjectHead;
}

/** A store's failure while content was read. */
export class ContentError extends Error {
  override readonly name = 'ContentError';
  readonly side: Side;
  override readonly cause: StoreError;

  constructor(side: Side, cause: StoreError) {
    super(cause.message);
    this.side = side;
    this.cause = cause;
  }
}

/**
 * Compares byte by byte. What breaks off goes on behind the bytes compared so far, of the same objects.
 *
 * @returns the offset of the first byte that differs, undefined when none does
 * @throws ContentError; `precondition-failed` or `not-found` when an object is not the one it was
 */
export async function firstDifference(
  key: ObjectKey,
  pair: ContentPair,
  comparison: Comparison,
): Promise<number | undefined> {
  const { bytes } = pair.source;
  let from = 0;
  const asked: { key: ObjectKey; side: Side } = { key, side: 'source' };
  const readOn = async (): Promise<number | undefined> => {
    if (from === bytes) return undefined;
    const reading = new ReadingBoth(key, { pair, from, comparison });
    try {
      return await reading.firstDifference();
    } finally {
      from += reading.compared;
      asked.side = reading.failure?.side ?? asked.side;
    }
  };
  try {
    return await patiently(asked, readOn, comparison);
  } catch (error) {
    throw error instanceof StoreError ? new ContentError(asked.side, error) : error;
  }
}

interface Reading {
  readonly pair: ContentPair;
  /** Where to begin, in bytes. */
  readonly from: number;
  readonly comparison: Comparison;
}

/** One GET from each side. */
class ReadingBoth {
  readonly #key: ObjectKey;
  readonly #reading: Reading;
  readonly #same: SameBytes;
  #over = false;
  /** The first one: what fails after it may fail because of it. */
  failure: { readonly side: Side; readonly error: unknown } | undefined;

  constructor(key: ObjectKey, reading: Reading) {
    const { counters } = reading.comparison;
    this.#key = key;
    this.#reading = reading;
    this.#same = new SameBytes((bytes) => {
      counters.comparedBytes += bytes;
    });
  }

  /** Bytes from the beginning of this reading on that are the same. */
  get compared(): number {
    return this.#same.compared;
  }

  async firstDifference(): Promise<number | undefined> {
    const { from, comparison } = this.#reading;
    const { source, destination, signal } = comparison;
    const onAbort = (): void => this.#end();
    signal.throwIfAborted();
    signal.addEventListener('abort', onAbort);
    await Promise.all([this.#read('source', source, 0), this.#read('destination', destination, 1)]);
    signal.removeEventListener('abort', onAbort);
    if (this.#same.differs) return from + this.compared;
    signal.throwIfAborted();
    if (this.failure !== undefined) throw this.failure.error;
    return undefined;
  }

  /** Never rejected: both GETs have ended when this reading has. */
  async #read(side: Side, store: ReadableStore, index: 0 | 1): Promise<void> {
    const { pair, from } = this.#reading;
    const { bytes, etag } = pair[side];
    try {
      await store.get(this.#key, {
        ...(from > 0 && { range: { first: from, last: bytes - 1 } }),
        ...(etag !== '' && { ifMatch: etag }),
        receive: (object) => {
          if (object.bytes !== bytes || object.etag !== etag) throw changed();
          return this.#over ? undefined : this.#same.passage(index, bytes - from);
        },
      });
    } catch (error) {
      this.failure ??= { side, error };
      // The other side would wait for this one for ever.
      this.#end();
    }
  }

  #end(): void {
    this.#over = true;
    this.#same.end();
  }
}

/** As a store that honours If-Match puts it. */
function changed(): StoreError {
  return new StoreError('the object was changed while it was compared', {
    kind: 'precondition-failed',
    code: 'changed',
    status: 200,
    mayHaveLanded: false,
  });
}

/**
 * Copies objects with a bounded number of exchanges under way, in this thread, over its own connections.
 *
 * Objects begin in the order they came in. A large one leaves its place as soon as it is known to be
 * one, and is copied by parts that have a share of the places of their own: so large objects are copied by many
 * connections at once, and small ones keep moving beside them.
 */
import pLimit from 'p-limit';
import type { Counters, LoadState, Outcome, UploadJournal } from '../domain.ts';
import { BothSides } from '../load/both-sides.ts';
import { type RetryPolicy, RunEnding } from '../load/retry.ts';
import type { ObjectKey } from '../object-key.ts';
import type { ObjectStore, UploadedPart } from '../s3/object-store.ts';
import { ContentBuffers } from './content-buffers.ts';
import type { CopyContext } from './copy-context.ts';
import { copyLargeObject, copyObject, type LargeObject } from './copy-object.ts';
import type { CopyPolicy } from './copy-policy.ts';
import { MemoryBudget } from './memory-budget.ts';
import { copyPart } from './parts/copy-part.ts';
import { PartBuffers } from './parts/part-buffers.ts';
import type { PartJob } from './parts/part-job.ts';

export interface CopyPoolOptions {
  readonly source: ObjectStore;
  readonly destination: ObjectStore;
  readonly counters: Counters;
  /** Objects and parts under way at once; at least 1. */
  readonly threads: number;
  /** As many at least, whatever a store has to say; 1 to `threads`. */
  readonly threadsMin: number;
  /** How long a store may be down before the run is stopped, in ms. */
  readonly maxOutageMs: number;
  /** Bytes of collected bodies held at once. */
  readonly memoryBytes: number;
  /** Objects longer than this are copied in parts; at most 5 GiB. */
  readonly multipartThresholdBytes: number;
  /** Length of the parts, 5 MiB to 5 GiB; chosen by the object's length when undefined. */
  readonly partBytes: number | undefined;
  readonly policy: CopyPolicy;
  readonly uploads: UploadJournal;
  readonly retry: RetryPolicy;
  /** Whether objects wait elsewhere that have not been given to this pool yet. */
  readonly othersWait?: () => boolean;
  /** See {@link CopyContext.warn}. */
  readonly warn: (message: string) => void;
  readonly now: () => number;
}

/** Of the places, what is left to whole objects while parts wait for theirs. */
const OBJECTS_SHARE = 1 / 4;

export class CopyPool {
  readonly #context: CopyContext;
  readonly #sides: BothSides;
  readonly #objects: ReturnType<typeof pLimit>;
  /** Large objects whose parts are copied; they hold no place, but memory and an upload each. */
  readonly #large: ReturnType<typeof pLimit>;
  readonly #parts: ReturnType<typeof pLimit>;
  #waiting = 0;
  #underWay = 0;
  #partsUnderWay = 0;
  #cleared = false;

  /**
   * @param copyParts - how the parts of large objects are to be copied, and how many of one object may be asked
   *   for at once; by this pool itself unless given
   */
  constructor(options: CopyPoolOptions, copyParts?: Pick<CopyContext, 'copyPart' | 'partWindow'>) {
    const { source, destination, counters, threads, uploads, retry, warn, now } = options;
    this.#objects = pLimit(threads);
    this.#large = pLimit(threads);
    this.#parts = pLimit(threads);
    this.#sides = new BothSides({
      source,
      destination,
      destinationUse: 'writing',
      least: Math.min(options.threadsMin, threads),
      most: threads,
      maxOutageMs: options.maxOutageMs,
      retry,
      othersWait: () => this.#waiting > 0 || options.othersWait?.() === true,
      onChange: () => this.#share(),
    });
    this.#context = {
      source: this.#sides.source,
      destination: this.#sides.destination,
      outlast: (failed, isLast) => this.#sides.outlast(failed, isLast),
      counters,
      uploads,
      retry,
      warn,
      now,
      budget: new MemoryBudget(options.memoryBytes),
      contentBuffers: new ContentBuffers(),
      partBuffers: new PartBuffers(),
      multipartThresholdBytes: options.multipartThresholdBytes,
      partBytes: options.partBytes,
      policy: options.policy,
      copyPart: (job, unwanted) => this.copyPart(job, unwanted),
      partWindow: threads,
      learnt: { sourceEtags: 'untried' },
      ...copyParts,
    };
  }

  /** How much each store is asked for at present, and whether it is there. */
  get load(): LoadState {
    return this.#sides.load;
  }

  /** Ends what it does by itself; to be called when it is idle. */
  close(): void {
    this.#sides.close();
  }

  /** Objects that wait for their turn. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Whether nothing is under way and nothing waits. */
  get idle(): boolean {
    return this.#waiting === 0 && this.#underWay === 0 && this.#partsUnderWay === 0;
  }

  /**
   * Copies an object when it is its turn. The promise is never settled when {@link clear} comes first.
   *
   * @throws RunEnding; MigrateError when no object could be copied
   */
  copy(key: ObjectKey): Promise<Outcome> {
    if (this.#cleared) return Promise.reject(new RunEnding('nothing is begun any more'));
    this.#waiting++;
    return this.#objects(() => this.#copyFirst(key)).then((end) => {
      if (end.kind !== 'large') return end;
      if (this.#cleared) throw new RunEnding('nothing is begun any more');
      return this.#large(() => this.#copyLarge(end));
    });
  }

  /**
   * Copies a part when it is its turn; see {@link CopyContext.copyPart}.
   *
   * @throws TransferError, RunEnding, and the signal's reason when the part is not wanted any more
   */
  async copyPart(job: PartJob, unwanted: AbortSignal): Promise<UploadedPart> {
    this.#partsUnderWay++;
    this.#share();
    try {
      return await this.#parts(() => {
        unwanted.throwIfAborted();
        return copyPart(job, this.#context);
      });
    } finally {
      this.#partsUnderWay--;
      this.#share();
    }
  }

  /** Lets what waits wait for ever, and nothing more is taken; what is under way goes on to its end. */
  clear(): void {
    this.#objects.clearQueue();
    this.#large.clearQueue();
    this.#waiting = 0;
    this.#cleared = true;
  }

  #copyFirst(key: ObjectKey): Promise<Outcome | LargeObject> {
    return this.#atWork(async () => {
      const end = await copyObject(key, this.#context);
      if (end.kind !== 'large') this.#sides.forget(key);
      // Before it is under way no more: the pool is not idle in between.
      if (end.kind === 'large' && !this.#cleared) this.#waiting++;
      return end;
    });
  }

  #copyLarge(large: LargeObject): Promise<Outcome> {
    return this.#atWork(() =>
      copyLargeObject(large, this.#context).finally(() => this.#sides.forget(large.key)),
    );
  }

  async #atWork<T>(work: () => Promise<T>): Promise<T> {
    const { counters } = this.#context;
    // One whose turn had come already when all were let wait for ever counts among those no more.
    if (!this.#cleared) this.#waiting--;
    this.#underWay++;
    counters.working++;
    try {
      return await work();
    } catch (error) {
      // It would be the same for every other object: none is begun in its place.
      if (!(error instanceof RunEnding)) this.clear();
      throw error;
    } finally {
      counters.working--;
      this.#underWay--;
      if (this.#partsUnderWay > 0) this.#share();
    }
  }

  /**
   * Divides the places that the stores allow at present between whole objects and parts; together they are never
   * more, but for one each.
   */
  #share(): void {
    const objects = this.#objects;
    const { places } = this.#sides;
    if (this.#partsUnderWay === 0) {
      objects.concurrency = places;
      return;
    }
    const wanted = objects.activeCount + objects.pendingCount;
    const share = Math.min(wanted, Math.floor(places * OBJECTS_SHARE));
    objects.concurrency = Math.max(1, share);
    this.#parts.concurrency = Math.max(1, places - Math.max(share, objects.activeCount));
  }
}

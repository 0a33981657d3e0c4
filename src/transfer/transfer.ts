/**
 * The transfer stage: plan pages in, outcome pages out, with a bounded number of objects under way.
 *
 * Objects begin in key order and finish in any; a page is handed on as soon as its last object is done, the
 * oldest also in pieces, so that the log follows closely. Little more is read than is being worked on,
 * and than is taken: a consumer that is slow, or leaves, holds everything back.
 */
import pLimit from 'p-limit';
import type { Counters, Outcome, OutcomePage, PlanPage } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';
import type { ObjectStore } from '../s3/object-store.ts';
import type { CopyContext } from './copy-context.ts';
import { copyObject } from './copy-object.ts';
import { copyPart } from './copy-part.ts';
import { MemoryBudget } from './memory-budget.ts';
import { OpenPage } from './open-page.ts';
import { PartBuffers } from './part-buffers.ts';
import { type RetryPolicy, RunEnding } from './retry.ts';

export interface TransferOptions {
  readonly source: ObjectStore;
  readonly destination: ObjectStore;
  readonly counters: Counters;
  /** Objects under way at once; 1 to 4096. As many parts of large objects may be under way besides. */
  readonly threads: number;
  /** Bytes of collected bodies held at once. */
  readonly memoryBytes: number;
  /** Objects longer than this are copied in parts; at most 5 GiB. */
  readonly multipartThresholdBytes: number;
  readonly retry: RetryPolicy;
  /** Once aborted, no transfer is begun; those under way are finished and handed on. */
  readonly signal: AbortSignal;
  readonly now: () => number;
}

/** Pages that wait to be taken from which on no further is read. */
const MAX_FINISHED_PAGES = 16;
/** How often what is done of the oldest page is handed on. */
const SPLIT_EVERY_MS = 1_000;

export class Transfer {
  readonly #options: TransferOptions;
  readonly #context: CopyContext;
  readonly #limit: ReturnType<typeof pLimit>;
  /** In key order. */
  readonly #open: OpenPage[] = [];
  readonly #finished: OutcomePage[] = [];
  #failure: { readonly error: unknown } | undefined;
  /** Whether {@link run} has ended, be it because its consumer left. */
  #ended = false;
  #wake: () => void = () => {};

  constructor(options: TransferOptions) {
    this.#options = options;
    this.#limit = pLimit(options.threads);
    const partLimit = pLimit(options.threads);
    this.#context = {
      source: options.source,
      destination: options.destination,
      counters: options.counters,
      budget: new MemoryBudget(options.memoryBytes),
      partBuffers: new PartBuffers(),
      retry: options.retry,
      multipartThresholdBytes: options.multipartThresholdBytes,
      copyPart: (job, unwanted) =>
        partLimit(() => {
          unwanted.throwIfAborted();
          return copyPart(job, this.#context);
        }),
      partWindow: options.threads,
      now: options.now,
      learnt: { sourceEtags: 'untried' },
    };
  }

  /** The key that the log waits for: the first one under way. */
  get oldestUnderWay(): ObjectKey | undefined {
    return this.#open[0]?.firstUnfinished();
  }

  /**
   * Copies what the pages ask for. Pages come out as they finish; see {@link OutcomePage}. To be called
   * once. When it has ended, also by its consumer leaving, no transfer is under way any more.
   *
   * @throws what `pages` throws, and what makes every transfer fail, once all that was under way has been
   *   handed on
   */
  async *run(pages: AsyncIterable<PlanPage>): AsyncGenerator<OutcomePage> {
    const onAbort = (): void => this.#stop();
    this.#options.signal.addEventListener('abort', onAbort);
    const splitting = setInterval(() => this.#splitOldest(), SPLIT_EVERY_MS);
    let reading = true;
    void this.#read(pages).finally(() => {
      reading = false;
      this.#wake();
    });
    try {
      for (;;) {
        yield* this.#takeFinished();
        // Once stopped, the pages are not waited for: they may themselves wait for what no longer comes.
        if ((!reading || this.#stopped) && this.#idle) break;
        await this.#change();
      }
      clearInterval(splitting);
      for (const page of this.#open) this.#finished.push(...page.takeRest());
      yield* this.#takeFinished();
    } finally {
      clearInterval(splitting);
      this.#options.signal.removeEventListener('abort', onAbort);
      this.#ended = true;
      this.#stop();
      while (!this.#idle) await this.#change();
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  *#takeFinished(): Generator<OutcomePage> {
    for (let page = this.#finished.shift(); page !== undefined; page = this.#finished.shift()) {
      this.#onRoom();
      yield page;
    }
  }

  /** Whether no transfer is under way or waits for its turn. */
  get #idle(): boolean {
    return this.#limit.activeCount === 0 && this.#limit.pendingCount === 0;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async #read(pages: AsyncIterable<PlanPage>): Promise<void> {
    try {
      for await (const page of pages) {
        if (this.#stopped) return;
        this.#begin(new OpenPage(page));
        while (!this.#hasRoom && !this.#stopped) await this.#roomToBegin();
      }
    } catch (error) {
      this.#failure ??= { error };
    }
  }

  get #stopped(): boolean {
    return this.#options.signal.aborted || this.#failure !== undefined || this.#ended;
  }

  get #hasRoom(): boolean {
    return (
      this.#limit.pendingCount <= this.#options.threads &&
      this.#finished.length < MAX_FINISHED_PAGES
    );
  }

  #onRoom: () => void = () => {};

  #roomToBegin(): Promise<void> {
    return new Promise((resolve) => {
      this.#onRoom = resolve;
    });
  }

  #begin(page: OpenPage): void {
    this.#open.push(page);
    for (const index of page.transfers()) {
      void this.#limit(() => this.#transfer(page, index));
    }
    if (page.done) this.#close(page);
  }

  async #transfer(page: OpenPage, index: number): Promise<void> {
    const { counters } = this.#options;
    counters.working++;
    try {
      const outcome = await copyObject(page.keyAt(index), this.#context);
      count(outcome, counters);
      page.finish(index, outcome);
      if (page.done) this.#close(page);
    } catch (error) {
      // Its key has no outcome, like those that were not begun.
      if (error instanceof RunEnding) return;
      this.#failure ??= { error };
      this.#stop();
    } finally {
      counters.working--;
      if (this.#hasRoom) this.#onRoom();
      // p-limit counts this transfer as active until the promise has been settled.
      if (this.#limit.pendingCount === 0) setImmediate(() => this.#wake());
    }
  }

  #close(page: OpenPage): void {
    this.#open.splice(this.#open.indexOf(page), 1);
    this.#handOn(page.takeDone());
  }

  #splitOldest(): void {
    this.#handOn(this.#open[0]?.takeDone());
  }

  #handOn(page: OutcomePage | undefined): void {
    if (page === undefined) return;
    this.#finished.push(page);
    this.#wake();
  }

  #stop(): void {
    this.#limit.clearQueue();
    this.#onRoom();
    this.#wake();
  }
}

function count(outcome: Outcome, counters: Counters): void {
  switch (outcome.kind) {
    case 'copied':
      counters.uploaded++;
      return;
    case 'skipped-download':
      counters.skippedDownload++;
      return;
    case 'skipped-upload':
      counters.skippedUpload++;
      return;
    case 'failed':
      counters.failed++;
      return;
  }
}

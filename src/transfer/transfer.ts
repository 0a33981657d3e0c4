/**
 * The transfer stage: plan pages in, outcome pages out, with a bounded number of objects under way.
 *
 * Objects begin in key order and finish in any; a page is handed on as soon as its last object is done, the
 * oldest also in pieces, so that the log follows closely. Little more is read than is being worked on,
 * and than is taken: a consumer that is slow, or leaves, holds everything back.
 */
import type { Counters, LoadState, Outcome, OutcomePage, PlanPage } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';
import type { Crew, CrewEvents } from './crew/crew.ts';
import { type FailureLimits, FailureWatch } from './failure-watch.ts';
import { OpenPage } from './open-page.ts';

export interface TransferOptions {
  /** Makes what copies; asked once. */
  readonly crew: (events: CrewEvents) => Crew;
  /** Of these, the transfer adds what its outcomes are; the rest is the crew's. */
  readonly counters: Counters;
  /** From which failures on the run cannot go on. */
  readonly failures: FailureLimits;
  /** Told what the operator should know; each thing once. */
  readonly warn: (message: string) => void;
  /** Objects under way at once; 1 to 4096. No more wait than that. */
  readonly threads: number;
  /** Once aborted, no transfer is begun; those under way are finished and handed on. */
  readonly signal: AbortSignal;
}

/** Pages that wait to be taken from which on no further is read. */
const MAX_FINISHED_PAGES = 16;
/** How often what is done of the oldest page is handed on, and an idle crew's failures are settled. */
const SPLIT_EVERY_MS = 1_000;

export class Transfer {
  readonly #options: TransferOptions;
  readonly #crew: Crew;
  readonly #watch: FailureWatch;
  /** In key order. */
  readonly #open: OpenPage[] = [];
  readonly #finished: OutcomePage[] = [];
  readonly #warned = new Set<string>();
  #failure: { readonly error: unknown } | undefined;
  /** Whether {@link run} has ended, be it because its consumer left. */
  #ended = false;
  #wake: () => void = () => {};

  constructor(options: TransferOptions) {
    this.#options = options;
    this.#watch = new FailureWatch(options.failures, {
      onRecord: (page, index, outcome) => this.#record(page, index, outcome),
      onStop: (error) => this.#fail(error),
      onAnswer: () => this.#wake(),
    });
    this.#crew = options.crew({
      onOutcome: (page, index, outcome) => this.#watch.take(page, index, outcome),
      onChange: () => this.#onChange(),
      onWarning: (message) => {
        if (this.#warned.has(message)) return;
        this.#warned.add(message);
        options.warn(message);
      },
      onFailure: (error) => this.#fail(error),
    });
  }

  /** Ends all connections at once, by a reset; returns when that is done. */
  leave(): void {
    this.#crew.leave();
  }

  /** How much each store is asked for at present, and whether it is there. */
  get load(): LoadState {
    return this.#crew.load;
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
    const splitting = setInterval(() => this.#everySecond(), SPLIT_EVERY_MS);
    let reading = true;
    void this.#read(pages).finally(() => {
      reading = false;
      this.#wake();
    });
    try {
      for (;;) {
        yield* this.#takeFinished();
        // Once stopped, the pages are not waited for: they may themselves wait for what no longer comes.
        if (((!reading && !this.#watch.asking) || this.#stopped) && this.#crew.idle) break;
        // yield* takes turns of its own to end: a page may have come meanwhile, and have woken nobody.
        if (this.#finished.length === 0) await this.#change();
      }
      clearInterval(splitting);
      this.#watch.end();
      for (const page of this.#open) this.#finished.push(...page.takeRest());
      yield* this.#takeFinished();
    } finally {
      clearInterval(splitting);
      this.#options.signal.removeEventListener('abort', onAbort);
      this.#ended = true;
      this.#stop();
      while (!this.#crew.idle) await this.#change();
      await this.#crew.close();
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  *#takeFinished(): Generator<OutcomePage> {
    for (let page = this.#finished.shift(); page !== undefined; page = this.#finished.shift()) {
      this.#onRoom();
      yield page;
    }
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
      this.#crew.waiting <= this.#options.threads && this.#finished.length < MAX_FINISHED_PAGES
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
    this.#crew.copy(page, page.transfers());
    if (page.done) this.#close(page);
  }

  #record(page: OpenPage, index: number, outcome: Outcome): void {
    count(outcome, this.#options.counters);
    page.finish(index, outcome);
    if (page.done) this.#close(page);
  }

  #onChange(): void {
    if (this.#hasRoom) this.#onRoom();
    if (this.#crew.idle) this.#wake();
  }

  #close(page: OpenPage): void {
    this.#open.splice(this.#open.indexOf(page), 1);
    this.#handOn(page.takeDone());
  }

  #everySecond(): void {
    if (this.#crew.idle) this.#watch.settle();
    this.#handOn(this.#open[0]?.takeDone());
  }

  #handOn(page: OutcomePage | undefined): void {
    if (page === undefined) return;
    this.#finished.push(page);
    this.#wake();
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#stop();
  }

  #stop(): void {
    this.#crew.stop();
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

/**
 * Keeps migrate.ahead/ within its disk: who is to begin a page waits here while too much is ahead.
 */
export class PageRoom {
  readonly #limitBytes: number;
  #files = 0;
  #bytes = 0;
  #pagesBegun = 0;
  #pagesWritten = 0;
  #waiting: (() => void)[] = [];

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get files(): number {
    return this.#files;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A file of so many bytes is there. */
  take(bytes: number): void {
    this.#files++;
    this.#bytes += bytes;
  }

  /** A file of so many bytes is of no use any more. */
  giveBack(bytes: number): void {
    this.#files--;
    this.#bytes -= bytes;
  }

  /**
   * Waits until less than the limit is taken, or every page begun is written: nothing under way could
   * give back anything then, and the page that all others wait for is one of those to come.
   *
   * @throws the signal's reason
   */
  async enter(signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#bytes < this.#limitBytes || this.#pagesBegun <= this.#pagesWritten) break;
      await this.#change(signal);
    }
    this.#pagesBegun++;
  }

  /** A page that has entered is written, or has failed. */
  leave(): void {
    this.#pagesWritten++;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        signal.removeEventListener('abort', wake);
        resolve();
      };
      signal.addEventListener('abort', wake);
      this.#waiting.push(wake);
    });
  }
}

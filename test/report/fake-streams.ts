/** Streams that stand for standard error: one that is a terminal, one that is a file. */
import { EventEmitter, on } from 'node:events';
import { Writable } from 'node:stream';

/** Keeps what is written and lets a test wait for it. */
export class RecordedStream extends Writable {
  readonly isTTY: boolean;
  columns: number;
  output = '';
  readonly #written = new EventEmitter();

  constructor({ isTTY, columns = 0 }: { isTTY: boolean; columns?: number }) {
    super({ decodeStrings: false });
    this.isTTY = isTTY;
    this.columns = columns;
  }

  override _write(chunk: string, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    this.output += chunk;
    done();
    this.#written.emit('written');
  }

  /** Resolves once something is written after which `condition` holds. */
  async until(condition: (output: string) => boolean): Promise<void> {
    if (condition(this.output)) return;
    for await (const _ of on(this.#written, 'written')) {
      if (condition(this.output)) return;
    }
  }
}

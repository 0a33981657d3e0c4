/**
 * A terminal that cannot hold the program up.
 *
 * Node writes to a terminal in the main thread, and waits until it has taken all. One that was stopped (Ctrl-S, a
 * window over a line that is down) would so stop everything. Here what it does not take at once is kept, in order,
 * and offered again; nobody waits for it but, for two seconds, the end of the program.
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import type { WriteStream } from 'node:tty';

const OFFER_EVERY_MS = 50;
const LAST_WAIT_MS = 2_000;
/** Of what a terminal has not taken so much is kept; lines that come on top of it are left out. */
const MOST_KEPT_BYTES = 1024 * 1024;

/**
 * From now on writing to the stream takes no time. Its `writableLength` tells what the terminal has not taken:
 * who draws the same line over and over can leave one out.
 *
 * Does nothing where it is no terminal, or one that cannot be opened anew: another user's, after `su`.
 */
export function neverWaitFor(stream: NodeJS.WriteStream): void {
  if (!stream.isTTY) return;
  const fd = openedAnew((stream as WriteStream & { readonly fd: number }).fd);
  if (fd === undefined) return;
  const kept = new KeptOutput(fd, (error) => stream.emit('error', error));
  stream.write = (chunk: Uint8Array | string, ...more: unknown[]): boolean => {
    kept.add(Buffer.from(chunk));
    const done = more.at(-1);
    if (typeof done === 'function') process.nextTick(done);
    return kept.bytes === 0;
  };
  Object.defineProperty(stream, 'writableLength', { get: () => kept.bytes });
  process.once('exit', () => kept.end());
}

/** Not the descriptor that the shell shares, which would become non-blocking with this one. */
function openedAnew(fd: number): number | undefined {
  const { O_WRONLY, O_NOCTTY, O_NONBLOCK } = constants;
  try {
    return openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NOCTTY | O_NONBLOCK);
  } catch {
    return undefined;
  }
}

class KeptOutput {
  readonly #fd: number;
  readonly #onError: (error: unknown) => void;
  #chunks: Buffer[] = [];
  /** That the terminal has not taken. */
  bytes = 0;
  #leftOut = 0;
  #isBroken = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(fd: number, onError: (error: unknown) => void) {
    this.#fd = fd;
    this.#onError = onError;
  }

  add(chunk: Buffer): void {
    if (this.#isBroken || chunk.length === 0) return;
    if (this.bytes + chunk.length > MOST_KEPT_BYTES) {
      this.#leftOut++;
      return;
    }
    this.#chunks.push(chunk);
    this.bytes += chunk.length;
    // What waits already is first.
    if (this.#timer === undefined) this.#offer();
  }

  /** To be called when the program ends: waits a little for a terminal that is behind. */
  end(): void {
    clearInterval(this.#timer);
    const clock = new Int32Array(new SharedArrayBuffer(4));
    const until = performance.now() + LAST_WAIT_MS;
    this.#write();
    while (this.bytes > 0 && performance.now() < until) {
      Atomics.wait(clock, 0, 0, OFFER_EVERY_MS);
      this.#write();
    }
    closeSync(this.#fd);
  }

  #offer(): void {
    this.#write();
    if (this.bytes === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    } else {
      this.#timer ??= setInterval(() => this.#offer(), OFFER_EVERY_MS).unref();
    }
  }

  /** As much as the terminal takes now. */
  #write(): void {
    try {
      for (let chunk = this.#chunks[0]; chunk !== undefined; chunk = this.#chunks[0]) {
        const written = writeSync(this.#fd, chunk);
        this.bytes -= written;
        if (written < chunk.length) this.#chunks[0] = chunk.subarray(written);
        else this.#chunks.shift();
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return;
      // It has been hung up.
      this.#isBroken = true;
      this.#chunks = [];
      this.bytes = 0;
      this.#onError(error);
      return;
    }
    this.#tellLeftOut();
  }

  #tellLeftOut(): void {
    if (this.#leftOut === 0) return;
    const text = Buffer.from(
      `(${this.#leftOut} messages were left out while the terminal was stopped)\n`,
    );
    this.#leftOut = 0;
    this.add(text);
  }
}

/**
 * A terminal that cannot hold the program up.
 *
 * Node writes to a terminal in the main thread and waits until it is taken. One that takes nothing (Ctrl-S, an ssh whose
 * link is dead) would so stop all that goes on, down to Ctrl-C. Here what is not taken waits in memory instead, in
 * order and bounded, and is offered again. Pipes and files are left as they are.
 *
 * Standard output, which is what was asked for, is never left out: who writes much of it waits for `drain`. Whoever
 * draws a line anew looks at the stream's `writableLength` first: while something waits, there is nobody to see it.
 */
import { constants, openSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { WriteStream } from 'node:tty';

const LINE_END = 0x0a;
/** When a terminal is offered again what it did not take: doubled each time, for one is slow and another is stopped. */
const AGAIN_AFTER_MS = 1;
const AGAIN_AFTER_AT_MOST_MS = 64;
/** Of messages; beyond it the older half is left out, and in its place stands how much that was. */
const MAX_WAITING_BYTES = 2 ** 20;
/** How long a program that has come to its end waits for its terminal. */
const MAX_SETTLING_MS = 5_000;

interface Output {
  readonly stream: WriteStream;
  /** Of its terminal, and non-blocking. */
  readonly fd: number;
  readonly bytes: Uint8Array;
  /** Standard error: what is said. Standard output is what was asked for, and is never left out. */
  readonly isMessage: boolean;
  readonly done?: (() => void) | undefined;
}

/** What a terminal has yet to take, of both streams, as a terminal shows them both. */
class TerminalQueue {
  #waiting: Output[] = [];
  #waitingBytes = 0;
  #messageBytes = 0;
  #linesLeftOut = 0;
  #timer: NodeJS.Timeout | undefined;
  #againAfterMs = AGAIN_AFTER_MS;

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** @returns whether it is taken already */
  add(output: Output): boolean {
    this.#waiting.push(output);
    this.#count(output, output.bytes.length);
    if (this.#messageBytes > MAX_WAITING_BYTES) this.#leaveOut();
    if (this.#timer === undefined) this.#offer();
    return this.#waitingBytes === 0;
  }

  /** Resolves when all is taken; when nothing but messages waits, for a while at most: they are given up then. */
  async settle(): Promise<void> {
    const giveUpAtMs = performance.now() + MAX_SETTLING_MS;
    while (this.#waiting.some(({ isMessage }) => !isMessage || performance.now() < giveUpAtMs)) {
      await delay(AGAIN_AFTER_AT_MOST_MS);
    }
    this.#giveUp();
  }

  #offer(): void {
    this.#timer = undefined;
    for (let [first] = this.#waiting; first !== undefined; [first] = this.#waiting) {
      let taken: number;
      try {
        taken = writeSync(first.fd, first.bytes);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return this.#giveUp();
        this.#timer = setTimeout(() => this.#offer(), this.#againAfterMs);
        this.#againAfterMs = Math.min(2 * this.#againAfterMs, AGAIN_AFTER_AT_MOST_MS);
        return;
      }
      this.#againAfterMs = AGAIN_AFTER_MS;
      this.#count(first, -taken);
      if (taken < first.bytes.length) {
        this.#waiting[0] = { ...first, bytes: first.bytes.subarray(taken) };
        continue;
      }
      this.#waiting.shift();
      written(first);
      this.#tellLeftOut(first);
    }
  }

  #count({ isMessage }: Output, bytes: number): void {
    this.#waitingBytes += bytes;
    if (isMessage) this.#messageBytes += bytes;
  }

  /** The first one stays: it may be half on the screen. */
  #leaveOut(): void {
    this.#waiting = this.#waiting.filter((output, place) => {
      if (place === 0 || !output.isMessage || this.#messageBytes <= MAX_WAITING_BYTES / 2)
        return true;
      this.#count(output, -output.bytes.length);
      this.#linesLeftOut += output.bytes.filter((byte) => byte === LINE_END).length;
      written(output);
      return false;
    });
  }

  #tellLeftOut({ stream, fd }: Output): void {
    if (this.#linesLeftOut === 0) return;
    const text = `\r\x1b[K(${this.#linesLeftOut} lines are left out here: the terminal did not take them)\n`;
    this.#linesLeftOut = 0;
    const output: Output = { stream, fd, bytes: Buffer.from(text), isMessage: true };
    this.#waiting.unshift(output);
    this.#count(output, output.bytes.length);
  }

  /** Also when the terminal was hung up. */
  #giveUp(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const rest = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#messageBytes = 0;
    rest.forEach(written);
  }
}

/** As a stream does, never within the call that writes. */
function written({ stream, done }: Output): void {
  process.nextTick(() => {
    done?.();
    if (stream.writableLength === 0) stream.emit('drain');
  });
}

/**
 * From now on standard output and standard error do not block where they are terminals. For the main thread, before
 * anything is written.
 *
 * @returns to be awaited at the end: resolves when the terminal has taken what was written. Messages are waited for
 *   5 s at most
 */
export function releaseTerminal(): () => Promise<void> {
  const queue = new TerminalQueue();
  for (const stream of [process.stdout, process.stderr]) {
    const fd = stream.isTTY ? openAgain(stream) : undefined;
    if (fd !== undefined) writeThrough(queue, stream, fd);
  }
  return () => queue.settle();
}

/**
 * The terminal, opened anew: the shell shares the description that this process was given, and must not find it
 * non-blocking.
 *
 * @returns undefined where that cannot be done: without /proc, or for another user's terminal (su)
 */
function openAgain({ fd }: WriteStream & { fd: number }): number | undefined {
  const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
  try {
    return openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    return undefined;
  }
}

type Done = () => void;

function writeThrough(queue: TerminalQueue, stream: WriteStream, fd: number): void {
  const isMessage = stream === process.stderr;
  stream.write = (chunk: string | Uint8Array, encoding?: BufferEncoding | Done, done?: Done) => {
    const bytes =
      typeof chunk === 'string'
        ? Buffer.from(chunk, typeof encoding === 'string' ? encoding : 'utf8')
        : Uint8Array.from(chunk);
    const then = typeof encoding === 'function' ? encoding : done;
    return queue.add({ stream, fd, bytes, isMessage, done: then });
  };
  Object.defineProperty(stream, 'writableLength', { get: () => queue.waitingBytes });
}

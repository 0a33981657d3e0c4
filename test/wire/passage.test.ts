/**
 * A passage by itself: what its two ends may rely on, whenever the other end is ready.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Passage } from '../../src/wire/passage.ts';

/** A reader that brings the pieces in order, each when it may. */
class Reader {
  stopped = false;
  readonly #passage: Passage;
  readonly #pieces: Buffer[];

  constructor(passage: Passage, pieces: Buffer[]) {
    this.#passage = passage;
    this.#pieces = [...pieces];
    passage.connectReader({
      resume: () => this.bring(),
      stop: () => {
        this.stopped = true;
      },
    });
  }

  bring(): void {
    for (let piece = this.#pieces.shift(); piece !== undefined; piece = this.#pieces.shift()) {
      if (!this.#passage.take(piece)) return;
    }
  }
}

/** A writer that sends some pieces at once and the others later. */
class Writer {
  readonly sent: Buffer[] = [];
  failure: Error | undefined;
  #waiting: Buffer | undefined;
  readonly #passage: Passage;
  readonly #atOnce: (nth: number) => boolean;

  constructor(passage: Passage, atOnce: (nth: number) => boolean) {
    this.#passage = passage;
    this.#atOnce = atOnce;
  }

  connect(): void {
    this.#passage.connectWriter({
      write: (piece) => {
        if (this.#waiting !== undefined) throw new Error('two pieces at a time');
        if (this.#atOnce(this.sent.length)) {
          this.sent.push(Buffer.from(piece));
          return true;
        }
        this.#waiting = piece;
        return false;
      },
      fail: (reason) => {
        this.failure = reason;
      },
    });
  }

  /** @returns false when nothing waited */
  flush(): boolean {
    if (this.#waiting === undefined) return false;
    this.sent.push(Buffer.from(this.#waiting));
    this.#waiting = undefined;
    this.#passage.flushed();
    return true;
  }
}

describe('a passage', () => {
  it('brings every byte across once and in order, whoever is ready first', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 20 }),
        fc.array(fc.boolean(), { minLength: 20, maxLength: 20 }),
        fc.boolean(),
        (arrays, atOnce, writerFirst) => {
          const pieces = arrays.map((array) => Buffer.from(array));
          const whole = Buffer.concat(pieces);
          let told = 0;
          const passage = new Passage(whole.length, (bytes) => {
            told += bytes;
          });
          const writer = new Writer(passage, (nth) => atOnce[nth] === true);
          if (writerFirst) writer.connect();
          const reader = new Reader(passage, pieces);
          reader.bring();
          if (!writerFirst) writer.connect();
          while (writer.flush());
          expect(Buffer.concat(writer.sent).equals(whole)).toBe(true);
          expect(told).toBe(whole.length);
          expect(passage.full || passage.hungry).toBe(false);
        },
      ),
    );
  });

  it('says which end is the one that waits', () => {
    const passage = new Passage(2, () => {});
    const writer = new Writer(passage, () => false);
    writer.connect();
    expect([passage.hungry, passage.full]).toEqual([true, false]);
    passage.take(Buffer.from('a'));
    expect([passage.hungry, passage.full]).toEqual([false, true]);
    writer.flush();
    expect([passage.hungry, passage.full]).toEqual([true, false]);
  });

  it('tells the writer when the reader breaks off, also a writer that comes later', () => {
    const early = new Passage(2, () => {});
    const first = new Writer(early, () => true);
    first.connect();
    early.take(Buffer.from('a'));
    early.breakByReader(new Error('gone'));
    expect(first.failure?.message).toBe('gone');

    const late = new Passage(2, () => {});
    late.breakByReader(new Error('gone'));
    const second = new Writer(late, () => true);
    second.connect();
    expect(second.failure).toBeInstanceOf(Error);
    expect([early.brokenBy, late.brokenBy]).toEqual(['reader', 'reader']);
  });

  it('stops the reader when the writer breaks off, also a reader that comes later', () => {
    const early = new Passage(2, () => {});
    const first = new Reader(early, []);
    early.breakByWriter();
    const late = new Passage(2, () => {});
    late.breakByWriter();
    const second = new Reader(late, []);
    expect([first.stopped, second.stopped]).toEqual([true, true]);
    expect(early.take(Buffer.from('a'))).toBe(true);
  });

  it('is not broken by a reader that has brought everything', () => {
    const passage = new Passage(1, () => {});
    const writer = new Writer(passage, () => false);
    writer.connect();
    passage.take(Buffer.from('a'));
    passage.breakByReader(new Error('the connection was closed after the answer'));
    expect(writer.failure).toBeUndefined();
    writer.flush();
    expect(Buffer.concat(writer.sent).toString()).toBe('a');
    expect(passage.brokenBy).toBeUndefined();
  });
});

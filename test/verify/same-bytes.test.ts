import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SameBytes } from '../../src/verify/same-bytes.ts';
import type { Passage } from '../../src/wire/passage.ts';

/** One side's content, brought as a connection does: not before the last piece is done with. */
class Sender {
  readonly #pieces: Buffer[];
  readonly #passage: Passage;
  #held = false;
  stopped = false;

  constructor(passage: Passage, pieces: readonly Buffer[]) {
    this.#passage = passage;
    this.#pieces = [...pieces];
    passage.connectReader({
      resume: () => {
        this.#held = false;
      },
      stop: () => {
        this.stopped = true;
      },
    });
  }

  get canSend(): boolean {
    return !this.#held && !this.stopped && this.#pieces.length > 0;
  }

  send(): void {
    // Set first: the other side's piece may set it free at once.
    this.#held = true;
    if (this.#passage.take(this.#pieces.shift() as Buffer)) this.#held = false;
  }
}

/** Cuts the content into pieces of these lengths, over and over. */
function cut(content: Buffer, lengths: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0, i = 0; at < content.length; i++) {
    const end = at + (lengths[i % lengths.length] as number);
    pieces.push(content.subarray(at, end));
    at = end;
  }
  return pieces;
}

const lengths = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 });

it('finds the first byte that differs, however both contents come, and ends both there', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 60 }),
      lengths,
      lengths,
      fc.option(fc.nat(59), { nil: undefined }),
      fc.infiniteStream(fc.boolean()),
      (content, aLengths, bLengths, place, turns) => {
        const first = Buffer.from(content);
        const second = Buffer.from(content);
        const differsAt = place === undefined ? undefined : place % first.length;
        if (differsAt !== undefined) second[differsAt] = (second[differsAt] as number) ^ 0x80;
        let told = 0;
        const same = new SameBytes((bytes) => {
          told += bytes;
        });
        const senders = [
          new Sender(same.passage(0, first.length), cut(first, aLengths)),
          new Sender(same.passage(1, second.length), cut(second, bLengths)),
        ] as const;
        while (senders.some(({ canSend }) => canSend)) {
          const [preferred, other] = turns.next().value === true ? senders : senders.toReversed();
          (preferred?.canSend ? preferred : other)?.send();
        }
        expect(same.differs).toBe(differsAt !== undefined);
        expect(same.compared).toBe(differsAt ?? first.length);
        expect(told).toBeLessThanOrEqual(same.compared);
        expect(senders.map(({ stopped }) => stopped)).toEqual([same.differs, same.differs]);
      },
    ),
  );
});

it('lets go of one side when the other one breaks off', () => {
  const same = new SameBytes(() => {});
  const broken = same.passage(0, 10);
  const other = new Sender(same.passage(1, 10), [Buffer.alloc(4)]);
  other.send();
  broken.breakByReader(new Error('reset'));
  expect(other.stopped).toBe(true);
  expect(same.differs).toBe(false);
});

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PartBuffers } from '../../../src/transfer/parts/part-buffers.ts';

const MIB = 1024 ** 2;

let buffers: PartBuffers;
beforeEach(() => {
  vi.useFakeTimers();
  buffers = new PartBuffers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Takes as many at once, and gives them back. */
function use(count: number, bytes: number): ArrayBufferLike[] {
  const parts = Array.from({ length: count }, () => buffers.take(bytes));
  for (const part of parts) buffers.giveBack(part);
  return parts.map(({ buffer }) => buffer);
}

describe('part buffers', () => {
  it('are as long as was asked for, and never the same memory twice at once', () => {
    const [one, other] = [buffers.take(10), buffers.take(10)];
    one.fill(1);
    other.fill(2);
    expect([one.length, other.length]).toEqual([10, 10]);
    expect(one.every((byte) => byte === 1)).toBe(true);
  });

  it.each([2 * MIB, MIB + 1])(
    'are used again for a part of %i bytes after one of 2 MiB',
    (bytes) => {
      const [used] = use(1, 2 * MIB);
      const part = buffers.take(bytes);
      expect(part.length).toBe(bytes);
      expect(part.buffer).toBe(used);
    },
  );

  it.each([MIB, 2 * MIB + 1])('of 2 MiB are not used for a part of %i bytes', (bytes) => {
    const [used] = use(1, 2 * MIB);
    expect(buffers.take(bytes).buffer).not.toBe(used);
  });

  it('are never more in all than were out at once: those not used for longest are let go', () => {
    const [first, second] = use(2, 2 * MIB);
    buffers.take(3 * MIB);
    // Of 4 MiB only one is left beside the 3: no buffer of 2 MiB fits.
    expect([first, second]).not.toContain(buffers.take(2 * MIB).buffer);
  });

  it('are kept beside others as long as there is room', () => {
    const [, second] = use(2, 2 * MIB);
    buffers.take(MIB);
    expect(buffers.take(2 * MIB).buffer).toBe(second);
  });

  it('are let go when none is in use for a while', () => {
    const used = use(2, MIB);
    vi.runAllTimers();
    expect(used).not.toContain(buffers.take(MIB).buffer);
  });

  it('are kept while one is in use, however long', () => {
    buffers.take(MIB);
    const used = use(1, 2 * MIB);
    vi.runAllTimers();
    expect(used).toContain(buffers.take(2 * MIB).buffer);
  });
});

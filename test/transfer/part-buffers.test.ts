import { describe, expect, it } from 'vitest';
import { PartBuffers } from '../../src/transfer/part-buffers.ts';

describe('part buffers', () => {
  it('are as long as was asked for, and never the same memory twice at once', () => {
    const buffers = new PartBuffers();
    const [one, other] = [buffers.take(10), buffers.take(10)];
    one.fill(1);
    other.fill(2);
    expect([one.length, other.length]).toEqual([10, 10]);
    expect(one.every((byte) => byte === 1)).toBe(true);
  });

  it('are used again, also for a shorter part', () => {
    const buffers = new PartBuffers();
    const part = buffers.take(10);
    buffers.giveBack(part);
    const last = buffers.take(4);
    expect(last.length).toBe(4);
    expect(last.buffer).toBe(part.buffer);
    buffers.giveBack(last);
    expect(buffers.take(10).buffer).toBe(part.buffer);
  });

  it('that are too short are let go', () => {
    const buffers = new PartBuffers();
    const part = buffers.take(4);
    buffers.giveBack(part);
    expect(buffers.take(10).length).toBe(10);
    expect(buffers.take(4).buffer).not.toBe(part.buffer);
  });
});

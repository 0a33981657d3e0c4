import { describe, expect, it } from 'vitest';
import { PageRoom } from '../../src/record/page-room.ts';

const never = new AbortController().signal;

describe('PageRoom', () => {
  it('lets pages in while less than the limit is taken', async () => {
    const room = new PageRoom(100);
    await room.enter(never);
    room.take(99);
    await room.enter(never);
    expect(room.files).toBe(1);
    expect(room.bytes).toBe(99);
  });

  it('lets the next page in when a page that is written gives disk back', async () => {
    const room = new PageRoom(100);
    const order: string[] = [];
    for (let page = 0; page < 3; page++) await room.enter(never);
    room.take(60);
    room.leave();
    room.take(60);
    const waiting = room.enter(never).then(() => order.push('entered'));
    room.leave();
    await Promise.resolve();
    order.push('page written, nothing given back');
    room.giveBack(60);
    room.leave();
    await waiting;
    expect(order).toEqual(['page written, nothing given back', 'entered']);
  });

  it('lets a page in over the limit when none is under way: it may be the one all wait for', async () => {
    const room = new PageRoom(100);
    room.take(1000);
    await room.enter(never);
    const second = room.enter(never);
    room.leave();
    await second;
  });

  it('stops waiting when the signal is aborted, with its reason', async () => {
    const room = new PageRoom(100);
    room.take(1000);
    await room.enter(never);
    const stop = new AbortController();
    const waiting = room.enter(stop.signal);
    stop.abort(new Error('interrupted'));
    await expect(waiting).rejects.toThrow('interrupted');
  });
});

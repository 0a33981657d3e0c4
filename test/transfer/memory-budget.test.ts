/**
 * The memory budget: never exceeded, first come first served, nobody forgotten.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MemoryBudget } from '../../src/transfer/memory-budget.ts';

it('gives room at once while there is some', () => {
  const budget = new MemoryBudget(10);
  expect(budget.take(4)).toBeUndefined();
  expect(budget.take(6)).toBeUndefined();
  expect(budget.take(1)).toBeInstanceOf(Promise);
});

it('lets nobody past who waits for more', async () => {
  const budget = new MemoryBudget(10);
  const order: string[] = [];
  void budget.take(8);
  const large = budget.take(9)?.then(() => order.push('large'));
  const small = budget.take(1)?.then(() => order.push('small'));
  budget.release(8);
  await Promise.all([large, small]);
  expect(order).toEqual(['large', 'small']);
});

it('lets in alone what is larger than all of it', async () => {
  const budget = new MemoryBudget(10);
  expect(budget.take(11)).toBeUndefined();
  const next = budget.take(1);
  expect(next).toBeInstanceOf(Promise);
  budget.release(11);
  await next;
});

it('is never exceeded but by a single one, and admits everyone in the order of asking', async () => {
  const sizes = fc.array(fc.nat({ max: 15 }), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(sizes, fc.infiniteStream(fc.nat()), async (wanted, choices) => {
      const total = 10;
      const budget = new MemoryBudget(total);
      const admitted: number[] = [];
      const holding: number[] = [];
      const admit = (index: number): void => {
        admitted.push(index);
        holding.push(wanted[index] as number);
        const held = holding.reduce((sum, bytes) => sum + bytes, 0);
        const owners = holding.filter((bytes) => bytes > 0).length;
        expect(held <= total || owners === 1).toBe(true);
      };
      for (const [index, bytes] of wanted.entries()) {
        const room = budget.take(bytes);
        if (room === undefined) admit(index);
        else void room.then(() => admit(index));
      }
      while (holding.length > 0) {
        const chosen = choices.next().value % holding.length;
        const [bytes] = holding.splice(chosen, 1);
        budget.release(bytes as number);
        await Promise.resolve();
        await Promise.resolve();
      }
      expect(admitted).toEqual([...wanted.keys()]);
    }),
  );
});

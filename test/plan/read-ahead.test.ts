import { expect, it } from 'vitest';
import { readAhead } from '../../src/plan/read-ahead.ts';

/** A source that tells what is asked of it. */
function observed(items: readonly (number | Error)[]) {
  const seen: string[] = [];
  async function* source() {
    try {
      for (const item of items) {
        seen.push(`asked for ${String(item)}`);
        if (item instanceof Error) throw item;
        yield item;
      }
    } finally {
      seen.push('closed');
    }
  }
  return { seen, source: source() };
}

it('asks for one item more than its consumer has', async () => {
  const { seen, source } = observed([1, 2, 3]);
  const ahead = readAhead(source);

  expect(seen).toEqual([]);
  expect((await ahead.next()).value).toBe(1);
  expect(seen).toEqual(['asked for 1', 'asked for 2']);
  expect((await ahead.next()).value).toBe(2);
  expect(seen).toEqual(['asked for 1', 'asked for 2', 'asked for 3']);
});

it('yields what came before an error, then throws it', async () => {
  const { seen, source } = observed([1, new Error('broken')]);
  const ahead = readAhead(source);

  expect((await ahead.next()).value).toBe(1);
  await expect(ahead.next()).rejects.toThrow('broken');
  expect(seen.at(-1)).toBe('closed');
});

it('closes its source when let go early, and swallows what it had asked for', async () => {
  const { seen, source } = observed([1, new Error('never awaited')]);

  for await (const item of readAhead(source)) {
    expect(item).toBe(1);
    break;
  }
  expect(seen.at(-1)).toBe('closed');
});

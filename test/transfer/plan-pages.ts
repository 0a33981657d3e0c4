/**
 * Plan pages, and outcome pages put together again.
 */

import type { Decision, OutcomePage, PlanPage } from '../../src/domain.ts';
import { BEFORE_ALL, type ObjectKey } from '../../src/object-key.ts';

export type Decided = readonly [key: ObjectKey, decision: Decision];

/** Chained pages; a page without keys ends where it begins. */
export function planPages(
  pages: readonly (readonly Decided[])[],
  after: ObjectKey = BEFORE_ALL,
): PlanPage[] {
  return pages.map((decided) => {
    const page = planPage(decided, after);
    after = page.last;
    return page;
  });
}

export function planPage(decided: readonly Decided[], after: ObjectKey = BEFORE_ALL): PlanPage {
  const keys = decided.map(([key]) => key);
  const decisions = Uint8Array.from(decided, ([, decision]) => decision);
  return { after, last: keys.at(-1) ?? after, keys, decisions, listBytes: 0 };
}

export const inKeyOrder = (pages: readonly OutcomePage[]): OutcomePage[] =>
  pages.toSorted((a, b) => Number(a.after > b.after) - Number(a.after < b.after));

export async function* stream<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items;
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** A promise and what fulfils it. */
export function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/**
 * `--first N`: a plan cut after so many transfers.
 */
import { Decision, type PlanPage } from '../domain.ts';

/** Passes pages on until `first` keys are to be transferred; the last page ends with the last of these keys. */
export async function* firstTransfers(
  pages: AsyncIterable<PlanPage>,
  first: number,
): AsyncGenerator<PlanPage, void, undefined> {
  let left = first;
  for await (const page of pages) {
    const end = endOf(page, left);
    if (end.index < page.keys.length) {
      yield cut(page, end.index);
      return;
    }
    left -= end.transfers;
    yield page;
    if (left === 0) return;
  }
}

/** Where the page ends that has `most` transfers at most, and how many it has. */
function endOf({ decisions }: PlanPage, most: number): { index: number; transfers: number } {
  let transfers = 0;
  let index = 0;
  for (; index < decisions.length && transfers < most; index++) {
    if (decisions[index] === Decision.transfer) transfers++;
  }
  return { index, transfers };
}

function cut(page: PlanPage, length: number): PlanPage {
  const keys = page.keys.slice(0, length);
  return {
    ...page,
    keys,
    last: keys.at(-1) ?? page.after,
    decisions: page.decisions.slice(0, length),
  };
}

/**
 * What to do about every key of the source list: a merge join with the destination list.
 *
 * Both lists are read ahead by one page while the plan is made and while its consumer works; pulling
 * is the backpressure. Nothing that grows with the number of keys is held. The lists are trusted to
 * be ascending: src/lists verifies every line.
 */
import { type Counters, Decision, type DoneRange, type KeyPage, type PlanPage } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';
import { DestinationKeys } from './destination-keys.ts';
import { firstTransfers } from './first-transfers.ts';
import { PageChain } from './page-chain.ts';
import { readAhead } from './read-ahead.ts';
import type { Shard } from './shard.ts';

export interface PlanOptions {
  /** Ascending keys, all after `after`. A page without keys only moves `listBytes`. */
  readonly source: AsyncIterable<KeyPage>;
  /** Ascending keys; those up to `after` may be left out. */
  readonly destination: AsyncIterable<KeyPage>;
  /** This host's keys; undefined for all. */
  readonly owns: Shard | undefined;
  /** Where the plan begins: the `after` of its first page. */
  readonly after: ObjectKey;
  /** Ascending and disjoint; they may touch each other, and lie before `after` or beyond the lists. */
  readonly doneRanges: readonly DoneRange[];
  /** `objects`, `ignored`, `exists`, `done` and `listBytes` are moved on as each page is yielded. */
  readonly counters: Counters;
  /** Plan so many transfers at most, and nothing after the last of them; undefined for all. */
  readonly first?: number | undefined;
  /** Once aborted, the plan ends with the page it has yielded last, and without an error. */
  readonly signal?: AbortSignal;
}

/**
 * Plans the migration page by page, in key order. Both lists are closed when it ends or is let go.
 *
 * @throws what the lists throw, after the plan of the source's pages before that
 */
export async function* plan(options: PlanOptions): AsyncGenerator<PlanPage, void, undefined> {
  const { counters, signal, first } = options;
  const pages = first === undefined ? pagesOf(options) : firstTransfers(pagesOf(options), first);
  try {
    for await (const page of pages) {
      if (signal?.aborted === true) return;
      count(page, counters);
      yield page;
    }
  } catch (error) {
    // An aborted list throws, so that its end is not taken for the end of the keys.
    if (signal?.aborted !== true) throw error;
  }
}

async function* pagesOf(options: PlanOptions): AsyncGenerator<PlanPage, void, undefined> {
  const { source, owns, counters } = options;
  const destination = new DestinationKeys(options.destination);
  const chain = new PageChain(options.after, options.doneRanges);
  try {
    for await (const { keys, listBytes } of readAhead(source)) {
      const decisions = decidedByShard(keys, owns);
      await destination.mark(keys, decisions);
      yield* chain.pagesOf({ keys, decisions, listBytes });
      counters.listBytes = listBytes;
    }
    yield* chain.rest();
  } finally {
    await destination.close();
  }
}

/** `ignored` for the keys of other shards, `transfer` for ours. */
function decidedByShard(keys: readonly ObjectKey[], owns: Shard | undefined): Uint8Array {
  const decisions = new Uint8Array(keys.length).fill(Decision.transfer);
  if (owns === undefined) return decisions;
  for (let i = 0; i < keys.length; i++) {
    if (!owns.owns(keys[i] as ObjectKey)) decisions[i] = Decision.ignored;
  }
  return decisions;
}

function count(page: PlanPage, counters: Counters): void {
  const states = [0, 0, 0, 0];
  for (const decision of page.decisions) states[decision] = (states[decision] ?? 0) + 1;
  const [ignored = 0, exists = 0, , done = 0] = states;
  counters.objects += page.keys.length - done;
  counters.ignored += ignored;
  counters.exists += exists;
  counters.done += done;
  counters.listBytes = page.listBytes;
}

/**
 * The keys of both sides' lists as one: ascending, each key once.
 *
 * Holds one page of each list. Nothing is taken from the lists but the keys: whether an object is there,
 * and what it is, only its store can tell.
 */
import type { KeyPage } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';

/**
 * Merges two lists. Both are closed when it ends or is let go.
 *
 * @throws what the lists throw
 */
export async function* mergedLists(
  first: AsyncIterable<KeyPage>,
  second: AsyncIterable<KeyPage>,
): AsyncGenerator<KeyPage, void, undefined> {
  const a = new ListCursor(first);
  const b = new ListCursor(second);
  try {
    for (;;) {
      await Promise.all([a.fill(), b.fill()]);
      const keys = mergedUpToTheShorter(a, b);
      if (keys.length === 0) return;
      yield { keys, listBytes: a.listBytes + b.listBytes };
    }
  } finally {
    await Promise.all([a.close(), b.close()]);
  }
}

/** Where a list is read. */
class ListCursor {
  readonly #pages: AsyncIterator<KeyPage>;
  keys: readonly ObjectKey[] = [];
  at = 0;
  listBytes = 0;
  ended = false;

  constructor(pages: AsyncIterable<KeyPage>) {
    this.#pages = pages[Symbol.asyncIterator]();
  }

  /** Makes sure that there is a key to take, unless the list has ended. */
  async fill(): Promise<void> {
    while (this.at === this.keys.length && !this.ended) {
      const { done, value } = await this.#pages.next();
      if (done === true) {
        this.ended = true;
        return;
      }
      this.keys = value.keys;
      this.at = 0;
      this.listBytes = value.listBytes;
    }
  }

  /** Takes the rest of the page. */
  takeRest(): readonly ObjectKey[] {
    const rest = this.at === 0 ? this.keys : this.keys.slice(this.at);
    this.at = this.keys.length;
    return rest;
  }

  async close(): Promise<void> {
    await this.#pages.return?.();
  }
}

/** Takes keys until one of the pages is used up: what comes next in its list is not known yet. */
function mergedUpToTheShorter(a: ListCursor, b: ListCursor): readonly ObjectKey[] {
  if (b.ended) return a.takeRest();
  if (a.ended) return b.takeRest();
  const merged: ObjectKey[] = [];
  while (a.at < a.keys.length && b.at < b.keys.length) {
    const fromA = a.keys[a.at] as ObjectKey;
    const fromB = b.keys[b.at] as ObjectKey;
    if (fromA <= fromB) a.at++;
    if (fromB <= fromA) b.at++;
    merged.push(fromA < fromB ? fromA : fromB);
  }
  return merged;
}

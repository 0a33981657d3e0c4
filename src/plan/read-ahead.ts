/** Keeps a source busy while its consumer works. */

/**
 * Yields what `source` yields, having asked for the next item before the consumer does.
 *
 * One item more than the consumer has is held. What the source throws is thrown when its turn comes.
 * Let go of early, it closes the source, after the item it has asked for.
 */
export async function* readAhead<T>(source: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
  const iterator = source[Symbol.asyncIterator]();
  const ask = () => {
    const asked = iterator.next();
    // It is awaited below, but maybe long after it failed.
    asked.catch(() => {});
    return asked;
  };
  try {
    for (let asked = ask(); ; ) {
      const { done, value } = await asked;
      if (done === true) return;
      asked = ask();
      yield value;
    }
  } finally {
    await iterator.return?.();
  }
}

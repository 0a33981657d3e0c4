/**
 * The pool that bounds what one thread copies: whatever the moment in which it is told to begin nothing
 * more, it comes to rest.
 */
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { newCounters } from '../../src/domain.ts';
import { retryPolicy } from '../../src/load/retry.ts';
import { keyFromText } from '../../src/object-key.ts';
import { type ObjectStore, StoreError, type StoreErrorKind } from '../../src/s3/object-store.ts';
import { DEFAULT_POLICY } from '../../src/transfer/copy-policy.ts';
import { CopyPool } from '../../src/transfer/copy-pool.ts';
import { UploadNotes } from './upload-notes.ts';

const answer = (kind: StoreErrorKind): StoreError =>
  new StoreError(kind, { kind, code: kind, status: 404, mayHaveLanded: false });

/** A source that has nothing; for `fatal` not even its bucket, told so many turns of the microtask queue later. */
function emptySource(turns: number): ObjectStore {
  const get: ObjectStore['get'] = async (key) => {
    if (key !== 'fatal') throw answer('not-found');
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    throw answer('no-such-bucket');
  };
  return { get } as ObjectStore;
}

describe('a pool in which one object tells that all would fail', () => {
  it.each(Array.from({ length: 60 }, (_, turns) => turns))(
    'comes to rest, be it told while another place is taken over (%i turns later)',
    async (turns) => {
      const source = emptySource(turns);
      const pool = new CopyPool({
        source,
        destination: source,
        counters: newCounters(),
        threads: 2,
        threadsMin: 1,
        maxOutageMs: 0,
        memoryBytes: 1024,
        multipartThresholdBytes: 1024,
        partBytes: undefined,
        policy: DEFAULT_POLICY,
        uploads: new UploadNotes(),
        retry: retryPolicy(new AbortController().signal),
        warn: () => {},
        now: Date.now,
      });
      const fatal = pool.copy(keyFromText('fatal'));
      for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) {
        pool.copy(keyFromText(name)).catch(() => {});
      }
      await expect(fatal).rejects.toMatchObject({ name: 'MigrateError', exitCode: 3 });
      await expect(pool.copy(keyFromText('too late'))).rejects.toMatchObject({ name: 'RunEnding' });
      await setImmediate();
      expect(pool.waiting).toBe(0);
      expect(pool.idle).toBe(true);
    },
  );
});

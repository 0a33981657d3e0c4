/**
 * `--recheck-source`: after the write, a look whether the source still has the object.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keyFromText } from '../../src/object-key.ts';
import { type CopyPolicy, DEFAULT_POLICY } from '../../src/transfer/copy-policy.ts';
import { probedPolicy } from './sound-store.ts';
import { startTwoServers, type TwoServers } from './two-servers.ts';

let servers: TwoServers;
beforeEach(async () => {
  servers = await startTwoServers();
  servers.source.bucket.put(lake, { body: Buffer.from('water') });
});
afterEach(() => servers.close());

const lake = keyFromText('photos/lake.jpg');
const RECHECK = { recheckSource: true };
const knownTo = (kind: 'honoured' | 'ignored'): CopyPolicy =>
  probedPolicy(
    { deleteCondition: kind === 'honoured' ? { kind, status: 412 } : { kind } },
    RECHECK,
  );
const unprobed: CopyPolicy = { ...DEFAULT_POLICY, ...RECHECK };

const copy = (policy: CopyPolicy = unprobed) => servers.copy(lake, { policy, now: Date.now });

/** A client deletes the object at the source while its copy is written. */
const deleteMeanwhile = () =>
  servers.destination.script.on('PUT').before(() => servers.source.bucket.delete(lake));

it('leaves a copy alone whose object is still there, also as another version', async () => {
  servers.destination.script
    .on('PUT')
    .before(() => servers.source.bucket.put(lake, { body: Buffer.from('more water') }));
  expect(await copy()).toMatchObject({ kind: 'copied' });
  expect(servers.source.script.count('HEAD')).toBe(1);
});

it('is not made unless it is asked for', async () => {
  deleteMeanwhile();
  expect(await copy(DEFAULT_POLICY)).toMatchObject({ kind: 'copied' });
  expect(servers.source.script.count('HEAD')).toBe(0);
});

describe('an object deleted during its copy', () => {
  it.each([undefined, 'honoured', 'ignored'] as const)(
    'is removed again (conditional DELETE: %s)',
    async (kind) => {
      deleteMeanwhile();
      expect(await copy(kind === undefined ? unprobed : knownTo(kind))).toEqual({
        kind: 'skipped-download',
        key: lake,
        detail: 'deleted-during-copy',
      });
      expect(servers.destination.bucket.get(lake)).toBeUndefined();
      // Only a removal that cannot be sure of itself is worth a line.
      expect(servers.warnings).toHaveLength(kind === 'honoured' ? 0 : 1);
    },
  );

  it.each(['honoured', 'ignored'] as const)(
    'is not removed when another client has written it anew (conditional DELETE: %s)',
    async (kind) => {
      deleteMeanwhile();
      servers.source.script
        .on('HEAD')
        .before(() => servers.destination.bucket.put(lake, { body: Buffer.from('theirs') }));
      expect(await copy(knownTo(kind))).toMatchObject({
        kind: 'skipped-download',
        detail: 'deleted-during-copy',
      });
      expect(servers.destination.bucket.get(lake)?.body.toString()).toBe('theirs');
    },
  );

  it('has failed when it cannot be removed', async () => {
    deleteMeanwhile();
    servers.destination.script.on('DELETE').status(403, { code: 'AccessDenied' });
    expect(await copy(knownTo('honoured'))).toMatchObject({
      kind: 'failed',
      failure: { code: 'deleted-during-copy', side: 'destination' },
    });
  });
});

it('keeps a copy, with a warning, when the source cannot be asked', async () => {
  servers.source.script.on('HEAD').status(403, { code: 'AccessDenied' });
  expect(await copy()).toMatchObject({ kind: 'copied' });
  expect(servers.warnings).toEqual([expect.stringContaining('photos/lake.jpg is copied')]);
});

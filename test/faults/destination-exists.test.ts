/**
 * T1: the destination has the key already. What is there stays, and the source is not read for nothing.
 */
import { expect, it } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { prepareMigration } from '../cli/migration.ts';
import {
  type Fate,
  KINDS,
  type Kind,
  objectOf,
  ofKinds,
  skipped,
  THEIRS,
  testTogether,
  type Variant,
} from './destination-scene.ts';
import { Invariants } from './invariants.ts';

const MIB = 1024 ** 2;
const ROW = 'T1';

/** The other client has written what the source has. */
const sameThere = (detail: string): Fate => ({
  logged: `skipped-upload, ${detail}`,
  there: 'ours',
});
/** The ETag of what came by one PUT cannot be compared with that of an object of parts. */
const sameLength = (kind: Kind, otherwise: string): string =>
  kind === 'parts' ? 'exists-same-length' : otherwise;

const THERE: readonly Variant[] = [
  ...ofKinds(KINDS, (kind) => ({
    row: ROW,
    fault: 'another object is there',
    given: ({ othersWrite }) => othersWrite(),
    fate: skipped('exists-differs'),
    // Of a large object not a part is sent.
    asked: kind === 'parts' ? { CreateMultipartUpload: 0, UploadPart: 0 } : { PutObject: 1 },
  })),
  ...ofKinds(KINDS, (kind) => ({
    row: ROW,
    fault: 'the same object is there',
    given: ({ key, othersWrite }) => othersWrite(objectOf(kind, key).body),
    fate: sameThere(sameLength(kind, 'exists-same')),
  })),
  ...ofKinds(KINDS, (kind) => ({
    row: ROW,
    fault: 'one of the same length is there',
    given: ({ key, othersWrite }) =>
      othersWrite(Buffer.alloc(objectOf(kind, key).body.length, 'other')),
    fate: skipped(sameLength(kind, 'exists-differs')),
  })),
  ...ofKinds(KINDS, () => ({
    row: ROW,
    fault: 'another comes while it is written',
    given: ({ script, making, key, othersWrite }) => {
      script.on(making, key).before(() => othersWrite());
    },
    fate: skipped('exists-differs'),
  })),
  ...ofKinds(KINDS, () => ({
    row: ROW,
    fault: 'an object is there that may not be looked at',
    given: ({ script, key, othersWrite }) => {
      othersWrite();
      script.on('HEAD', key).status(403);
    },
    fate: skipped('exists'),
  })),
  ...ofKinds(KINDS, () => ({
    row: ROW,
    fault: 'another comes, and looking at it fails once',
    given: ({ script, making, key, othersWrite }) => {
      script.on(making, key).before(() => {
        othersWrite();
        script.on('HEAD', key).status(500).times(1);
      });
    },
    fate: skipped('exists'),
  })),
  ...ofKinds(KINDS, () => ({
    row: ROW,
    fault: 'the 412 has no document',
    given: ({ script, making, key, othersWrite }) => {
      const withoutBody = { headers: {}, body: Buffer.alloc(0) };
      script
        .on(making, key)
        .alter((answer) => ({ ...answer, ...withoutBody }))
        .before(() => othersWrite());
    },
    fate: skipped('exists-differs'),
  })),
];

for (const cores of [1, 2]) testTogether(`--cores ${cores}`, THERE, { flags: { cores } });

testTogether(
  '--no-skip-detail',
  ofKinds(KINDS, (kind) => ({
    row: ROW,
    fault: 'another object is there',
    given: ({ othersWrite }) => othersWrite(),
    fate: skipped(kind === 'parts' ? 'exists-differs' : 'exists'),
  })),
  { flags: { 'no-skip-detail': true } },
);

/** More than the buffers of the kernels take. */
const LARGE = Buffer.alloc(32 * MIB, 'a film of the harbour');

it.each(['drain', 'reset'] as const)(
  'T1: through: the 412 comes before the content is read, and the source is let go (%s)',
  async (unread) => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    source.put('film', LARGE);
    await migration.listKeys();
    destination.put('film', THEIRS);
    const invariants = new Invariants(migration);
    destination.script.on('PutObject').status(412, { code: 'PreconditionFailed', unread });

    const { exitCode, stderr } = await migration.run();

    expect(exitCode).toBe(0);
    expect(stderr).toContain('skip 1 (dn 0, up 1)');
    expect(stderr).toContain('download  0 objects, ');
    expect(destination.script.count('PutObject')).toBe(1);
    const { migrate } = await invariants.expectComplete();
    expect(migrate).toMatchObject([{ outcome: 'skipped-upload', detail: 'exists-differs' }]);
    expect(destination.bucket.get('film' as ObjectKey)?.body.toString()).toBe(THEIRS);
  },
);

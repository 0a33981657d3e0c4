/**
 * T9 and T19: what the destination has acknowledged is not there any more, or is not what was sent. `--verify` looks
 * after each write; without it nothing is noticed before `s3migrate verify`.
 */
import { expect, test } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { prepareMigration } from '../cli/migration.ts';
import { Verification } from '../cli/verification.ts';
import type { FaultRule } from '../support/fault-script.ts';
import {
  copied,
  failed,
  KINDS,
  type Kind,
  objectOf,
  ofKinds,
  PROOF,
  type Spot,
  THEIRS,
  testTogether,
  type Variant,
} from './destination-scene.ts';
import { Invariants } from './invariants.ts';

/** Acknowledged, and gone. */
const losing = ({ script, making, key, destination }: Spot): FaultRule =>
  script.on(making, key).after(() => destination.bucket.delete(key as ObjectKey));

/** Acknowledged, and shown with the right ETag, but only half of it is there. */
const halving = ({ script, making, key, destination: { bucket } }: Spot): FaultRule =>
  script.on(making, key).after(() => {
    const object = bucket.get(key as ObjectKey);
    if (object === undefined) return;
    const { body, etag } = object;
    bucket.put(key as ObjectKey, { body: body.subarray(0, body.length / 2), etag });
  });

/** HEAD for the key, from when it has been written. */
const headAfter = ({ script, making, key }: Spot, fail: (rule: FaultRule) => void): FaultRule =>
  script
    .on(making, key)
    .after(() => fail(script.on('HEAD', key)))
    .times(1);

/** A large object is looked for before it is sent. */
const looks = (kind: Kind, after: number): Readonly<Record<string, number>> => ({
  HeadObject: after + (kind === 'parts' ? 1 : 0),
});

const T9: readonly Variant[] = [
  ...ofKinds(KINDS, (kind) => ({
    row: 'T9',
    fault: 'none',
    given: () => undefined,
    fate: copied(PROOF[kind]),
    asked: looks(kind, 1),
  })),
  ...ofKinds(KINDS, (kind) => ({
    row: 'T9',
    fault: 'acknowledged and not there, once',
    given: (spot) => void losing(spot).times(1),
    fate: copied(PROOF[kind]),
  })),
  ...ofKinds(KINDS, () => ({
    row: 'T9',
    fault: 'acknowledged and not there, each time',
    given: (spot) => void losing(spot),
    fate: failed('not-kept', 200, 2),
  })),
  ...ofKinds(KINDS, (kind) => ({
    row: 'T9',
    fault: 'acknowledged and short, once',
    given: (spot) => void halving(spot).times(1),
    fate: copied(PROOF[kind]),
  })),
  ...ofKinds(KINDS, () => ({
    row: 'T9',
    fault: 'acknowledged and short, each time',
    given: (spot) => void halving(spot),
    fate: failed('short', 200, 2),
  })),
  ...ofKinds(KINDS, () => ({
    row: 'T9',
    fault: 'acknowledged, and another object is there',
    given: (spot) =>
      void spot.script
        .on(spot.making, spot.key)
        .after(() => spot.othersWrite())
        .times(1),
    fate: { ...failed('changed-after-copy', 200, 1), there: 'theirs' } as const,
  })),
  ...ofKinds(KINDS, (kind) => ({
    row: 'T9',
    fault: 'looking at it fails twice',
    given: (spot) => void headAfter(spot, (head) => head.status(500).times(2)),
    fate: copied(PROOF[kind]),
    asked: looks(kind, 3),
  })),
  ...ofKinds(KINDS, () => ({
    row: 'T9',
    fault: 'it may not be looked at',
    given: (spot) => void headAfter(spot, (head) => head.status(403)),
    fate: { ...failed('HTTP 403', 403, 1), there: 'ours' } as const,
  })),
];

for (const cores of [1, 2]) {
  testTogether(`--verify --cores ${cores}`, T9, { flags: { cores, verify: true } });
}

testTogether(
  'without --verify',
  ofKinds(KINDS, (kind) => ({
    row: 'T9',
    fault: 'nobody looks',
    given: () => undefined,
    fate: copied(PROOF[kind]),
    asked: looks(kind, 0),
  })),
);

test.each([1, 2])(
  'T19: what others delete or overwrite right after the copy stays so, and verify reports it (--cores %i)',
  async (cores) => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    const fates = ['deleted', 'kept', 'overwritten', 'same-length'];
    const keys = fates.flatMap((fate) => KINDS.map((kind) => `${fate}-${kind}`));
    for (const key of keys) {
      const kind = key.split('-').at(-1) as Kind;
      source.bucket.put(key as ObjectKey, objectOf(kind, key));
    }
    await migration.listKeys();
    const invariants = new Invariants(migration);
    const meanwhile = (key: string): void => {
      const name = key as ObjectKey;
      const bytes = source.bucket.get(name)?.body.length ?? 0;
      if (key.startsWith('kept')) return;
      if (key.startsWith('deleted')) destination.bucket.delete(name);
      if (key.startsWith('overwritten')) destination.put(key, THEIRS);
      if (key.startsWith('same-length')) destination.put(key, Buffer.alloc(bytes, 'other'));
      invariants.noteTaken(key);
    };
    for (const operation of ['PutObject', 'CompleteMultipartUpload'] as const) {
      destination.script.on(operation).after(({ request: { key } }) => meanwhile(key));
    }

    expect(await migration.run({ cores })).toMatchObject({ exitCode: 0 });

    const { migrate } = await invariants.expectComplete();
    expect(migrate.map(({ key, outcome }) => [key, outcome])).toEqual(
      keys.toSorted().map((key) => [key, 'copied']),
    );
    const verification = new Verification(migration);
    const folder = migration.path('verified');
    expect(await verification.run({ content: 'all', 'log-folder': folder })).toMatchObject({
      exitCode: 1,
    });
    const told = (await verification.log(folder)).map((line) => line.split(',').slice(0, 3));
    expect(told).toEqual([
      ...KINDS.toSorted().map((kind) => [`deleted-${kind}`, '+', 'missing']),
      ...KINDS.toSorted().map((kind) => [`overwritten-${kind}`, '*', 'size']),
      ...KINDS.toSorted().map((kind) => [`same-length-${kind}`, '*', 'content']),
    ]);
    await invariants.expectComplete();
  },
);

/**
 * T5 and T6: a destination that does not keep to the condition. The probe stops the run before any listed key is
 * written, and says what to do instead.
 */
import { expect, test } from 'vitest';
import { type Migration, prepareMigration } from '../cli/migration.ts';
import {
  answersWith304,
  comparesStarAsEtag,
  ignoresConditionOnComplete,
  ignoresConditions,
  refusesConditions,
  type Scripted,
} from '../support/imitated-stores.ts';
import { KINDS, objectOf, THEIRS } from './destination-scene.ts';
import { Invariants } from './invariants.ts';

interface Case {
  readonly row: string;
  readonly fault: string;
  readonly imitate: (destination: Scripted) => void;
  readonly says: string;
}

function ignoresConditionOnPut({ script }: Scripted): void {
  script.seeProbe().on('PutObject').ignoreConditions();
}

/** Says 200 to whoever finds the key taken, and keeps what is there. */
function acknowledgesWithoutWriting({ script }: Scripted): void {
  script
    .seeProbe()
    .on('PutObject')
    .alter((answer) =>
      answer.status === 412
        ? { status: 200, headers: { etag: '"0123456789abcdef0123456789abcdef"' }, body: NOTHING }
        : answer,
    );
}

const NOTHING = Buffer.alloc(0);

function refusesConditionOnComplete({ script }: Scripted): void {
  script
    .seeProbe()
    .on('CompleteMultipartUpload')
    .where(({ headers }) => headers.has('if-none-match'))
    .status(501, { code: 'NotImplemented' });
}

const CASES: readonly Case[] = [
  {
    row: 'T5',
    fault: 'is ignored by both writes',
    imitate: ignoresConditions,
    says: 'does not honour If-None-Match on PutObject: IGNORED',
  },
  {
    row: 'T5',
    fault: 'is ignored by PutObject',
    imitate: ignoresConditionOnPut,
    says: 'does not honour If-None-Match on PutObject: IGNORED',
  },
  {
    row: 'T5',
    fault: 'is ignored by CompleteMultipartUpload',
    imitate: ignoresConditionOnComplete,
    says: 'does not honour If-None-Match on CompleteMultipartUpload: IGNORED',
  },
  {
    row: 'T5',
    fault: 'is taken for an ETag',
    imitate: comparesStarAsEtag,
    says: 'does not honour If-None-Match on PutObject: IGNORED',
  },
  {
    row: 'T5',
    fault: 'does not hold, and the answer is 200 all the same',
    imitate: acknowledgesWithoutWriting,
    says: 'does not honour If-None-Match on PutObject: IGNORED',
  },
  {
    row: 'T6',
    fault: 'is not implemented (501)',
    imitate: refusesConditions,
    says: 'does not honour If-None-Match on PutObject: not implemented (501)',
  },
  {
    row: 'T6',
    fault: 'is not implemented by CompleteMultipartUpload (501)',
    imitate: refusesConditionOnComplete,
    says: 'does not honour If-None-Match on CompleteMultipartUpload: not implemented (501)',
  },
  {
    row: 'T6',
    fault: 'is answered with 304',
    imitate: answersWith304,
    says: 'does not honour If-None-Match on PutObject: not known: answered with 304',
  },
];

/** An object of each kind, and each once more where the destination has another one at its key. */
async function given(
  imitate: (destination: Scripted) => void,
): Promise<{ migration: Migration; invariants: Invariants }> {
  const migration = await prepareMigration();
  const { source, destination } = migration;
  for (const kind of KINDS) {
    source.bucket.put(`a-${kind}` as never, objectOf(kind, kind));
    source.bucket.put(`taken-${kind}` as never, objectOf(kind, kind));
    destination.put(`taken-${kind}`, THEIRS);
  }
  await migration.listKeys();
  imitate(destination);
  return { migration, invariants: new Invariants(migration) };
}

test.each(CASES)(
  '$row: the condition $fault: the run stops before a listed key is written',
  async ({ imitate, says }) => {
    const { migration, invariants } = await given(imitate);
    const { destination } = migration;

    const { exitCode, stderr } = await migration.run();

    expect(exitCode).toBe(3);
    expect(stderr).toContain(`s3migrate: the destination ${says}`);
    expect(stderr).toContain('No listed key was written. Choices: --if-exists head');
    const listed = new Set<string>(migration.source.bucket.keys());
    expect(destination.script.requests.filter(({ key }) => listed.has(key))).toEqual([]);
    const logs = await invariants.expectSound();
    expect(logs).toEqual({ migrate: [], failed: [] });
    expect(destination.bucket.keys()).toEqual(KINDS.map((kind) => `taken-${kind}`).toSorted());
    expect(destination.bucket.uploads()).toEqual([]);
  },
);

test.each(CASES.filter(({ fault }) => !fault.includes('200')))(
  '$row: the condition $fault: --if-exists head copies, and leaves what is there',
  async ({ imitate }) => {
    const { migration, invariants } = await given(imitate);

    expect(await migration.run({ 'if-exists': 'head' })).toMatchObject({ exitCode: 0 });

    const { migrate } = await invariants.expectComplete();
    expect(migrate.map(({ key, outcome }) => [key, outcome])).toEqual([
      ...KINDS.toSorted().map((kind) => [`a-${kind}`, 'copied']),
      ...KINDS.toSorted().map((kind) => [`taken-${kind}`, 'skipped-upload']),
    ]);
    expect(migration.destination.bucket.uploads()).toEqual([]);
  },
);

test.each([1, 2])(
  'T6: 501 to a listed key stops the run, which then goes on where it was (--cores %i)',
  async (cores) => {
    const { migration, invariants } = await given(() => {});
    const { destination } = migration;
    destination.script.on('PutObject').status(501, { code: 'NotImplemented' });

    const { exitCode, stderr } = await migration.run({ cores });

    expect(exitCode).toBe(3);
    expect(stderr).toContain('the destination does not implement a conditional write');
    await invariants.expectSound();
    destination.script.clear();
    expect(await migration.run({ cores })).toMatchObject({ exitCode: 0 });
    await invariants.expectComplete();
    expect(destination.bucket.uploads()).toEqual([]);
  },
);

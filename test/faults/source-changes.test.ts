/**
 * S11 and S12: clients overwrite or delete an object at the source while it is read. What arrives is one of its
 * versions, never a mixture; what is gone is skipped, and leaves no upload.
 */
import { hash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import type { NewObject } from '../../src/s3-server/bucket.ts';
import { type Migration, prepareMigration } from '../cli/migration.ts';
import type { SeenRequest } from '../support/fault-script.ts';
import { finish } from './finished-run.ts';
import { Invariants } from './invariants.ts';
import { giveObject, OBJECTS, onContent } from './ways.ts';

const MIB = 1024 ** 2;
const IN_PARTS = { partBytes: 5 * MIB };
const FILM = 'film';

/** As long as the object that it takes the place of, so that nothing but its ETag tells them apart. */
const NEWER: NewObject = { ...IN_PARTS, body: Buffer.alloc(OBJECTS.parts.body.length, 'newer') };

async function givenFilm(): Promise<{ migration: Migration; invariants: Invariants }> {
  const migration = await prepareMigration();
  giveObject(migration, FILM, 'parts');
  giveObject(migration, 'sound/small', 'small');
  await migration.listKeys();
  return { migration, invariants: new Invariants(migration) };
}

function overwrite({ source }: Migration, invariants: Invariants, object: NewObject): void {
  source.bucket.put(FILM as ObjectKey, object);
  invariants.noteSource();
}

function digestAt({ destination }: Migration): string | undefined {
  const there = destination.bucket.get(FILM as ObjectKey);
  return there && hash('sha256', there.body);
}

/** A request for the second part of a film. */
function isSecondRange({ headers }: SeenRequest): boolean {
  return headers.get('range')?.startsWith(`bytes=${5 * MIB}-`) === true;
}

describe.each([1, 2])('with --cores %i', (cores) => {
  test('S11: overwritten between two ranges: the newer version arrives, whole', async () => {
    const { migration, invariants } = await givenFilm();
    migration.source.script
      .on('GetObject', FILM)
      .where(isSecondRange)
      .before(() => overwrite(migration, invariants, NEWER))
      .times(1);

    const run = await finish(migration, invariants, { cores, threads: cores });

    expect(run).toMatchObject({ exitCode: 0, outcomes: { [FILM]: 'copied etag-parts' } });
    expect(digestAt(migration)).toBe(hash('sha256', NEWER.body));
  });

  test('S11: overwritten again and again: it fails, and no mixture arrives', async () => {
    const { migration, invariants } = await givenFilm();
    let version = 0;
    migration.source.script
      .on('GetObject', FILM)
      .where(isSecondRange)
      .before(() => {
        version++;
        overwrite(migration, invariants, { ...NEWER, body: Buffer.alloc(6 * MIB, `${version}.`) });
      });

    const run = await finish(migration, invariants, { cores, threads: cores });

    expect(run).toMatchObject({ exitCode: 1, outcomes: { [FILM]: 'failed changed' } });
    expect(digestAt(migration)).toBeUndefined();
    expect(version).toBe(2);
  });

  test.each([
    ['of the same length', OBJECTS.parts.body.length],
    ['a longer one', 7 * MIB],
    ['a shorter one', 2 * MIB],
    ['an empty one', 0],
  ])(
    'S11: overwritten, at a source that ignores If-Match, by %s: one version arrives',
    async (_how, length) => {
      const { migration, invariants } = await givenFilm();
      const newer = { body: Buffer.alloc(length, 'newer') };
      migration.source.script
        .on('GetObject', FILM)
        .where(isSecondRange)
        .before(() => overwrite(migration, invariants, newer))
        .ignoreConditions()
        .times(1);

      const run = await finish(migration, invariants, { cores, threads: cores });

      expect(run).toMatchObject({ exitCode: 0, outcomes: { [FILM]: 'copied md5' } });
      expect(digestAt(migration)).toBe(hash('sha256', newer.body));
    },
  );

  test('S11: overwritten at a source that mixes both versions in one body: the newer one arrives', async () => {
    const { migration, invariants } = await givenFilm();
    const { script } = migration.source;
    for (const key of ['mixed/small', 'mixed/through']) {
      giveObject(migration, key, key === 'mixed/small' ? 'small' : 'through');
      script
        .on('GetObject', key)
        .alter((answer) => {
          const half = answer.body.length / 2;
          const newer = Buffer.alloc(answer.body.length, 'newer');
          migration.source.put(key, newer);
          invariants.noteSource();
          const body = Buffer.concat([answer.body.subarray(0, half), newer.subarray(half)]);
          return { ...answer, body };
        })
        .times(1);
    }
    invariants.noteSource();
    await migration.listKeys();

    const run = await finish(migration, invariants, { cores });

    expect(run.outcomes).toMatchObject({
      'mixed/small': 'copied md5',
      'mixed/through': 'copied md5',
    });
    expect(run.exitCode).toBe(0);
  });

  test('S12: deleted before it is read, or between two ranges: it is skipped, and no upload is left', async () => {
    const { migration, invariants } = await givenFilm();
    const { source, destination } = migration;
    giveObject(migration, 'early', 'parts');
    invariants.noteSource();
    await migration.listKeys();
    source.script.on('GetObject', 'early').before(() => source.bucket.delete('early' as ObjectKey));
    source.script
      .on('GetObject', FILM)
      .where(isSecondRange)
      .before(() => source.bucket.delete(FILM as ObjectKey));

    const run = await finish(migration, invariants, { cores, threads: cores });

    expect(run.exitCode).toBe(0);
    expect(run.outcomes).toMatchObject({
      early: 'skipped-download NoSuchKey',
      [FILM]: 'skipped-download NoSuchKey',
    });
    expect(destination.script.count('AbortMultipartUpload', FILM)).toBe(1);
    expect(digestAt(migration)).toBeUndefined();
  });

  test('S12: deleted while it is asked for a second time: it is skipped', async () => {
    const { migration, invariants } = await givenFilm();
    const { source } = migration;
    giveObject(migration, 'cut', 'through');
    invariants.noteSource();
    await migration.listKeys();
    onContent(migration, 'cut', 'through')
      .after(() => source.bucket.delete('cut' as ObjectKey))
      .truncateAt(500)
      .times(1);

    const run = await finish(migration, invariants, { cores });

    expect(run.exitCode).toBe(0);
    expect(run.outcomes).toMatchObject({ cut: 'skipped-download NoSuchKey' });
    expect(migration.destination.bucket.keys()).toEqual([FILM, 'sound/small']);
  });
});

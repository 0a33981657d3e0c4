/**
 * A whole run to each kind of store that does not do as Amazon S3 does: what the operator is told, what
 * becomes of each object, that nothing newer is overwritten, and that nothing is lost unsaid.
 */
import { describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import {
  aliasesKeys,
  answersWith304,
  comparesStarAsEtag,
  conflictsForTheLoser,
  dropsExpires,
  ignoresConditionOnComplete,
  ignoresConditions,
  ignoresIfMatchOnDelete,
  keepsTruncatedBodies,
  limitsMetadata,
  looksBeforeTheBody,
  makesUpMultipartEtags,
  missesAbsentKeys,
  refusesConditions,
  type Scripted,
  wantsEqualParts,
} from '../support/imitated-stores.ts';
import { type Migration, prepareMigration, type Side } from './migration.ts';

const MIB = 1024 ** 2;
const CLIENTS = 'a newer one, written by a client';
const FILM = Buffer.alloc(12 * MIB, 'a film of the harbour, and another. ');
/** Uneven, as few clients make them. */
const FILM_PARTS = [5 * MIB, 6 * MIB, MIB];

const HEADERS = {
  'content-type': 'text/plain',
  expires: 'Wed, 21 Oct 2065 07:28:00 GMT',
  'x-amz-meta-camera': 'M3',
};

/** Objects of every kind, of which a client has written one at the destination; the lists do not know. */
async function given(imitate: (destination: Scripted) => void): Promise<Migration> {
  const migration = await prepareMigration();
  const { source, destination } = migration;
  source.put('a//note', 'under a key with two slashes');
  source.put('a/note', 'a note', { headers: HEADERS, tags: new Map([['stage', 'raw']]) });
  source.put('a/taken', 'an older one');
  putInParts(source, 'film', FILM_PARTS);
  source.put('photo', Buffer.alloc(MIB, 'a photo. '));
  await migration.listKeys();
  destination.put('a/taken', CLIENTS);
  imitate(destination);
  return migration;
}

/** What becomes of them where nothing is amiss. */
const ALL_WELL = {
  'a//note': 'copied, md5',
  'a/note': 'copied, md5',
  'a/taken': 'skipped-upload, exists-differs',
  film: 'copied, etag-parts',
  photo: 'copied, md5',
};

function putInParts({ bucket }: Side, name: string, lengths: readonly number[]): void {
  const key = name as ObjectKey;
  const id = bucket.createUpload(key, { headers: {}, tags: new Map() });
  const upload = bucket.upload(id, key);
  let at = 0;
  const parts = lengths.map((length, index) => {
    const body = FILM.subarray(at, at + length);
    at += length;
    const { etag } = bucket.putPart(upload, index + 1, { body, checksums: {} });
    return { number: index + 1, etag, checksums: {} };
  });
  bucket.completeUpload(upload, parts);
}

/**
 * The outcome of each key and its detail, as logged.
 *
 * Asserts that the log is true: what is `copied` is at the destination byte for byte, what a client has
 * written there is as it was, and nothing else is there.
 */
async function outcomes(migration: Migration): Promise<Record<string, string>> {
  const lines = (await migration.migrateLog()).map((line) => line.split(','));
  const logged = lines.map(([key = '', outcome, , , detail]): [string, string] => [
    key,
    `${outcome}, ${detail}`,
  ]);
  const { source, destination } = migration;
  const there = logged.flatMap(([key, outcome]) => {
    if (outcome.startsWith('skipped-upload')) return [[key, CLIENTS]];
    return outcome.startsWith('copied') ? [[key, source.contents()[key]]] : [];
  });
  const contents = destination.contents();
  expect(Object.keys(contents)).toEqual(there.map(([key]) => key));
  for (const [key, content] of there) expect(contents[key as string] === content, key).toBe(true);
  expect(destination.bucket.uploads()).toEqual([]);
  return Object.fromEntries(logged);
}

const bodyAt = ({ destination }: Migration, key: string): string | undefined =>
  destination.bucket.get(key as ObjectKey)?.body.toString();

describe.each([
  ['ignores the condition', ignoresConditions, 'PutObject: IGNORED'],
  ['compares * as an ETag', comparesStarAsEtag, 'PutObject: IGNORED'],
  ['answers with 304', answersWith304, 'PutObject: not known: answered with 304'],
  ['answers with 501', refusesConditions, 'PutObject: not implemented (501)'],
  ['misses keys that are free', missesAbsentKeys, 'PutObject: refused (404 NoSuchKey)'],
  [
    'ignores the condition on CompleteMultipartUpload only',
    ignoresConditionOnComplete,
    'CompleteMultipartUpload: IGNORED',
  ],
])('a store that %s', (_, imitate, finding) => {
  it('stops the run before a listed key is written, with the finding and the choices', async () => {
    const migration = await given(imitate);

    const { exitCode, stderr } = await migration.run();

    expect(exitCode).toBe(3);
    expect(stderr).toContain(`the destination does not honour If-None-Match on ${finding}`);
    expect(stderr).toContain('Choices: --if-exists head');
    expect(migration.destination.contents()).toEqual({ 'a/taken': CLIENTS });
  });

  it('is looked at before each write with --if-exists head, and the summary tells the window', async () => {
    const migration = await given(imitate);

    const { exitCode, stderr } = await migration.run({ 'if-exists': 'head' });

    expect(exitCode).toBe(0);
    expect(stderr).toContain('NOTE      --if-exists head');
    expect(await outcomes(migration)).toEqual(ALL_WELL);
  });
});

describe('a store that keeps to the condition on PutObject', () => {
  it('with --if-exists head loses no write of a client between look and PUT, nor during an upload', async () => {
    const migration = await given(ignoresConditionOnComplete);
    const { source, destination } = migration;
    for (const key of ['film', 'photo']) {
      source.script
        .on('GetObject', key)
        // Of an object of parts that is when its upload has begun.
        .where(({ headers }) => key === 'photo' || headers.has('range'))
        .times(1)
        .after(() => destination.put(key, CLIENTS));
    }

    expect(await migration.run({ 'if-exists': 'head' })).toMatchObject({ exitCode: 0 });

    expect(await outcomes(migration)).toEqual({
      ...ALL_WELL,
      film: 'skipped-upload, exists-differs',
      photo: 'skipped-upload, exists-differs',
    });
  });
});

describe('a store that answers the loser with 409', () => {
  it('is taken at its word: what is there stays, without a minute of retries', async () => {
    const migration = await given(conflictsForTheLoser);
    const { exitCode, stderr } = await migration.run();
    expect(exitCode).toBe(0);
    expect(stderr).toContain('PutObject honoured (409), CompleteMultipartUpload honoured (409)');
    expect(await outcomes(migration)).toEqual(ALL_WELL);
    expect(migration.destination.script.count('PutObject', 'a/taken')).toBe(1);
  });
});

describe('a store that looks at the condition before the body', () => {
  it('is told to lose what is written in the same moment, and keeps what was there', async () => {
    const migration = await given(looksBeforeTheBody);
    const { exitCode, stderr } = await migration.run();
    expect(exitCode).toBe(0);
    expect(stderr).toContain('race: 4 WIN: a write at the very same time may be lost');
    expect(await outcomes(migration)).toEqual(ALL_WELL);
  });
});

describe('a store that makes up ETags of objects of parts', () => {
  it('gets them all the same: each part is proven by itself', async () => {
    const migration = await given(makesUpMultipartEtags);
    const { exitCode, stderr } = await migration.run();
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(/of parts: no \([0-9a-f]{32}-1\)/);
    expect(await outcomes(migration)).toEqual({ ...ALL_WELL, film: 'copied, md5-parts' });
  });

  it('is not said to have another object than the source on the word of such an ETag', async () => {
    const migration = await given(makesUpMultipartEtags);
    await migration.run();
    expect(await migration.run({ 'log-folder': migration.path('again') })).toMatchObject({
      exitCode: 0,
    });
    expect(await migration.migrateLog(migration.path('again'))).toContain(
      'film,skipped-upload,,,exists-same-length',
    );
  });

  it('does not get what has to be proven by such an ETag', async () => {
    const migration = await given(makesUpMultipartEtags);
    expect(await migration.run({ 'require-proof': true })).toMatchObject({ exitCode: 1 });
    expect(await outcomes(migration)).toEqual({ ...ALL_WELL, film: 'failed, no-proof' });
  });
});

describe('a store that wants equal parts', () => {
  it('refuses an object whose parts are not: it has failed, and nothing is left of it', async () => {
    const migration = await given(wantsEqualParts);
    const { exitCode, stderr } = await migration.run();
    expect(exitCode).toBe(1);
    expect(stderr).toContain('film: All non-trailing parts must have the same length.');
    expect(await outcomes(migration)).toEqual({ ...ALL_WELL, film: 'failed, InvalidPart' });
  });

  it('gets it with --part-layout even', async () => {
    const migration = await given(wantsEqualParts);
    const even = { 'part-layout': 'even', 'part-size': '5MiB' } as const;
    expect(await migration.run(even)).toMatchObject({ exitCode: 0 });
    expect((await outcomes(migration))['film']).toMatch(/^copied, /);
  });
});

describe('a store that takes 2 KB of metadata', () => {
  async function givenLong(): Promise<Migration> {
    const migration = await given(limitsMetadata);
    const headers = { ...HEADERS, 'x-amz-meta-long': 'm'.repeat(3000) };
    migration.source.put('long', 'x', { headers });
    await migration.listKeys();
    return migration;
  }

  it('gets an object that has more without its own, and that is said', async () => {
    const migration = await givenLong();
    const { exitCode, stderr } = await migration.run();
    expect(exitCode).toBe(0);
    expect(stderr).toContain(
      'LOST      not all that belongs to 1 object was kept, see "lost:" in migrate.log: metadata 1',
    );
    expect(await outcomes(migration)).toEqual({ ...ALL_WELL, long: 'copied, md5; lost: metadata' });
    const { 'x-amz-meta-camera': _, ...others } = HEADERS;
    expect(migration.destination.bucket.get('long' as ObjectKey)?.headers).toEqual(others);
  });

  it('gets nothing of it with --on-loss metadata=fail', async () => {
    const migration = await givenLong();
    expect(await migration.run({ 'on-loss': 'metadata=fail' })).toMatchObject({ exitCode: 1 });
    expect(await outcomes(migration)).toEqual({ ...ALL_WELL, long: 'failed, loss-metadata' });
  });
});

describe('a store that keeps truncated bodies', () => {
  it('keeps nothing of a PUT or a part whose source broke off: both are whole in the end', async () => {
    const migration = await given(keepsTruncatedBodies);
    const { script } = migration.source;
    script
      .on('GetObject', 'photo')
      .truncateAt(MIB / 2)
      .times(1);
    script
      .on('GetObject', 'film')
      .where(({ headers }) => headers.has('range'))
      .truncateAt(MIB)
      .times(1);

    expect(await migration.run()).toMatchObject({ exitCode: 0 });

    expect(await outcomes(migration)).toEqual(ALL_WELL);
  });
});

describe('a store that keeps keys under other names', () => {
  it('does not get those keys, so that none is taken for another', async () => {
    const migration = await given(aliasesKeys);
    const { exitCode, stderr } = await migration.run();
    expect(exitCode).toBe(1);
    expect(stderr).toContain('keys with two slashes in a row ("twice//x" as "twice/x")');
    expect(await outcomes(migration)).toEqual({ ...ALL_WELL, 'a//note': 'failed, key-not-kept' });
  });
});

describe('a store that ignores If-Match on DeleteObject', () => {
  /** Puts the imitation behind a fault: what is written at this key first is not what was sent. */
  const corrupting =
    (key: string, afterwards: (destination: Scripted) => void = () => {}) =>
    (destination: Scripted): void => {
      destination.script
        .on('PutObject', key)
        .times(1)
        .after(() => afterwards(destination))
        .ignoreHeaders('content-md5')
        .corruptUpload();
      ignoresIfMatchOnDelete(destination);
    };

  it('has a wrong object removed after a look, with a word to the operator, and gets it again', async () => {
    const migration = await given(corrupting('photo'));
    const { exitCode, stderr } = await migration.run();
    expect(exitCode).toBe(0);
    expect(stderr).toContain('DeleteObject IGNORED');
    expect(stderr).toContain('warning: removing photo from the destination again');
    expect(stderr).toContain('This store knows no conditional DELETE');
    expect(await outcomes(migration)).toEqual(ALL_WELL);
  });

  it('keeps what a client has written over it: that is not removed', async () => {
    const overwrite = ({ server }: Scripted): void => {
      server.bucket('archive').put('photo' as ObjectKey, { body: Buffer.from(CLIENTS) });
    };
    const migration = await given(corrupting('photo', overwrite));

    const { exitCode, stderr } = await migration.run();

    expect(exitCode).toBe(1);
    expect(stderr).toContain('what is there now is not what was acknowledged, and is left alone');
    expect(bodyAt(migration, 'photo')).toBe(CLIENTS);
    expect(migration.destination.script.count('DeleteObject', 'photo')).toBe(0);
  });
});

describe('a store that drops Expires', () => {
  it('gets the objects that have one without it, and that is said', async () => {
    const migration = await given(dropsExpires);
    const { exitCode, stderr } = await migration.run();
    expect(exitCode).toBe(0);
    expect(stderr).toContain('not kept: expires (dropped)');
    expect(await outcomes(migration)).toEqual({
      ...ALL_WELL,
      'a/note': 'copied, md5; lost: metadata',
    });
  });

  it('gets none of them with --on-loss metadata=fail', async () => {
    const migration = await given(dropsExpires);
    expect(await migration.run({ 'on-loss': 'metadata=fail' })).toMatchObject({ exitCode: 1 });
    expect(await outcomes(migration)).toEqual({ ...ALL_WELL, 'a/note': 'failed, loss-metadata' });
  });
});

/**
 * S5 and S15: bytes that are not those that the ETag tells of, and ETags that tell of no bytes. The former are never
 * taken for the object; the latter are copied, and the log says what is known of them.
 */
import { describe, expect, test } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { CHECKSUMS } from '../../src/s3-server/checksums.ts';
import { type Migration, prepareMigration } from '../cli/migration.ts';
import { finish } from './finished-run.ts';
import { Invariants } from './invariants.ts';
import { bytes, copiedAs, giveObject, OBJECTS, onContent, WAYS } from './ways.ts';

const MIB = 1024 ** 2;

/** Objects of whose ETags nothing can be told, and what the log then says of them. */
function giveOddEtags(migration: Migration): Record<string, string> {
  const { source } = migration;
  const { script } = source;
  const kms = { headers: { 'x-amz-server-side-encryption': 'aws:kms' }, etag: 'f00d'.repeat(8) };
  const small = OBJECTS.small.body;
  const medium = OBJECTS.through.body;
  const crc64nvme = CHECKSUMS.crc64nvme(small).toString('base64');
  source.put('kms, small', small, kms);
  source.put('kms, medium', medium, kms);
  source.put('kms, large', bytes(17 * MIB), kms);
  source.put('kms, empty', '', kms);
  source.put('kms, with a checksum', small, {
    ...kms,
    checksums: { 'x-amz-checksum-crc64nvme': crc64nvme },
  });
  source.put('made up, as long as an MD5, small', small, { etag: 'feed'.repeat(8) });
  source.put('made up, as long as an MD5, medium', medium, { etag: 'beef'.repeat(8) });
  source.put('made up, as long as an MD5, empty', '', { etag: 'cafe'.repeat(8) });
  source.put('made up, otherwise', small, { etag: '0x8D4BCC2E4835CD0' });
  source.put('made up, with a dash', small, { etag: 'abc-2' });
  source.put('of parts, empty', '', { partBytes: 5 * MIB });
  source.put('of parts, one', small, { partBytes: 5 * MIB });
  source.put('of parts that cannot be had', bytes(100), { partBytes: 10 });
  source.put('none', small);
  script.on('GetObject', 'none').header('etag', undefined);
  script.on('HeadObject', 'none').header('etag', undefined);
  // Asked once more how long these are, such sources do not tell.
  source.put('no word from HEAD, 403', small, { etag: 'kms-403' });
  script.on('HeadObject', 'no word from HEAD, 403').status(403);
  source.put('no word from HEAD, 405', small, { etag: 'kms-405' });
  script.on('HeadObject', 'no word from HEAD, 405').status(405);
  source.put('no length from HEAD', small, { etag: 'kms-200' });
  script.on('HeadObject', 'no length from HEAD').withoutLength();
  source.put('no ranges', small, { etag: 'deaf'.repeat(8) });
  script.on('GetObject', 'no ranges').ignoreHeaders('range');
  source.put('in capitals', medium, { headers: {} });
  script.on('GetObject', 'in capitals').alter((answer) => ({
    ...answer,
    headers: { ...answer.headers, etag: String(answer.headers['etag']).toUpperCase() },
  }));
  return {
    'kms, small': 'copied length-only',
    'kms, medium': 'copied length-only',
    'kms, large': 'copied crc32-parts',
    'kms, empty': 'copied md5',
    'kms, with a checksum': 'copied crc64nvme',
    'made up, as long as an MD5, small': 'copied length-only',
    'made up, as long as an MD5, medium': 'copied length-only',
    'made up, as long as an MD5, empty': 'copied md5',
    'made up, otherwise': 'copied length-only',
    'made up, with a dash': 'copied length-only',
    'of parts, empty': 'copied md5',
    'of parts, one': 'copied etag-parts',
    'of parts that cannot be had': 'copied length-only',
    none: 'copied length-only',
    'no word from HEAD, 403': 'copied length-only',
    'no word from HEAD, 405': 'copied length-only',
    'no length from HEAD': 'copied length-only',
    'no ranges': 'copied length-only',
    'in capitals': 'copied md5',
  };
}

describe.each([1, 2])('with --cores %i', (cores) => {
  test('S5: a byte that was flipped on the way, once or twice alike, is read again', async () => {
    const migration = await prepareMigration();
    for (const way of WAYS) {
      for (const times of [1, 2]) {
        const key = `${times}/${way}`;
        giveObject(migration, key, way);
        onContent(migration, key, way).corrupt(500).times(times);
      }
    }
    await migration.listKeys();

    const run = await finish(migration, new Invariants(migration), { cores });

    expect(run.exitCode).toBe(0);
    const keys = migration.source.bucket.keys();
    const proofs = keys.map((key) => [key, copiedAs(key.slice(2) as never)]);
    expect(run.outcomes).toEqual(Object.fromEntries(proofs));
  });

  test('S15: ETags that tell nothing are no failures, and the log says what is known', async () => {
    const migration = await prepareMigration();
    const wanted = giveOddEtags(migration);
    await migration.listKeys();
    const run = await finish(migration, new Invariants(migration), { cores });
    expect(run.outcomes).toEqual(wanted);
    expect(run.exitCode).toBe(0);
  });

  test('S15: with --require-proof they have failed, and nothing of them is there', async () => {
    const migration = await prepareMigration();
    const wanted = giveOddEtags(migration);
    await migration.listKeys();

    const run = await finish(migration, new Invariants(migration), {
      cores,
      'require-proof': true,
    });

    const isProven = (outcome: string): boolean =>
      /^copied (?:md5|etag-parts|crc64nvme)$/.test(outcome);
    expect(run.exitCode).toBe(1);
    expect(run.outcomes).toEqual(
      Object.fromEntries(
        Object.entries(wanted).map(([key, outcome]) => [
          key,
          isProven(outcome) ? outcome : 'failed no-proof',
        ]),
      ),
    );
  });
});

test('S5: a part that is wrong each time does not become part of an object where ETags of parts are known', async () => {
  const migration = await prepareMigration();
  const { script } = migration.source;
  giveObject(migration, 'sound', 'parts');
  giveObject(migration, 'wrong', 'parts');
  onContent(migration, 'wrong', 'parts')
    .before(() =>
      migration.destination.script.until((seen) =>
        seen.some(
          ({ operation, key, status }) =>
            operation === 'CompleteMultipartUpload' && key === 'sound' && status === 200,
        ),
      ),
    )
    .corrupt(7);
  await migration.listKeys();

  const run = await finish(migration, new Invariants(migration), { cores: 1 });

  expect(run.exitCode).toBe(1);
  expect(run.outcomes).toEqual({ sound: 'copied etag-parts', wrong: 'failed wrong-etag' });
  expect(migration.destination.bucket.get('wrong' as ObjectKey)).toBeUndefined();
  expect(script.count('GetObject', 'wrong')).toBeGreaterThan(3);
});

test('S15: ETags of parts that are made up: the objects are known by their parts', async () => {
  const migration = await prepareMigration();
  for (const key of ['film/1', 'film/2']) {
    migration.source.put(key, OBJECTS.parts.body, {
      partBytes: 5 * MIB,
      etag: `${'f00d'.repeat(8)}-2`,
    });
  }
  await migration.listKeys();
  const run = await finish(migration, new Invariants(migration), { cores: 1 });
  expect(run.exitCode).toBe(0);
  expect(run.outcomes).toEqual({ 'film/1': 'copied crc32-parts', 'film/2': 'copied crc32-parts' });
});

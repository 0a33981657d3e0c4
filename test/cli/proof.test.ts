/**
 * What migrate.log says proves each copy, and what `--require-proof` makes of objects that nothing proves.
 */
import { hash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { CHECKSUMS } from '../../src/s3-server/checksums.ts';
import { type Migration, prepareMigration } from './migration.ts';

const MIB = 1024 ** 2;
const reel = Buffer.alloc(11 * MIB, 'a reel of film, and another. ');
const photo = Buffer.from('a photo');
const crc64nvme = CHECKSUMS.crc64nvme(photo).toString('base64');

async function givenObjects(): Promise<Migration> {
  const migration = await prepareMigration();
  const { source } = migration;
  source.put('checksum', photo, {
    etag: 'kms-1f',
    checksums: { 'x-amz-checksum-crc64nvme': crc64nvme },
  });
  source.put('md5', photo);
  source.put('nothing', photo, { etag: 'kms-2f' });
  source.put('parts', reel, { partBytes: 6 * MIB });
  await migration.listKeys();
  return migration;
}

const md5s = [reel.subarray(0, 6 * MIB), reel.subarray(6 * MIB)].map((part) =>
  hash('md5', part, 'buffer'),
);
const partsEtag = `${hash('md5', Buffer.concat(md5s))}-2`;

describe.each([1, 2])('with --cores %i', (cores) => {
  it('each copy is logged with its proof', async () => {
    const migration = await givenObjects();
    expect(await migration.run({ cores })).toMatchObject({ exitCode: 0 });
    const md5 = hash('md5', photo);
    expect(await migration.migrateLog()).toEqual([
      `checksum,copied,7,${md5},crc64nvme`,
      `md5,copied,7,${md5},md5`,
      `nothing,copied,7,${md5},length-only`,
      `parts,copied,${reel.length},${partsEtag},etag-parts`,
    ]);
  });

  it('--require-proof: what nothing proves is not at the destination, and has failed', async () => {
    const migration = await givenObjects();
    const { exitCode, stderr } = await migration.run({ cores, 'require-proof': true });
    expect(exitCode).toBe(1);
    expect(stderr).toContain('1 no-proof (source)');
    expect(migration.destination.bucket.keys()).toEqual(['checksum', 'md5', 'parts']);
    expect(await migration.failedLog()).toEqual([
      expect.stringMatching(/^nothing,[^,]+,no-proof,0,1,/),
    ]);
  });
});

it('--part-layout even: an object of parts is one PUT below the threshold', async () => {
  const migration = await givenObjects();
  expect(await migration.run({ 'part-layout': 'even' })).toMatchObject({ exitCode: 0 });
  expect((await migration.migrateLog()).at(-1)).toMatch(
    /^parts,copied,\d+,[0-9a-f]{32},length-only$/,
  );
});

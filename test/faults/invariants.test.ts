import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { type Migration, photo, prepareMigration } from '../cli/migration.ts';
import { Invariants } from './invariants.ts';

const LOG = 'key,outcome,bytes,etag,detail\n';
const FAILED = 'key,at,code,status,attempts,message\n';

async function givenARun(): Promise<{ migration: Migration; invariants: Invariants }> {
  const migration = await prepareMigration();
  await migration.givenPhotos(3);
  migration.destination.put('theirs', 'of somebody else');
  const invariants = new Invariants(migration);
  expect((await migration.run()).exitCode).toBe(0);
  return { migration, invariants };
}

test('a run without a fault keeps them all', async () => {
  const { invariants } = await givenARun();
  const { migrate } = await invariants.expectComplete();
  expect(migrate.map(({ key }) => key)).toEqual([photo(0), photo(1), photo(2)]);
});

test('I1: a prefix of the source is found', async () => {
  const { migration, invariants } = await givenARun();
  migration.destination.put(photo(1), 'bytes');
  await expect(invariants.expectSound()).rejects.toThrow(photo(1));
});

test('I2: an object that was there before is found changed, and deleted', async () => {
  const { migration, invariants } = await givenARun();
  migration.destination.put('theirs', 'others');
  await expect(invariants.expectSound()).rejects.toThrow('theirs');
  migration.destination.bucket.delete('theirs' as never);
  await expect(invariants.expectSound()).rejects.toThrow('theirs');
});

test('I3: a key that is nowhere is found', async () => {
  const { migration, invariants } = await givenARun();
  await migration.listKeys('src', [photo(0), photo(1), photo(2), photo(3)]);
  await expect(invariants.expectComplete()).rejects.toThrow(photo(3));
});

test('I4: lines out of order, false ones, malformed ones and failures without their line are found', async () => {
  const { migration, invariants } = await givenARun();
  const path = `${migration.logFolder}/migrate.log`;
  for (const line of [
    `${photo(0)},skipped-download,,,NoSuchKey`,
    'zebra,copied,3,abc,md5',
    '"zebra,copied,3,abc,md5',
    'zebra,failed,,,AccessDenied',
  ]) {
    await mkdir(migration.logFolder, { recursive: true });
    await writeFile(path, `${LOG}${photo(1)},skipped-upload,,,exists\n${line}\n`);
    await expect(invariants.expectSound()).rejects.toThrow();
  }
  await appendFile(`${migration.logFolder}/failed.log`, `zebra,now,AccessDenied,403,1,no\n`);
  await invariants.expectSound();
  await writeFile(`${migration.logFolder}/failed.log`, FAILED);
  await expect(invariants.expectSound()).rejects.toThrow('zebra');
});

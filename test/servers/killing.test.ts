/**
 * A migration there and back whose process is killed on the way: what the servers were doing for it goes
 * on, and the same command must find its place.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RealBucket } from './real-bucket.ts';
import { arrivalOf, changeIn, RealMigration } from './real-migration.ts';
import { type RealServer, startRealServer } from './real-server.ts';

const MIB = 1024 ** 2;
/** More than one page of the plan, so that one is in the log while another is under way. */
const OBJECTS = 3_000;
/** Places in the list where an object comes that has to be copied in parts. */
const FILMS: readonly number[] = [40, 1_000, 2_100, OBJECTS - 1];
/** Objects after which the first run is killed: in the middle of its first page. */
const FIRST_KILL = 300;

let minio: RealServer;
let versitygw: RealServer;
beforeAll(async () => {
  minio = await startRealServer('minio');
  versitygw = await startRealServer('versitygw');
});
afterAll(async () => {
  await minio.stop();
  await versitygw.stop();
});

it('goes on after kill -9, there and back, until every object is what it was', async () => {
  const source = await RealBucket.create(minio, 'source');
  const keys = await givenObjects(source);
  const there = await RealBucket.create(versitygw, 'there');
  const back = await RealBucket.create(minio, 'back');

  const forth = await RealMigration.prepare(source, there);
  await forth.listOverS3('src');
  await forth.listOverS3('dest');
  await migrateWithKills(forth, keys);
  const home = await RealMigration.prepare(there, back);
  await home.listOverS3('src');
  await home.listOverS3('dest');
  await migrateWithKills(home, keys);

  const before = await source.readAll();
  expect([...before.keys()]).toEqual(keys);
  expect(await there.readAll()).toEqual(before);
  expect(await back.readAll()).toEqual(before);
});

/** Objects whose keys have no slash; the keys in order. */
async function givenObjects(bucket: RealBucket): Promise<string[]> {
  const keys = Array.from({ length: OBJECTS }, (_, index) => {
    const kind = FILMS.includes(index) ? 'mov' : 'jpg';
    return `${String(index).padStart(6, '0')}.${kind}`;
  });
  const photos = keys.filter((key) => key.endsWith('.jpg'));
  await bucket.putAll(
    new Map(photos.map((key, index) => [key, Buffer.alloc((index * 7919) % 8192, sha256(key))])),
  );
  for (const index of FILMS) {
    await bucket.putInParts(keys[index] as string, randomBytes(40 * MIB), { partBytes: 8 * MIB });
  }
  return keys;
}

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Kills the command in its first page, and once more when a page is in the log; then lets it end. */
async function migrateWithKills(migration: RealMigration, keys: readonly string[]): Promise<void> {
  const { destination, logFolder } = migration;
  const logged = async (): Promise<string[]> =>
    (await migration.migrateLog()).map(({ key }) => key);
  await killWhen(migration, () => arrivalOf(FIRST_KILL, destination));
  const { length: before } = await logged();
  await killWhen(migration, () =>
    changeIn(logFolder, async () => (await logged()).length > before),
  );
  const certain = await logged();
  expect(certain.length).toBeLessThan(keys.length);
  expect(certain).toEqual(keys.slice(0, certain.length));
  expect(await readdir(destination.folder)).toEqual(expect.arrayContaining(certain));

  const { exitCode, stderr } = await migration.run();

  expect(stderr).toContain('every listed key is accounted for');
  expect(exitCode).toBe(0);
  const log = await migration.migrateLog();
  expect(log.map(({ key }) => key)).toEqual(keys);
  // What had arrived and was not in the log yet is found to be there.
  expect(new Set(log.map(({ outcome }) => outcome))).toEqual(new Set(['copied', 'skipped-upload']));
  expect(await migration.failedLog()).toEqual([]);
  // Only what a kill has kept from being named may be left over, and then that is said.
  const left: string[] = [];
  for (const index of FILMS) left.push(...(await destination.openUploads(keys[index])));
  expect([left, stderr.includes('may be left at the destination')]).toEqual([
    left,
    left.length > 0,
  ]);
  const again = await migration.run();
  expect(again.stderr).toContain('this run is complete already');
  expect(again.exitCode).toBe(0);
}

/** Starts the command and kills it at the event, which must come before its end. */
async function killWhen(migration: RealMigration, event: () => Promise<void>): Promise<void> {
  const happened = event();
  const program = migration.start();
  const tooLate = program.ended.then(({ stderr }) => {
    throw new Error(`ended before it could be killed:\n${stderr}`);
  });
  await Promise.race([happened, tooLate]);
  program.kill('SIGKILL');
  await expect(tooLate).rejects.toThrow('ended');
  expect(await program.ended).toMatchObject({ signal: 'SIGKILL' });
}

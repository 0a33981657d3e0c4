/**
 * A run that is killed in the middle of a large object, between real servers: the same command goes on inside it,
 * and no upload is left over.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../support/run-s3migrate.ts';
import { RealBucket } from './real-bucket.ts';
import { changeIn, RealMigration } from './real-migration.ts';
import { CREDENTIALS, type RealServer, type ServerKind, startRealServer } from './real-server.ts';

const MIB = 1024 ** 2;
const PART_BYTES = 8 * MIB;
const PARTS = 12;
const KEY = 'harbour & sea.mov';
/** One part after another. */
const FLAGS = ['--threads', '1', '--cores', '1'];

let servers: Readonly<Record<ServerKind, RealServer>>;
beforeAll(async () => {
  servers = {
    minio: await startRealServer('minio'),
    versitygw: await startRealServer('versitygw'),
  };
});
afterAll(async () => {
  for (const server of Object.values(servers)) await server.stop();
});

async function givenFilm(from: ServerKind, to: ServerKind, name: string): Promise<RealMigration> {
  const source = await RealBucket.create(servers[from], `${name}-source`);
  const destination = await RealBucket.create(servers[to], `${name}-destination`);
  await source.putInParts(KEY, randomBytes(PARTS * PART_BYTES - 1000), { partBytes: PART_BYTES });
  const migration = await RealMigration.prepare(source, destination);
  await migration.listOverS3('src');
  await migration.listOverS3('dest');
  return migration;
}

/** @returns how many parts were acknowledged before it was killed */
async function killInside(migration: RealMigration, atLeast: number): Promise<number> {
  const acknowledged = async (): Promise<number> => {
    const path = join(migration.logFolder, 'migrate.uploads');
    const journal = await readFile(path, 'latin1').catch(() => '');
    return journal.split('"part":').length - 1;
  };
  const seen = changeIn(migration.logFolder, async () => (await acknowledged()) >= atLeast);
  const program = migration.start(...FLAGS);
  await program.reaches(seen);
  program.kill('SIGKILL');
  expect(await program.ended).toMatchObject({ signal: 'SIGKILL' });
  expect(await migration.destination.openUploads(KEY)).toEqual([KEY]);
  return acknowledged();
}

describe.each<{ from: ServerKind; to: ServerKind }>([
  { from: 'minio', to: 'versitygw' },
  { from: 'versitygw', to: 'minio' },
])('from $from to $to', ({ from, to }) => {
  it('the same command sends only the parts that are missing, after each kill', async () => {
    const migration = await givenFilm(from, to, 'goes-on');
    const { source, destination } = migration;
    await killInside(migration, 2);
    const there = await killInside(migration, 5);
    expect(there).toBeLessThan(PARTS);

    const { exitCode, stderr } = await migration.run(...FLAGS);

    expect(stderr).toContain('every listed key is accounted for');
    expect(exitCode).toBe(0);
    // Rounded in the summary.
    const sentMegabytes = Number(/upload +1 object, ([0-9]+)MB/.exec(stderr)?.[1]);
    expect(sentMegabytes).toBeLessThanOrEqual(Math.ceil(((PARTS - there) * PART_BYTES) / 1e6));
    expect(await destination.readAll()).toEqual(await source.readAll());
    expect(await destination.etag(KEY)).toBe(await source.etag(KEY));
    expect(await destination.openUploads(KEY)).toEqual([]);
    expect(await migration.migrateLog()).toMatchObject([
      { outcome: 'copied', detail: 'etag-parts' },
    ]);
  });

  it('cleanup aborts what is left', async () => {
    const migration = await givenFilm(from, to, 'cleaned');
    await killInside(migration, 2);
    const { destination } = migration;
    const bucket = ['--dest-url', destination.server.url, '--dest-bucket', destination.name];
    const credentials = ['--dest-key', CREDENTIALS.accessKey, '--dest-secret', CREDENTIALS.secret];
    const folder = ['--log-folder', migration.logFolder];
    const args = ['cleanup', ...bucket, ...credentials, ...folder, '--abort'];

    const { exitCode, stdout } = await runProgram(args);

    expect(stdout).toMatch(/^harbour & sea\.mov\t\S+\t20\S+Z\t\d+ parts\t\d+ bytes\taborted\n$/);
    expect(exitCode).toBe(0);
    expect(await destination.openUploads(KEY)).toEqual([]);
    expect(await migration.run(...FLAGS)).toMatchObject({ exitCode: 0 });
  });
});

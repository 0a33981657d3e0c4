/**
 * A large object is copied in parts with the digest that a real destination was seen to verify.
 */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RealBucket } from './real-bucket.ts';
import { RealMigration } from './real-migration.ts';
import { type RealServer, type ServerKind, startRealServer } from './real-server.ts';

const MIB = 1024 ** 2;
const FILM = 'film.mov';
const IN_PARTS = ['--multipart-threshold', '16MiB'];

describe.each<ServerKind>(['minio', 'versitygw'])('to %s, an object', (kind) => {
  let server: RealServer;
  let source: RealBucket;
  beforeAll(async () => {
    server = await startRealServer(kind);
    source = await RealBucket.create(server, 'source');
    await source.put(FILM, randomBytes(40 * MIB + 1));
  });
  afterAll(() => server.stop());

  it.each([
    ['collected part by part', 'collected', '128MiB'],
    ['too large for the memory', 'passed', '16MiB'],
  ])('%s has each part’s CRC32 verified', async (_, name, memory) => {
    const destination = await RealBucket.create(server, name);
    const migration = await RealMigration.prepare(source, destination);
    await migration.listOverS3('src');
    await migration.listOverS3('dest');

    const { exitCode, stderr } = await migration.run(...IN_PARTS, '--memory', memory);

    expect(exitCode, stderr).toBe(0);
    expect(await migration.migrateLog()).toMatchObject([
      { key: FILM, outcome: 'copied', detail: 'crc32-parts' },
    ]);
    expect(await destination.readAll()).toEqual(await source.readAll());
    expect(await destination.openUploads()).toEqual([]);
  });
});

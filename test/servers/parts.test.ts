/**
 * A large object is copied in parts with the digest that a real destination was seen to verify, and one of
 * parts in the same parts, for the same ETag.
 */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RealBucket } from './real-bucket.ts';
import { RealMigration } from './real-migration.ts';
import { type RealServer, SERVER_KINDS, type ServerKind, startRealServer } from './real-server.ts';

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

describe('from one server to another, an object of parts', () => {
  const servers = new Map<ServerKind, RealServer>();
  beforeAll(async () => {
    for (const kind of SERVER_KINDS) servers.set(kind, await startRealServer(kind));
  });
  afterAll(async () => {
    for (const server of servers.values()) await server.stop();
  });

  it.each<[from: ServerKind, to: ServerKind]>([
    ['minio', 'versitygw'],
    ['versitygw', 'minio'],
  ])('keeps them, and with them its ETag: from %s to %s', async (from, to) => {
    const source = await RealBucket.create(servers.get(from) as RealServer, `from-${from}`);
    const destination = await RealBucket.create(servers.get(to) as RealServer, `to-${to}`);
    const layouts = {
      'equal.mov': 5 * MIB,
      'one.mov': 100 * MIB,
      'uneven.mov': [5 * MIB, 7 * MIB, 6 * MIB],
      'unevenly.mov': [6 * MIB + 1, 5 * MIB],
    };
    for (const [key, partBytes] of Object.entries(layouts)) {
      await source.putInParts(key, randomBytes(18 * MIB + 3), { partBytes });
    }
    const migration = await RealMigration.prepare(source, destination);
    await migration.listOverS3('src');
    await migration.listOverS3('dest');

    const { exitCode, stderr } = await migration.run('--require-proof');

    expect(exitCode, stderr).toBe(0);
    const log = await migration.migrateLog();
    expect(log).toMatchObject(
      Object.keys(layouts).map((key) => ({ key, outcome: 'copied', detail: 'etag-parts' })),
    );
    for (const { key, etag } of log) {
      expect(etag).toMatch(/^[0-9a-f]{32}-[1-4]$/);
      expect([await source.etag(key), await destination.etag(key)]).toEqual([etag, etag]);
    }
    expect(await destination.readAll()).toEqual(await source.readAll());
  });
});

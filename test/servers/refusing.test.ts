/**
 * What cannot work is refused before any transfer, in the words of whoever has to mend it.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RealBucket } from './real-bucket.ts';
import { RealMigration } from './real-migration.ts';
import { type RealServer, type ServerKind, startRealServer } from './real-server.ts';

/** How soon an operator must know, in ms. */
const TELL_WITHIN_MS = 10_000;

describe.each<[ServerKind, ServerKind]>([
  ['minio', 'versitygw'],
  ['versitygw', 'minio'],
])('from %s to %s', (from, to) => {
  const servers: RealServer[] = [];
  let source: RealBucket;
  let destination: RealBucket;
  beforeAll(async () => {
    const [sourceServer, destinationServer] = [
      await startRealServer(from),
      await startRealServer(to),
    ];
    servers.push(sourceServer, destinationServer);
    source = await RealBucket.create(sourceServer, 'photos');
    destination = await RealBucket.create(destinationServer, 'archive');
    await source.put('lake.jpg', 'still water');
  });
  afterAll(async () => {
    for (const server of servers) await server.stop();
  });

  it.each([
    ['--src-secret', 'wrong', 'source', 'access denied (status 403)'],
    ['--src-key', 'nobody', 'source', 'access denied (status 403)'],
    ['--src-bucket', 'missing', 'source', 'there is no such bucket (status 404)'],
    ['--dest-secret', 'wrong', 'destination', 'access denied (status 403)'],
    ['--dest-key', 'nobody', 'destination', 'access denied (status 403)'],
    ['--dest-bucket', 'missing', 'destination', 'there is no such bucket (status 404)'],
  ])(
    'exits 3 with a wrong %s, naming the side and what to check',
    async (flag, value, side, problem) => {
      const migration = await RealMigration.prepare(source, destination);
      await migration.listOverS3('src');
      await migration.listOverS3('dest');

      const { exitCode, stderr } = await migration.run(flag, value);

      expect(stderr).toMatch(new RegExp(`^s3migrate: ${side} http://127\\.0\\.0\\.1:`));
      expect(stderr).toContain(`: ${problem}\n`);
      expect(stderr).toContain(flag);
      expect(exitCode).toBe(3);
      expect(await destination.keys()).toEqual([]);
    },
    TELL_WITHIN_MS,
  );

  it(
    'exits 3 when a bucket to be listed is missing or the secret is wrong',
    async () => {
      const { server, name } = source;
      const migration = await RealMigration.prepare(source, destination);
      const refused = await migration.tryListing('src', '--secret', 'wrong');
      expect(refused.stderr).toContain(`bucket ${server.url}/${name}: access denied`);
      expect(refused.exitCode).toBe(3);
      const missing = await migration.tryListing('src', '--bucket', 'missing');
      expect(missing.stderr).toContain(`bucket ${server.url}/missing: there is no such bucket`);
      expect(missing.exitCode).toBe(3);
    },
    TELL_WITHIN_MS,
  );
});

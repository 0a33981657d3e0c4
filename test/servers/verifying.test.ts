/**
 * `s3migrate verify` between two real servers: every planted difference is found, and nothing else.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PutObjectTaggingCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Ended, runProgram } from '../support/run-s3migrate.ts';
import { type ObjectHeaders, RealBucket } from './real-bucket.ts';
import { RealMigration, type SideFlag } from './real-migration.ts';
import { CREDENTIALS, type RealServer, type ServerKind, startRealServer } from './real-server.ts';

const HEADERS: ObjectHeaders = {
  CacheControl: 'max-age=60, public',
  ContentType: 'image/jpeg',
  Expires: new Date('2065-10-21T07:28:00Z'),
  Metadata: { camera: 'M3' },
};

let servers: Record<ServerKind, RealServer>;
beforeAll(async () => {
  servers = {
    minio: await startRealServer('minio'),
    versitygw: await startRealServer('versitygw'),
  };
});
afterAll(async () => {
  await Promise.all(Object.values(servers).map((server) => server.stop()));
});

async function tag({ server, name }: RealBucket, key: string, value: string): Promise<void> {
  const Tagging = { TagSet: [{ Key: 'stage', Value: value }] };
  await server.client.send(new PutObjectTaggingCommand({ Bucket: name, Key: key, Tagging }));
}

it.each<[from: ServerKind, to: ServerKind]>([
  ['minio', 'versitygw'],
  ['versitygw', 'minio'],
])('from %s to %s tells ten planted differences, and nothing else', async (from, to) => {
  const source = await RealBucket.create(servers[from], 'photos');
  const destination = await RealBucket.create(servers[to], 'archive');
  const both = async (key: string, body: string | Buffer, headers = HEADERS): Promise<void> => {
    for (const bucket of [source, destination]) await bucket.put(key, body, headers);
  };
  const film = randomBytes(12 * 1024 ** 2);
  const flipped = Buffer.from(film);
  flipped[7_654_321] = (flipped[7_654_321] as number) ^ 1;
  for (let i = 0; i < 20; i++) await both(`same/${i}`, `bytes of ${i}`);
  await both('same/empty', '');
  await both('same/tagged', 'x');
  for (const bucket of [source, destination]) {
    await tag(bucket, 'same/tagged', 'a b+c/d');
    await bucket.putInParts('same/film', film, { partBytes: 5 * 1024 ** 2, headers: HEADERS });
  }
  await source.put('01-missing', 'four', HEADERS);
  await destination.put('02-extra', 'fifth', HEADERS);
  await source.put('03-truncated', '0123456789', HEADERS);
  await destination.put('03-truncated', '01234', HEADERS);
  await source.putInParts('04-flipped', film, { partBytes: 5 * 1024 ** 2, headers: HEADERS });
  await destination.put('04-flipped', flipped, HEADERS);
  await both('05-tag', 'x');
  await tag(source, '05-tag', 'raw');
  await source.put('06-cache', 'x', HEADERS);
  await destination.put('06-cache', 'x', { ...HEADERS, CacheControl: 'no-cache' });
  await source.put('07-expires', 'x', HEADERS);
  const { Expires: _, ...withoutExpires } = HEADERS;
  await destination.put('07-expires', 'x', withoutExpires);
  await source.put('08-type', 'x', HEADERS);
  await destination.put('08-type', 'x', { ...HEADERS, ContentType: 'text/plain' });
  await source.put('09-stale', 'the newer version', HEADERS);
  await destination.put('09-stale', 'the older version', HEADERS);
  await source.put('10-case.JPG', 'x', HEADERS);
  await destination.put('10-case.jpg', 'x', HEADERS);
  const migration = await RealMigration.prepare(source, destination);
  await migration.listOverS3('src');
  await migration.listOverS3('dest');

  const { exitCode, stderr } = await verify(migration, ['--metadata', '--content', 'all']);

  const log = await readFile(join(migration.logFolder, 'verify.log'), 'utf8');
  expect(log.split('\n')).toEqual([
    'key,symbol,what,source,destination',
    '01-missing,+,missing,4,',
    '02-extra,-,missing,,5',
    '03-truncated,*,size,10,5',
    '04-flipped,*,content,from byte 7654321 on,from byte 7654321 on',
    '05-tag,*,tags,stage=raw,',
    '06-cache,*,metadata:cache-control,"max-age=60, public",no-cache',
    expect.stringMatching(/^07-expires,\*,metadata:expires,"Wed, 21 Oct 2065 07:28:00 GMT",$/),
    '08-type,*,metadata:content-type,image/jpeg,text/plain',
    '09-stale,*,content,from byte 4 on,from byte 4 on',
    '10-case.JPG,+,missing,1,',
    '10-case.jpg,-,missing,,1',
    '',
  ]);
  expect(stderr).toContain('same 23, unproven 0, + 2, - 2, * 7, ! 0, gone 0');
  expect(exitCode).toBe(1);
});

function verify(migration: RealMigration, flags: readonly string[]): Promise<Ended> {
  const { source, destination, logFolder } = migration;
  const args = [
    'verify',
    ...sideFlags('src', source, migration.listFolder('src')),
    ...sideFlags('dest', destination, migration.listFolder('dest')),
  ];
  return runProgram([...args, '--log-folder', logFolder, ...flags]);
}

function sideFlags(side: SideFlag, { server, name }: RealBucket, lists: string): string[] {
  const { accessKey, secret } = CREDENTIALS;
  const flags = { url: server.url, bucket: name, key: accessKey, secret, folder: lists };
  return Object.entries(flags).flatMap(([flag, value]) => [`--${side}-${flag}`, value]);
}

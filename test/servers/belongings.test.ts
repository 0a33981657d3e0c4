/**
 * What belongs to an object, between two real servers: read back over a store of our own, which shows the
 * bytes of headers as they are.
 */
import { hash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyFromText, type ObjectKey } from '../../src/object-key.ts';
import { WireObjectStore } from '../../src/s3/wire-object-store.ts';
import type { Header } from '../../src/wire/signature.ts';
import { RealBucket } from './real-bucket.ts';
import { RealMigration } from './real-migration.ts';
import { CREDENTIALS, type RealServer, type ServerKind, startRealServer } from './real-server.ts';

const MIB = 1024 ** 2;

const servers = new Map<ServerKind, RealServer>();
beforeAll(async () => {
  for (const kind of ['minio', 'versitygw'] as const)
    servers.set(kind, await startRealServer(kind));
});
afterAll(async () => {
  for (const server of servers.values()) await server.stop();
});

function storeOf({ server, name }: RealBucket): WireObjectStore {
  return new WireObjectStore({
    endpoint: { host: '127.0.0.1', port: server.port, tls: undefined },
    bucket: name,
    region: 'us-east-1',
    credentials: CREDENTIALS,
    addressing: 'path',
  });
}

const serverOf = (kind: ServerKind): RealServer => servers.get(kind) as RealServer;

/** Headers as they are on the wire; values are byte strings. */
const HEADERS: readonly Header[] = [
  ['cache-control', 'max-age=60, must-revalidate'],
  ['content-disposition', 'attachment; filename="a b.jpg"'],
  ['content-encoding', 'gzip'],
  ['content-language', 'de, en'],
  ['content-type', 'text/html; charset="x"'],
  ['expires', 'Wed, 21 Oct 2065 07:28:00 GMT'],
  ['x-amz-meta-title', 'two  words'],
  ['x-amz-meta-word', '=?UTF-8?B?WsO8cmljaA==?='],
];
const UTF8: Header = ['x-amz-meta-utf8', 'Z\xc3\xbcrich'];
const REDIRECT: Header = ['x-amz-website-redirect-location', '/elsewhere'];
const TAGS = new Map([
  ['a stage', 'a/b = c+d'],
  ['without a value', ''],
]);
const TAGGING: Header = ['x-amz-tagging', 'a%20stage=a%2Fb%20%3D%20c%2Bd&without%20a%20value='];
const UTF8_TAGGING: Header = ['x-amz-tagging', 'Gr%C3%B6%C3%9Fe=12'];

/** One object that is copied whole, and one in parts. */
const WHOLE = keyFromText('1 whole');
const PARTS = keyFromText('2 in parts');

async function putBoth(bucket: RealBucket, headers: readonly Header[]): Promise<void> {
  await onStore(bucket, async (store) => {
    const body = randomBytes(1000);
    const written = await store.send({ method: 'PUT', key: WHOLE, headers: [...headers], body });
    expect(written.status, written.text).toBe(200);
    const content = randomBytes(17 * MIB);
    const uploadId = await store.createMultipartUpload(PARTS, headers);
    const half = 9 * MIB;
    const parts = [content.subarray(0, half), content.subarray(half)].map((part, index) =>
      store.uploadPart(PARTS, {
        uploadId,
        partNumber: index + 1,
        body: part,
        digest: { algorithm: 'md5', base64: hash('md5', part, 'base64') },
      }),
    );
    await store.completeNew(PARTS, { uploadId, parts: await Promise.all(parts) });
  });
}

/** What a reader is told of the object. */
interface Told {
  readonly metadata: readonly Header[];
  readonly lock: readonly Header[];
  readonly tags: ReadonlyMap<string, string>;
}

function toldOf(bucket: RealBucket, key: ObjectKey): Promise<Told> {
  return onStore(bucket, async (store) => {
    const { metadata, properties } = await store.head(key);
    return {
      metadata: metadata.toSorted(([a], [b]) => (a < b ? -1 : 1)),
      lock: properties?.lock ?? [],
      tags: await store.getTagging(key),
    };
  });
}

async function onStore<T>(
  bucket: RealBucket,
  use: (store: WireObjectStore) => Promise<T>,
): Promise<T> {
  const store = storeOf(bucket);
  try {
    return await use(store);
  } finally {
    store.close();
  }
}

/** Migrates all of the source; gives the details in the log, and what was printed. */
async function migrate(
  source: RealBucket,
  destination: RealBucket,
  ...flags: string[]
): Promise<{ details: string[]; stderr: string; exitCode: number | undefined }> {
  const migration = await RealMigration.prepare(source, destination);
  await migration.listOverS3('src');
  await migration.listOverS3('dest');
  const { exitCode, stderr } = await migration.run('--multipart-threshold', '16MiB', ...flags);
  const log = await migration.migrateLog();
  return { exitCode, stderr, details: log.map(({ detail }) => detail) };
}

describe.each([
  ['minio', 'versitygw'],
  ['versitygw', 'minio'],
] as const)('from %s to %s', (from, to) => {
  it('headers and tags arrive as they are told, of whole objects and of those in parts', async () => {
    const source = await RealBucket.create(serverOf(from), 'kept-from');
    const destination = await RealBucket.create(serverOf(to), 'kept-to');
    await putBoth(source, [...HEADERS, TAGGING]);

    const { exitCode, stderr, details } = await migrate(source, destination);

    expect(exitCode, stderr).toBe(0);
    expect(details).toHaveLength(2);
    for (const detail of details) expect(detail).not.toContain('lost');
    for (const key of [WHOLE, PARTS]) {
      const told = await toldOf(destination, key);
      expect(told).toEqual({ metadata: HEADERS, lock: [], tags: TAGS });
      expect(told).toEqual(await toldOf(source, key));
    }
  });

  it('a Content-Type that was never given is the one that both make up', async () => {
    const source = await RealBucket.create(serverOf(from), 'untyped-from');
    const destination = await RealBucket.create(serverOf(to), 'untyped-to');
    await putBoth(source, []);
    await migrate(source, destination);
    const { metadata } = await toldOf(destination, WHOLE);
    expect(metadata).toEqual([['content-type', 'binary/octet-stream']]);
    expect((await toldOf(source, WHOLE)).metadata).toEqual(metadata);
  });

  it('a storage class the destination does not know is lost where it says so', async () => {
    const source = await RealBucket.create(serverOf(from), 'class-from');
    const destination = await RealBucket.create(serverOf(to), 'class-to');
    await putBoth(source, []);
    const { details } = await migrate(source, destination, '--storage-class', 'STANDARD_IA');
    const lost = details.filter((detail) => detail.endsWith('; lost: storage-class'));
    // versitygw takes any class and keeps none.
    expect(lost).toHaveLength(to === 'minio' ? 2 : 0);
  });
});

it('what MinIO cannot keep is known from the probe, and told of the objects that have it', async () => {
  const source = await RealBucket.create(serverOf('versitygw'), 'losing-from');
  const destination = await RealBucket.create(serverOf('minio'), 'losing-to');
  await putBoth(source, [...HEADERS, UTF8, REDIRECT]);

  const { exitCode, stderr, details } = await migrate(source, destination);

  expect(exitCode, stderr).toBe(0);
  expect(details).toEqual([
    'md5; lost: redirect metadata',
    expect.stringMatching(/; lost: redirect metadata$/),
  ]);
  expect(stderr).toContain('LOST      not all that belongs to 2 objects was kept');
});

it('tags that MinIO refuses are lost, and nothing else', async () => {
  const source = await RealBucket.create(serverOf('versitygw'), 'tags-from');
  const destination = await RealBucket.create(serverOf('minio'), 'tags-to');
  await putBoth(source, [...HEADERS, UTF8_TAGGING]);
  const { details } = await migrate(source, destination);
  expect(details).toEqual(['md5; lost: tags', expect.stringMatching(/; lost: tags$/)]);
  for (const key of [WHOLE, PARTS]) {
    expect(await toldOf(destination, key)).toEqual({
      metadata: HEADERS,
      lock: [],
      tags: new Map(),
    });
  }
});

describe('the object lock', () => {
  const until = '2065-10-21T07:28:00Z';
  const LOCK: readonly Header[] = [
    ['x-amz-object-lock-mode', 'GOVERNANCE'],
    ['x-amz-object-lock-retain-until-date', until],
    ['x-amz-object-lock-legal-hold', 'ON'],
  ];
  const lockOf = async (bucket: RealBucket, key: ObjectKey) =>
    Object.fromEntries((await toldOf(bucket, key)).lock);
  const content: Header = ['content-type', 'image/jpeg'];

  it('goes with the object where both buckets have it', async () => {
    const source = await RealBucket.create(serverOf('minio'), 'lock-from', { objectLock: true });
    const destination = await RealBucket.create(serverOf('minio'), 'lock-to', { objectLock: true });
    await putBoth(source, [content, ...LOCK]);
    const { details } = await migrate(source, destination, '--object-lock');
    for (const detail of details) expect(detail).not.toContain('lost');
    for (const key of [WHOLE, PARTS]) {
      const lock = await lockOf(destination, key);
      expect(lock).toEqual(await lockOf(source, key));
      expect(Object.keys(lock)).toHaveLength(3);
    }
  });

  it.each(['minio', 'versitygw'] as const)(
    'is lost in a bucket of %s without one',
    async (kind) => {
      const source = await RealBucket.create(serverOf('minio'), `locked-for-${kind}`, {
        objectLock: true,
      });
      const destination = await RealBucket.create(serverOf(kind), 'unlocked');
      await putBoth(source, [content, ...LOCK, TAGGING]);

      const { exitCode, stderr, details } = await migrate(source, destination, '--object-lock');

      expect(exitCode, stderr).toBe(0);
      expect(details).toEqual([
        // versitygw refuses the lock when it has kept the object.
        kind === 'minio' ? 'md5; lost: lock' : 'found after a lost answer; lost: lock',
        expect.stringMatching(/; lost: lock$/),
      ]);
      for (const key of [WHOLE, PARTS]) {
        expect(await toldOf(destination, key)).toEqual({
          metadata: [content],
          lock: [],
          tags: TAGS,
        });
      }
    },
  );
});

/**
 * The embedded server seen by the AWS SDK with its default settings: aws-chunked bodies with
 * checksums in trailers, response checksums, its own XML parser.
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetBucketLocationCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyFromText } from '../../src/object-key.ts';
import type { S3Server } from '../../src/s3-server/server.ts';
import { startPhotosServer } from './raw-request.ts';
import { sdkClient } from './sdk-client.ts';

const Bucket = 'photos';
let server: S3Server;
let client: S3Client;

beforeAll(async () => {
  server = await startPhotosServer();
  client = sdkClient(server);
});
afterAll(async () => {
  client.destroy();
  await server.close();
});

function md5(...bodies: Buffer[]): Buffer {
  return createHash('md5').update(Buffer.concat(bodies)).digest();
}

function crc32Base64(body: Buffer): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body));
  return bytes.toString('base64');
}

describe('a bucket', () => {
  it('is there, with its region, and can be created once', async () => {
    expect(await client.send(new HeadBucketCommand({ Bucket }))).toMatchObject({
      BucketRegion: 'us-east-1',
    });
    await client.send(new CreateBucketCommand({ Bucket: 'albums' }));
    await client.send(new HeadBucketCommand({ Bucket: 'albums' }));
    await expect(client.send(new CreateBucketCommand({ Bucket: 'albums' }))).rejects.toMatchObject({
      name: 'BucketAlreadyOwnedByYou',
    });
    await expect(client.send(new HeadBucketCommand({ Bucket: 'none' }))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 404 },
    });
    await expect(client.send(new ListObjectsV2Command({ Bucket: 'none' }))).rejects.toMatchObject({
      name: 'NoSuchBucket',
    });
  });

  it('tells its location, which in us-east-1 has no name', async () => {
    const answer = await client.send(new GetBucketLocationCommand({ Bucket }));
    expect(answer.LocationConstraint).toBeUndefined();
    const frankfurt = await startPhotosServer({ region: 'eu-central-1' });
    const other = sdkClient(frankfurt, 'eu-central-1');
    const located = await other.send(new GetBucketLocationCommand({ Bucket }));
    expect(located.LocationConstraint).toBe('eu-central-1');
    other.destroy();
    await frankfurt.close();
  });
});

describe('an object', () => {
  it.each([
    ['a Buffer', () => Buffer.from('granite and moss')],
    [
      'a stream, sent aws-chunked with a trailer',
      () => Readable.from([Buffer.from('granite and moss')]),
    ],
  ])('comes back as it was put as %s', async (_, body) => {
    const Key = 'hills/granite.txt';
    const put = await client.send(
      new PutObjectCommand({
        Bucket,
        Key,
        Body: body(),
        ContentLength: 16,
        ContentType: 'text/plain',
        ContentEncoding: 'identity',
        CacheControl: 'no-store',
        ContentDisposition: 'attachment; filename="granite.txt"',
        ContentLanguage: 'en',
        Expires: new Date('2030-01-01T00:00:00Z'),
        WebsiteRedirectLocation: '/elsewhere',
        StorageClass: 'STANDARD_IA',
        Metadata: { camera: 'Leica  M3' },
        Tagging: 'place=hill%20top&year=1954',
      }),
    );
    expect(put.ETag).toBe(`"${md5(Buffer.from('granite and moss')).toString('hex')}"`);
    expect(put.ChecksumCRC32).toBeDefined();
    const got = await client.send(new GetObjectCommand({ Bucket, Key }));
    expect(await got.Body?.transformToString()).toBe('granite and moss');
    expect(got).toMatchObject({
      ETag: put.ETag,
      AcceptRanges: 'bytes',
      ContentLength: 16,
      ContentType: 'text/plain',
      ContentEncoding: 'identity',
      CacheControl: 'no-store',
      ContentDisposition: 'attachment; filename="granite.txt"',
      ContentLanguage: 'en',
      ExpiresString: 'Tue, 01 Jan 2030 00:00:00 GMT',
      WebsiteRedirectLocation: '/elsewhere',
      StorageClass: 'STANDARD_IA',
      Metadata: { camera: 'Leica  M3' },
      TagCount: 2,
    });
    expect(await client.send(new HeadObjectCommand({ Bucket, Key }))).toMatchObject({
      ContentLength: 16,
      ETag: put.ETag,
    });
    const { TagSet } = await client.send(new GetObjectTaggingCommand({ Bucket, Key }));
    expect(TagSet).toEqual([
      { Key: 'place', Value: 'hill top' },
      { Key: 'year', Value: '1954' },
    ]);
  });

  it.each([
    'a b+c%41',
    '/lead',
    'a//b',
    './..',
    'a/../b',
    'NFC \u00e9',
    'NFD e\u0301',
    '🌋?#&=',
    "*!()'",
    'tab\tand\nline',
  ])('keeps the key %j exact', async (Key) => {
    await client.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
    expect(server.bucket(Bucket).get(keyFromText(Key))?.body.toString()).toBe(Key);
    const got = await client.send(new GetObjectCommand({ Bucket, Key }));
    expect(await got.Body?.transformToString()).toBe(Key);
    await client.send(new DeleteObjectCommand({ Bucket, Key }));
    await expect(client.send(new HeadObjectCommand({ Bucket, Key }))).rejects.toMatchObject({
      name: 'NotFound',
    });
  });

  it('without a content type is binary/octet-stream', () => {
    const object = server.bucket(Bucket).put(keyFromText('untyped'), { body: Buffer.alloc(0) });
    expect(object.headers['content-type']).toBe('binary/octet-stream');
  });

  it('that is missing is a NoSuchKey, and deleting it is fine', async () => {
    const nothing = { Bucket, Key: 'never/there' };
    await expect(client.send(new GetObjectCommand(nothing))).rejects.toMatchObject({
      name: 'NoSuchKey',
      $metadata: { httpStatusCode: 404 },
    });
    await client.send(new DeleteObjectCommand(nothing));
  });

  it('gets other tags, ten at most', async () => {
    const Key = 'tagged';
    server.bucket(Bucket).put(keyFromText(Key), { body: Buffer.from('x') });
    const tags = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ Key: `t<${i}>`, Value: `"&${i}"` }));
    await client.send(new PutObjectTaggingCommand({ Bucket, Key, Tagging: { TagSet: tags(10) } }));
    const { TagSet } = await client.send(new GetObjectTaggingCommand({ Bucket, Key }));
    expect(TagSet).toEqual(tags(10));
    await expect(
      client.send(new PutObjectTaggingCommand({ Bucket, Key, Tagging: { TagSet: tags(11) } })),
    ).rejects.toMatchObject({ name: 'BadRequest' });
  });

  it('is not copied as an empty one when a client asks for what the server lacks', async () => {
    await expect(
      client.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: 'photos/tagged' })),
    ).rejects.toMatchObject({ $metadata: { httpStatusCode: 501 } });
    expect(server.bucket(Bucket).get(keyFromText('copy'))).toBeUndefined();
  });
});

describe('a multipart upload', () => {
  const Key = 'films/long.mov';
  const bodies = [Buffer.from('first part'), Buffer.from('the second'), Buffer.from('end')];

  async function begin(key = Key): Promise<string> {
    const { UploadId } = await client.send(
      new CreateMultipartUploadCommand({
        Bucket,
        Key: key,
        ContentType: 'video/mp4',
        Metadata: { reel: '7' },
      }),
    );
    return UploadId ?? '';
  }

  async function upload(UploadId: string, PartNumber: number, Body: Buffer, key = Key) {
    const { ETag } = await client.send(
      new UploadPartCommand({ Bucket, Key: key, UploadId, PartNumber, Body }),
    );
    return { PartNumber, ETag };
  }

  it('becomes an object whose ETag is the MD5 of the MD5s, readable by its parts', async () => {
    const UploadId = await begin();
    const Parts = [];
    for (const [index, body] of bodies.entries())
      Parts.push(await upload(UploadId, index + 1, body));
    const listed = await client.send(new ListPartsCommand({ Bucket, Key, UploadId, MaxParts: 2 }));
    expect(listed.Parts?.map(({ PartNumber, Size, ETag }) => ({ PartNumber, Size, ETag }))).toEqual(
      [
        { PartNumber: 1, Size: 10, ETag: Parts[0]?.ETag },
        { PartNumber: 2, Size: 10, ETag: Parts[1]?.ETag },
      ],
    );
    expect(listed.IsTruncated).toBe(true);
    const rest = await client.send(
      new ListPartsCommand({ Bucket, Key, UploadId, PartNumberMarker: '2' }),
    );
    expect(rest.Parts?.map(({ PartNumber }) => PartNumber)).toEqual([3]);

    const completion = { Bucket, Key, UploadId, MultipartUpload: { Parts } };
    const done = await client.send(new CompleteMultipartUploadCommand(completion));
    expect(done.ETag).toBe(`"${md5(...bodies.map((body) => md5(body))).toString('hex')}-3"`);
    const second = await client.send(new GetObjectCommand({ Bucket, Key, PartNumber: 2 }));
    expect(second).toMatchObject({
      PartsCount: 3,
      ContentRange: 'bytes 10-19/23',
      ContentType: 'video/mp4',
      Metadata: { reel: '7' },
      $metadata: { httpStatusCode: 206 },
    });
    expect(await second.Body?.transformToString()).toBe('the second');
    expect(await client.send(new HeadObjectCommand({ Bucket, Key, PartNumber: 3 }))).toMatchObject({
      ContentLength: 3,
      PartsCount: 3,
    });
    await expect(
      client.send(new GetObjectCommand({ Bucket, Key, PartNumber: 4 })),
    ).rejects.toMatchObject({ name: 'InvalidPartNumber' });
    await expect(client.send(new CompleteMultipartUploadCommand(completion))).rejects.toMatchObject(
      { name: 'NoSuchUpload' },
    );
  });

  it('made for a checksum has one of its parts, which each must carry and the completion name', async () => {
    const key = 'films/checked.mov';
    const { UploadId } = await client.send(
      new CreateMultipartUploadCommand({ Bucket, Key: key, ChecksumAlgorithm: 'CRC32' }),
    );
    const part = { Bucket, Key: key, UploadId, PartNumber: 1 };
    const put = (checksum: object) =>
      client.send(new UploadPartCommand({ ...part, Body: 'only part', ...checksum }));
    const ChecksumCRC32 = crc32Base64(Buffer.from('only part'));
    await expect(put({ ChecksumCRC32: 'AAAAAA==' })).rejects.toMatchObject({ name: 'BadDigest' });
    await expect(put({ ChecksumAlgorithm: 'SHA256' })).rejects.toMatchObject({
      name: 'InvalidRequest',
    });
    const { ETag, ChecksumCRC32: told } = await put({ ChecksumCRC32 });
    expect(told).toBe(ChecksumCRC32);
    const complete = (checksum: object) =>
      client.send(
        new CompleteMultipartUploadCommand({
          Bucket,
          Key: key,
          UploadId,
          MultipartUpload: { Parts: [{ PartNumber: 1, ETag, ...checksum }] },
        }),
      );
    await expect(complete({})).rejects.toMatchObject({ name: 'InvalidRequest' });
    await expect(complete({ ChecksumCRC32: 'AAAAAA==' })).rejects.toMatchObject({
      name: 'InvalidPart',
    });
    const composite = `${crc32Base64(Buffer.from(ChecksumCRC32, 'base64'))}-1`;
    expect(await complete({ ChecksumCRC32 })).toMatchObject({ ChecksumCRC32: composite });
    expect(
      await client.send(new HeadObjectCommand({ Bucket, Key: key, ChecksumMode: 'ENABLED' })),
    ).toMatchObject({ ChecksumCRC32: composite, ChecksumType: 'COMPOSITE' });
  });

  it('is not made for a checksum that S3 does not have', async () => {
    const begun = client.send(
      new CreateMultipartUploadCommand({ Bucket, Key, ChecksumAlgorithm: 'CRC16' as 'CRC32' }),
    );
    await expect(begun).rejects.toMatchObject({ name: 'InvalidRequest' });
  });

  it('keeps the numbers of its parts when some are missing', async () => {
    const key = 'films/gaps.mov';
    const UploadId = await begin(key);
    const Parts = [
      await upload(UploadId, 3, Buffer.from('three'), key),
      await upload(UploadId, 7, Buffer.from('seven!'), key),
    ];
    await client.send(
      new CompleteMultipartUploadCommand({
        Bucket,
        Key: key,
        UploadId,
        MultipartUpload: { Parts },
      }),
    );
    const seventh = await client.send(new GetObjectCommand({ Bucket, Key: key, PartNumber: 7 }));
    expect(await seventh.Body?.transformToString()).toBe('seven!');
    expect(seventh.PartsCount).toBe(2);
  });

  it('is refused with parts out of order, unknown or too small, and stays open', async () => {
    const key = 'films/refused.mov';
    const UploadId = await begin(key);
    const one = await upload(UploadId, 1, Buffer.from('tiny'), key);
    const two = await upload(UploadId, 2, Buffer.from('second'), key);
    const complete = (...Parts: { PartNumber: number; ETag: string | undefined }[]) =>
      client.send(
        new CompleteMultipartUploadCommand({
          Bucket,
          Key: key,
          UploadId,
          MultipartUpload: { Parts },
        }),
      );
    await expect(complete(two, one)).rejects.toMatchObject({ name: 'InvalidPartOrder' });
    await expect(complete(one, two)).rejects.toMatchObject({ name: 'EntityTooSmall' });
    await expect(complete({ ...one, ETag: two.ETag })).rejects.toMatchObject({
      name: 'InvalidPart',
    });
    await expect(complete()).rejects.toMatchObject({ name: 'MalformedXML' });
    const listed = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: key }));
    expect(listed.Uploads?.map((open) => open.UploadId)).toEqual([UploadId]);
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key: key, UploadId }));
    await expect(
      client.send(new AbortMultipartUploadCommand({ Bucket, Key: key, UploadId })),
    ).rejects.toMatchObject({ name: 'NoSuchUpload' });
    expect(server.bucket(Bucket).uploads()).toEqual([]);
  });

  it('is refused by its condition, and can be completed without', async () => {
    const key = keyFromText('films/taken.mov');
    const UploadId = await begin(key);
    const part = await upload(UploadId, 1, Buffer.from('ours'), key);
    server.bucket(Bucket).put(key, { body: Buffer.from('theirs') });
    const completion = { Bucket, Key: key, UploadId, MultipartUpload: { Parts: [part] } };
    const conditional = new CompleteMultipartUploadCommand({ ...completion, IfNoneMatch: '*' });
    await expect(client.send(conditional)).rejects.toMatchObject({ name: 'PreconditionFailed' });
    expect(server.bucket(Bucket).get(key)?.body.toString()).toBe('theirs');
    await client.send(new CompleteMultipartUploadCommand(completion));
    expect(server.bucket(Bucket).get(key)?.body.toString()).toBe('ours');
  });
});

describe('a listing', () => {
  it('is in byte order, U+FF5E before U+1F600', async () => {
    await client.send(new CreateBucketCommand({ Bucket: 'order' }));
    const keys = ['z', '\u{1f600}', '\uff5e', 'a/b', 'a', 'a!', 'A', '\u00e9'];
    for (const Key of keys) {
      await client.send(new PutObjectCommand({ Bucket: 'order', Key, Body: 'x' }));
    }
    const { Contents } = await client.send(new ListObjectsV2Command({ Bucket: 'order' }));
    expect(Contents?.map(({ Key }) => Key)).toEqual([
      'A',
      'a',
      'a!',
      'a/b',
      'z',
      '\u00e9',
      '\uff5e',
      '\u{1f600}',
    ]);
  });

  it('rolls up by delimiter, counts prefixes as entries, and goes on after them', async () => {
    await client.send(new CreateBucketCommand({ Bucket: 'rolled' }));
    for (const key of ['2019/a', '2019/b', '2020/a', 'index', 'notes/x']) {
      server.bucket('rolled').put(keyFromText(key), { body: Buffer.from('x') });
    }
    const first = await client.send(
      new ListObjectsV2Command({ Bucket: 'rolled', Delimiter: '/', MaxKeys: 2 }),
    );
    expect(first).toMatchObject({
      CommonPrefixes: [{ Prefix: '2019/' }, { Prefix: '2020/' }],
      IsTruncated: true,
      KeyCount: 2,
    });
    const second = await client.send(
      new ListObjectsV2Command({
        Bucket: 'rolled',
        Delimiter: '/',
        ContinuationToken: first.NextContinuationToken,
      }),
    );
    expect(second).toMatchObject({
      Contents: [{ Key: 'index', Size: 1 }],
      CommonPrefixes: [{ Prefix: 'notes/' }],
      IsTruncated: false,
    });
    const after = await client.send(
      new ListObjectsV2Command({ Bucket: 'rolled', Prefix: '2019/', StartAfter: '2019/a' }),
    );
    expect(after.Contents?.map(({ Key }) => Key)).toEqual(['2019/b']);
  });

  it('encodes keys when asked to, and says so', async () => {
    await client.send(new CreateBucketCommand({ Bucket: 'encoded' }));
    const bucket = server.bucket('encoded');
    bucket.put(keyFromText('a b+c/\u0001é'), { body: Buffer.alloc(0) });
    const plain = await client.send(new ListObjectsV2Command({ Bucket: 'encoded' }));
    expect(plain.EncodingType).toBeUndefined();
    expect(plain.Contents?.[0]?.Key).toBe('a b+c/\ufffdé');
    const encoded = await client.send(
      new ListObjectsV2Command({ Bucket: 'encoded', EncodingType: 'url' }),
    );
    expect(encoded.EncodingType).toBe('url');
    expect(encoded.Contents?.[0]?.Key).toBe('a+b%2Bc/%01%C3%A9');
  });
});

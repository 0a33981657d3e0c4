/**
 * The objects of bench/soak.mjs: some thousands of bytes to 16 KiB, hundreds up to 8 MiB, and a few of
 * up to 40 MiB, of which every third was uploaded in parts.
 */
import { createCipheriv, createHash } from 'node:crypto';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import pLimit from 'p-limit';

const KIB = 1024;
const MIB = 1024 ** 2;
const LARGEST = 40 * MIB;
const AT_ONCE = 8;
/** What one DeleteObjects may name. */
const DELETED_AT_ONCE = 1000;
/** How many, how long, and what their names begin with: some want escaping in a URL. */
const SORTS = [
  { count: 2000, from: 0, to: 16 * KIB, prefix: 'tiny/' },
  { count: 150, from: 16 * KIB, to: MIB, prefix: 'a b+c%/é-' },
  { count: 40, from: MIB, to: 8 * MIB, prefix: 'middle/' },
  { count: 12, from: 17 * MIB, to: LARGEST, prefix: 'large/' },
];

/** Writes all of them. @returns a list of keys, ascending, and their bytes together */
export async function fill({ client, bucket, random }) {
  const noise = createCipheriv(
    'aes-128-ctr',
    Buffer.alloc(16, random.whole(0, 255)),
    Buffer.alloc(16),
  ).update(Buffer.alloc(LARGEST + 8 * MIB));
  const keys = [];
  let bytes = 0;
  const limit = pLimit(AT_ONCE);
  const puts = [];
  for (const { count, from, to, prefix } of SORTS) {
    for (let number = 0; number < count; number++) {
      const key = `${prefix}${String(number).padStart(6, '0')}`;
      const length = random.whole(from, to);
      const start = random.whole(0, noise.length - length);
      const body = noise.subarray(start, start + length);
      const partBytes = from > 16 * MIB && number % 3 === 0 ? random.whole(5, 12) * MIB : undefined;
      keys.push(key);
      bytes += length;
      puts.push(limit(() => put(client, { Bucket: bucket, Key: key }, { body, partBytes })));
    }
  }
  await Promise.all(puts);
  return { keys: keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))), bytes };
}

async function put(client, target, { body, partBytes }) {
  if (partBytes === undefined) {
    await client.send(new PutObjectCommand({ ...target, Body: body }));
    return;
  }
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(target));
  const Parts = [];
  for (let start = 0; start < body.length; start += partBytes) {
    const PartNumber = Parts.length + 1;
    const Body = body.subarray(start, start + partBytes);
    const part = await client.send(
      new UploadPartCommand({ ...target, UploadId, PartNumber, Body }),
    );
    Parts.push({ PartNumber, ETag: part.ETag });
  }
  await client.send(
    new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } }),
  );
}

/** Of every object that the bucket lists: by key its bytes and the SHA-256 of its content, in hex. */
export async function readAll({ client, bucket }) {
  const limit = pLimit(AT_ONCE);
  const found = new Map();
  for await (const key of keysOf({ client, bucket })) found.set(key, undefined);
  await Promise.all(
    [...found.keys()].map((key) =>
      limit(async () => {
        found.set(key, await digestOf({ client, bucket, key }));
      }),
    ),
  );
  return found;
}

async function digestOf({ client, bucket, key }) {
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    for await (const chunk of Body) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    return { bytes, sha256: hash.digest('hex') };
  } catch (error) {
    return { bytes, sha256: `cannot be read: ${error.name}: ${error.message}` };
  }
}

/** The whole of one object. */
export async function contentOf({ client, bucket, key }) {
  const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
  return Buffer.from(await Body.transformToByteArray());
}

export async function* keysOf({ client, bucket }) {
  let ContinuationToken;
  do {
    const page = await client.send(new ListObjectsV2Command({ Bucket: bucket, ContinuationToken }));
    for (const { Key } of page.Contents ?? []) yield Key;
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken !== undefined);
}

/** Removes a bucket with all that is in it. */
export async function removeBucket({ client, bucket }) {
  const Objects = [];
  for await (const Key of keysOf({ client, bucket })) Objects.push({ Key });
  for (let from = 0; from < Objects.length; from += DELETED_AT_ONCE) {
    const Delete = { Objects: Objects.slice(from, from + DELETED_AT_ONCE), Quiet: true };
    await client.send(new DeleteObjectsCommand({ Bucket: bucket, Delete }));
  }
  await client.send(new DeleteBucketCommand({ Bucket: bucket }));
}

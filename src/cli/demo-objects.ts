/**
 * What the demo migrates: some thousand objects with the keys, sizes and metadata that break tools
 * which take keys for text, paths or URLs.
 *
 * The same at every run: content and sizes come from a fixed seed and the key.
 */
import { createCipheriv, hash } from 'node:crypto';
import { keyFromText, MAX_KEY_BYTES, type ObjectKey } from '../object-key.ts';
import type { Bucket, StoredObject } from '../s3-server/bucket.ts';
import type { ObjectHeaders } from '../s3-server/object-headers.ts';

const MIB = 1024 ** 2;
const SEED = Buffer.from('s3migrate demo 1');
const PHOTOS = 3_900;
/** Sizes of photos go up to 2 to this power bytes; as many are below 1 KiB as are above. */
const LARGEST_PHOTO_LOG2 = 17;

const ALBUMS = [
  'Summer in Málaga',
  'Tom & Ann + kids',
  '100% blurred',
  '東京 🗼',
  `Bob's "best"`,
  'scans//raw',
  'tests #1 = ok?',
  'Ωmega, Ünder; ~tilde',
];

const AWKWARD_KEYS: readonly ObjectKey[] = [
  ...[
    '/begins with a slash.txt',
    ' begins and ends with a blank ',
    './dot/../dots/.',
    'folder/',
    'a+b c%20d%2Fe.txt',
    'back\\slash.txt',
    'caf\u00e9 composed.txt',
    'cafe\u0301 decomposed.txt',
    'comma,"quotes",\'more quotes\'.csv',
    'looks like an image \u202egpj.exe',
    'tab\there.txt',
    'two lines\nin one key.txt',
    '🎉🎉🎉',
    'as long as can be '.padEnd(MAX_KEY_BYTES, '0123456789'),
  ].map(keyFromText),
  'not UTF-8: caf\xe9.txt' as ObjectKey,
];

/** Too large to be held in memory as one; those with parts were uploaded in such. */
const LARGE_OBJECTS: readonly { key: string; bytes: number; partBytes?: number }[] = [
  { key: 'archive/backup 2019.tar', bytes: 17 * MIB + 1, partBytes: 8 * MIB },
  { key: 'archive/mail + attachments.mbox', bytes: 24 * MIB, partBytes: 5 * MIB },
  { key: 'videos/all in one.zip', bytes: 20 * MIB },
  { key: 'videos/🎬 first steps.mp4', bytes: 33 * MIB, partBytes: 16 * MIB },
];

/** Numbers of the photos that the destination has before the migration, and in its list. */
const LISTED_PHOTOS = Array.from({ length: 12 }, (_, index) => 40 + index * 310);
/** Numbers of those that a client writes there when the lists are made. */
const UNLISTED_PHOTOS = [7, 1_907, 3_807];
const ONLY_AT_DESTINATION = keyFromText('new/only at the destination.txt');

/** Puts everything that is to be migrated into an empty bucket. */
export function fillSource(bucket: Bucket): void {
  for (let photo = 0; photo < PHOTOS; photo++) {
    const key = photoKey(photo);
    bucket.put(key, { body: content(key, photoBytes(key)), headers: photoHeaders(photo) });
  }
  for (const key of AWKWARD_KEYS) {
    bucket.put(key, { body: content(key, key.endsWith('/') ? 0 : 1_000) });
  }
  for (const { key: text, bytes, ...layout } of LARGE_OBJECTS) {
    const key = keyFromText(text);
    bucket.put(key, { body: content(key, bytes), headers: EVERY_HEADER, ...layout });
  }
}

/**
 * Puts into the destination what is there before its list is made: newer content under keys of the
 * source, and a key of its own.
 */
export function putListedObjects(destination: Bucket): Map<ObjectKey, StoredObject> {
  return putNewer(destination, [...LISTED_PHOTOS.map(photoKey), ONLY_AT_DESTINATION]);
}

/** Does what a client does that writes to the destination after its list was made. */
export function putUnlistedObjects(destination: Bucket): Map<ObjectKey, StoredObject> {
  return putNewer(destination, UNLISTED_PHOTOS.map(photoKey));
}

/** A few of the source's keys, to show. */
export function exampleKeys(): ObjectKey[] {
  return [
    ...ALBUMS.slice(1, 6).map((_, index) => photoKey(index + 1)),
    ...AWKWARD_KEYS.filter((key) => key.length < 60).slice(-6),
  ];
}

function putNewer(bucket: Bucket, keys: readonly ObjectKey[]): Map<ObjectKey, StoredObject> {
  return new Map(
    keys.map((key) => [key, bucket.put(key, { body: content(key, 2_000, 'newer') })] as const),
  );
}

function photoKey(photo: number): ObjectKey {
  const album = ALBUMS[photo % ALBUMS.length] as string;
  const year = 2010 + (photo % 10);
  return keyFromText(`photos/${year}/${album}/IMG_${String(photo).padStart(4, '0')}.jpg`);
}

function photoBytes(key: ObjectKey): number {
  const share = Number.parseInt(hash('sha1', key).slice(0, 8), 16) / 2 ** 32;
  return Math.floor(2 ** (share * LARGEST_PHOTO_LOG2)) - 1;
}

/** As byte strings, like all header values of the server. */
const EVERY_HEADER: ObjectHeaders = {
  'content-type': 'application/x-demo; charset=utf-8',
  'cache-control': 'max-age=3600, private',
  'content-disposition': utf8Bytes('attachment; filename="Málaga.bin"'),
  'content-encoding': 'identity',
  'content-language': 'es, ja',
  expires: 'Thu, 01 Jan 2032 00:00:00 GMT',
  'x-amz-meta-title': utf8Bytes('Málaga 東京 🗼'),
  'x-amz-meta-latin1': 'caf\xe9',
  'x-amz-meta-plain': 'a=b; c="d, e"',
};

/** Most objects have a content type only, as in life. */
function photoHeaders(photo: number): ObjectHeaders {
  if (photo % 5 === 0) return { ...EVERY_HEADER, 'x-amz-meta-number': String(photo) };
  return { 'content-type': 'image/jpeg' };
}

function utf8Bytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** Pseudo-random bytes, other ones for every key and version: the key stream of a cipher, for its speed. */
function content(key: ObjectKey, bytes: number, version = 'first'): Buffer {
  const nonce = Buffer.from(hash('md5', `${version}\n${key}`), 'hex');
  return createCipheriv('aes-128-ctr', SEED, nonce).update(Buffer.alloc(bytes));
}

/**
 * The contract of ObjectStore (src/s3/object-store.ts) as tests: whatever implements it, over
 * whatever server, passes them. What a server is known to do differently is named by whoever
 * registers the contract, and then is tested too.
 */
import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyFromText, type ObjectKey } from '../../src/object-key.ts';
import type {
  ObjectHead,
  ObjectStore,
  PartDigest,
  StoreErrorKind,
} from '../../src/s3/object-store.ts';
import { Passage } from '../../src/wire/passage.ts';
import type { Header } from '../../src/wire/signature.ts';

/** Awkward keys by name, each with another key that a careless party would take for the same. */
const KEYS = {
  plain: ['plain/key.jpg', undefined],
  'spaces inside and outside': [' a  b ', 'a b'],
  'a plus': ['plus+sign', 'plus sign'],
  'a percent sign': ['100%', undefined],
  'an escape': ['escape%41', 'escapeA'],
  'an escaped slash': ['slash%2Fslash', 'slash/slash'],
  'a question mark and a hash': ['what?a=b#c', 'what'],
  'an ampersand and quotes': [`amp&"quote"'<tag>`, undefined],
  'a backslash': ['back\\slash', 'back/slash'],
  'reserved characters': ["!$()*,:;=@[]^`{|}~'", undefined],
  'two slashes': ['two//slashes', 'two/slashes'],
  'a leading slash': ['/lead', 'lead'],
  'a trailing slash': ['trail/', 'trail'],
  'a dot segment': ['dot/./segment', 'dot/segment'],
  'a dot-dot segment': ['dotdot/../segment', 'segment'],
  'nothing but dots': ['..', undefined],
  'a trailing dot': ['stop.', 'stop'],
  emoji: ['\u{1f600}/\u{ff5e}', undefined],
  'a composed letter': ['compos\u00e9', 'compose\u0301'],
  'a decomposed letter': ['decompose\u0301', 'decompos\u00e9'],
  'upper case': ['CASE', 'case'],
  'control characters': ['control\u0001\t\u001f\u007f', undefined],
  'line ends': ['line\r\nend', 'line\nend'],
  '1,024 bytes': [`${'d'.repeat(127)}/`.repeat(8).replace(/\/$/, 'e'), undefined],
} as const satisfies Record<string, readonly [string, string | undefined]>;

/** Bytes that are no UTF-8, and what they become where text is made of them. */
const RAW_KEYS = {
  'bytes that are not UTF-8': ['raw\xff\xfe\x80', 'raw\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd'],
} as const;

type KeyName = keyof typeof KEYS | keyof typeof RAW_KEYS;

/** Headers of an object by name; they come back as they were sent unless the third entry says as what. */
const METADATA = {
  'the ordinary headers': [
    [
      ['content-type', 'image/jpeg; q="1"'],
      ['cache-control', 'max-age=60, must-revalidate'],
      ['content-disposition', 'attachment; filename="a b.jpg"'],
      ['content-encoding', 'gzip'],
      ['content-language', 'de, en'],
      ['expires', 'Wed, 21 Oct 2065 07:28:00 GMT'],
      ['x-amz-meta-camera', 'M3'],
    ],
  ],
  'an Expires that is no date': [[['expires', '0']]],
  'metadata in UTF-8': [[['x-amz-meta-place', Buffer.from('Zürich 🏔').toString('latin1')]]],
  'a byte that is not UTF-8': [[['x-amz-meta-place', 'Z\xfcrich']]],
  'an RFC 2047 word': [[['x-amz-meta-place', '=?UTF-8?B?WsO8cmljaA==?=']]],
  'runs of spaces': [[['x-amz-meta-title', 'a  b   c']]],
  'a list in one value': [[['x-amz-meta-tags', 'red, green,blue']]],
  'aws-chunked before an encoding': [
    [['content-encoding', 'aws-chunked,gzip']],
    [['content-encoding', 'gzip']],
  ],
} as const satisfies Record<string, readonly [readonly Header[], (readonly Header[])?]>;

type MetadataName = keyof typeof METADATA;

export interface ContractSubject {
  /** On an empty bucket. */
  readonly store: ObjectStore;
  /** The same server with the same keys. */
  readonly missingBucket: ObjectStore;
  /** The same bucket with a secret that is wrong. */
  readonly wrongSecret: ObjectStore;
  /** Ends what `open` has begun, but for the stores. */
  readonly close: () => Promise<void>;
}

export interface ContractOptions {
  readonly open: () => Promise<ContractSubject>;
  /** Smallest part but the last; S3's 5 MiB by default. */
  readonly minPartBytes?: number;
  /** Keys that the server refuses. */
  readonly refusedKeys?: readonly KeyName[];
  /** Keys that the server takes for the other key beside them. */
  readonly aliasedKeys?: readonly KeyName[];
  /** DELETE does not keep to If-Match. */
  readonly ignoresDeleteCondition?: boolean;
  /** Metadata that comes back otherwise than it was sent, or not at all. */
  readonly changedMetadata?: readonly MetadataName[];
}

const md5 = (body: Buffer): string => hash('md5', body, 'base64');
const md5Hex = (body: Buffer): string => hash('md5', body, 'hex');

/** Digests of a part by their algorithm. */
const DIGESTS = {
  md5: (body: Buffer): PartDigest => ({ algorithm: 'md5', base64: md5(body) }),
  crc32: (body: Buffer): PartDigest => ({
    algorithm: 'crc32',
    base64: crc(body).toString('base64'),
  }),
};

/** Of `here`, calculated by a program of another make. */
const CHECKSUMS_OF_HERE = {
  sha256: '/OyRUJdZrZlcLNFLyyaycgmT+vYcKdN5snDUQtkikOs=',
  crc64nvme: 'aFhsvuluT9M=',
  sha1: 'AVTA2r5xRds34Lgb9mfnIkq+wLo=',
  crc32c: 'EzVN8w==',
  crc32: 'sRuHmA==',
} as const;

/** The bytes of a CRC32. */
function crc(...bodies: Buffer[]): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(bodies.reduce((value, body) => crc32(body, value), 0));
  return bytes;
}

const put = (store: ObjectStore, key: ObjectKey, body: Buffer, metadata: readonly Header[] = []) =>
  store.putNew(key, { body, metadata, digest: DIGESTS.md5(body) });

async function read(store: ObjectStore, key: ObjectKey): Promise<Buffer> {
  const { body } = await store.get(key, { receive: ({ bytes }) => Buffer.alloc(bytes) });
  return body as Buffer;
}

const ofKind = (...kinds: StoreErrorKind[]) =>
  expect.objectContaining({ name: 'StoreError', kind: expect.toBeOneOf(kinds) });

const sorted = (metadata: readonly Header[]): Header[] =>
  metadata.toSorted(([a], [b]) => Number(a > b) - Number(a < b));

const withSortedMetadata = (object: ObjectHead) => ({
  ...object,
  metadata: sorted(object.metadata),
});

/** Registers the tests, inside whatever `describe` the caller is in. */
export function objectStoreContract({
  open,
  minPartBytes = 5 * 1024 ** 2,
  refusedKeys = [],
  aliasedKeys = [],
  changedMetadata = [],
  ignoresDeleteCondition = false,
}: ContractOptions): void {
  let subject: ContractSubject;
  let store: ObjectStore;
  beforeAll(async () => {
    subject = await open();
    ({ store } = subject);
  });
  afterAll(async () => {
    store.close();
    subject.missingBucket.close();
    subject.wrongSecret.close();
    await subject.close();
  });

  describe('a key', () => {
    const cases = [
      ...Object.entries(KEYS).map(([name, [key, other]]) => ({
        name: name as KeyName,
        key: keyFromText(key),
        other: other === undefined ? undefined : keyFromText(other),
      })),
      ...Object.entries(RAW_KEYS).map(([name, [key, other]]) => ({
        name: name as KeyName,
        key: key as ObjectKey,
        other: other as ObjectKey,
      })),
    ];
    const refused = new Set(refusedKeys);
    const aliased = new Set(aliasedKeys);

    it.each(cases.filter(({ name }) => !refused.has(name) && !aliased.has(name)))(
      'with $name is itself and no other',
      async ({ key, other }) => {
        const body = Buffer.from(`content of ${key}`, 'latin1');
        await put(store, key, body);
        expect(await read(store, key)).toEqual(body);
        if (other === undefined) return;
        await expect(store.head(other)).rejects.toEqual(ofKind('not-found'));
        await put(store, other, Buffer.from('another object'));
        expect(await read(store, key)).toEqual(body);
      },
    );

    it.each(cases.filter(({ name }) => refused.has(name)))(
      'with $name is refused, not stored',
      async ({ key }) => {
        const writing = put(store, key, Buffer.from('x'));
        await expect(writing).rejects.toEqual(ofKind('refused', 'denied', 'conflict'));
      },
    );

    it.each(cases.filter(({ name }) => aliased.has(name)))(
      'with $name is another key as well',
      async ({ key, other }) => {
        await put(store, key, Buffer.from('content'));
        expect(await read(store, other as ObjectKey)).toEqual(Buffer.from('content'));
      },
    );
  });

  describe('metadata', () => {
    const cases = Object.entries(METADATA).map(([name, given]) => {
      const [sent, kept = sent]: readonly [readonly Header[], (readonly Header[])?] = given;
      return { name: name as MetadataName, sent, kept };
    });
    const changed = new Set(changedMetadata);

    it.each(cases)('with $name is told by GET and HEAD alike', async ({ name, sent, kept }) => {
      const key = keyFromText(`metadata/${name}`);
      await put(store, key, Buffer.from('content'), sent);
      const head = await store.head(key);
      const { object } = await store.get(key, { receive: () => undefined });
      expect(withSortedMetadata(object)).toEqual(withSortedMetadata(head));
      const given = new Set(kept.map(([header]) => header));
      const told = head.metadata.filter(([header]) => given.has(header));
      if (changed.has(name)) expect(sorted(told)).not.toEqual(sorted(kept));
      else expect(sorted(told)).toEqual(sorted(kept));
    });

    it('that was not given is not made up, but for a Content-Type', async () => {
      const key = keyFromText('metadata/none');
      await put(store, key, Buffer.from('content'));
      const { metadata } = await store.head(key);
      expect(metadata.filter(([header]) => header !== 'content-type')).toEqual([]);
    });

    it('has no Content-Encoding when that told of the upload alone', async () => {
      const key = keyFromText('metadata/aws-chunked');
      await put(store, key, Buffer.from('content'), [['content-encoding', 'aws-chunked']]);
      const { metadata } = await store.head(key);
      expect(metadata.map(([header]) => header)).not.toContain('content-encoding');
    });

    it('belongs to an object made of parts too', async () => {
      const key = keyFromText('metadata/parts');
      const metadata: Header[] = [
        ['content-type', 'video/mp4'],
        ['x-amz-meta-camera', 'M3'],
      ];
      const uploadId = await store.createMultipartUpload(key, metadata);
      const body = Buffer.from('only part');
      const part = { uploadId, partNumber: 1, body, digest: DIGESTS.md5(body) };
      const parts = [await store.uploadPart(key, part)];
      await store.completeNew(key, { uploadId, parts });
      expect(sorted((await store.head(key)).metadata)).toEqual(metadata);
    });
  });

  describe('reading', () => {
    const key = keyFromText('reading/object');
    const empty = keyFromText('reading/empty');
    const body = Buffer.from('0123456789');
    beforeAll(async () => {
      await put(store, key, body);
      await put(store, empty, Buffer.alloc(0));
    });

    it('tells length and ETag before the content', async () => {
      const head = { bytes: 10, etag: md5Hex(body), etagMayBeMd5: true };
      expect(await store.head(key)).toMatchObject(head);
      const { object } = await store.get(key, {
        receive: (early) => {
          expect(early).toMatchObject(head);
          return Buffer.alloc(10);
        },
      });
      expect(object).toMatchObject(head);
    });

    it('waits until there is a place for the content', async () => {
      const buffer = Buffer.alloc(10);
      const receive = () =>
        new Promise<Buffer>((resolve) => void setImmediate(() => resolve(buffer)));
      expect((await store.get(key, { receive })).body).toBe(buffer);
      expect(buffer).toEqual(body);
    });

    it('leaves the content alone when nobody takes it', async () => {
      expect((await store.get(key, { receive: () => undefined })).body).toBeUndefined();
      expect(await read(store, key)).toEqual(body);
    });

    it.each([
      [0, 0],
      [3, 6],
      [9, 9],
      [0, 9],
    ])('gives the bytes %i to %i', async (first, last) => {
      const { object, body: part } = await store.get(key, {
        range: { first, last },
        receive: ({ bytes }) => {
          expect(bytes).toBe(10);
          return Buffer.alloc(last - first + 1);
        },
      });
      expect(part).toEqual(body.subarray(first, last + 1));
      expect(object.etag).toBe(md5Hex(body));
    });

    it('shows the content to whoever watches the buffer, piece by piece', async () => {
      const bytes = Buffer.alloc(10);
      const pieces: string[] = [];
      const onPiece = (piece: Buffer) => void pieces.push(piece.toString());
      expect((await store.get(key, { receive: () => ({ bytes, onPiece }) })).body).toBe(bytes);
      expect(pieces.join('')).toBe(body.toString());
      expect(bytes).toEqual(body);
    });

    it('gives the content of an empty object', async () => {
      expect(await read(store, empty)).toEqual(Buffer.alloc(0));
      expect(await store.head(empty)).toMatchObject({ bytes: 0, etag: md5Hex(Buffer.alloc(0)) });
    });

    it('is held to one version of the object', async () => {
      const range = { first: 2, last: 4 };
      const receive = () => Buffer.alloc(3);
      const pinned = await store.get(key, { range, ifMatch: md5Hex(body), receive });
      expect(pinned.body).toEqual(Buffer.from('234'));
      const other = store.get(key, { range, ifMatch: md5Hex(Buffer.from('other')), receive });
      await expect(other).rejects.toEqual(ofKind('precondition-failed'));
    });

    it('ends with what its receiver throws', async () => {
      const error = new Error('no room');
      const reading = store.get(key, { receive: () => Promise.reject(error) });
      await expect(reading).rejects.toMatchObject({ cause: error });
      expect(await read(store, key)).toEqual(body);
    });
  });

  describe('creating an object', () => {
    it('tells its ETag', async () => {
      const body = Buffer.from('content');
      expect(await put(store, keyFromText('new/etag'), body)).toEqual({
        etag: md5Hex(body),
        etagMayBeMd5: true,
      });
    });

    it('leaves what is there already as it is', async () => {
      const key = keyFromText('new/existing');
      await put(store, key, Buffer.from('first'), [['x-amz-meta-by', 'first']]);
      const second = put(store, key, Buffer.from('second'), [['x-amz-meta-by', 'second']]);
      await expect(second).rejects.toEqual(ofKind('precondition-failed'));
      await expect(put(store, key, Buffer.alloc(0))).rejects.toEqual(ofKind('precondition-failed'));
      expect(await read(store, key)).toEqual(Buffer.from('first'));
      expect((await store.head(key)).metadata).toContainEqual(['x-amz-meta-by', 'first']);
    });

    it('is won by one of many at once', async () => {
      const key = keyFromText('new/race');
      const bodies = Array.from({ length: 8 }, (_, index) => Buffer.from(`racer ${index}`));
      const results = await Promise.allSettled(bodies.map((body) => put(store, key, body)));
      const winners = results.flatMap(({ status }, i) => (status === 'fulfilled' ? [i] : []));
      expect(winners).toHaveLength(1);
      for (const result of results) {
        if (result.status === 'fulfilled') continue;
        expect(result.reason).toEqual(ofKind('precondition-failed', 'conflict'));
      }
      expect(await read(store, key)).toEqual(bodies[winners[0] as number]);
    });

    it('is refused when the digest tells of other bytes', async () => {
      const key = keyFromText('new/bad-digest');
      const writing = store.putNew(key, {
        body: Buffer.from('these bytes'),
        metadata: [],
        digest: DIGESTS.md5(Buffer.from('other bytes')),
      });
      await expect(writing).rejects.toEqual(ofKind('bad-digest'));
      await expect(store.head(key)).rejects.toEqual(ofKind('not-found'));
    });

    it.each<keyof typeof CHECKSUMS_OF_HERE>(['sha256', 'crc64nvme', 'sha1', 'crc32c', 'crc32'])(
      'is held to its %s, which is told from then on',
      async (algorithm) => {
        const key = keyFromText(`new/${algorithm}`);
        const body = Buffer.from('here');
        const digest = { algorithm, base64: CHECKSUMS_OF_HERE[algorithm] };
        const wrong = store.putNew(key, { body: Buffer.from('there'), metadata: [], digest });
        await expect(wrong).rejects.toEqual(ofKind('bad-digest'));
        await store.putNew(key, { body, metadata: [], digest });
        expect((await store.head(key)).checksums).toContainEqual(digest);
        const { object } = await store.get(key, { receive: () => undefined });
        expect(object.checksums).toContainEqual(digest);
      },
    );

    it('takes a body of many packets', async () => {
      const key = keyFromText('new/large');
      const body = Buffer.alloc(3 * 1024 ** 2 + 1, 'many packets ');
      expect((await put(store, key, body)).etag).toBe(md5Hex(body));
      // toEqual would compare the bytes one by one, for seconds.
      expect(body.equals(await read(store, key))).toBe(true);
    });
  });

  describe('deleting an object', () => {
    const body = Buffer.from('content');

    it('leaves nothing at its key', async () => {
      const key = keyFromText('deleted/whole');
      await put(store, key, body);
      await store.deleteObject(key);
      await expect(store.head(key)).rejects.toEqual(ofKind('not-found'));
      await store.deleteObject(key);
    });

    it('that still has an ETag leaves nothing at its key', async () => {
      const key = keyFromText('deleted/matching');
      await put(store, key, body);
      await store.deleteObject(key, { ifMatch: md5Hex(body) });
      await expect(store.head(key)).rejects.toEqual(ofKind('not-found'));
    });

    const deleteAnother = async (key: ObjectKey): Promise<void> => {
      await put(store, key, body);
      await store.deleteObject(key, { ifMatch: md5Hex(Buffer.from('other')) });
    };

    if (ignoresDeleteCondition) {
      it('that has another ETag deletes it all the same', async () => {
        const key = keyFromText('deleted/other');
        await deleteAnother(key);
        await expect(store.head(key)).rejects.toEqual(ofKind('not-found'));
      });
    } else {
      it('that has another ETag leaves it', async () => {
        const key = keyFromText('deleted/other');
        await expect(deleteAnother(key)).rejects.toEqual(ofKind('precondition-failed'));
        expect(await read(store, key)).toEqual(body);
      });
    }
  });

  describe.each<PartDigest['algorithm']>(['md5', 'crc32'])(
    'creating an object of parts with %s',
    (algorithm) => {
      const digestOf = DIGESTS[algorithm];
      const partKey = (name: string) => keyFromText(`parts/${algorithm}/${name}`);
      const bodies = [Buffer.alloc(minPartBytes, 'one'), Buffer.from('two')];
      const whole = Buffer.concat(bodies);
      const wholeEtag = `${md5Hex(Buffer.concat(bodies.map((body) => hash('md5', body, 'buffer'))))}-2`;

      async function upload(key: ObjectKey) {
        const uploadId = await store.createMultipartUpload(key, [], algorithm);
        const parts = await Promise.all(
          bodies.map((body, index) => {
            const part = { uploadId, partNumber: index + 1, body, digest: digestOf(body) };
            return store.uploadPart(key, part);
          }),
        );
        return { uploadId, parts };
      }

      it('joins them in order under an ETag made of theirs', async () => {
        const key = partKey('whole');
        const made = await upload(key);
        expect(made.parts).toMatchObject(
          bodies.map((body, index) => ({
            partNumber: index + 1,
            etag: md5Hex(body),
            digest: digestOf(body),
          })),
        );
        const done = await store.completeNew(key, made);
        expect(done).toMatchObject({ etag: wholeEtag, etagMayBeMd5: false });
        expect(await store.head(key)).toMatchObject({
          bytes: whole.length,
          etag: wholeEtag,
          etagMayBeMd5: false,
        });
        expect(whole.equals(await read(store, key))).toBe(true);
      });

      it('tells the length of each', async () => {
        const key = partKey('lengths');
        await store.completeNew(key, await upload(key));
        for (const [index, { length }] of bodies.entries()) {
          const asked = { partNumber: index + 1, ifMatch: wholeEtag };
          expect(await store.headPart(key, asked)).toEqual({ bytes: length, parts: 2 });
        }
        const other = { partNumber: 1, ifMatch: md5Hex(whole) };
        await expect(store.headPart(key, other)).rejects.toEqual(ofKind('precondition-failed'));
        const beyond = { partNumber: 3, ifMatch: wholeEtag };
        expect(await store.headPart(key, beyond)).toBeUndefined();
      });

      it('tells no CRC32 but the right ones', async () => {
        const key = partKey('checksums');
        const made = await upload(key);
        for (const [index, { crc32: told }] of made.parts.entries()) {
          expect([undefined, crc(bodies[index] as Buffer).toString('base64')]).toContain(told);
        }
        const done = await store.completeNew(key, made);
        const composite = crc(Buffer.concat(bodies.map((body) => crc(body)))).toString('base64');
        expect([
          undefined,
          `${composite}-2`,
          composite,
          crc(...bodies).toString('base64'),
        ]).toContain(done.crc32);
      });

      it('takes a part that passes through, and replaces an earlier one', async () => {
        const key = partKey('passage');
        const source = partKey('passage source');
        const body = Buffer.alloc(1024 ** 2 + 1, 'passing ');
        await put(store, source, body);
        const uploadId = await store.createMultipartUpload(key, [], algorithm);
        const part = { uploadId, partNumber: 1 };
        const earlier = Buffer.from('earlier');
        await store.uploadPart(key, { ...part, body: earlier, digest: digestOf(earlier) });
        const passage = new Passage(body.length, () => {});
        const uploading = store.uploadPart(key, { ...part, body: passage, digest: digestOf(body) });
        await store.get(source, { receive: () => passage });
        await store.completeNew(key, { uploadId, parts: [await uploading] });
        expect(body.equals(await read(store, key))).toBe(true);
      });

      it('leaves what is there already, and the upload, as they are', async () => {
        const key = partKey('existing');
        const made = await upload(key);
        await put(store, key, Buffer.from('first'));
        await expect(store.completeNew(key, made)).rejects.toEqual(ofKind('precondition-failed'));
        expect(await read(store, key)).toEqual(Buffer.from('first'));
        await expect(store.completeNew(key, made)).rejects.toEqual(ofKind('precondition-failed'));
        await store.abortMultipartUpload(key, made.uploadId);
      });

      it('is won by one of many at once', async () => {
        const key = partKey('race');
        const uploads = await Promise.all([upload(key), upload(key), upload(key)]);
        const results = await Promise.allSettled(
          uploads.map((made) => store.completeNew(key, made)),
        );
        expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
        for (const result of results) {
          if (result.status === 'fulfilled') continue;
          expect(result.reason).toEqual(ofKind('precondition-failed', 'conflict'));
        }
        for (const { uploadId } of uploads) await store.abortMultipartUpload(key, uploadId);
        expect(whole.equals(await read(store, key))).toBe(true);
      });

      it('refuses a part whose digest tells of other bytes', async () => {
        const key = partKey('bad-digest');
        const uploadId = await store.createMultipartUpload(key, [], algorithm);
        const part = {
          uploadId,
          partNumber: 1,
          body: Buffer.from('these'),
          digest: digestOf(whole),
        };
        await expect(store.uploadPart(key, part)).rejects.toEqual(ofKind('bad-digest'));
        const parts = [{ partNumber: 1, etag: md5Hex(part.body), digest: digestOf(part.body) }];
        await expect(store.completeNew(key, { uploadId, parts })).rejects.toEqual(
          ofKind('refused'),
        );
        await store.abortMultipartUpload(key, uploadId);
      });

      it('shows its parts while it is under way, and none once it is over', async () => {
        const key = partKey('listed parts');
        const uploadId = await store.createMultipartUpload(key, [], algorithm);
        expect(await store.listParts(key, uploadId)).toEqual([]);
        const parts = [7, 3].map((partNumber, index) => ({
          partNumber,
          body: bodies[index] as Buffer,
        }));
        for (const { partNumber, body } of parts) {
          await store.uploadPart(key, { uploadId, partNumber, body, digest: digestOf(body) });
        }
        expect(await store.listParts(key, uploadId)).toEqual(
          parts.toReversed().map(({ partNumber, body }) => ({
            partNumber,
            bytes: body.length,
            etag: md5Hex(body),
          })),
        );
        await store.abortMultipartUpload(key, uploadId);
        await expect(store.listParts(key, uploadId)).rejects.toEqual(ofKind('no-such-upload'));
      });

      it('is shown among the uploads of its own key alone, while it is under way', async () => {
        const [key, longer] = ['listed uploads', 'listed uploads & more'].map(partKey) as [
          ObjectKey,
          ObjectKey,
        ];
        expect((await store.listUploads(key)).uploads).toEqual([]);
        const ids = [];
        for (let begun = 0; begun < 2; begun++) {
          ids.push(await store.createMultipartUpload(key, [], algorithm));
        }
        const other = await store.createMultipartUpload(longer, [], algorithm);
        const { uploads, answeredAt } = await store.listUploads(key);
        expect(uploads.map(({ uploadId }) => uploadId).toSorted()).toEqual(ids.toSorted());
        for (const { initiatedAt } of uploads) {
          expect(Math.abs(initiatedAt - (answeredAt as number))).toBeLessThan(60_000);
        }
        for (const uploadId of ids) await store.abortMultipartUpload(key, uploadId);
        await store.abortMultipartUpload(longer, other);
        expect((await store.listUploads(key)).uploads).toEqual([]);
      });

      it('comes to nothing when it is aborted, once or twice', async () => {
        const key = partKey('aborted');
        const made = await upload(key);
        await store.abortMultipartUpload(key, made.uploadId);
        await store.abortMultipartUpload(key, made.uploadId);
        await expect(store.completeNew(key, made)).rejects.toEqual(ofKind('no-such-upload'));
        await expect(store.head(key)).rejects.toEqual(ofKind('not-found'));
      });
    },
  );

  describe('what fails', () => {
    const key = keyFromText('failing/absent');

    it('is not found when the key is absent', async () => {
      await expect(read(store, key)).rejects.toEqual(ofKind('not-found'));
      await expect(store.head(key)).rejects.toEqual(ofKind('not-found'));
    });

    it('is the bucket when that is absent', async () => {
      const { missingBucket } = subject;
      const body = Buffer.from('content');
      await expect(read(missingBucket, key)).rejects.toEqual(ofKind('no-such-bucket'));
      await expect(put(missingBucket, key, body)).rejects.toEqual(ofKind('no-such-bucket'));
      const uploading = missingBucket.createMultipartUpload(key, []);
      await expect(uploading).rejects.toEqual(ofKind('no-such-bucket'));
      // The answer to HEAD has no body that could tell which of the two is absent.
      await expect(missingBucket.headBucket()).rejects.toEqual(ofKind('not-found'));
    });

    it('is denied with a wrong secret', async () => {
      const { wrongSecret } = subject;
      await expect(wrongSecret.headBucket()).rejects.toEqual(ofKind('denied'));
      await expect(read(wrongSecret, key)).rejects.toEqual(ofKind('denied'));
      await expect(put(wrongSecret, key, Buffer.from('x'))).rejects.toEqual(ofKind('denied'));
    });

    it('carries no secret', async () => {
      const error = await subject.wrongSecret.headBucket().catch((thrown: unknown) => thrown);
      expect(JSON.stringify(error)).not.toMatch(/signature=|authorization/i);
    });

    it('is nothing when the bucket is there', async () => {
      await store.headBucket();
    });
  });
}

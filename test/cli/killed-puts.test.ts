/**
 * A store that keeps what a killed client left of a body, as versitygw does where no digest forbids it.
 *
 * Whatever way an object takes, and wherever in its body SIGKILL comes: nothing torn is ever seen, because
 * every PUT and UploadPart carries a digest of the whole body. The control cases show that this store does
 * keep a torn body without one.
 */
import { hash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import type { NewObject, Upload } from '../../src/s3-server/bucket.ts';
import { RequestCutError } from '../../src/s3-server/payload.ts';
import { send, sendPart } from '../s3-server/raw-request.ts';
import { runs } from '../support/random-runs.ts';
import { digestsOf, gate, type Migration, prepareMigration, type Side } from './migration.ts';

const KIB = 1024;
const MIB = 1024 ** 2;
/** No part but a last one is smaller. */
const PART_BYTES = 16 * MIB;
const KEY = 'films/harbour.mov';

let migration: Migration;
let destination: Side;
beforeEach(async () => {
  migration = await prepareMigration();
  ({ destination } = migration);
  destination.script.keepTruncated();
});

describe('this store', () => {
  const path = `/archive/${KEY}`;
  const body = Buffer.from('a film of the harbour');

  const signing = (): { accessKeyId: string; secretAccessKey: string } => ({
    accessKeyId: destination.accessKey,
    secretAccessKey: destination.secret,
  });

  /** Sends ten bytes of the body, and ends the connection as the kernel does for a killed client. */
  async function cut(query: Record<string, string>, headers: Record<string, string>) {
    const { server, script } = destination;
    const arrived = script.requests.length + 1;
    const request = { method: 'PUT', path, query, headers, body, signing: signing() };
    const socket = await sendPart(server, request, 10);
    await script.until((seen) => seen.length >= arrived);
    socket.resume().end();
    await once(socket, 'close');
    await nextTurn();
  }

  async function beginUpload(): Promise<Upload> {
    const { server, bucket } = destination;
    migration.uploadsMayBeLeft = 'it is the test that begins it';
    await send(server, { method: 'POST', path, query: { uploads: '' }, signing: signing() });
    return bucket.uploads()[0] as Upload;
  }

  it('keeps the start of an object that came without a digest, also under a condition', async () => {
    await cut({}, { 'if-none-match': '*' });
    expect(destination.contents()).toEqual({ [KEY]: 'a film of ' });
  });

  it('keeps the start of a part that came without a digest, as if it were the whole', async () => {
    const { uploadId, parts } = await beginUpload();
    await cut({ partNumber: '1', uploadId }, {});
    expect(parts.get(1)?.body).toHaveLength(body.length);
  });

  it('keeps nothing of either where there is a digest', async () => {
    const { uploadId, parts } = await beginUpload();
    const headers = { 'content-md5': hash('md5', body, 'base64') };
    await cut({}, headers);
    await cut({ partNumber: '1', uploadId }, headers);
    expect(destination.contents()).toEqual({});
    expect(parts.size).toBe(0);
  });
});

interface Way {
  readonly way: string;
  readonly bytes: number;
  readonly etag?: string;
  readonly partBytes?: number;
  readonly operation: 'PutObject' | 'UploadPart';
  /** Who is the slow one: bytes come in a trickle, or are not taken. */
  readonly slow: 'source' | 'destination';
  /** Whether the body is more than the buffers of the two kernels can hold, so that it must be torn. */
  readonly torn: boolean;
}

const SOMEBODYS_ETAG = '00112233445566778899aabbccddeeff';

const WAYS: readonly Way[] = [
  {
    way: 'without content',
    bytes: 0,
    operation: 'PutObject',
    slow: 'destination',
    torn: false,
  },
  {
    way: 'collected, its ETag an MD5',
    bytes: 200 * KIB,
    operation: 'PutObject',
    slow: 'destination',
    torn: false,
  },
  {
    way: 'collected, its ETag no MD5',
    bytes: 14 * MIB,
    etag: '0x8DA5',
    operation: 'PutObject',
    slow: 'destination',
    torn: true,
  },
  {
    way: 'collected, its ETag looking like an MD5',
    bytes: 150 * KIB,
    etag: SOMEBODYS_ETAG,
    operation: 'PutObject',
    slow: 'destination',
    torn: false,
  },
  {
    way: 'passed through from a slow source',
    bytes: 700 * KIB,
    operation: 'PutObject',
    slow: 'source',
    torn: true,
  },
  {
    way: 'passed through to a slow destination',
    bytes: 24 * MIB,
    operation: 'PutObject',
    slow: 'destination',
    torn: true,
  },
  {
    way: 'passed through, its ETag looking like an MD5',
    bytes: 700 * KIB,
    etag: SOMEBODYS_ETAG,
    operation: 'PutObject',
    slow: 'source',
    torn: true,
  },
  {
    way: 'copied in parts',
    bytes: 2 * PART_BYTES,
    partBytes: PART_BYTES,
    operation: 'UploadPart',
    slow: 'destination',
    torn: true,
  },
];

describe.each(WAYS)('an object $way', (way) => {
  it('is whole or absent after each kill, and whole in the end', async () => {
    const place = fc.noBias(fc.integer({ min: 0, max: 40 }));
    await fc.assert(
      fc.asyncProperty(fc.tuple(place, place), async (percents) => {
        await givenObject(way);
        for (const percent of percents) {
          const cut = await killAt(way, Math.floor((percent * bodyBytes(way)) / 100));
          if (way.torn) expect(cut).toMatchObject({ cut: 'closed' });
          expectNothingTorn();
        }

        const { exitCode, stderr } = await migration.run();

        expect(stderr).toContain('every listed key is accounted for');
        expect(exitCode).toBe(0);
        expect(digestsOf(destination)).toEqual(digestsOf(migration.source));
        expect(withoutDigest(destination)).toEqual([]);
      }),
      // Each case is three runs of the program: to look for a smaller one would take minutes.
      { numRuns: runs(1), endOnFailure: true },
    );
  });
});

/** Of each request that brings content. */
function bodyBytes({ operation, bytes }: Way): number {
  return operation === 'UploadPart' ? PART_BYTES : bytes;
}

/** The object alone in the source and in its list; nothing in the destination, nothing recorded. */
async function givenObject({ bytes, etag, partBytes }: Way): Promise<void> {
  migration = await prepareMigration();
  ({ destination } = migration);
  destination.script.keepTruncated();
  const object: NewObject = {
    body: randomBytes(bytes),
    ...(etag === undefined ? {} : { etag }),
    ...(partBytes === undefined ? {} : { partBytes }),
  };
  migration.source.bucket.put(KEY as ObjectKey, object);
  await migration.listKeys();
}

/**
 * Starts the command, and kills it when so many bytes of the object, or of one of its parts, have arrived.
 *
 * @returns how the write ended for the server; undefined when all of its body came
 */
async function killAt(way: Way, bytes: number): Promise<RequestCutError | undefined> {
  const { operation, slow } = way;
  const { source } = migration;
  source.script.clear();
  if (slow === 'source') source.script.on('GetObject', KEY).stallAt(bytes);
  const arrived = gate();
  const killed = gate();
  let ending: Promise<RequestCutError | undefined> = Promise.resolve(undefined);
  destination.script
    .on(operation, KEY)
    .where(({ headers }) => headers.get('content-length') === String(bodyBytes(way)))
    .times(1)
    .before(({ incoming, readBody }) => {
      ending = cutOf(readBody());
      let seen = 0;
      const count = (chunk: Buffer): void => {
        seen += chunk.length;
        if (seen < bytes) return;
        incoming.pause();
        arrived.open();
      };
      incoming.on('data', count);
      count(Buffer.alloc(0));
      void killed.opened.then(() => incoming.off('data', count).resume());
    });
  const program = migration.start();
  await program.reaches(arrived.opened);
  program.kill('SIGKILL');
  expect(await program.ended).toMatchObject({ signal: 'SIGKILL' });
  killed.open();
  const cut = await ending;
  // What the server does about a cut request it does at once.
  await nextTurn();
  source.script.clear();
  return cut;
}

async function cutOf(body: Promise<Buffer>): Promise<RequestCutError | undefined> {
  try {
    await body;
    return undefined;
  } catch (error) {
    if (error instanceof RequestCutError) return error;
    throw error;
  }
}

/** Neither an object nor a part is there that is not the source's, byte for byte. */
function expectNothingTorn(): void {
  const original = migration.source.bucket.get(KEY as ObjectKey)?.body as Buffer;
  for (const key of destination.bucket.keys()) {
    expect(destination.bucket.get(key)?.body.equals(original)).toBe(true);
  }
  for (const { parts } of destination.bucket.uploads()) {
    for (const [number, { body }] of parts) {
      expect(original.includes(body), `part ${number} is of the source`).toBe(true);
    }
  }
}

/** The writes of bytes that the destination could not have verified. */
function withoutDigest({ script }: Side): string[] {
  return script.requests
    .filter(({ operation }) => operation === 'PutObject' || operation === 'UploadPart')
    .filter(({ headers }) => {
      const names = [...headers.keys()];
      return !names.some((name) => name === 'content-md5' || name.startsWith('x-amz-checksum-'));
    })
    .map(({ method, key }) => `${method} ${key}`);
}

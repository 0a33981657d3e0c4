/**
 * Copies one object by passing its content through: read from the source and sent to the destination
 * buffer by buffer, as one PUT.
 *
 * Only an object whose ETag is an MD5 can go this way: the destination needs a digest before the first
 * byte, and that one is known. Nothing is collected and nothing hashed here, and the destination itself
 * proves that it has the source's bytes.
 */
import { createHash } from 'node:crypto';
import type { ObjectKey } from '../object-key.ts';
import type { ObjectHead, PutResult } from '../s3/object-store.ts';
import { Passage } from '../wire/passage.ts';
import type { CopyContext } from './copy-context.ts';
import { hexToBase64 } from './digest.ts';
import { at } from './transfer-error.ts';

/** An object on its way: its PUT, and the passage that its GET is to fill. */
export class CopyThrough {
  readonly passage: Passage;
  readonly put: Promise<PutResult>;
  /** MD5 that is sent along: the source's ETag; in hex, lower case. */
  readonly md5: string;

  constructor(key: ObjectKey, object: ObjectHead, { destination, counters }: CopyContext) {
    this.passage = new Passage(object.bytes, (bytes) => {
      counters.downloadedBytes += bytes;
    });
    this.md5 = object.etag.toLowerCase();
    this.put = at(
      'destination',
      destination.putNew(key, {
        body: this.passage,
        metadata: object.metadata,
        md5: hexToBase64(object.etag),
      }),
    );
    // Awaited only after the GET, which may take long.
    this.put.catch(() => {});
  }

  /** Fulfilled when the PUT has ended, in whatever way. */
  async settled(): Promise<void> {
    await this.put.catch(() => {});
  }
}

/** What was read of an object. */
export interface ReadDigest {
  /** In hex, lower case. */
  readonly md5: string;
  readonly bytes: number;
}

/** Reads an object once more, only to hash it: to tell a wrong ETag from bytes changed on the way. */
export async function digestOfSource(key: ObjectKey, { source }: CopyContext): Promise<ReadDigest> {
  const hash = createHash('md5');
  let bytes = 0;
  await at(
    'source',
    source.get(key, {
      receive: (object) => {
        bytes = object.bytes;
        const passage = new Passage(object.bytes, () => {});
        passage.connectWriter({
          write: (piece) => {
            hash.update(piece);
            return true;
          },
          fail: () => {},
        });
        return passage;
      },
    }),
  );
  return { md5: hash.digest('hex'), bytes };
}

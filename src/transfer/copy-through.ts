/**
 * Copies one object by passing its content through: read from the source and sent to the destination
 * buffer by buffer, as one PUT.
 *
 * Only an object of which the source tells a digest can go this way: the destination needs it before the
 * first byte. Nothing is collected and nothing hashed here, and the destination itself
 * proves that it has the source's bytes.
 */
import { createHash } from 'node:crypto';
import type { ObjectKey } from '../object-key.ts';
import type { ContentDigest, ObjectHead, PutResult } from '../s3/object-store.ts';
import { Passage } from '../wire/passage.ts';
import type { Header } from '../wire/signature.ts';
import type { CopyContext } from './copy-context.ts';
import { at } from './transfer-error.ts';

/** An object on its way: its PUT, and the passage that its GET is to fill. */
export class CopyThrough {
  readonly passage: Passage;
  readonly put: Promise<PutResult>;
  /** What the source told, and the destination verifies. */
  readonly digest: ContentDigest;

  /** @param content - with `headers`, all that goes along with the object */
  constructor(
    key: ObjectKey,
    content: { object: ObjectHead; headers: readonly Header[]; digest: ContentDigest },
    { destination, counters }: CopyContext,
  ) {
    const { object, headers, digest } = content;
    this.passage = new Passage(object.bytes, (bytes) => {
      counters.downloadedBytes += bytes;
    });
    this.digest = digest;
    this.put = at(
      'destination',
      destination.putNew(key, { body: this.passage, metadata: headers, digest }),
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

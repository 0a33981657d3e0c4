/**
 * A look at the destination after each write, for stores whose word is not to be taken: is the object there, as
 * long as it was written, and with the ETag that was acknowledged?
 */
import type { Outcome } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';
import type { ObjectHead } from '../s3/object-store.ts';
import type { CopyContext } from './copy-context.ts';
import { insist } from './insist.ts';
import { withdraw } from './remove-own.ts';
import { at, notAsAcknowledged, TransferError } from './transfer-error.ts';

/**
 * @throws TransferError `not-kept` when it is not there; `short` when it is there with another length, and was then
 *   removed; `changed-after-copy` when its ETag is another: the destination keeps something else than it has
 *   acknowledged, or another client has written it since, so it is left alone. What the destination answers when it
 *   cannot be asked
 */
export async function verifyCopy(
  { key, bytes, etag }: Extract<Outcome, { kind: 'copied' }>,
  context: CopyContext,
): Promise<void> {
  const there = await insist(key, () => head(key, context), context);
  // versitygw 1.8 has no ETag for a file that was put below it.
  if (there.etag !== '' && there.etag.toLowerCase() !== etag.toLowerCase()) {
    const what = `${bytes} bytes with ETag ${etag} were acknowledged, and ${there.bytes} with ${there.etag} are there`;
    throw notAsAcknowledged('changed-after-copy', what);
  }
  if (there.bytes === bytes) return;
  const found = notAsAcknowledged(
    'short',
    `${bytes} bytes were acknowledged, and ${there.bytes} are there`,
  );
  const own = { key, etag, bytes: there.bytes, writtenAt: context.now() };
  throw await withdraw(own, found, context);
}

async function head(key: ObjectKey, { destination }: CopyContext): Promise<ObjectHead> {
  try {
    return await at('destination', destination.head(key));
  } catch (error) {
    if (!(error instanceof TransferError) || error.kind !== 'not-found') throw error;
    throw notAsAcknowledged('not-kept', 'it was acknowledged, and is not there');
  }
}

/**
 * A last look at the source, for runs beside live traffic: what a client deletes while it is copied must not
 * be there again at the destination.
 */
import type { Outcome } from '../domain.ts';
import { displayKey } from '../object-key.ts';
import type { CopyContext } from './copy-context.ts';
import { insist } from './insist.ts';
import { removeOwn } from './remove-own.ts';
import { at, TransferError } from './transfer-error.ts';

const DELETED = 'it was deleted at the source while it was copied';

/**
 * @returns the outcome as it is when the source has the object, whichever; when it is gone, ours has been removed
 *   and the object counts as one the source does not have, or it has failed because ours is still there
 */
export async function recheckSource(
  copied: Extract<Outcome, { kind: 'copied' }>,
  context: CopyContext,
): Promise<Outcome> {
  const { key, etag, bytes } = copied;
  const { source, now, warn } = context;
  try {
    await insist(key, () => at('source', source.head(key)), context);
    return copied;
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    if (error.kind !== 'not-found') {
      warn(
        `${displayKey(key)} is copied, but the source could not be asked whether it still has it: ${error.code}, ${error.message}`,
      );
      return copied;
    }
  }
  const removal = await removeOwn({ key, etag, bytes, writtenAt: now() }, DELETED, context);
  const code = 'deleted-during-copy';
  if (removal !== 'left') return { kind: 'skipped-download', key, detail: code };
  const message = `${DELETED}, and could not be removed at the destination`;
  return {
    kind: 'failed',
    key,
    failure: { code, status: 0, attempts: 1, message, side: 'destination', at: now() },
  };
}

/**
 * Removes an object of ours from the destination, and never one of another's.
 *
 * Where the destination was seen to keep to it, the removal itself carries the condition. Elsewhere a look
 * comes before it, and the operator is told, because what another writes between the two would be lost.
 */
import { displayKey, type ObjectKey } from '../object-key.ts';
import { type ObjectHead, StoreError } from '../s3/object-store.ts';
import type { CopyContext } from './copy-context.ts';
import { insist } from './insist.ts';
import { at, TransferError } from './transfer-error.ts';

/** What was written, as the destination acknowledged it. */
export interface OwnObject {
  readonly key: ObjectKey;
  readonly etag: string;
  readonly bytes: number;
  /** When the acknowledgement came, in ms since the epoch. */
  readonly writtenAt: number;
}

type Removal =
  | 'removed'
  /** There is nothing, or something else. */
  | 'not-ours'
  /** It could not be looked at or removed, and is still there. */
  | 'left';

/**
 * @param why - a clause for the operator: `its ETag is not that of the content`
 */
export async function removeOwn(
  own: OwnObject,
  why: string,
  context: CopyContext,
): Promise<Removal> {
  const { destination, policy, warn } = context;
  const name = displayKey(own.key);
  try {
    if (policy.capabilities?.deleteCondition.kind === 'honoured') {
      const ifMatch = own.etag;
      await insist(
        own.key,
        () => at('destination', destination.deleteObject(own.key, { ifMatch })),
        context,
      );
      return 'removed';
    }
    const there = await insist(
      own.key,
      () => at('destination', destination.head(own.key)),
      context,
    );
    if (!isOwn(there, own, context)) return 'not-ours';
    warn(
      `removing ${name} from the destination again: ${why}. This store knows no conditional DELETE: had another client overwritten it in this very moment, that would be lost`,
    );
    await at('destination', destination.deleteObject(own.key));
    return 'removed';
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    if (error.kind === 'precondition-failed' || error.kind === 'not-found') return 'not-ours';
    warn(`${name} is left at the destination although ${why}: ${error.code}, ${error.message}`);
    return 'left';
  }
}

/** Two clocks, and times in whole seconds. */
const TOLERANCE_MS = 2_000;

function isOwn(there: ObjectHead, own: OwnObject, { policy }: CopyContext): boolean {
  if (there.etag !== own.etag || there.bytes !== own.bytes) return false;
  const clock = policy.capabilities?.clock;
  const modified = Date.parse(there.lastModified);
  if (clock?.kind !== 'measured' || Number.isNaN(modified)) return true;
  // Others may have written the same bytes since, with other metadata.
  return modified <= own.writtenAt + clock.aheadMs + TOLERANCE_MS;
}

const LEFT_THERE: Readonly<Record<Removal, string>> = {
  removed: '',
  'not-ours': '; what is there now is not what was acknowledged, and is left alone',
  left: '; it could not be removed, and is still there',
};

/**
 * Makes an object that was found wrong go away again.
 *
 * @returns what to fail with; unless its `mayHaveLanded` is set, nothing is at the key any more
 */
export async function withdraw(
  own: OwnObject,
  found: TransferError,
  context: CopyContext,
): Promise<TransferError> {
  const removal = await removeOwn(own, found.message, context);
  const { kind, code, status } = found.cause;
  const mayHaveLanded = removal !== 'removed';
  const message = `${found.message}${LEFT_THERE[removal]}`;
  return new TransferError(
    found.side,
    new StoreError(message, { kind, code, status, mayHaveLanded }),
  );
}

/**
 * Copies one object: GET from the source, conditional PUT to the destination, and the outcome.
 *
 * No acknowledged wrong byte: every write carries a digest that the destination checks before it keeps
 * anything. Where the source's ETag is an MD5 that digest is the ETag itself, so the destination proves
 * the whole way from the source's disk at no cost. Nothing at the destination is ever overwritten.
 * An object that fails becomes an outcome; what makes every object fail is thrown.
 */
import type { Outcome, TransferFailure } from '../domain.ts';
import { MigrateError } from '../errors.ts';
import type { ObjectKey } from '../object-key.ts';
import { type ObjectHead, StoreError } from '../s3/object-store.ts';
import { type CopyContext, type CopyState, countDownload, newCopyState } from './copy-context.ts';
import { copyInParts } from './copy-in-parts.ts';
import { base64ToHex, hexToBase64, md5Base64 } from './digest.ts';
import { lookOnceMore, resolveExisting } from './existing-object.ts';
import { isPassing, waitBeforeRetry } from './retry.ts';
import { at, TransferError, wrongEtag } from './transfer-error.ts';

/** Connections closed while idle that one object may meet before they count as failed attempts. */
const STALE_RETRIES = 3;

/**
 * @throws MigrateError when no object could be copied: the bucket is gone, conditional writes are
 *   not implemented
 */
export async function copyObject(key: ObjectKey, context: CopyContext): Promise<Outcome> {
  const state = newCopyState();
  let stale = 0;
  for (let attempt = 1; ; attempt++) {
    try {
      return await attemptCopy(key, context, state);
    } catch (error) {
      if (!(error instanceof TransferError)) throw error;
      stopIfHopeless(error);
      if (error.side === 'source' && error.kind === 'not-found') {
        return { kind: 'skipped-download', key, detail: error.code };
      }
      if (error.kind === 'precondition-failed' && error.side === 'source' && !state.changed) {
        state.changed = true;
        context.counters.retries++;
        continue;
      }
      if (error.stale && stale < STALE_RETRIES) {
        // The connection had been closed while idle: no attempt at all, as far as the store is concerned.
        stale++;
        attempt--;
        context.counters.retries++;
        continue;
      }
      const wait = waitBeforeRetry(error.cause, attempt, context.retry);
      if (wait === undefined) {
        const found = mayBeThere(error, state) ? await lookOnceMore(key, context, state) : undefined;
        return found ?? failed(key, error, attempt, context.now());
      }
      context.counters.retries++;
      await context.retry.sleep(wait);
    }
  }
}

/** Not after an answer that tells of other bytes or refuses them: what is there then is no success. */
function mayBeThere({ side, cause }: TransferError, state: CopyState): boolean {
  const unclear = cause.kind === 'conflict' || state.mayHaveLanded !== undefined;
  return side === 'destination' && unclear && isPassing(cause);
}

async function attemptCopy(
  key: ObjectKey,
  context: CopyContext,
  state: CopyState,
): Promise<Outcome> {
  const { source, counters, budget, multipartThresholdBytes } = context;
  let held = 0;
  let room: Promise<void> | undefined;
  try {
    const { object, body } = await at(
      'source',
      source.get(key, {
        receive: (head) => {
          if (head.bytes > multipartThresholdBytes) return undefined;
          held = head.bytes;
          room = budget.take(held);
          return room === undefined
            ? Buffer.allocUnsafe(head.bytes)
            : room.then(() => Buffer.allocUnsafe(head.bytes));
        },
      }),
    );
    if (body === undefined) return await copyInParts(key, object, context, state);
    countDownload(state, context);
    counters.downloadedBytes += body.length;
    return await putWhole(key, object, body, context, state);
  } finally {
    // The exchange may have failed while it waited for room: only what was taken can be given back.
    if (room !== undefined) await room;
    budget.release(held);
  }
}

async function putWhole(
  key: ObjectKey,
  object: ObjectHead,
  body: Buffer,
  context: CopyContext,
  state: CopyState,
): Promise<Outcome> {
  const { destination, counters, learnt } = context;
  const fromEtag =
    object.etagMayBeMd5 && !state.etagIsNoMd5 && learnt.sourceEtags !== 'other';
  const md5 = fromEtag ? hexToBase64(object.etag) : md5Base64(body);
  const md5Hex = fromEtag ? object.etag.toLowerCase() : base64ToHex(md5);
  try {
    const put = await at(
      'destination',
      destination.putNew(key, { body, metadata: object.metadata, md5 }),
    );
    if (put.etagMayBeMd5 && put.etag.toLowerCase() !== md5Hex) throw wrongEtag(put.etag, md5Hex);
    const proven = md5Hex === object.etag.toLowerCase();
    if (proven && body.length > 0) learnt.sourceEtags = 'md5';
    counters.uploadedBytes += body.length;
    return {
      kind: 'copied',
      key,
      bytes: body.length,
      etag: put.etag,
      detail: proven ? 'md5' : 'length-only',
    };
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    if (error.kind === 'precondition-failed') return resolveExisting(key, context, state);
    if (error.kind === 'bad-digest' && fromEtag) {
      await suspectEtag(key, { body, object }, context, state);
    }
    if (error.cause.mayHaveLanded) {
      state.mayHaveLanded = {
        etag: md5Hex,
        bytes: body.length,
        uncountedBytes: body.length,
      };
    }
    throw error;
  }
}

/**
 * The destination found other bytes than the source's ETag tells of. Either they changed on the way, or
 * this ETag is no MD5: the same bytes read twice decide for the latter, unless they are not all of them.
 */
async function suspectEtag(
  key: ObjectKey,
  { body, object }: { body: Buffer; object: ObjectHead },
  { source, learnt }: CopyContext,
  state: CopyState,
): Promise<void> {
  const actual = md5Base64(body);
  if (base64ToHex(actual) === object.etag.toLowerCase()) return;
  const again = state.refusedMd5 === actual;
  state.refusedMd5 = actual;
  if (!again) return;
  const { bytes } = await at('source', source.head(key));
  if (bytes !== body.length) throw cutShort(body.length, bytes);
  state.etagIsNoMd5 = true;
  if (learnt.sourceEtags === 'untried') learnt.sourceEtags = 'other';
}

function cutShort(read: number, bytes: number): TransferError {
  return new TransferError(
    'source',
    new StoreError(`GET gave ${read} bytes of an object of ${bytes}`, {
      kind: 'not-s3',
      code: 'source-truncated',
      status: 200,
      mayHaveLanded: false,
    }),
  );
}

/** Some answers mean that no object can be copied: going on would only fill failed.log. */
function stopIfHopeless(error: TransferError): void {
  if (error.kind === 'no-such-bucket') {
    throw new MigrateError(`the ${error.side} says that the bucket does not exist (any more)`, {
      exitCode: 3,
      hint: 'Check the bucket, then give the same command again.',
      cause: error,
    });
  }
  if (error.kind === 'not-implemented' && error.side === 'destination') {
    throw new MigrateError(
      `the destination does not implement a conditional write (${error.code}: ${error.message})`,
      {
        exitCode: 3,
        hint: 'Objects that clients write to it meanwhile could not be told from older ones. Update the store, or use one that honours the condition.',
        cause: error,
      },
    );
  }
}

function failed(key: ObjectKey, error: TransferError, attempt: number, now: number): Outcome {
  const { code, status, message } = error.cause;
  const attempts = attempt - 1 + error.attempts;
  const failure: TransferFailure = { code, status, attempts, message, side: error.side, at: now };
  return { kind: 'failed', key, failure };
}

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
import { type ObjectHead, type PutResult, StoreError } from '../s3/object-store.ts';
import type { CollectedBody } from '../wire/collected-body.ts';
import { PASSAGE_BUFFER_BYTES } from '../wire/passage.ts';
import { type CopyContext, type CopyState, countDownload, newCopyState } from './copy-context.ts';
import { copyInParts } from './copy-in-parts.ts';
import { CopyThrough, digestOfSource, type ReadDigest } from './copy-through.ts';
import { base64ToHex, hexToBase64, md5Base64 } from './digest.ts';
import { lookOnceMore, resolveExisting } from './existing-object.ts';
import { MIN_PART_BYTES } from './part-plan.ts';
import { isPassing, waitBeforeRetry } from './retry.ts';
import { at, TransferError, wrongEtag } from './transfer-error.ts';

/** Connections closed while idle that one object may meet before they count as failed attempts. */
const STALE_RETRIES = 3;

/** Up to here an object is collected and sent in one write with its request. */
const THROUGH_FROM_BYTES = 256 * 1024;

/** An object that turned out to be one that is copied in parts. */
export interface LargeObject {
  readonly kind: 'large';
  readonly key: ObjectKey;
  readonly object: ObjectHead;
}

/**
 * Copies an object, unless it is a large one: that is told as soon as its head is there, for
 * {@link copyLargeObject} to go on with at another place in the queue.
 *
 * @throws MigrateError when no object could be copied: the bucket is gone, conditional writes are
 *   not implemented
 */
export function copyObject(key: ObjectKey, context: CopyContext): Promise<Outcome | LargeObject> {
  return tryToCopy(key, context, (state) => attemptCopy(key, context, state));
}

/** @throws MigrateError as {@link copyObject} */
export function copyLargeObject(
  { key, object }: LargeObject,
  context: CopyContext,
): Promise<Outcome> {
  let head: ObjectHead | undefined = object;
  return tryToCopy(key, context, async (state) => {
    const known = head;
    // Only the first attempt may take it for what it was.
    head = undefined;
    if (known !== undefined) return copyInParts(key, known, context, state);
    const copied = await attemptCopy(key, context, state);
    return copied.kind === 'large' ? copyInParts(key, copied.object, context, state) : copied;
  });
}

async function tryToCopy<T>(
  key: ObjectKey,
  context: CopyContext,
  attemptOnce: (state: CopyState) => Promise<T>,
): Promise<T | Outcome> {
  const state = newCopyState();
  let stale = 0;
  for (let attempt = 1; ; attempt++) {
    try {
      return await attemptOnce(state);
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
        const found = mayBeThere(error, state)
          ? await lookOnceMore(key, context, state)
          : undefined;
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
): Promise<Outcome | LargeObject> {
  const { source, counters, budget, contentBuffers } = context;
  let held = 0;
  let room: Promise<void> | undefined;
  let through: CopyThrough | undefined;
  let collected: CollectedBody | undefined;
  let over = false;
  const whenThereIsRoom = <T>(bytes: number, begin: () => T): T | Promise<T | undefined> => {
    held = bytes;
    room = budget.take(bytes);
    if (room === undefined) return begin();
    // A PUT begun for a GET that has failed meanwhile would wait for content for ever.
    return room.then(() => (over ? undefined : begin()));
  };
  try {
    const got = at(
      'source',
      source.get(key, {
        receive: (head) => {
          switch (routeOf(head, context, state)) {
            case 'parts':
              return undefined;
            case 'collect':
              return whenThereIsRoom(head.bytes, () => {
                collected = contentBuffers.take(head.bytes);
                return collected.content;
              });
            case 'through':
              return whenThereIsRoom(PASSAGE_BUFFER_BYTES, () => {
                through = new CopyThrough(key, head, context);
                return through.passage;
              });
          }
        },
      }),
    );
    const { object } = await got.catch(async (error: unknown) => {
      over = true;
      // The reset of its PUT must be out before anything else is tried for this key.
      await through?.settled();
      throw error;
    });
    if (through !== undefined) {
      if (through.passage.brokenBy === undefined) countDownload(state, context);
      return await outcomeOfPut(key, object, writeThrough(key, through, context), context, state);
    }
    if (collected === undefined) return { kind: 'large', key, object };
    countDownload(state, context);
    counters.downloadedBytes += collected.length;
    const write = writeCollected(key, { object, body: collected }, context, state);
    return await outcomeOfPut(key, object, write, context, state);
  } finally {
    // The exchange may have failed while it waited for room: only what was taken can be given back.
    if (room !== undefined) await room;
    if (collected !== undefined) contentBuffers.giveBack(collected);
    budget.release(held);
  }
}

/**
 * How an object travels: `collect`ed in one buffer, passed `through` as one PUT, or in `parts`. Small ones
 * are collected because one write is cheaper than two, large ones only where no digest is known before.
 */
function routeOf(
  object: ObjectHead,
  context: CopyContext,
  state: CopyState,
): 'collect' | 'through' | 'parts' {
  if (object.bytes > context.multipartThresholdBytes) return 'parts';
  if (object.bytes <= THROUGH_FROM_BYTES) return 'collect';
  if (etagIsDigest(object, context, state)) return 'through';
  return object.bytes <= MIN_PART_BYTES ? 'collect' : 'parts';
}

function etagIsDigest(object: ObjectHead, { learnt }: CopyContext, state: CopyState): boolean {
  return object.etagMayBeMd5 && !state.etagIsNoMd5 && learnt.sourceEtags !== 'other';
}

/** One PUT under way, and what it was given. */
interface Write {
  readonly put: Promise<PutResult>;
  readonly bytes: number;
  /** MD5 that was sent along; in hex, lower case. */
  readonly md5: string;
  /** Whether that was the source's ETag. */
  readonly fromEtag: boolean;
  /** What the bytes really are, should the destination find that they are others. */
  readonly actual: () => ReadDigest | Promise<ReadDigest>;
}

function writeThrough(key: ObjectKey, through: CopyThrough, context: CopyContext): Write {
  return {
    put: through.put,
    bytes: through.passage.length,
    md5: through.md5,
    fromEtag: true,
    actual: () => digestOfSource(key, context),
  };
}

function writeCollected(
  key: ObjectKey,
  { object, body }: { object: ObjectHead; body: CollectedBody },
  context: CopyContext,
  state: CopyState,
): Write {
  const fromEtag = etagIsDigest(object, context, state);
  const md5 = fromEtag ? hexToBase64(object.etag) : md5Base64(body.content);
  return {
    put: at(
      'destination',
      context.destination.putNew(key, { body, metadata: object.metadata, md5 }),
    ),
    bytes: body.length,
    md5: fromEtag ? object.etag.toLowerCase() : base64ToHex(md5),
    fromEtag,
    actual: () => ({ md5: base64ToHex(md5Base64(body.content)), bytes: body.length }),
  };
}

async function outcomeOfPut(
  key: ObjectKey,
  object: ObjectHead,
  write: Write,
  context: CopyContext,
  state: CopyState,
): Promise<Outcome> {
  const { counters, learnt } = context;
  const { bytes, md5, fromEtag } = write;
  try {
    const put = await write.put;
    if (put.etagMayBeMd5 && put.etag.toLowerCase() !== md5) throw wrongEtag(put.etag, md5);
    const proven = md5 === object.etag.toLowerCase();
    if (proven && bytes > 0) learnt.sourceEtags = 'md5';
    counters.uploadedBytes += bytes;
    return { kind: 'copied', key, bytes, etag: put.etag, detail: proven ? 'md5' : 'length-only' };
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    if (error.kind === 'precondition-failed') return resolveExisting(key, context, state);
    if (error.kind === 'bad-digest' && fromEtag) {
      await suspectEtag(key, await write.actual(), object, context, state);
    }
    if (error.cause.mayHaveLanded)
      state.mayHaveLanded = { etag: md5, bytes, uncountedBytes: bytes };
    throw error;
  }
}

/**
 * The destination found other bytes than the source's ETag tells of. Either they changed on the way, or
 * this ETag is no MD5: the same bytes read twice decide for the latter, unless they are not all of them.
 */
async function suspectEtag(
  key: ObjectKey,
  actual: ReadDigest,
  object: ObjectHead,
  { source, learnt }: CopyContext,
  state: CopyState,
): Promise<void> {
  if (actual.md5 === object.etag.toLowerCase()) return;
  const again = state.refusedMd5 === actual.md5;
  state.refusedMd5 = actual.md5;
  if (!again) return;
  const { bytes } = await at('source', source.head(key));
  if (bytes !== actual.bytes) throw cutShort(actual.bytes, bytes);
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

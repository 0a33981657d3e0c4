/**
 * Copies one object: GET from the source, conditional PUT to the destination, and the outcome.
 *
 * No acknowledged wrong byte: every write carries a digest that the destination checks before it keeps
 * anything. Where the source's ETag is an MD5, or it has a checksum of the content, that is the digest, so the
 * destination proves the whole way from the source's disk at no cost. Nothing at the destination is ever
 * overwritten, and only what this run wrote there and found wrong is removed.
 * An object that fails becomes an outcome; what makes every object fail is thrown.
 */
import { type Outcome, type TransferFailure, withLosses } from '../domain.ts';
import { MigrateError } from '../errors.ts';
import { isPassing, waitForRetry } from '../load/retry.ts';
import type { ObjectKey } from '../object-key.ts';
import {
  type ContentDigest,
  type ObjectHead,
  type PutResult,
  type Receiving,
} from '../s3/object-store.ts';
import { aliasProblem } from '../s3/probe/key-rules.ts';
import type { CollectedBody } from '../wire/collected-body.ts';
import { PASSAGE_BUFFER_BYTES } from '../wire/passage.ts';
import type { Header } from '../wire/signature.ts';
import {
  type Belongings,
  belongingsOf,
  lossesToTell,
  lossFailure,
  noteOffer,
  refusedBelonging,
} from './belongings.ts';
import { type CopyContext, type CopyState, countDownload, newCopyState } from './copy-context.ts';
import { CopyThrough, digestOfSource, type ReadDigest } from './copy-through.ts';
import { base64ToHex, digestOf, md5Base64 } from './digest.ts';
import { headIfThere, lookOnceMore, outcomeOfFound, resolveExisting } from './existing-object.ts';
import {
  isBetterWhole,
  noProof,
  type Proof,
  tellsMd5s,
  tellsOnlyLength,
  toldDigest,
} from './object-proof.ts';
import { copyInParts } from './parts/copy-in-parts.ts';
import { MIN_PART_BYTES } from './parts/part-plan.ts';
import { keepsParts } from './parts/source-layout.ts';
import { recheckSource } from './recheck-source.ts';
import { withdraw } from './remove-own.ts';
import { confirmBytes, confirmLength, cutShort } from './second-look.ts';
import { at, failedAttempt, isWithdrawn, TransferError, wrongEtag } from './transfer-error.ts';
import { verifyCopy } from './verify-copy.ts';

/** Connections closed while idle that one object may meet before they count as failed attempts. */
const STALE_RETRIES = 3;

/** Up to here an object is collected and sent in one write with its request. */
const THROUGH_FROM_BYTES = 256 * 1024;

const NO_DIGEST = 'the source tells no digest of it that the destination is known to verify';

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
  const { capabilities } = context.policy;
  const problem = capabilities === undefined ? undefined : aliasProblem(key, capabilities);
  if (problem !== undefined) return Promise.resolve(notKept(key, problem, context));
  return tryToCopy(key, context, (state) => attemptCopy(key, context, state));
}

/** @throws MigrateError as {@link copyObject} */
export function copyLargeObject(
  { key, object }: LargeObject,
  context: CopyContext,
): Promise<Outcome> {
  let head: ObjectHead | undefined = object;
  return tryToCopy(key, context, async (state) => {
    state.object = object;
    const known = head;
    // Only the first attempt may take it for what it was.
    head = undefined;
    if (known !== undefined) return copyInParts(key, known, context, state);
    const copied = await attemptCopy(key, context, state);
    return copied.kind === 'large' ? copyInParts(key, copied.object, context, state) : copied;
  });
}

async function tryToCopy<T extends Outcome | LargeObject>(
  key: ObjectKey,
  context: CopyContext,
  attemptOnce: (state: CopyState) => Promise<T>,
): Promise<T | Outcome> {
  const state = newCopyState();
  let stale = 0;
  for (let attempt = 1; ; attempt++) {
    try {
      const end = told(await attemptOnce(state), state, context);
      if (end.kind !== 'copied') return end;
      if (context.policy.verify) await verifyCopy(end, context);
      return context.policy.recheckSource ? await recheckSource(end, context) : end;
    } catch (error) {
      if (!(error instanceof TransferError)) throw error;
      const refused = refusedBelonging(error, state.offered);
      if (refused !== undefined && !state.refused.includes(refused)) {
        if (context.policy.onLoss[refused] === 'fail') {
          return failed(key, lossFailure(refused, error), attempt, context.now());
        }
        // The object itself was not refused: its attempts are still its own.
        state.refused = [...state.refused, refused];
        attempt--;
        context.counters.retries++;
        continue;
      }
      stopIfHopeless(error);
      if (error.side === 'source' && error.kind === 'not-found') {
        return { kind: 'skipped-download', key, detail: error.code };
      }
      if (error.kind === 'precondition-failed' && error.side === 'source' && !state.changed) {
        state.changed = true;
        context.counters.retries++;
        continue;
      }
      if (isWithdrawn(error) && !state.triedAgain) {
        state.triedAgain = true;
        context.counters.retries++;
        continue;
      }
      if (error.kind === 'no-such-upload' && !state.uploadWasGone) {
        // A rule for old uploads, or somebody's cleaning up, has taken it: another one is made.
        state.uploadWasGone = true;
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
      if (isWorthALook(error)) {
        const found = await lookIfThere(error, key, context, state);
        if (found !== undefined) return told(found, state, context);
      }
      const counted = await waitForRetry(failedAttempt(key, error, attempt), context);
      if (counted === undefined) {
        const found = isWorthALook(error)
          ? undefined
          : await lookIfThere(error, key, context, state);
        return told(found ?? failed(key, error, attempt, context.now()), state, context);
      }
      attempt = counted;
    }
  }
}

/** What has become of an object, with what it goes without. */
function told<T extends Outcome | LargeObject>(
  end: T,
  { lost }: CopyState,
  { policy }: CopyContext,
): T {
  if (end.kind !== 'copied' || lost.length === 0) return end;
  return { ...end, detail: withLosses(end.detail, lossesToTell(lost, policy)) };
}

/**
 * Whether a look may spare the wait and another try. Who was in conflict may have won by now, and some stores say 409
 * for all that is there. Others (versitygw 1.8) refuse before they have read the content, and reset: that answer is lost,
 * however often the content is sent.
 */
function isWorthALook({ kind, code }: TransferError): boolean {
  return kind === 'conflict' || code === 'closed';
}

/**
 * The object at the destination, where the failure leaves open whether it is there by now. Not after an answer
 * that tells of other bytes or refuses them: what is there then is no success.
 */
async function lookIfThere(
  { side, cause }: TransferError,
  key: ObjectKey,
  context: CopyContext,
  state: CopyState,
): Promise<Outcome | undefined> {
  const isUnclear = cause.kind === 'conflict' || state.mayHaveLanded !== undefined;
  if (side !== 'destination' || !isUnclear || !isPassing(cause)) return undefined;
  return lookOnceMore(key, context, state);
}

async function attemptCopy(
  key: ObjectKey,
  context: CopyContext,
  state: CopyState,
): Promise<Outcome | LargeObject> {
  const { source, counters, budget, contentBuffers, policy } = context;
  if (policy.ifExists === 'head') {
    const there = await headIfThere(key, context);
    if (there !== undefined) return outcomeOfFound(key, there, context, state);
  }
  let held = 0;
  let room: Promise<void> | undefined;
  let through: CopyThrough | undefined;
  let collected: CollectedBody | undefined;
  let headers: readonly Header[] = [];
  let forbidden: TransferError | undefined;
  let over = false;
  const whenThereIsRoom = <T>(bytes: number, begin: () => T): T | Promise<T | undefined> => {
    held = bytes;
    room = budget.take(bytes);
    if (room === undefined) return begin();
    // A PUT begun for a GET that has failed meanwhile would wait for content for ever.
    return room.then(() => (over ? undefined : begin()));
  };
  const receiveWith = (
    object: ObjectHead,
    way: ContentDigest | 'collect',
    belongings: Belongings,
  ): Receiving | Promise<Receiving> => {
    ({ forbidden, headers } = belongings);
    if (over || forbidden !== undefined) return undefined;
    noteOffer(belongings, state);
    if (way === 'collect') {
      return whenThereIsRoom(object.bytes, () => {
        collected = contentBuffers.take(object.bytes);
        return collected.content;
      });
    }
    const digest = way;
    return whenThereIsRoom(PASSAGE_BUFFER_BYTES, () => {
      through = new CopyThrough(key, { object, headers, digest }, context);
      return through.passage;
    });
  };
  try {
    const got = at(
      'source',
      source.get(key, {
        receive: (head) => {
          state.object = head;
          const way = routeOf(head, context, state);
          if (way === 'parts') return undefined;
          const belongings = belongingsOf(key, head, context, state);
          return belongings instanceof Promise
            ? belongings.then((asked) => receiveWith(head, way, asked))
            : receiveWith(head, way, belongings);
        },
      }),
    );
    const { object } = await got.catch(async (error: unknown) => {
      over = true;
      // The reset of its PUT must be out before anything else is tried for this key.
      await through?.settled();
      throw error;
    });
    if (forbidden !== undefined) throw forbidden;
    if (through !== undefined) {
      if (through.passage.brokenBy === undefined) countDownload(state, context);
      return await outcomeOfPut(key, object, writeThrough(key, through, context), context, state);
    }
    if (collected === undefined) return { kind: 'large', key, object };
    countDownload(state, context);
    counters.downloadedBytes += collected.length;
    // An ETag that was found to be no MD5 was held against HEAD then.
    if (!state.etagIsNoMd5 && tellsOnlyLength(object, context, state)) {
      await confirmLength(key, object, context);
    }
    const write = writeCollected(key, { object, headers, body: collected }, context, state);
    return await outcomeOfPut(key, object, write, context, state);
  } finally {
    // The exchange may have failed while it waited for room: only what was taken can be given back.
    if (room !== undefined) await room;
    if (collected !== undefined) contentBuffers.giveBack(collected);
    budget.release(held);
  }
}

/**
 * How an object travels: `collect`ed in one buffer, passed through as one PUT under a digest, or in `parts`.
 * Small ones are collected because one write is cheaper than two, large ones only where no digest is known
 * before.
 */
function routeOf(
  object: ObjectHead,
  context: CopyContext,
  state: CopyState,
): ContentDigest | 'collect' | 'parts' {
  const isLong = object.bytes > context.multipartThresholdBytes;
  if (keepsParts(object, context)) return 'parts';
  if (isLong && !isBetterWhole(object, context, state)) return 'parts';
  if (object.bytes <= THROUGH_FROM_BYTES) return 'collect';
  const otherwise = object.bytes <= MIN_PART_BYTES ? 'collect' : 'parts';
  return toldDigest(object, context, state) ?? otherwise;
}

/** One PUT under way, and what it was given. */
interface Write {
  readonly put: Promise<PutResult>;
  readonly bytes: number;
  readonly digest: ContentDigest;
  /** Whether the source told it, and not only what was read of it. */
  readonly fromSource: boolean;
  /** What the bytes really are, should the destination find that they are others. */
  readonly actual: () => ReadDigest | Promise<ReadDigest>;
}

function writeThrough(key: ObjectKey, through: CopyThrough, context: CopyContext): Write {
  return {
    put: through.put,
    bytes: through.passage.length,
    digest: through.digest,
    fromSource: true,
    actual: () => digestOfSource(key, context),
  };
}

function writeCollected(
  key: ObjectKey,
  {
    object,
    headers,
    body,
  }: { object: ObjectHead; headers: readonly Header[]; body: CollectedBody },
  context: CopyContext,
  state: CopyState,
): Write {
  const sourceDigest = toldDigest(object, context, state);
  const digest = sourceDigest ?? digestOf('md5', body.content);
  const fromSource = sourceDigest !== undefined || md5HexOf(digest) === object.etag.toLowerCase();
  if (!fromSource && context.policy.requireProof) throw noProof(NO_DIGEST);
  return {
    put: at('destination', context.destination.putNew(key, { body, metadata: headers, digest })),
    bytes: body.length,
    digest,
    fromSource,
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
  const { counters, learnt, now } = context;
  const { bytes, digest, fromSource } = write;
  const md5 = md5HexOf(digest);
  const isEtag = md5 === object.etag.toLowerCase();
  let put: PutResult;
  try {
    put = await write.put;
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    if (error.kind === 'precondition-failed') return resolveExisting(key, context, state);
    if (error.kind === 'bad-digest' && isEtag) {
      await suspectEtag(key, await write.actual(), object, context, state);
    }
    // versitygw 1.8 answers 400 to a lock that its bucket cannot have, and has kept the object by then.
    const isAboutLock = refusedBelonging(error, state.offered) === 'lock';
    if (error.cause.mayHaveLanded || isAboutLock) {
      const checksum = digest.algorithm === 'md5' ? undefined : digest;
      state.mayHaveLanded = { etag: md5, checksum, bytes, uncountedBytes: bytes };
    }
    throw error;
  }
  const { etag } = put;
  const isMd5 = put.etagMayBeMd5 && tellsMd5s(context, 'etagIsMd5');
  if (md5 !== undefined && isMd5 && etag.toLowerCase() !== md5) {
    throw await withdraw({ key, etag, bytes, writtenAt: now() }, wrongEtag(etag, md5), context);
  }
  if (isEtag && bytes > 0) learnt.sourceEtags = 'md5';
  counters.uploadedBytes += bytes;
  const proof: Proof = fromSource ? digest.algorithm : 'length-only';
  return { kind: 'copied', key, bytes, etag, detail: proof };
}

/** @returns undefined for other digests than MD5 */
function md5HexOf({ algorithm, base64 }: ContentDigest): string | undefined {
  return algorithm === 'md5' ? base64ToHex(base64) : undefined;
}

/**
 * The destination found other bytes than the source's ETag tells of. Either they changed on the way, or
 * this ETag is no MD5: the same bytes read twice, and once more in another way, decide for the latter.
 */
async function suspectEtag(
  key: ObjectKey,
  actual: ReadDigest,
  object: ObjectHead,
  context: CopyContext,
  state: CopyState,
): Promise<void> {
  const { learnt } = context;
  if (actual.md5 === object.etag.toLowerCase()) return;
  const again = state.refusedMd5 === actual.md5;
  state.refusedMd5 = actual.md5;
  if (!again) return;
  const { bytes } = await at('source', context.source.head(key));
  if (bytes !== actual.bytes) throw cutShort(actual.bytes, bytes);
  if (!(await confirmBytes(key, object, actual, context))) return;
  state.etagIsNoMd5 = true;
  if (learnt.sourceEtags === 'untried') learnt.sourceEtags = 'other';
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

/** Nothing of it is read or written: under another name it would be taken for another object. */
function notKept(key: ObjectKey, message: string, { now }: CopyContext): Outcome {
  const code = 'key-not-kept';
  return {
    kind: 'failed',
    key,
    failure: { code, status: 0, attempts: 0, message, side: 'destination', at: now() },
  };
}

function failed(key: ObjectKey, error: TransferError, attempt: number, now: number): Outcome {
  const { code, status, message } = error.cause;
  const attempts = attempt - 1 + error.attempts;
  const failure: TransferFailure = { code, status, attempts, message, side: error.side, at: now };
  return { kind: 'failed', key, failure };
}

/**
 * How the source's object was cut into parts, so that the destination's gets the same ETag.
 *
 * How many parts there are is in the ETag. Their lengths cost a few requests: one or two where all parts but
 * the last are equal, as nearly every client makes them, else one for each part. A store that does not tell
 * them leaves it to a guess, which the ETag that comes of it confirms or not.
 */
import pLimit from 'p-limit';
import type { ObjectKey } from '../../object-key.ts';
import type { ObjectHead } from '../../s3/object-store.ts';
import type { CopyContext, CopyState } from '../copy-context.ts';
import { insist } from '../insist.ts';
import { ofThatVersion } from '../source-range.ts';
import { MAX_PART_BYTES, MAX_PARTS, MIN_KEPT_PART_BYTES } from './part-plan.ts';

export type SourceLayout =
  /** As the source tells it; an ETag that comes out otherwise is not of the same bytes. */
  | { readonly kind: 'told'; readonly lengths: readonly number[] }
  /** One that fits what little is known. */
  | { readonly kind: 'guessed'; readonly lengths: readonly number[] }
  /** @see why a clause, for the log: `its parts are too short` */
  | { readonly kind: 'unknown'; readonly why: string };

/** Requests for the lengths of one object's parts under way at once. */
const REQUESTS_AT_ONCE = 8;
/** Lengths that one object may cost requests for. */
const MAX_ASKED = 1_000;

const MIB = 1024 ** 2;
/** What common clients take unless told otherwise, in MiB. */
const COMMON_PART_MIB = [5, 8, 10, 15, 16, 25, 32, 50, 64, 100, 128, 256, 512, 1024];

/**
 * Whether an object is to be made of the source's parts: also a short one, whose ETag would else be another.
 * Not where so many parts cannot be: all but the last of them have a least length.
 */
export function keepsParts({ bytes, etagParts }: ObjectHead, { policy }: CopyContext): boolean {
  if (policy.partLayout === 'even' || etagParts === undefined || bytes === 0) return false;
  return etagParts >= 1 && etagParts <= MAX_PARTS && bytes > (etagParts - 1) * MIN_KEPT_PART_BYTES;
}

/**
 * @param object - one that {@link keepsParts} holds for
 * @throws TransferError; `precondition-failed` when there is another object by now
 */
export async function layoutOf(
  key: ObjectKey,
  object: ObjectHead,
  context: CopyContext,
  state: CopyState,
): Promise<SourceLayout> {
  const { bytes, etagParts: count = 0 } = object;
  if (count === 1) return keepable([bytes]);
  const asked = new Map<number, Promise<number | undefined>>();
  const lengthOf = (partNumber: number): Promise<number | undefined> => {
    const length = asked.get(partNumber) ?? askLength(key, { partNumber, object }, context);
    asked.set(partNumber, length);
    return length;
  };
  const first = context.learnt.partLengths === 'untold' ? undefined : await lengthOf(1);
  if (first === undefined) return guess(object);
  const equal = equalParts(bytes, count, first);
  // An ETag that came out otherwise once may have been of a part in the middle.
  const isDoubted = state.triedAgain && count <= MAX_ASKED;
  const looksEqual = equal !== undefined && !isDoubted;
  if (looksEqual && (count === 2 || (await lengthOf(count)) === equal.at(-1))) {
    return keepable(equal);
  }
  return readAll(object, lengthOf);
}

async function readAll(
  { bytes, etagParts: count = 0 }: ObjectHead,
  lengthOf: (partNumber: number) => Promise<number | undefined>,
): Promise<SourceLayout> {
  if (count > MAX_ASKED) return unknown(`it has ${count} uneven parts`);
  const numbers = Array.from({ length: count }, (_, index) => index + 1);
  const limit = pLimit(REQUESTS_AT_ONCE);
  // Once one has failed the others are of no use.
  const told = await limit.map(numbers, lengthOf).finally(() => limit.clearQueue());
  const lengths = told.filter((length) => length !== undefined);
  const sum = lengths.reduce((total, length) => total + length, 0);
  // Numbers with gaps: parts 1 and 3 are two parts, of which the second is not told.
  if (lengths.length < count || sum !== bytes)
    return unknown('the lengths of its parts are not told');
  return keepable(lengths);
}

async function askLength(
  key: ObjectKey,
  { partNumber, object }: { partNumber: number; object: ObjectHead },
  context: CopyContext,
): Promise<number | undefined> {
  const { source, learnt } = context;
  const asked = { partNumber, ifMatch: object.etag };
  const part = await insist(key, () => ofThatVersion(source.headPart(key, asked)), context);
  if (part === undefined) {
    if (partNumber === 1) learnt.partLengths ??= 'untold';
    return undefined;
  }
  if (part.parts !== undefined && part.parts !== object.etagParts) return undefined;
  learnt.partLengths = 'told';
  return part.bytes;
}

function guess({ bytes, etagParts: count = 0 }: ObjectHead): SourceLayout {
  const fitting = COMMON_PART_MIB.flatMap((mib) => {
    const lengths = equalParts(bytes, count, mib * MIB);
    return lengths === undefined ? [] : [lengths];
  });
  const [only, ...others] = fitting;
  if (only === undefined || others.length > 0)
    return unknown('the lengths of its parts are not told');
  return { kind: 'guessed', lengths: only };
}

/** @returns undefined when so many parts of this length, the last one at most as long, are not that many bytes */
function equalParts(bytes: number, count: number, length: number): number[] | undefined {
  const last = bytes - (count - 1) * length;
  if (last < 1 || last > length) return undefined;
  return [...Array.from({ length: count - 1 }, () => length), last];
}

/** Whether every store takes such parts: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */
function keepable(lengths: readonly number[]): SourceLayout {
  const last = lengths.length - 1;
  if (lengths.some((length, index) => length < MIN_KEPT_PART_BYTES && index < last)) {
    return unknown('its parts are shorter than 5 MiB');
  }
  if (lengths.some((length) => length > MAX_PART_BYTES)) {
    return unknown('its parts are longer than 5 GiB');
  }
  return { kind: 'told', lengths };
}

function unknown(why: string): SourceLayout {
  return { kind: 'unknown', why };
}

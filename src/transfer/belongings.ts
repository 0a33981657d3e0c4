/**
 * What is sent along with one object so that all that belongs to it arrives, and what of it is lost.
 *
 * Headers go as they came, byte for byte. What the destination cannot keep is known before, from its probe,
 * or found out when it refuses a write because of it: then the object goes without, or fails, as the
 * operator's policy for that class says, and each class costs an object one more attempt at most. A refusal
 * that is not clearly about one of them stays what it is.
 */
import { isUtf8 } from 'node:buffer';
import { keyFromText, type ObjectKey } from '../object-key.ts';
import {
  isUserMetadata,
  LOCK,
  type ObjectProperties,
  STORAGE_CLASS,
  TAGGING,
  WEBSITE_REDIRECT,
} from '../s3/metadata.ts';
import { type ObjectHead, StoreError, type StoreErrorKind } from '../s3/object-store.ts';
import type { Capabilities, MetadataName } from '../s3/probe/capabilities.ts';
import type { Tags } from '../s3/tagging.ts';
import { encodeQuery } from '../wire/percent-encoding.ts';
import type { Header } from '../wire/signature.ts';
import type { CopyContext, CopyState } from './copy-context.ts';
import { type CopyPolicy, LOSS_CLASSES, type LossClass } from './copy-policy.ts';
import { TransferError } from './transfer-error.ts';

/** What goes along with an object. */
export interface Belongings {
  /** Of its PutObject or CreateMultipartUpload. */
  readonly headers: readonly Header[];
  /** What it goes without. */
  readonly lost: readonly LossClass[];
  /** Set where the object must not go without what is lost: then nothing is to be written. */
  readonly forbidden: TransferError | undefined;
}

/**
 * A promise only where the source has to be asked for tags.
 *
 * @param state - tells what earlier attempts were refused for
 * @throws StoreError of that question, where another attempt may be answered
 */
export function belongingsOf(
  key: ObjectKey,
  object: ObjectHead,
  context: CopyContext,
  state: CopyState,
): Belongings | Promise<Belongings> {
  const packing = new Packing(object, context, state.refused);
  if (!packing.wantsTags) return packing.close();
  return tagsOf(key, context).then((tags) => {
    if (tags instanceof StoreError) packing.lose('tags', tags);
    else packing.addTags(tags);
    return packing.close();
  });
}

/** To be called when they are sent, so that a refusal and the outcome can be told. */
export function noteOffer({ headers, lost }: Belongings, state: CopyState): void {
  state.offered = headers;
  state.lost = lost;
}

/** Why the source gives no tags, however often it is asked. */
const NEVER_GIVEN: ReadonlySet<StoreErrorKind> = new Set(['denied', 'not-implemented', 'refused']);

async function tagsOf(key: ObjectKey, { source }: CopyContext): Promise<Tags | StoreError> {
  try {
    return await source.getTagging(key);
  } catch (error) {
    if (error instanceof StoreError && NEVER_GIVEN.has(error.kind)) return error;
    throw error;
  }
}

/** As a query string of the names' and values' UTF-8 bytes. */
export function taggingHeader(tags: Tags): string {
  return Array.from(
    tags,
    ([name, value]) => `${encodeQuery(keyFromText(name))}=${encodeQuery(keyFromText(value))}`,
  ).join('&');
}

const NOTHING_LOST: readonly LossClass[] = [];

/** The headers of one object while they are put together. */
class Packing {
  /** The object has tags, and it is worth asking for them. */
  readonly wantsTags: boolean;
  readonly #context: CopyContext;
  readonly #refused: readonly LossClass[];
  readonly #properties: ObjectProperties | undefined;
  /** The object's own as long as nothing is added or left out. */
  #headers: readonly Header[];
  #lost = NOTHING_LOST;
  #forbidden: TransferError | undefined;

  constructor(object: ObjectHead, context: CopyContext, refused: readonly LossClass[]) {
    const { policy } = context;
    this.#context = context;
    this.#refused = refused;
    this.#properties = object.properties;
    this.#headers = object.metadata;
    if (policy.capabilities !== undefined) this.#heed(policy.capabilities);
    if (refused.length > 0) this.#leaveOut();
    this.#addStorageClass(policy);
    if (policy.objectLock) this.#addLock();
    if ((this.#properties?.unreadable ?? 0) > 0) this.lose('metadata', 'source');
    this.wantsTags = (this.#properties?.tags ?? 0) > 0 && this.#canHaveTags(policy);
  }

  addTags(tags: Tags): void {
    if (tags.size > 0) this.#add([TAGGING, taggingHeader(tags)]);
  }

  /** @param why - the side that cannot have it, or what it answered */
  lose(lost: LossClass, why: 'source' | 'destination' | StoreError): void {
    if (this.#lost.includes(lost)) return;
    this.#lost = LOSS_CLASSES.filter((one) => one === lost || this.#lost.includes(one));
    if (this.#context.policy.onLoss[lost] !== 'fail') return;
    this.#forbidden ??= lossFailure(lost, why);
  }

  close(): Belongings {
    return { headers: this.#headers, lost: this.#lost, forbidden: this.#forbidden };
  }

  #canHaveTags({ capabilities }: CopyPolicy): boolean {
    const finding = capabilities?.metadata.tags.kind;
    const refused = finding === 'dropped' || finding === 'refused' || this.#isRefused('tags');
    if (refused || finding === 'changed') this.lose('tags', 'destination');
    return !refused && this.#forbidden === undefined;
  }

  #add(header: Header): void {
    this.#headers = [...this.#headers, header];
  }

  #isRefused(lost: LossClass): boolean {
    return this.#refused.includes(lost);
  }

  /** What the destination was seen to do with such headers. */
  #heed({ metadata: findings }: Capabilities): void {
    for (const header of this.#headers) {
      const fate = fateOf(header, findings);
      if (fate === 'kept') continue;
      this.lose(classOf(header[0]), 'destination');
      if (fate === 'refused') this.#headers = this.#headers.filter((one) => one !== header);
    }
  }

  #leaveOut(): void {
    // Of the metadata only the user's own: there is no limit that the other headers could break.
    const isLeftOut = ([name]: Header): boolean =>
      (name === WEBSITE_REDIRECT || isUserMetadata(name)) && this.#isRefused(classOf(name));
    if (this.#headers.some(isLeftOut)) {
      this.#headers = this.#headers.filter((header) => !isLeftOut(header));
    }
    for (const lost of this.#refused) this.lose(lost, 'destination');
  }

  #addStorageClass({ storageClass }: CopyPolicy): void {
    if (storageClass.kind === 'default' || this.#isRefused('storage-class')) return;
    const name = storageClass.kind === 'named' ? storageClass.name : this.#properties?.storageClass;
    if (name !== undefined) this.#add([STORAGE_CLASS, name]);
  }

  #addLock(): void {
    const lock = this.#properties?.lock ?? [];
    if (lock.length === 0 || this.#isRefused('lock')) return;
    const isOver = retentionIsOver(lock, this.#context.now());
    // S3 takes no date that has passed, and one that has protects nothing.
    const settings = isOver ? lock.filter(([name]) => name === LOCK.hold) : lock;
    this.#headers = [...this.#headers, ...settings];
  }
}

function retentionIsOver(lock: readonly Header[], nowMs: number): boolean {
  const until = lock.find(([name]) => name === LOCK.until)?.[1];
  return until !== undefined && Date.parse(until) <= nowMs;
}

function classOf(name: string): LossClass {
  switch (name) {
    case TAGGING:
      return 'tags';
    case STORAGE_CLASS:
      return 'storage-class';
    case WEBSITE_REDIRECT:
      return 'redirect';
    case LOCK.mode:
    case LOCK.until:
    case LOCK.hold:
      return 'lock';
    default:
      return 'metadata';
  }
}

/** https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7, the one form that is to be sent */
const HTTP_DATE = /^[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT$/;
const ENCODED_WORD = /=\?.+\?=/;
const NOT_ASCII = /[\x80-\xff]/;

/** The probe's finding that is about such a header; undefined where that is of the ordinary kind. */
function findingFor([name, value]: Header): MetadataName | undefined {
  if (name === WEBSITE_REDIRECT) return 'website-redirect';
  if (name === 'content-encoding') {
    return value.includes(',') ? 'content-encodings' : 'content-encoding';
  }
  if (name === 'expires') return HTTP_DATE.test(value) ? undefined : 'expires-not-a-date';
  if (!isUserMetadata(name)) return undefined;
  if (!NOT_ASCII.test(value)) return ENCODED_WORD.test(value) ? 'metadata-rfc2047' : undefined;
  return isUtf8(Buffer.from(value, 'latin1')) ? 'metadata-utf8' : 'metadata-latin1';
}

/** What becomes of a header, as far as the probe has seen it; `lost` is kept in another form or not at all. */
function fateOf(header: Header, findings: Capabilities['metadata']): 'kept' | 'lost' | 'refused' {
  const special = findingFor(header);
  const finding = findings[special ?? 'ordinary-headers'];
  switch (finding.kind) {
    case 'kept':
    case 'unknown':
      return 'kept';
    case 'refused':
      // Which of the ordinary headers it is about is not known: the destination will say.
      return special === undefined ? 'kept' : 'refused';
    case 'dropped':
    case 'changed':
      return special !== undefined || finding.header === header[0] ? 'lost' : 'kept';
  }
}

/**
 * What a destination has refused a write for.
 *
 * @param offered - the headers that the write carried
 * @returns undefined when it is not clear that it was for one of them
 */
export function refusedBelonging(
  { cause: error, side }: TransferError,
  offered: readonly Header[],
): LossClass | undefined {
  if (side !== 'destination' || offered.length === 0) return undefined;
  const carried = LOSS_CLASSES.filter((one) => carries(offered, one));
  const named = namedIn(error);
  if (named !== undefined) return carried.includes(named) ? named : undefined;
  if (error.about !== undefined) return undefined;
  // Nothing else that was sent asks for more than the plainest store has, but for the condition: where it is that
  // one, the next answer is the same.
  return error.status === 501 ? carried.find((one) => one !== 'metadata') : undefined;
}

function carries(offered: readonly Header[], lost: LossClass): boolean {
  return offered.some(([name]) =>
    lost === 'metadata' ? isUserMetadata(name) : classOf(name) === lost,
  );
}

const CLASS_OF_CODE: Readonly<Record<string, LossClass>> = {
  InvalidTag: 'tags',
  InvalidRedirectLocation: 'redirect',
  InvalidStorageClass: 'storage-class',
  InvalidMetadata: 'metadata',
  MetadataTooLarge: 'metadata',
  RequestHeaderSectionTooLarge: 'metadata',
};

/** Words that stores explain a refusal with. An ETag is no tag. */
const CLASS_OF_WORDS: readonly (readonly [RegExp, LossClass])[] = [
  [/\btag(?:s|ging|set)?\b/i, 'tags'],
  [/\bobject.?lock|\bretention\b|\bretain.?until|\blegal.?hold\b/i, 'lock'],
  [/\bredirect/i, 'redirect'],
  [/\bstorage.?class\b/i, 'storage-class'],
  [/\bmetadata\b/i, 'metadata'],
];

/** The rights that a write needs for what comes with it; its message may name the key too, whatever that says. */
const CLASS_OF_RIGHT: readonly (readonly [RegExp, LossClass])[] = [
  [/\bs3:PutObjectTagging\b/, 'tags'],
  [/\bs3:PutObject(?:Retention|LegalHold)\b/, 'lock'],
];

const HEADERS_TOO_LARGE = 431;

function namedIn({ code, status, message, about }: StoreError): LossClass | undefined {
  const byCode = CLASS_OF_CODE[code];
  if (byCode !== undefined) return byCode;
  if (status === HEADERS_TOO_LARGE) return 'metadata';
  if (status === 403) return firstMatch(CLASS_OF_RIGHT, message);
  if (status !== 400 && status !== 501) return undefined;
  return firstMatch(CLASS_OF_WORDS, `${about ?? ''} ${message}`);
}

function firstMatch(
  patterns: readonly (readonly [RegExp, LossClass])[],
  text: string,
): LossClass | undefined {
  return patterns.find(([pattern]) => pattern.test(text))?.[1];
}

/** That an object is not copied because it would lose something that it must not go without. */
export function lossFailure(
  lost: LossClass,
  why: 'source' | 'destination' | StoreError | TransferError,
): TransferError {
  const cause = why instanceof TransferError ? why.cause : why;
  const side = sideOf(why);
  const reason =
    cause instanceof StoreError
      ? `${cause.code}: ${cause.message}`
      : `the ${side} does not keep it`;
  return new TransferError(
    side,
    new StoreError(`not copied, because it would lose its ${lost} (${reason})`, {
      kind: 'refused',
      code: `loss-${lost}`,
      status: cause instanceof StoreError ? cause.status : 0,
      mayHaveLanded: false,
    }),
  );
}

function sideOf(why: 'source' | 'destination' | StoreError | TransferError): TransferError['side'] {
  if (typeof why === 'string') return why;
  // A bare one is the source's answer to the question for tags.
  return why instanceof TransferError ? why.side : 'source';
}

/** What of an object's losses is told to the operator. */
export function lossesToTell(
  lost: readonly LossClass[],
  { onLoss }: CopyPolicy,
): readonly LossClass[] {
  return lost.filter((one) => onLoss[one] === 'warn');
}

/**
 * The place below the probe's prefix where a probe may write: sends its requests, knows all that was
 * written, and removes it.
 *
 * Every key is below a random name, but for those that begin with a slash, which are it with a slash
 * before. Nothing is written anywhere else. What a store calls too much, and what a broken connection has kept
 * from it, is asked again a few times; an answer of any other kind is the caller's to judge.
 */
import { hash } from 'node:crypto';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { keyFromText, type ObjectKey } from '../../object-key.ts';
import type { Header } from '../../wire/signature.ts';
import { percentDecode } from '../listing.ts';
import {
  type ObjectStore,
  type StoreAnswer,
  StoreError,
  type StoreRequest,
} from '../object-store.ts';
import { elementText, escapeText, innerXml, isErrorDocument } from '../xml.ts';
import type { Unknown } from './capabilities.ts';

/** Requests under way: enough to be quick over a slow line, few enough for any store. */
const AT_ONCE = 32;
const ATTEMPTS = 4;
const BETWEEN_ATTEMPTS_MS = 100;
const CREATE_ONLY: Header = ['if-none-match', '*'];

export interface PutRequest {
  readonly body: Buffer;
  readonly headers?: readonly Header[];
  /** Takes the place of the right Content-MD5. */
  readonly digest?: Header;
}

/** What became of the first write, which tells whether anything can be written. */
export interface OpenedSite {
  readonly kind: 'open';
  readonly key: ObjectKey;
  readonly body: Buffer;
  /** Of the write of a free key under the condition. */
  readonly first: StoreAnswer;
  /** Of the write that went through: the same, unless the store refuses the condition itself. */
  readonly written: StoreAnswer;
}

export interface ProbeSiteOptions {
  readonly base: ObjectKey;
  readonly signal: AbortSignal;
  /** Told when an exchange was kept from its end by the store's trouble: a broken connection, 429 or 5xx. */
  readonly onTrouble?: (() => void) | undefined;
}

export interface ProbeUpload {
  readonly key: ObjectKey;
  readonly uploadId: string;
}

export class ProbeSite {
  /** What every key begins with. */
  readonly base: ObjectKey;
  readonly #store: ObjectStore;
  readonly #signal: AbortSignal;
  readonly #onTrouble: () => void;
  /** By key the versions that were told of; none in a bucket without versions. */
  readonly #written = new Map<ObjectKey, Set<string>>();
  readonly #uploads = new Map<string, ProbeUpload>();
  readonly #sending = new Set<Promise<StoreAnswer>>();
  readonly #waiting: (() => void)[] = [];
  #underWay = 0;
  #takesCondition = true;

  constructor(store: ObjectStore, { base, signal, onTrouble = () => {} }: ProbeSiteOptions) {
    this.#store = store;
    this.#signal = signal;
    this.#onTrouble = onTrouble;
    this.base = base;
  }

  /** @param name a byte string */
  key(name: string): ObjectKey {
    return `${this.base}${name}` as ObjectKey;
  }

  /** The first write, to be made before all others: under the condition, and else without it. */
  async open(): Promise<OpenedSite | Unknown> {
    const body = Buffer.from('written first');
    const key = this.key('first');
    const first = await this.put(key, { body });
    if (isDone(first)) return { kind: 'open', key, body, first, written: first };
    this.#takesCondition = false;
    const written = await this.put(this.key('first-unconditional'), { body });
    if (isDone(written)) return { kind: 'open', key, body, first, written };
    const region = written.headers.get('x-amz-bucket-region');
    const where = region === undefined ? '' : `, the bucket is in region ${region}`;
    return unknown(`nothing can be written below ${this.base}: ${answerText(written)}${where}`);
  }

  /** False once {@link open} has found the condition itself refused. */
  get takesCondition(): boolean {
    return this.#takesCondition;
  }

  /** Creates an object: where the store takes it under the condition, because a bucket's policy may demand that. */
  put(key: ObjectKey, { body, headers = [], digest }: PutRequest): Promise<StoreAnswer> {
    const condition = this.#takesCondition ? [CREATE_ONLY] : [];
    const all = [...headers, ...condition, digest ?? contentMd5(body)];
    return this.#write(key, { method: 'PUT', key, headers: all, body });
  }

  head(key: ObjectKey, query?: StoreRequest['query']): Promise<StoreAnswer> {
    return this.#send({ method: 'HEAD', key, query });
  }

  getTagging(key: ObjectKey): Promise<StoreAnswer> {
    return this.#send({ method: 'GET', key, query: [['tagging', '']] });
  }

  /** DELETE with `If-Match`. */
  deleteIfMatch(key: ObjectKey, etag: string): Promise<StoreAnswer> {
    return this.#write(key, { method: 'DELETE', key, headers: [['if-match', `"${etag}"`]] });
  }

  /** @returns the answer where it has no upload's id */
  async createUpload(
    key: ObjectKey,
    headers: readonly Header[] = [],
  ): Promise<ProbeUpload | StoreAnswer> {
    const query = [['uploads', '']] as const;
    const answer = await this.#send({ method: 'POST', key, query, headers });
    const uploadId = isDone(answer) ? elementText(answer.text, 'UploadId') : undefined;
    if (uploadId === undefined || uploadId === '') return answer;
    const upload = { key, uploadId };
    this.#uploads.set(uploadId, upload);
    return upload;
  }

  uploadPart(
    { key, uploadId }: ProbeUpload,
    { partNumber, body, digest }: { partNumber: number; body: Buffer; digest?: Header },
  ): Promise<StoreAnswer> {
    const query = [
      ['partNumber', String(partNumber)],
      ['uploadId', keyFromText(uploadId)],
    ] as const;
    return this.#send({ method: 'PUT', key, query, headers: [digest ?? contentMd5(body)], body });
  }

  /** Makes an object of the upload's first part. */
  async complete(
    { key, uploadId }: ProbeUpload,
    { etag, createOnly }: { etag: string; createOnly: boolean },
  ): Promise<StoreAnswer> {
    const part = `<Part><PartNumber>1</PartNumber><ETag>${escapeText(`"${etag}"`)}</ETag></Part>`;
    const body = Buffer.from(
      `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${part}</CompleteMultipartUpload>`,
    );
    const headers: Header[] = [['content-type', 'application/xml'], contentMd5(body)];
    if (createOnly) headers.push(CREATE_ONLY);
    const query = [['uploadId', keyFromText(uploadId)]] as const;
    const answer = await this.#write(key, { method: 'POST', key, query, headers, body });
    const told = statusOf(answer);
    if (told < 300) this.#uploads.delete(uploadId);
    return { ...answer, status: told };
  }

  /** What a listing shows below the base; none where the store cannot be listed. */
  async listedKeys(): Promise<ObjectKey[]> {
    return (await this.#listed('Contents', ['list-type', '2'])).map(({ key }) => key);
  }

  /** Looks whether there is such an object, to be removed with all that was written. */
  async find(key: ObjectKey): Promise<void> {
    const answer = await orUnknown(() => this.head(key));
    if ('status' in answer && isDone(answer)) this.#remember(key, undefined);
  }

  /**
   * Removes all that was written, and what a listing shows below the prefix besides. Waits first for the
   * requests under way, of which there are some when the probe was broken off: what they write would come after
   * its removal. Goes on where a request fails, also after the signal.
   *
   * @returns keys that may still be there
   */
  async removeAll(): Promise<ObjectKey[]> {
    await this.#settled();
    const left = new Set<ObjectKey>();
    await Promise.all([
      ...[...this.#written].map(([key, versions]) => this.#remove(key, versions, left)),
      ...[...this.#uploads.values()].map((upload) => this.#abort(upload)),
    ]);
    const [keys, uploads] = await Promise.all([this.listedKeys(), this.#listedUploads()]);
    await Promise.all([
      ...keys.map((key) => this.#remove(key, new Set(), left)),
      ...uploads.map(async (upload) => {
        if (!(await this.#abort(upload))) left.add(upload.key);
      }),
    ]);
    return [...left].toSorted();
  }

  async #remove(
    key: ObjectKey,
    versions: ReadonlySet<string>,
    left: Set<ObjectKey>,
  ): Promise<void> {
    const queries = versions.size === 0 ? [[]] : [...versions].map((id) => [['versionId', id]]);
    const removed = await Promise.all(
      queries.map((query) =>
        this.#succeeds({ method: 'DELETE', key, query: query as [string, string][] }),
      ),
    );
    if (removed.every(Boolean)) left.delete(key);
    else left.add(key);
  }

  #abort({ key, uploadId }: ProbeUpload): Promise<boolean> {
    const query = [['uploadId', keyFromText(uploadId)]] as const;
    return this.#succeeds({ method: 'DELETE', key, query });
  }

  async #succeeds(request: StoreRequest): Promise<boolean> {
    try {
      const answer = await this.#sendPatiently(request);
      return isDone(answer) || answer.status === 404;
    } catch (error) {
      if (error instanceof StoreError) return false;
      throw error;
    }
  }

  async #listedUploads(): Promise<ProbeUpload[]> {
    const listed = await this.#listed('Upload', ['uploads', '']);
    return listed.map(({ key, xml }) => ({ key, uploadId: elementText(xml, 'UploadId') ?? '' }));
  }

  /** What is below the base, whatever the store makes of the prefix: what is listed is removed. */
  async #listed(
    element: 'Contents' | 'Upload',
    query: readonly [string, string],
  ): Promise<{ key: ObjectKey; xml: string }[]> {
    const answer = await this.#listing([query]);
    const encoded = /<EncodingType>url<\/EncodingType>/.test(answer);
    return innerXml(answer, element)
      .map((xml) => {
        const key = elementText(xml, 'Key') ?? '';
        return { key: encoded ? percentDecode(key) : keyFromText(key), xml };
      })
      .filter(({ key }) => key.startsWith(this.base));
  }

  async #listing(query: readonly (readonly [string, string])[]): Promise<string> {
    const below = [
      ['prefix', this.base],
      ['encoding-type', 'url'],
    ] as const;
    try {
      const request = { method: 'GET', key: '' as ObjectKey, query: [...query, ...below] } as const;
      const answer = await this.#sendPatiently(request);
      return isDone(answer) ? answer.text : '';
    } catch (error) {
      if (error instanceof StoreError) return '';
      throw error;
    }
  }

  /** A request that may create something under the key, or a delete marker. */
  async #write(key: ObjectKey, request: StoreRequest): Promise<StoreAnswer> {
    let refused = false;
    let version: string | undefined;
    try {
      const answer = await this.#send(request);
      refused = answer.status >= 300 && answer.status < 500;
      version = answer.headers.get('x-amz-version-id');
      return answer;
    } catch (error) {
      refused = error instanceof StoreError && !error.mayHaveLanded;
      throw error;
    } finally {
      if (!refused) this.#remember(key, version);
    }
  }

  #remember(key: ObjectKey, version: string | undefined): void {
    const versions = this.#written.get(key) ?? new Set();
    this.#written.set(key, versions);
    if (version !== undefined && version !== 'null') versions.add(version);
  }

  /** Not after the signal. */
  async #send(request: StoreRequest): Promise<StoreAnswer> {
    this.#signal.throwIfAborted();
    const sending = this.#sendPatiently(request, this.#signal);
    this.#sending.add(sending);
    try {
      return await sending;
    } finally {
      this.#sending.delete(sending);
    }
  }

  /** Waits for what is under way, and for who asked for it to take note of the answer. */
  async #settled(): Promise<void> {
    do {
      await Promise.allSettled(this.#sending);
      await setImmediate();
    } while (this.#sending.size > 0);
  }

  async #sendPatiently(request: StoreRequest, signal?: AbortSignal): Promise<StoreAnswer> {
    /** What it was sent again after, though it may have been carried out. */
    let unclear: StoreError | undefined;
    for (let attempt = 1; ; attempt++) {
      const isLast = attempt === ATTEMPTS;
      const end = await this.#sendOnce(request);
      if (end instanceof StoreError) {
        const isClear = !end.mayHaveLanded || isSafe(request);
        if (isLast || !(isClear || end.stale)) throw this.#troubled(end);
        if (!isClear) unclear = end;
        if (end.stale) continue;
      } else if (unclear !== undefined && CONFLICT.has(end.status)) {
        // It is refused for what it may have done itself.
        throw this.#troubled(unclear);
      } else if (isLast || !TOO_MUCH.has(end.status)) {
        return isFault(end) ? this.#troubled(end) : end;
      }
      await sleep(BETWEEN_ATTEMPTS_MS * 2 ** attempt);
      signal?.throwIfAborted();
    }
  }

  /** @returns what broke the connection, where there is no answer */
  async #sendOnce(request: StoreRequest): Promise<StoreAnswer | StoreError> {
    try {
      return await this.#inTurn(() => this.#store.send(request));
    } catch (error) {
      if (error instanceof StoreError && BROKEN.has(error.code)) return error;
      throw error;
    }
  }

  #troubled<End>(end: End): End {
    this.#onTrouble();
    return end;
  }

  async #inTurn(send: () => Promise<StoreAnswer>): Promise<StoreAnswer> {
    if (this.#underWay === AT_ONCE) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#underWay++;
    }
    try {
      return await send();
    } finally {
      // The place goes to who waits longest; without one it is free.
      const next = this.#waiting.shift();
      if (next === undefined) this.#underWay--;
      else next();
    }
  }
}

const TOO_MUCH: ReadonlySet<number> = new Set([429, 503]);
const CONFLICT: ReadonlySet<number> = new Set([409, 412]);
/** Codes of connections that broke, or that never were. */
const BROKEN: ReadonlySet<string> = new Set(['closed', 'connect-failed']);

/** 501 is no trouble: the store does not know the request. */
function isFault({ status }: StoreAnswer): boolean {
  return status === 429 || (status >= 500 && status !== 501);
}

/** Whether it makes no difference to be sent twice. */
function isSafe({ method, headers }: StoreRequest): boolean {
  return method === 'GET' || method === 'HEAD' || (method === 'DELETE' && headers === undefined);
}

function contentMd5(body: Buffer): Header {
  return ['content-md5', hash('md5', body, 'base64')];
}

/** Of CompleteMultipartUpload: 200 may come before the parts are put together, and what went wrong in the body. */
function statusOf({ status, text }: StoreAnswer): number {
  if (status !== 200 || !isErrorDocument(text)) return status;
  return STATUS_OF_CODE[elementText(text, 'Code') ?? ''] ?? 500;
}

const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  PreconditionFailed: 412,
  ConditionalRequestConflict: 409,
  NotImplemented: 501,
};

export function isDone({ status }: StoreAnswer): boolean {
  return status >= 200 && status < 300;
}

/** `400 BadDigest`; HEAD has no words for its status. */
export function answerText({ status, text }: StoreAnswer): string {
  const code = isErrorDocument(text) ? elementText(text, 'Code') : undefined;
  return code === undefined || code === '' ? `${status}` : `${status} ${code}`;
}

/** Without quotes; undefined where the answer has none. */
export function etagOf({ headers }: StoreAnswer): string | undefined {
  return headers.get('etag')?.replace(/^"(.*)"$/, '$1');
}

export function unknown(reason: string): Unknown {
  return { kind: 'unknown', reason };
}

/** A finding, or `unknown` when the store could not be asked. */
export async function orUnknown<Finding>(
  finding: () => Promise<Finding>,
): Promise<Finding | Unknown> {
  try {
    return await finding();
  } catch (error) {
    if (error instanceof StoreError) return unknown(error.message);
    throw error;
  }
}

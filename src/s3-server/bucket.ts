/**
 * One bucket in memory: objects and multipart uploads.
 *
 * Every method is synchronous, and a condition is checked in the same call that writes. So of any
 * number of racing conditional writes exactly one wins.
 */
import { hash } from 'node:crypto';
import type { ObjectKey } from '../object-key.ts';
import { type ChecksumName, checksumHeader, checksumOfParts } from './checksums.ts';
import { type Condition, checkDelete, checkWrite } from './conditions.ts';
import type { HeaderRules, ObjectHeaders } from './object-headers.ts';
import { S3Error } from './s3-error.ts';

interface PartLayout {
  /** 1 to 10,000, ascending, perhaps with gaps. */
  readonly number: number;
  readonly bytes: number;
}

export interface StoredObject {
  readonly body: Buffer;
  /** Without quotes. */
  readonly etag: string;
  readonly lastModified: Date;
  readonly headers: ObjectHeaders;
  readonly tags: ReadonlyMap<string, string>;
  /** None when the object came by a single PUT. */
  readonly parts: readonly PartLayout[];
  /** The `x-amz-checksum-*` headers its upload carried, or that were made of those of its parts. */
  readonly checksums: Readonly<Record<string, string>>;
}

export interface NewObject {
  /** Kept, not copied. */
  readonly body: Buffer;
  readonly headers?: ObjectHeaders;
  readonly tags?: ReadonlyMap<string, string>;
  readonly checksums?: Readonly<Record<string, string>>;
  /** Store it as if uploaded in parts of this size, which shows in the ETag. */
  readonly partBytes?: number;
  /** Instead of the true one, as stores with encryption have it. Without quotes. */
  readonly etag?: string;
}

export interface UploadedPart extends NewPart {
  /** Without quotes. */
  readonly etag: string;
  readonly lastModified: Date;
}

export interface NewPart {
  readonly body: Buffer;
  /** The `x-amz-checksum-*` headers it came with. */
  readonly checksums: Readonly<Record<string, string>>;
}

export interface NewUpload {
  readonly headers: ObjectHeaders;
  readonly tags: ReadonlyMap<string, string>;
  /** That every part must carry, and the completion name. */
  readonly checksum?: ChecksumName | undefined;
}

/** A multipart upload that is neither completed nor aborted. */
export interface Upload {
  readonly uploadId: string;
  readonly key: ObjectKey;
  readonly initiated: Date;
  readonly parts: ReadonlyMap<number, UploadedPart>;
}

interface OpenUpload extends Upload, NewUpload {
  readonly parts: Map<number, UploadedPart>;
}

export interface CompletedPart {
  readonly number: number;
  /** Without quotes. */
  readonly etag: string;
  /** By header, as far as the completion names them. */
  readonly checksums: Readonly<Record<string, string | undefined>>;
}

export interface BucketOptions {
  /** Smallest part but the last. */
  readonly minPartBytes: number;
  /** Takes object-lock settings; keeps and shows them, and enforces none. */
  readonly objectLock?: boolean;
  /** Ms since the epoch. */
  readonly now: () => number;
}

const NO_TAGS: ReadonlyMap<string, string> = new Map();
const PLAIN_HEADERS: ObjectHeaders = { 'content-type': 'binary/octet-stream' };

export class Bucket {
  readonly #options: BucketOptions;
  readonly #objects = new Map<ObjectKey, StoredObject>();
  readonly #uploads = new Map<string, OpenUpload>();
  /** Made when asked for, dropped when a key comes or goes. */
  #sortedKeys: readonly ObjectKey[] | undefined;
  #uploadsBegun = 0;

  constructor(options: BucketOptions) {
    this.#options = options;
  }

  /** What a new object's headers are held against. */
  get headerRules(): HeaderRules {
    return { objectLock: this.#options.objectLock ?? false, nowMs: this.#options.now() };
  }

  get(key: ObjectKey): StoredObject | undefined {
    return this.#objects.get(key);
  }

  /** All keys in byte order; a snapshot. */
  keys(): readonly ObjectKey[] {
    // Keys are byte strings, so the default order, by code unit, is the order of bytes.
    this.#sortedKeys ??= [...this.#objects.keys()].toSorted();
    return this.#sortedKeys;
  }

  /** @throws S3Error when the condition does not hold; nothing is changed then */
  put(key: ObjectKey, object: NewObject, condition: Condition = {}): StoredObject {
    checkWrite(this.#objects.get(key), condition);
    const {
      body,
      headers = PLAIN_HEADERS,
      tags = NO_TAGS,
      checksums = {},
      partBytes,
      etag,
    } = object;
    const parts = partBytes === undefined ? [] : splitBody(body, partBytes);
    return this.#store(key, {
      body,
      headers,
      tags,
      checksums,
      etag: etag ?? (parts.length === 0 ? md5(body) : multipartEtag(parts.map(md5))),
      parts: parts.map((part, index) => ({ number: index + 1, bytes: part.length })),
      lastModified: this.#time(),
    });
  }

  /**
   * Does nothing when there is no such key.
   *
   * @throws S3Error PreconditionFailed
   */
  delete(key: ObjectKey, condition: Condition = {}): void {
    checkDelete(this.#objects.get(key), condition);
    if (this.#objects.delete(key)) this.#sortedKeys = undefined;
  }

  /** @throws S3Error NoSuchKey */
  setTags(key: ObjectKey, tags: ReadonlyMap<string, string>): void {
    const object = this.#objects.get(key);
    if (object === undefined) throw new S3Error('NoSuchKey');
    this.#objects.set(key, { ...object, tags });
  }

  /** Uploads under way, by key and then by age. */
  uploads(): readonly Upload[] {
    return [...this.#uploads.values()].toSorted((a, b) =>
      a.key < b.key ? -1 : Number(a.key > b.key),
    );
  }

  /** @returns the upload's id */
  createUpload(key: ObjectKey, object: NewUpload): string {
    this.#uploadsBegun++;
    const uploadId = hash('sha1', `${key}\n${this.#uploadsBegun}`);
    this.#uploads.set(uploadId, {
      uploadId,
      key,
      initiated: this.#time(),
      parts: new Map(),
      ...object,
    });
    return uploadId;
  }

  /** @throws S3Error NoSuchUpload, also when the upload is of another key */
  upload(uploadId: string, key: ObjectKey): Upload {
    return this.#openUpload(uploadId, key);
  }

  /**
   * Replaces an earlier part of this number.
   *
   * @throws S3Error InvalidRequest when it lacks the checksum that the upload was created for
   */
  putPart(upload: Upload, number: number, { body, checksums }: NewPart): UploadedPart {
    const open = this.#openUpload(upload.uploadId, upload.key);
    if (open.checksum !== undefined && checksums[checksumHeader(open.checksum)] === undefined) {
      throw new S3Error(
        'InvalidRequest',
        `Checksum Type mismatch occurred, expected checksum Type: ${open.checksum}, actual checksum Type: null`,
      );
    }
    const part = { body, checksums, etag: md5(body), lastModified: this.#time() };
    open.parts.set(number, part);
    return part;
  }

  abortUpload(upload: Upload): void {
    this.#uploads.delete(upload.uploadId);
  }

  /**
   * Makes the listed parts an object and ends the upload.
   *
   * @throws S3Error InvalidPart, InvalidPartOrder, EntityTooSmall, InvalidRequest, or when the condition
   *   does not hold; the upload stays open then
   */
  completeUpload(
    upload: Upload,
    completed: readonly CompletedPart[],
    condition: Condition = {},
  ): StoredObject {
    const open = this.#openUpload(upload.uploadId, upload.key);
    const parts = this.#chosenParts(open, completed);
    checkWrite(this.#objects.get(open.key), condition);
    this.#uploads.delete(open.uploadId);
    const body = Buffer.concat(parts.map((part) => part.body));
    return this.#store(open.key, {
      body,
      headers: open.headers,
      tags: open.tags,
      checksums: open.checksum === undefined ? {} : checksumOfParts(open.checksum, parts, body),
      etag: multipartEtag(parts.map(({ etag }) => etag)),
      parts: completed.map(({ number }, index) => ({
        number,
        bytes: parts[index]?.body.length ?? 0,
      })),
      lastModified: this.#time(),
    });
  }

  #chosenParts(open: OpenUpload, completed: readonly CompletedPart[]): UploadedPart[] {
    const parts: UploadedPart[] = [];
    let previousNumber = 0;
    for (const [index, { number, etag, checksums }] of completed.entries()) {
      if (number <= previousNumber) throw new S3Error('InvalidPartOrder');
      previousNumber = number;
      const part = open.parts.get(number);
      if (part?.etag !== etag) throw new S3Error('InvalidPart');
      if (open.checksum !== undefined) checkNamed(checksumHeader(open.checksum), checksums, part);
      const isLast = index === completed.length - 1;
      if (!isLast && part.body.length < this.#options.minPartBytes) {
        throw new S3Error('EntityTooSmall');
      }
      parts.push(part);
    }
    return parts;
  }

  #openUpload(uploadId: string, key: ObjectKey): OpenUpload {
    const upload = this.#uploads.get(uploadId);
    if (upload?.key !== key) throw new S3Error('NoSuchUpload');
    return upload;
  }

  #store(key: ObjectKey, object: StoredObject): StoredObject {
    if (!this.#objects.has(key)) this.#sortedKeys = undefined;
    this.#objects.set(key, object);
    return object;
  }

  #time(): Date {
    return new Date(this.#options.now());
  }
}

/** Whether the completion names the part by the checksum that the upload was created for. */
function checkNamed(header: string, named: CompletedPart['checksums'], part: UploadedPart): void {
  if (named[header] === undefined) {
    throw new S3Error(
      'InvalidRequest',
      'The upload was created using a checksum. The complete request must include it for each part.',
    );
  }
  if (named[header] !== part.checksums[header]) throw new S3Error('InvalidPart');
}

function md5(body: Buffer): string {
  return hash('md5', body);
}

/** The MD5 of the parts' MD5s, and their number. */
function multipartEtag(partEtags: readonly string[]): string {
  return `${md5(Buffer.from(partEtags.join(''), 'hex'))}-${partEtags.length}`;
}

/** An empty body is one empty part. */
function splitBody(body: Buffer, partBytes: number): Buffer[] {
  const count = Math.max(1, Math.ceil(body.length / partBytes));
  return Array.from({ length: count }, (_, index) =>
    body.subarray(index * partBytes, (index + 1) * partBytes),
  );
}

/**
 * An {@link ObjectStore} over the wire client: what each S3 call sends, and what its answers mean.
 */
import { hash } from 'node:crypto';
import type { ObjectKey } from '../object-key.ts';
import { WireClient } from '../wire/client.ts';
import {
  type Answer,
  type BodyReceiver,
  type Endpoint,
  type RequestBody,
  TIME_LIMITS,
  type TimeLimits,
} from '../wire/connection.ts';
import { Passage } from '../wire/passage.ts';
import { encodePath } from '../wire/percent-encoding.ts';
import { parseLength, type ResponseHead, type ResponseHeaders } from '../wire/response-head.ts';
import type { Credentials, Header } from '../wire/signature.ts';
import { WireError } from '../wire/wire-error.ts';
import { withoutCredentials } from './credentials.ts';
import type { Keyring } from './keyring.ts';
import { metadataOf, propertiesOf } from './metadata.ts';
import type {
  ByteRange,
  Checksum,
  CompletedUpload,
  ContentDigest,
  GetOptions,
  GetResult,
  ListedPart,
  ListedUpload,
  ObjectHead,
  ObjectStore,
  PartDigest,
  PartHead,
  PartResult,
  PartUpload,
  PutOptions,
  PutResult,
  Receiving,
  StoreAnswer,
  StoreRequest,
  UploadedPart,
  UploadListing,
} from './object-store.ts';
import { StoreError, type StoreErrorKind } from './object-store.ts';
import { mayBeOutdated, sideRefusal } from './side-refusals.ts';
import { parseTagging, type Tags } from './tagging.ts';
import {
  MAX_LISTING_BYTES,
  partsPage,
  partsQuery,
  type UploadsMarker,
  uploadsPage,
  uploadsQuery,
} from './upload-listings.ts';
import { elementText, escapeText, isErrorDocument } from './xml.ts';

export type Addressing = 'path' | 'virtual';

/** The operations that make an object, on the condition that there is none yet. */
export const CONDITIONAL_WRITES = ['PutObject', 'CompleteMultipartUpload'] as const;
export type ConditionalWrite = (typeof CONDITIONAL_WRITES)[number];

export interface WireObjectStoreOptions {
  readonly endpoint: Endpoint;
  readonly bucket: string;
  readonly region: string;
  readonly credentials: Credentials;
  readonly addressing: Addressing;
  /** The writes that replace what is there: for destinations that know no condition, and who wants it so. */
  readonly unconditional?: readonly ConditionalWrite[];
  readonly limits?: TimeLimits | undefined;
}

/** Most bytes of an error or another short answer that are read. */
const MAX_DOCUMENT_BYTES = 64 * 1024;
const CREATE_ONLY: Header = ['if-none-match', '*'];
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x1f\x7f]/;
const MD5_HEX = /^[0-9a-fA-F]{32}$/;
const MD5_OF_PARTS = /^[0-9a-fA-F]{32}-([0-9]{1,5})$/;
const DIGEST_HEADERS = {
  md5: 'content-md5',
  sha256: 'x-amz-checksum-sha256',
  crc64nvme: 'x-amz-checksum-crc64nvme',
  sha1: 'x-amz-checksum-sha1',
  crc32c: 'x-amz-checksum-crc32c',
  crc32: 'x-amz-checksum-crc32',
} as const satisfies Record<ContentDigest['algorithm'], string>;
/** Asks for the checksums of the whole content that the store has; others pass over it. */
const WITH_CHECKSUMS: readonly Header[] = [['x-amz-checksum-mode', 'ENABLED']];

const collectDocument = (): BodyReceiver => ({ kind: 'collect', limit: MAX_DOCUMENT_BYTES });

export class WireObjectStore implements ObjectStore {
  readonly name: string;
  readonly #client: WireClient;
  readonly #host: string | undefined;
  /** Of the bucket, without a slash at its end; empty with virtual-host addressing. */
  readonly #root: string;
  readonly #condition: Readonly<Record<ConditionalWrite, readonly Header[]>>;
  readonly #completeMs: number;
  readonly #keyring: Keyring | undefined;
  #credentials: Credentials;

  /** @param keyring - where the credentials are renewed: those of the options are then not used */
  constructor(
    {
      endpoint,
      bucket,
      region,
      credentials: given,
      addressing,
      unconditional = [],
      limits = TIME_LIMITS,
    }: WireObjectStoreOptions,
    keyring?: Keyring,
  ) {
    const credentials = keyring?.current ?? given;
    this.#keyring = keyring;
    this.#credentials = credentials;
    const conditionOf = (write: ConditionalWrite): readonly Header[] =>
      unconditional.includes(write) ? [] : [CREATE_ONLY];
    this.#condition = {
      PutObject: conditionOf('PutObject'),
      CompleteMultipartUpload: conditionOf('CompleteMultipartUpload'),
    };
    this.#client = new WireClient({ endpoint, credentials, region, limits });
    this.#completeMs = limits.completeMs;
    const host = endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host;
    const scheme = endpoint.tls === undefined ? 'http' : 'https';
    this.name = `${scheme}://${host}:${endpoint.port}/${bucket}`;
    this.#host = addressing === 'virtual' ? `${bucket}.${endpoint.host}` : undefined;
    this.#root = addressing === 'virtual' ? '' : `/${encodePath(bucket)}`;
  }

  close(): void {
    this.#client.close();
  }

  async headBucket(): Promise<void> {
    const { head } = await this.#call({
      method: 'HEAD',
      path: this.#bucketPath(),
      repeatable: true,
    });
    if (isHtml(head)) throw notS3(head, 'not-s3', 'the answer is a web page, not a bucket');
  }

  async head(key: ObjectKey): Promise<ObjectHead> {
    const { head } = await this.#call({
      method: 'HEAD',
      path: this.#path(key),
      headers: WITH_CHECKSUMS,
      repeatable: true,
    });
    return objectHead(head, lengthTold(head));
  }

  async headPart(
    key: ObjectKey,
    { partNumber, ifMatch }: { partNumber: number; ifMatch: string },
  ): Promise<PartHead | undefined> {
    try {
      const { head } = await this.#call({
        method: 'HEAD',
        path: this.#path(key),
        query: [['partNumber', String(partNumber)]],
        headers: [['if-match', quoted(ifMatch)]],
        repeatable: true,
      });
      return partHead(head);
    } catch (error) {
      if (error instanceof StoreError && NO_SUCH_PART.has(error.status)) return undefined;
      throw error;
    }
  }

  async get(key: ObjectKey, { range, ifMatch, receive }: GetOptions): Promise<GetResult> {
    const headers = headersOfGet(range, ifMatch);
    let object: ObjectHead | undefined;
    let body: Buffer | undefined;
    const receiverFor = (receiving: Receiving): BodyReceiver => {
      if (receiving === undefined) return { kind: 'stop' };
      if (receiving instanceof Passage) return { kind: 'pass', passage: receiving };
      if (Buffer.isBuffer(receiving)) {
        body = receiving;
        return { kind: 'into', buffer: receiving };
      }
      body = receiving.bytes;
      return { kind: 'into', buffer: receiving.bytes, onPiece: receiving.onPiece };
    };
    await this.#call({
      method: 'GET',
      path: this.#path(key),
      headers,
      repeatable: true,
      receive: (head) => {
        object = range === undefined ? wholeObject(head) : rangeOfObject(head, range);
        const receiving = receive(object);
        return receiving instanceof Promise ? receiving.then(receiverFor) : receiverFor(receiving);
      },
    });
    return { object: object as ObjectHead, body };
  }

  async getTagging(key: ObjectKey): Promise<Tags> {
    const { body } = await this.#call({
      method: 'GET',
      path: this.#path(key),
      query: [['tagging', '']],
      repeatable: true,
    });
    return parseTagging(body.toString('utf8'));
  }

  async putNew(key: ObjectKey, { body, metadata, digest }: PutOptions): Promise<PutResult> {
    const { head } = await this.#call({
      method: 'PUT',
      path: this.#path(key),
      headers: [...metadata, ...this.#condition.PutObject, digestHeader(digest)],
      body,
      repeatable: false,
    });
    return putResult(head.headers, head.headers.get('etag'), head);
  }

  async createMultipartUpload(
    key: ObjectKey,
    metadata: readonly Header[],
    algorithm: PartDigest['algorithm'] = 'md5',
  ): Promise<string> {
    const answer = await this.#call({
      method: 'POST',
      path: this.#path(key),
      query: [['uploads', '']],
      headers:
        algorithm === 'md5' ? metadata : [...metadata, ['x-amz-checksum-algorithm', 'CRC32']],
      repeatable: false,
    });
    const uploadId = elementText(answer.body.toString('utf8'), 'UploadId')?.trim();
    if (uploadId === undefined || uploadId === '') {
      throw notS3(
        answer.head,
        'no-upload-id',
        'the answer to CreateMultipartUpload has no UploadId',
      );
    }
    return uploadId;
  }

  async uploadPart(
    key: ObjectKey,
    { uploadId, partNumber, body, digest }: PartUpload,
  ): Promise<PartResult> {
    const { head } = await this.#call({
      method: 'PUT',
      path: this.#path(key),
      query: [
        ['partNumber', String(partNumber)],
        ['uploadId', Buffer.from(uploadId, 'utf8').toString('latin1')],
      ],
      headers: [digestHeader(digest)],
      body,
      // What has passed through cannot be sent again.
      repeatable: !(body instanceof Passage),
    });
    const etag = head.headers.get('etag');
    if (etag === undefined) throw notS3(head, 'no-etag', 'the answer to UploadPart has no ETag');
    const crc32 = head.headers.get(DIGEST_HEADERS.crc32);
    return { partNumber, etag: unquoted(etag), digest, crc32 };
  }

  async completeNew(
    key: ObjectKey,
    { uploadId, parts }: { uploadId: string; parts: readonly UploadedPart[] },
  ): Promise<CompletedUpload> {
    const listed = parts.map(partElement).join('');
    const body = Buffer.from(
      `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${listed}</CompleteMultipartUpload>`,
      'latin1',
    );
    const { head, body: document } = await this.#call({
      method: 'POST',
      path: this.#path(key),
      query: [['uploadId', Buffer.from(uploadId, 'utf8').toString('latin1')]],
      headers: [...this.#condition.CompleteMultipartUpload, ['content-type', 'application/xml']],
      body,
      payloadHash: sha256Hex(body),
      repeatable: false,
      answerWithinMs: this.#completeMs,
    });
    const xml = document.toString('utf8');
    return {
      ...putResult(head.headers, elementText(xml, 'ETag'), head),
      crc32: elementText(xml, 'ChecksumCRC32'),
    };
  }

  async listParts(key: ObjectKey, uploadId: string): Promise<readonly ListedPart[]> {
    const parts: ListedPart[] = [];
    for (let after: number | undefined = 0; after !== undefined; ) {
      const { head, xml } = await this.#list(this.#path(key), partsQuery(uploadId, after)).catch(
        (error: unknown) => {
          throw ofUpload(error);
        },
      );
      const page = partsPage(xml, after);
      if (page === undefined) throw noListing(head, 'ListParts');
      parts.push(...page.entries);
      after = page.next;
    }
    return parts;
  }

  async listUploads(key: ObjectKey): Promise<UploadListing> {
    const uploads: ListedUpload[] = [];
    for (let after: UploadsMarker | undefined; ; ) {
      const { head, xml } = await this.#list(this.#bucketPath(), uploadsQuery(key, after));
      const page = uploadsPage(xml, key, after);
      if (page === undefined) throw noListing(head, 'ListMultipartUploads');
      uploads.push(...page.entries);
      after = page.next;
      if (after !== undefined) continue;
      const answeredAt = Date.parse(head.headers.get('date') ?? '');
      return { uploads, answeredAt: Number.isNaN(answeredAt) ? undefined : answeredAt };
    }
  }

  /** @throws StoreError `not-s3`, too, when the answer is longer than any page */
  async #list(
    path: string,
    query: CallRequest['query'],
  ): Promise<{ head: ResponseHead; xml: string }> {
    const { head, body, whole } = await this.#call({
      method: 'GET',
      path,
      ...(query !== undefined && { query }),
      repeatable: true,
      receive: () => ({ kind: 'collect', limit: MAX_LISTING_BYTES }),
    });
    if (!whole) throw notS3(head, 'too-long', 'a page of the listing is too long');
    return { head, xml: body.toString('utf8') };
  }

  async abortMultipartUpload(key: ObjectKey, uploadId: string): Promise<void> {
    try {
      await this.#call({
        method: 'DELETE',
        path: this.#path(key),
        query: [['uploadId', Buffer.from(uploadId, 'utf8').toString('latin1')]],
        repeatable: true,
      });
    } catch (error) {
      if (!(error instanceof StoreError && error.status === 404)) throw error;
    }
  }

  async deleteObject(key: ObjectKey, { ifMatch }: { ifMatch?: string } = {}): Promise<void> {
    try {
      await this.#call({
        method: 'DELETE',
        path: this.#path(key),
        headers: ifMatch === undefined ? [] : [['if-match', quoted(ifMatch)]],
        // What was there may be deleted already, and something else be there now.
        repeatable: ifMatch !== undefined,
      });
    } catch (error) {
      if (!(error instanceof StoreError && error.kind === 'not-found')) throw error;
    }
  }

  async send({ method, key, query, headers, body }: StoreRequest): Promise<StoreAnswer> {
    const path = key === '' ? this.#bucketPath() : this.#path(key);
    this.#takeCredentials();
    const answer = await this.#client
      .exchange({
        method,
        host: this.#host,
        path,
        query,
        headers,
        body,
        repeatable: method !== 'PUT' && method !== 'POST',
        receive: collectDocument,
      })
      .catch((error: unknown) => {
        throw storeErrorOf(error, method);
      });
    const { head, whole } = answer;
    return {
      status: head.status,
      headers: head.headers,
      text: withoutCredentials(answer.body.toString('utf8'), this.#credentials),
      whole,
    };
  }

  #bucketPath(): string {
    return this.#root === '' ? '/' : this.#root;
  }

  #path(key: ObjectKey): string {
    return `${this.#root}/${encodePath(key)}`;
  }

  #refusal({ head, body }: Answer, mayHaveLanded: boolean): StoreError {
    return refusal(head, body.toString('utf8'), {
      mayHaveLanded,
      hide: (text) => withoutCredentials(text, this.#credentials),
    });
  }

  /** Signs with those of now from here on. */
  #takeCredentials(): Credentials {
    const current = this.#keyring?.current ?? this.#credentials;
    if (current !== this.#credentials) this.#client.useCredentials(current);
    this.#credentials = current;
    return current;
  }

  /**
   * One exchange whose answer has a 2xx status, or a StoreError. It is repeated once when its credentials turn
   * out to have been replaced.
   */
  #call(request: CallRequest, turn: 'first' | 'repeated' = 'first'): Promise<Answer> {
    const receive = request.receive ?? collectDocument;
    const credentials = this.#takeCredentials();
    return this.#client
      .exchange({
        method: request.method,
        host: this.#host,
        path: request.path,
        query: request.query,
        headers: request.headers,
        body: request.body,
        payloadHash: request.payloadHash,
        repeatable: request.repeatable,
        answerWithinMs: request.answerWithinMs,
        receive: (head) => (isSuccess(head) ? receive(head) : collectDocument()),
      })
      .then(
        (answer) => {
          if (isSuccess(answer.head)) {
            // S3 sends the status before it puts parts together, and gateways before they have asked: what went
            // wrong then comes in the body. Only the content of an object may look like that.
            const isError = request.method !== 'GET' && isErrorAnswer(answer);
            if (isError) throw this.#refusal(answer, true);
            return answer;
          }
          const refused = this.#refusal(answer, false);
          if (this.#keyring === undefined || !mayBeOutdated(refused)) throw refused;
          if (turn === 'repeated') throw untilRenewed(refused);
          return this.#repeat(request, refused, credentials);
        },
        (error: unknown) => {
          throw storeErrorOf(error, request.method);
        },
      );
  }

  /** @throws MigrateError when the provider of the credentials fails */
  async #repeat(
    request: CallRequest,
    refused: StoreError,
    credentials: Credentials,
  ): Promise<Answer> {
    const renewed = await this.#keyring?.renew(credentials);
    if (renewed === undefined) throw untilRenewed(refused);
    // What has passed through cannot be sent again.
    if (request.body instanceof Passage) throw renewedMeanwhile(refused);
    return this.#call(request, 'repeated');
  }
}

interface CallRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  readonly path: string;
  readonly query?: readonly (readonly [string, string])[];
  readonly headers?: readonly Header[];
  readonly body?: RequestBody;
  readonly payloadHash?: string;
  readonly repeatable: boolean;
  readonly answerWithinMs?: number;
  readonly receive?: (head: ResponseHead) => BodyReceiver | Promise<BodyReceiver>;
}

function digestHeader({ algorithm, base64 }: ContentDigest): Header {
  return [DIGEST_HEADERS[algorithm], base64];
}

/** Amazon demands the checksum here once more when the upload was created for one. */
function partElement({ partNumber, etag, digest }: UploadedPart): string {
  const checksum =
    digest.algorithm === 'crc32' ? `<ChecksumCRC32>${digest.base64}</ChecksumCRC32>` : '';
  return `<Part><PartNumber>${partNumber}</PartNumber><ETag>${escapeText(quoted(etag))}</ETag>${checksum}</Part>`;
}

function isSuccess(head: ResponseHead): boolean {
  return head.status >= 200 && head.status < 300;
}

/** An answer to a write has no body as a rule: then nothing is looked at. */
function isErrorAnswer({ body }: Answer): boolean {
  return body.length > 0 && isErrorDocument(body.toString('utf8'));
}

function isHtml(head: ResponseHead): boolean {
  return head.headers.get('content-type')?.startsWith('text/html') === true;
}

/** Whether there is any header that only S3 stores send; Google's has names of its own. */
function isOfS3({ headers }: ResponseHead): boolean {
  return [...headers.keys()].some((name) => /^x-(?:amz|goog)-/.test(name));
}

/** Nearly every GET has the very same ones, which the signature then need not look at again. */
function headersOfGet(
  range: ByteRange | undefined,
  ifMatch: string | undefined,
): readonly Header[] {
  if (range === undefined && ifMatch === undefined) return WITH_CHECKSUMS;
  const headers: Header[] =
    range === undefined ? [...WITH_CHECKSUMS] : [['range', `bytes=${range.first}-${range.last}`]];
  if (ifMatch !== undefined) headers.push(['if-match', quoted(ifMatch)]);
  return headers;
}

function wholeObject(head: ResponseHead): ObjectHead {
  if (head.status === 206) {
    throw notS3(head, 'wrong-range', 'GET of a whole object was answered with a part of it');
  }
  if (head.status !== 200) {
    throw notS3(head, 'not-s3', `GET was answered with status ${head.status}`);
  }
  const bytes = parseLength(head.headers.get('content-length') ?? '');
  // Without a length nothing tells a whole body from one that was cut.
  if (bytes === undefined)
    throw notS3(head, 'no-length', 'the answer to GET has no Content-Length');
  return objectHead(head, bytes);
}

function rangeOfObject(head: ResponseHead, { first, last }: ByteRange): ObjectHead {
  const range = /^bytes ([0-9]{1,16})-([0-9]{1,16})\/([0-9]{1,16})$/.exec(
    head.headers.get('content-range') ?? '',
  );
  const length = parseLength(head.headers.get('content-length') ?? '');
  if (
    head.status !== 206 ||
    Number(range?.[1]) !== first ||
    Number(range?.[2]) !== last ||
    length !== last - first + 1
  ) {
    throw notS3(head, 'wrong-range', `GET of bytes ${first}-${last} was answered with other bytes`);
  }
  return objectHead(head, Number(range?.[3]));
}

function objectHead(head: ResponseHead, bytes: number): ObjectHead {
  const etag = head.headers.get('etag');
  const lastModified = head.headers.get('last-modified') ?? '';
  // versitygw 1.8 has none for a file that was put below it. Without what S3 always tells it is no S3.
  if (etag === undefined && (lastModified === '' || !head.headers.has('x-amz-request-id'))) {
    throw notS3(head, 'no-etag', 'the answer has no ETag');
  }
  const bare = unquoted(etag ?? '');
  const parts = MD5_OF_PARTS.exec(bare)?.[1];
  // A proxy's own page may have an ETag as well, but none that the content can be held against.
  if (parts === undefined && !MD5_HEX.test(bare) && isHtml(head) && !isOfS3(head)) {
    throw notS3(head, 'not-s3', 'the answer is a web page, not an object');
  }
  const properties = propertiesOf(head.headers);
  return {
    bytes,
    etag: bare,
    etagMayBeMd5: etagMayBeMd5(head.headers, bare),
    ...(parts !== undefined && etagIsDigest(head.headers) && { etagParts: Number(parts) }),
    ...checksumsOf(head.headers, bare),
    lastModified,
    metadata: metadataOf(head.headers),
    ...(properties !== undefined && { properties }),
  };
}

const NUMBER_OF_PARTS = /-[0-9]{1,5}$/;
const CHECKSUMS = ['sha256', 'crc64nvme', 'sha1', 'crc32c', 'crc32'] as const;

/**
 * Those of the whole content. What is made of the checksums of parts has their number behind it, or an ETag
 * of parts beside it and no word that it is of all.
 */
function checksumsOf(headers: ResponseHeaders, etag: string): Pick<ObjectHead, 'checksums'> {
  const type = headers.get('x-amz-checksum-type');
  if (type === undefined ? NUMBER_OF_PARTS.test(etag) : type !== 'FULL_OBJECT') return {};
  const checksums: Checksum[] = [];
  for (const algorithm of CHECKSUMS) {
    const base64 = headers.get(DIGEST_HEADERS[algorithm]);
    if (base64 !== undefined && !base64.includes('-')) checksums.push({ algorithm, base64 });
  }
  return checksums.length === 0 ? {} : { checksums };
}

/** 416 and 400 are of stores that see no such part, 405 and 501 of those that know no part numbers. */
const NO_SUCH_PART: ReadonlySet<number> = new Set([400, 405, 416, 501]);

/** A store that passes over the part's number answers as if there were none. */
function partHead(head: ResponseHead): PartHead | undefined {
  const count = parseLength(head.headers.get('x-amz-mp-parts-count') ?? '');
  if (head.status !== 206 && count === undefined) return undefined;
  return { bytes: lengthTold(head), parts: count };
}

function lengthTold(head: ResponseHead): number {
  const bytes = parseLength(head.headers.get('content-length') ?? '');
  if (bytes === undefined) {
    throw notS3(head, 'no-length', 'the answer to HEAD has no Content-Length');
  }
  return bytes;
}

function etagMayBeMd5(headers: ResponseHeaders, etag: string): boolean {
  return MD5_HEX.test(etag) && etagIsDigest(headers);
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html: not with SSE-KMS or SSE-C. */
function etagIsDigest(headers: ResponseHeaders): boolean {
  const encryption = headers.get('x-amz-server-side-encryption');
  return (
    (encryption === undefined || encryption === 'AES256') &&
    !headers.has('x-amz-server-side-encryption-customer-algorithm')
  );
}

function putResult(
  headers: ResponseHeaders,
  etag: string | undefined,
  head: ResponseHead,
): PutResult {
  if (etag === undefined || etag === '') throw notS3(head, 'no-etag', 'the answer has no ETag');
  const bare = unquoted(etag);
  // One from a document may hold anything, and is sent back as a condition.
  if (CONTROL.test(bare)) throw notS3(head, 'no-etag', 'the answer has an ETag that is none');
  return { etag: bare, etagMayBeMd5: etagMayBeMd5(headers, bare) };
}

function quoted(etag: string): string {
  return `"${etag}"`;
}

/** In a document that is made to be read there may be white space around it. */
function unquoted(told: string): string {
  const etag = told.trim();
  const from = etag.startsWith('W/') ? 2 : 0;
  return etag[from] === '"' && etag.endsWith('"') ? etag.slice(from + 1, -1) : etag;
}

function sha256Hex(bytes: Buffer): string {
  return hash('sha256', bytes, 'hex');
}

function notS3(head: ResponseHead, code: string, message: string): StoreError {
  return new StoreError(message, {
    kind: 'not-s3',
    code,
    status: head.status,
    mayHaveLanded: true,
  });
}

function noListing(head: ResponseHead, operation: string): StoreError {
  return notS3(head, 'no-listing', `the answer to ${operation} cannot be understood`);
}

/** Some stores say of an upload that there is no such key. */
function ofUpload(error: unknown): unknown {
  if (!(error instanceof StoreError) || error.kind !== 'not-found') return error;
  const { code, status, mayHaveLanded } = error;
  return new StoreError(error.message, { kind: 'no-such-upload', code, status, mayHaveLanded });
}

/** What an answer with an error means. */
function refusal(
  head: ResponseHead,
  xml: string,
  { mayHaveLanded, hide }: { mayHaveLanded: boolean; hide: (text: string) => string },
): StoreError {
  const isS3Error = isErrorDocument(xml);
  const code = hide((isS3Error ? elementText(xml, 'Code') : undefined) ?? `HTTP ${head.status}`);
  const text = isS3Error ? elementText(xml, 'Message') : undefined;
  // The answer to HEAD has no body: its type alone tells a web page.
  const region = regionName(head.headers.get('x-amz-bucket-region') ?? elementText(xml, 'Region'));
  const told = isRedirect(head) ? head.headers.get('location') : undefined;
  const location = told === undefined ? undefined : hide(told);
  const what = text === undefined || text === '' ? `status ${head.status}` : text;
  const message = hide(isRedirect(head) ? `${what}${whereTo(region, location)}` : what);
  const about = sideRefusal({ code, status: head.status, message });
  const kind =
    about === 'full' || about === 'expired'
      ? KINDS_OF_SIDE[about]
      : refusalKind(head.status, code, isS3Error || (xml === '' && !isHtml(head)));
  return new StoreError(message, {
    kind,
    code,
    status: head.status,
    // Only the store itself can say that nothing was done, and only of a request that it has understood.
    mayHaveLanded:
      mayHaveLanded || head.status >= 500 || kind === 'not-s3' || NOT_ARRIVED.has(head.status),
    retryAfterMs: retryAfterMs(head),
    region,
    location,
    about: elementText(xml, 'Header') ?? elementText(xml, 'ArgumentName'),
  });
}

/** What a store tells goes into what is signed and sent to it: nothing that could end a header there. */
function regionName(told: string | undefined): string | undefined {
  return told !== undefined && /^[A-Za-z0-9-]{1,64}$/.test(told) ? told : undefined;
}

/** Whoever renews credentials may be late: what has expired is tried again. Other refusals stay as they are. */
function untilRenewed(refused: StoreError): StoreError {
  if (sideRefusal(refused) !== 'expired') return refused;
  const { code, status } = refused;
  return new StoreError(refused.message, {
    kind: 'unavailable',
    code,
    status,
    mayHaveLanded: false,
  });
}

function renewedMeanwhile({ code, status, message }: StoreError): StoreError {
  return new StoreError(`${message} (they have been renewed)`, {
    kind: 'unavailable',
    code,
    status,
    mayHaveLanded: false,
    stale: true,
  });
}

const KINDS_OF_SIDE = { full: 'full', expired: 'denied' } as const;

/** 304 is an answer to a condition. */
function isRedirect({ status }: ResponseHead): boolean {
  return status >= 300 && status < 400 && status !== 304;
}

function whereTo(region: string | undefined, location: string | undefined): string {
  const where = [
    ...(region === undefined ? [] : [`in region ${region}`]),
    ...(location === undefined ? [] : [`at ${location}`]),
  ];
  return where.length === 0 ? '' : ` (${where.join(', ')}; not followed)`;
}

const KINDS_BY_CODE: Readonly<Record<string, StoreErrorKind>> = {
  NoSuchBucket: 'no-such-bucket',
  NoSuchUpload: 'no-such-upload',
  BadDigest: 'bad-digest',
  InvalidDigest: 'bad-digest',
  XAmzContentChecksumMismatch: 'bad-digest',
  XAmzContentSHA256Mismatch: 'bad-digest',
  // With a status of their own these four mean the same; they may also come in the body of a 200.
  PreconditionFailed: 'precondition-failed',
  ConditionalRequestConflict: 'conflict',
  OperationAborted: 'conflict',
  AccessDenied: 'denied',
  RequestTimeout: 'network',
  IncompleteBody: 'network',
  SlowDown: 'throttled',
  SlowDownRead: 'throttled',
  SlowDownWrite: 'throttled',
  TooManyRequests: 'throttled',
  ServiceUnavailable: 'throttled',
  // Some gateways say these with status 400.
  BandwidthLimitExceeded: 'throttled',
  RequestLimitExceeded: 'throttled',
  RequestThrottled: 'throttled',
  Throttling: 'throttled',
  ThrottlingException: 'throttled',
  InternalError: 'unavailable',
  NotImplemented: 'not-implemented',
  AuthorizationHeaderMalformed: 'redirected',
  // Of versitygw 1.8, whose objects are files: `a` and `a/b` cannot both be there, however often one asks.
  ObjectParentIsFile: 'refused',
  ExistingObjectIsDirectory: 'refused',
};

/** Of this very request, whoever says so: its method, its length, the length of its path or headers. */
const ABOUT_THE_REQUEST: ReadonlySet<number> = new Set([405, 411, 413, 414, 417, 431]);

/** The request did not arrive whole or in time; 499 is MinIO's and nginx's word for a client that left. */
const NOT_ARRIVED: ReadonlySet<number> = new Set([408, 425, 499]);

function refusalKind(status: number, code: string, fromS3: boolean): StoreErrorKind {
  const byCode = KINDS_BY_CODE[code];
  if (byCode !== undefined) return byCode;
  if (ABOUT_THE_REQUEST.has(status)) return 'refused';
  if (NOT_ARRIVED.has(status)) return 'network';
  // A page from a proxy says nothing about the object.
  if (!fromS3 && status < 500 && status !== 429) return 'not-s3';
  // An answer for readers: MinIO before 2024-04-18 gave it to a write under If-None-Match.
  if (status === 304) return 'not-implemented';
  if (status >= 300 && status < 400) return 'redirected';
  switch (status) {
    case 401:
    case 403:
      return 'denied';
    case 404:
      return 'not-found';
    // Of a proxy: S3 says 400 and RequestTimeout.
    case 408:
      return 'network';
    case 409:
      return 'conflict';
    case 412:
      return 'precondition-failed';
    case 429:
    case 503:
      return 'throttled';
    case 501:
      return fromS3 ? 'not-implemented' : 'unavailable';
    default:
      return status >= 500 ? 'unavailable' : 'refused';
  }
}

/** RFC 9110, section 10.2.3: seconds, or a date of the server's clock, which need not be this host's. */
function retryAfterMs({ headers }: ResponseHead): number | undefined {
  const value = headers.get('retry-after');
  if (value === undefined) return undefined;
  if (/^[0-9]{1,10}$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  const told = Date.parse(headers.get('date') ?? '');
  const nowMs = Number.isNaN(told) ? Date.now() : told;
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

/** What a failed exchange means. */
function storeErrorOf(error: unknown, method: string): StoreError {
  if (!(error instanceof WireError)) throw error;
  if (error.cause instanceof StoreError) return error.cause;
  const unreachable = error.code === 'connect-failed' || error.code === 'connect-timeout';
  return new StoreError(`${method}: ${error.message}`, {
    kind: unreachable ? 'unreachable' : error.code === 'malformed' ? 'not-s3' : 'network',
    code: error.code,
    status: 0,
    mayHaveLanded: error.sent,
    stale: error.stale,
    cause: error.cause,
  });
}

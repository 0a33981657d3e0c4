/**
 * An S3 server that costs as little as Node can, to measure clients against.
 *
 *   node bench/null-s3.mjs --objects 20000 --size 4096 [--hash] [--tls-cert FILE --tls-key FILE]
 *
 * Bucket `src` has the synthetic objects; bucket `dest` is empty at first and keeps of what it is sent
 * the ETag only. Requests are read off the socket and answered from text made before; signatures are
 * not checked. It knows what copying takes: HEAD and GET of an object, with Range and If-Match, PUT with
 * If-None-Match, uploads in parts, listings, and the questions tools ask of a bucket before they begin.
 *
 * With `--hash` bodies are hashed, held against Content-MD5, and their MD5 is the ETag. Without it they
 * are dropped, and the ETag is the Content-MD5 the client gave, else the one its content must have.
 *
 * Keys that are none of the synthetic ones are left to the embedded server, an honest store: s3migrate
 * probes what a destination does before it trusts it.
 *
 * A parent process is told `{ port }`, and may send `counts` and `reset`.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { parseArgs } from 'node:util';
import { percentDecode } from '../dist/s3-server/percent-encoding.js';
import { startS3Server } from '../dist/s3-server/server.js';
import {
  md5OfContent,
  PART_BYTES,
  PATTERN,
  PATTERN_BYTES,
  SyntheticObjects,
  uploadEtag,
} from './synthetic-objects.mjs';
import { ACCESS_KEY, SECRET_KEY } from './tools.mjs';

const { values: options } = parseArgs({
  options: {
    objects: { type: 'string' },
    /** Bytes of each object, or `mixed`. */
    size: { type: 'string' },
    hash: { type: 'boolean', default: false },
    'tls-cert': { type: 'string' },
    'tls-key': { type: 'string' },
  },
});

const objects = new SyntheticObjects({
  count: Number(options.objects),
  sizeBytes: options.size === 'mixed' ? 'mixed' : Number(options.size),
});
const etags = objects.etags();
const honestStore = await startS3Server({
  accessKey: ACCESS_KEY,
  secretKey: SECRET_KEY,
  buckets: ['dest'],
});
const LAST_MODIFIED = new Date(Date.now() - 3_600_000);
/** An answer with content up to here is one write of head and content, made once for each length. */
const JOINED_BYTES = 64 * 1024;
const HEAD_END = '\r\n\r\n';

/** ETag by number of the object, of bucket `dest`. */
const stored = new Map();
/** By upload id. */
const uploads = new Map();
let lastUploadId = 0;
let counts;
let cpuAtReset;
reset();

function reset() {
  stored.clear();
  uploads.clear();
  cpuAtReset = process.cpuUsage();
  counts = { get: 0, head: 0, put: 0, part: 0, complete: 0, list: 0, existing: 0, wrong: 0 };
}

const answersBySize = new Map();

function answersOf(size) {
  let answers = answersBySize.get(size);
  if (answers === undefined) {
    const fields =
      `ETag: "${etags.get(size)}"\r\nLast-Modified: ${LAST_MODIFIED.toUTCString()}\r\n` +
      'Accept-Ranges: bytes\r\nContent-Type: image/jpeg\r\n';
    const whole = `HTTP/1.1 200 OK\r\n${fields}Content-Length: ${size}${HEAD_END}`;
    const joined =
      size <= JOINED_BYTES ? Buffer.concat([Buffer.from(whole), PATTERN.subarray(0, size)]) : null;
    answers = { fields, whole, joined };
    answersBySize.set(size, answers);
  }
  return answers;
}

function text(status, body = '', fields = '') {
  return `HTTP/1.1 ${status}\r\n${fields}Content-Length: ${Buffer.byteLength(body)}${HEAD_END}${body}`;
}

function xml(body, status = '200 OK') {
  return text(status, `<?xml version="1.0"?>${body}`, 'Content-Type: application/xml\r\n');
}

function refusal(status, code) {
  return xml(`<Error><Code>${code}</Code><Message>${code}</Message></Error>`, status);
}

const NO_SUCH_KEY = refusal('404 Not Found', 'NoSuchKey');
const EXISTS = refusal('412 Precondition Failed', 'PreconditionFailed');
const BAD_DIGEST = refusal('400 Bad Request', 'BadDigest');
const NOT_IMPLEMENTED = refusal('501 Not Implemented', 'NotImplemented');
const LISTED_BUCKETS = ['src', 'dest']
  .map(
    (name) =>
      `<Bucket><Name>${name}</Name><CreationDate>2024-01-01T00:00:00.000Z</CreationDate></Bucket>`,
  )
  .join('');

/** One request's head: fields are looked for only where somebody asks. */
class RequestHead {
  #text;
  #lower;

  constructor(headText) {
    this.#text = headText;
    this.#lower = headText.toLowerCase();
    const methodEnd = headText.indexOf(' ');
    const targetEnd = headText.indexOf(' ', methodEnd + 1);
    const target = headText.slice(methodEnd + 1, targetEnd);
    const mark = target.indexOf('?');
    const path = percentDecode(mark < 0 ? target : target.slice(0, mark));
    const slash = path.indexOf('/', 1);
    this.method = headText.slice(0, methodEnd);
    this.bucket = path.slice(1, slash < 0 ? undefined : slash);
    this.key = slash < 0 ? '' : path.slice(slash + 1);
    this.query = mark < 0 ? undefined : new URLSearchParams(target.slice(mark + 1));
  }

  /** Whether it is about an object of `dest` that the source cannot have. */
  get isForHonestStore() {
    return this.bucket === 'dest' && this.key !== '' && objects.indexOf(this.key) === undefined;
  }

  /** The request with another connection's end in mind: the field is not among those that are signed. */
  asLast() {
    return `${this.#text}\r\nconnection: close${HEAD_END}`;
  }

  /** @param name in lower case */
  field(name) {
    const at = this.#lower.indexOf(`\r\n${name}:`);
    if (at < 0) return undefined;
    const from = at + name.length + 3;
    const end = this.#text.indexOf('\r\n', from);
    return this.#text.slice(from, end < 0 ? undefined : end).trim();
  }

  has(parameter) {
    return this.query?.has(parameter) ?? false;
  }
}

/** What arrives of a body: counted, and with `--hash` taken out of its chunks and hashed. */
class Body {
  /** Of the content, without the framing of chunks. */
  bytes;
  #left;
  #md5 = options.hash ? createHash('md5') : undefined;
  #chunks;

  constructor(head) {
    this.#left = Number(head.field('content-length') ?? 0);
    const decoded = head.field('x-amz-decoded-content-length');
    this.bytes = decoded === undefined ? this.#left : Number(decoded);
    if (decoded !== undefined) this.#chunks = new Chunks((piece) => this.#md5.update(piece));
  }

  get whole() {
    return this.#left === 0;
  }

  /** @returns how many of the bytes belong to it */
  take(bytes) {
    const own = bytes.length <= this.#left ? bytes : bytes.subarray(0, this.#left);
    this.#left -= own.length;
    if (this.#md5 !== undefined) {
      if (this.#chunks === undefined) this.#md5.update(own);
      else this.#chunks.take(own);
    }
    return own.length;
  }

  /** In hex; undefined when what arrived is not what Content-MD5 tells. Once, when it is whole. */
  md5(contentMd5) {
    const told = contentMd5 && Buffer.from(contentMd5, 'base64').toString('hex');
    const md5 = this.#md5?.digest('hex') ?? told ?? md5OfContent(this.bytes);
    return told === undefined || told === md5 ? md5 : undefined;
  }
}

/** Contents in `aws-chunked` form: a line with the size in hex, so many bytes, an empty line. */
class Chunks {
  #line = '';
  #left = 0;
  #onContent;

  constructor(onContent) {
    this.#onContent = onContent;
  }

  take(bytes) {
    for (let at = 0; at < bytes.length; ) {
      if (this.#left > 0) {
        const piece = bytes.subarray(at, at + this.#left);
        this.#onContent(piece);
        this.#left -= piece.length;
        at += piece.length;
        continue;
      }
      const lineEnd = bytes.indexOf(0x0a, at);
      this.#line += bytes.latin1Slice(at, lineEnd < 0 ? bytes.length : lineEnd);
      if (lineEnd < 0) return;
      at = lineEnd + 1;
      // NaN for the empty line after a chunk and for trailers.
      this.#left = Number.parseInt(/^[0-9a-f]+(?=[;\r])/i.exec(this.#line)?.[0] ?? '0', 16);
      this.#line = '';
    }
  }
}

/** One connection: requests one after another, as no client here pipelines. */
class Connection {
  #socket;
  /** Beginning of a head that has not come whole. */
  #pending;
  #head;
  #body;

  constructor(socket) {
    this.#socket = socket;
    socket.on('data', (bytes) => this.#take(bytes));
    // A client that is killed or gives up is its own matter.
    socket.on('error', () => socket.destroy());
  }

  #take(arrived) {
    let bytes = arrived;
    while (bytes.length > 0) {
      if (this.#body === undefined) {
        if (this.#pending !== undefined) bytes = Buffer.concat([this.#pending, bytes]);
        const end = bytes.indexOf(HEAD_END);
        this.#pending = end < 0 ? bytes : undefined;
        if (end < 0) return;
        this.#head = new RequestHead(bytes.latin1Slice(0, end));
        bytes = bytes.subarray(end + HEAD_END.length);
        if (this.#head.isForHonestStore) {
          this.#handOver(this.#head, bytes);
          return;
        }
        this.#body = new Body(this.#head);
        if (this.#head.field('expect') !== undefined) {
          this.#socket.write(`HTTP/1.1 100 Continue${HEAD_END}`);
        }
      }
      bytes = bytes.subarray(this.#body.take(bytes));
      if (!this.#body.whole) return;
      const body = this.#body;
      this.#body = undefined;
      this.#answer(this.#head, body);
    }
  }

  #answer(head, body) {
    if (head.field('transfer-encoding') !== undefined) this.#send(NOT_IMPLEMENTED);
    else if (head.key === '') this.#send(answerOfBucket(head));
    else if (head.method === 'GET' && !head.has('tagging')) this.#answerGet(head);
    else this.#send(answerOfObject(head, body));
  }

  /** The rest of this connection's life is this one request, between client and embedded server. */
  #handOver(head, bytes) {
    const store = connect(Number(new URL(honestStore.url).port), '127.0.0.1');
    store.write(head.asLast(), 'latin1');
    store.write(bytes);
    this.#socket.removeAllListeners('data');
    this.#socket.pipe(store).pipe(this.#socket);
    store.on('error', () => this.#socket.destroy());
  }

  #send(answer) {
    this.#socket.write(answer, 'latin1');
  }

  #answerGet(head) {
    counts.get++;
    const { size, refused } = found(head);
    if (refused !== undefined) {
      this.#send(refused);
      return;
    }
    const { fields, whole, joined } = answersOf(size);
    const range = /^bytes=(\d+)-(\d*)$/.exec(head.field('range') ?? '');
    if (range !== null) {
      const from = Number(range[1]);
      const to = Math.min(range[2] === '' ? size : Number(range[2]) + 1, size);
      this.#send(
        `HTTP/1.1 206 Partial Content\r\n${fields}Content-Range: bytes ${from}-${to - 1}/${size}\r\n` +
          `Content-Length: ${to - from}${HEAD_END}`,
      );
      this.#sendContent(from, to);
    } else if (joined !== null) {
      this.#socket.write(joined);
    } else {
      this.#send(whole);
      this.#sendContent(0, size);
    }
  }

  #sendContent(from, to) {
    if (from === to || this.#socket.destroyed) return;
    const offset = from % PATTERN_BYTES;
    const length = Math.min(PATTERN_BYTES, to - from);
    this.#socket.write(PATTERN.subarray(offset, offset + length), () =>
      this.#sendContent(from + length, to),
    );
  }
}

/** The object a GET or HEAD is about, or the answer when there is none that meets its condition. */
function found(head) {
  const i = objects.indexOf(head.key);
  const there = i !== undefined && (head.bucket === 'src' || stored.has(i));
  if (!there) return { refused: NO_SUCH_KEY };
  const size = objects.sizeBytes(i);
  const etag = head.bucket === 'src' ? etags.get(size) : stored.get(i);
  const match = head.field('if-match');
  if (match !== undefined && match.replaceAll('"', '') !== etag) return { refused: EXISTS };
  return { size, etag, refused: undefined };
}

function answerOfObject(head, body) {
  if (head.has('tagging')) return xml('<Tagging><TagSet></TagSet></Tagging>');
  switch (head.method) {
    case 'HEAD':
      return answerOfHead(head);
    case 'PUT':
      return head.has('uploadId') ? answerOfPart(head, body) : answerOfPut(head, body);
    case 'POST':
      return head.has('uploads') ? answerOfCreateUpload(head) : answerOfComplete(head);
    case 'DELETE':
      if (head.has('uploadId')) uploads.delete(head.query.get('uploadId'));
      else if (head.bucket === 'dest') stored.delete(objects.indexOf(head.key));
      return 'HTTP/1.1 204 No Content\r\n\r\n';
    default:
      return NOT_IMPLEMENTED;
  }
}

function answerOfHead(head) {
  counts.head++;
  const { size, etag, refused } = found(head);
  // The answer to HEAD has no body.
  if (refused !== undefined) return refused.slice(0, refused.indexOf(HEAD_END) + HEAD_END.length);
  const partNumber = Number(head.query?.get('partNumber') ?? 0);
  const inParts = head.bucket === 'src' && etag.includes('-');
  if (partNumber > 0 && inParts) return answerOfPartHead(size, partNumber);
  const { whole } = answersOf(size);
  return whole.replace(etags.get(size), etag);
}

function answerOfPartHead(size, partNumber) {
  const from = (partNumber - 1) * PART_BYTES;
  const to = Math.min(from + PART_BYTES, size);
  if (from >= to) return text('416 Requested Range Not Satisfiable');
  return (
    `HTTP/1.1 206 Partial Content\r\n${answersOf(size).fields}` +
    `Content-Range: bytes ${from}-${to - 1}/${size}\r\n` +
    `x-amz-mp-parts-count: ${Math.ceil(size / PART_BYTES)}\r\nContent-Length: ${to - from}${HEAD_END}`
  );
}

/** @returns the answer when the object may not be written */
function refusedWrite(head, i) {
  if (!stored.has(i) || head.field('if-none-match') === undefined) return undefined;
  counts.existing++;
  return EXISTS;
}

function answerOfPut(head, body) {
  counts.put++;
  const i = objects.indexOf(head.key);
  const refused = refusedWrite(head, i);
  if (refused !== undefined) return refused;
  const md5 = body.md5(head.field('content-md5'));
  if (md5 === undefined) return BAD_DIGEST;
  const expected = etags.get(objects.sizeBytes(i));
  if (body.bytes !== objects.sizeBytes(i) || (options.hash && md5 !== expected)) counts.wrong++;
  // The same text for all: five million copies of it are not kept.
  stored.set(i, md5 === expected ? expected : md5);
  return text('200 OK', '', `ETag: "${md5}"\r\n`);
}

function answerOfCreateUpload(head) {
  const id = String(++lastUploadId);
  uploads.set(id, []);
  const { bucket, key } = head;
  return xml(
    `<InitiateMultipartUploadResult><Bucket>${bucket}</Bucket><Key>${key}</Key>` +
      `<UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
  );
}

const NO_SUCH_UPLOAD = refusal('404 Not Found', 'NoSuchUpload');

function answerOfPart(head, body) {
  counts.part++;
  const parts = uploads.get(head.query.get('uploadId'));
  if (parts === undefined) return NO_SUCH_UPLOAD;
  const md5 = body.md5(head.field('content-md5'));
  if (md5 === undefined) return BAD_DIGEST;
  parts[Number(head.query.get('partNumber')) - 1] = { md5, bytes: body.bytes };
  return text('200 OK', '', `ETag: "${md5}"\r\n`);
}

function answerOfComplete(head) {
  counts.complete++;
  const id = head.query?.get('uploadId');
  const parts = uploads.get(id);
  if (parts === undefined) return NO_SUCH_UPLOAD;
  const i = objects.indexOf(head.key);
  const refused = refusedWrite(head, i);
  if (refused !== undefined) return refused;
  uploads.delete(id);
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  if (bytes !== objects.sizeBytes(i)) counts.wrong++;
  const etag = uploadEtag(parts.map(({ md5 }) => md5));
  stored.set(i, etag);
  const { bucket, key } = head;
  return xml(
    `<CompleteMultipartUploadResult><Bucket>${bucket}</Bucket><Key>${key}</Key>` +
      `<ETag>"${etag}"</ETag></CompleteMultipartUploadResult>`,
  );
}

function answerOfBucket(head) {
  if (head.bucket === '') {
    return xml(
      `<ListAllMyBucketsResult><Buckets>${LISTED_BUCKETS}</Buckets></ListAllMyBucketsResult>`,
    );
  }
  if (head.method !== 'GET') return text('200 OK');
  if (head.has('location')) return xml('<LocationConstraint></LocationConstraint>');
  if (head.has('versioning')) return xml('<VersioningConfiguration/>');
  if (head.has('object-lock')) {
    return refusal('404 Not Found', 'ObjectLockConfigurationNotFoundError');
  }
  counts.list++;
  return xml(listing(head.bucket, head.query ?? new URLSearchParams()));
}

/** ListObjectsV2; with a delimiter too. Keys need no escaping, and a continuation token is a key. */
function listing(bucket, query) {
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const most = Number(query.get('max-keys') ?? 1000);
  const after = query.get('continuation-token') ?? query.get('start-after') ?? '';
  const shown = [];
  let last = '';
  let i = objects.firstAfter(prefix, { orIs: true });
  if (after >= prefix && after !== '') i = objects.firstAfter(after);
  for (; i < objects.count && shown.length < most; ) {
    const key = objects.key(i);
    if (!key.startsWith(prefix)) break;
    if (bucket !== 'src' && !stored.has(i)) {
      i++;
      continue;
    }
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    if (cut < 0) {
      shown.push(listed(key, i, bucket));
      last = key;
      i++;
    } else {
      const folder = key.slice(0, cut + delimiter.length);
      shown.push(`<CommonPrefixes><Prefix>${folder}</Prefix></CommonPrefixes>`);
      // No key of the folder comes after this.
      last = `${folder}~`;
      i = objects.firstAfter(last);
    }
  }
  const more = i < objects.count && objects.key(i).startsWith(prefix);
  return (
    `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>${bucket}</Name>` +
    `<Prefix>${prefix}</Prefix><KeyCount>${shown.length}</KeyCount><MaxKeys>${most}</MaxKeys>` +
    `<IsTruncated>${more}</IsTruncated>` +
    (more ? `<NextContinuationToken>${last}</NextContinuationToken>` : '') +
    `${shown.join('')}</ListBucketResult>`
  );
}

function listed(key, i, bucket) {
  const size = objects.sizeBytes(i);
  const etag = bucket === 'src' ? etags.get(size) : stored.get(i);
  return (
    `<Contents><Key>${key}</Key><LastModified>${LAST_MODIFIED.toISOString()}</LastModified>` +
    `<ETag>&quot;${etag}&quot;</ETag><Size>${size}</Size><StorageClass>STANDARD</StorageClass></Contents>`
  );
}

const onConnection = (socket) => new Connection(socket);
const server =
  options['tls-cert'] === undefined
    ? createServer({ noDelay: true }, onConnection)
    : createTlsServer(
        {
          cert: readFileSync(options['tls-cert']),
          key: readFileSync(options['tls-key']),
          ALPNProtocols: ['http/1.1'],
          noDelay: true,
        },
        onConnection,
      );
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  if (process.send === undefined) console.log(`listening on port ${port}`);
  else process.send({ port });
});

process.on('message', (request) => {
  if (request === 'reset') reset();
  const { user, system } = process.cpuUsage(cpuAtReset);
  const cpuSeconds = (user + system) / 1e6;
  process.send({ counts: { ...counts, stored: stored.size, cpuSeconds } });
});
process.on('disconnect', () => process.exit());

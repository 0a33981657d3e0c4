/**
 * A request's body: read off the socket, taken out of its aws-chunked form, and held against every
 * digest the client gave. What gets through here is what the client meant to send.
 */
import { constants } from 'node:buffer';
import { hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { decodeAwsChunked } from './aws-chunked.ts';
import { CHECKSUMS, type ChecksumName } from './checksums.ts';
import type { S3Request } from './request.ts';
import { S3Error } from './s3-error.ts';
import type { PayloadSigning } from './signature.ts';

/** Largest body one request takes: S3's 5 GiB or what a Buffer holds. */
const MAX_BODY_BYTES = Math.min(5 * 1024 ** 3, constants.MAX_LENGTH);

/** Thrown when the client goes away before its body is complete. */
export class RequestCutError extends Error {
  /** What had arrived. */
  readonly received: Buffer;
  /** `closed`: by a FIN, which is also what the kernel sends for a killed client. `reset`: by an RST. */
  readonly cut: 'closed' | 'reset';

  constructor(received: Buffer, cut: 'closed' | 'reset') {
    super(`the request was ${cut} after ${received.length} bytes of its body`);
    this.name = 'RequestCutError';
    this.received = received;
    this.cut = cut;
  }
}

const NO_BODY = Buffer.alloc(0);

/**
 * The body as it came, in memory of its own: chunks from Node's parser would each keep a whole read
 * buffer alive.
 *
 * @throws RequestCutError, S3Error EntityTooLarge
 */
export async function readRawBody(incoming: IncomingMessage): Promise<Buffer> {
  const declared = incoming.headers['content-length'];
  if (declared === undefined && incoming.headers['transfer-encoding'] === undefined) return NO_BODY;
  const length = Number(declared ?? 0);
  if (length > MAX_BODY_BYTES) throw new S3Error('EntityTooLarge');
  // A stream that has failed already would tell nobody again.
  if (incoming.destroyed) throw new RequestCutError(NO_BODY, 'reset');
  return declared === undefined
    ? collect(incoming)
    : fill(incoming, Buffer.allocUnsafeSlow(length));
}

async function fill(incoming: IncomingMessage, body: Buffer): Promise<Buffer> {
  let filled = 0;
  await readToEnd(incoming, {
    onData: (chunk) => {
      filled += chunk.copy(body, filled);
    },
    received: () => body.subarray(0, filled),
  });
  return body;
}

async function collect(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const received = () => Buffer.concat(chunks);
  await readToEnd(incoming, { onData: (chunk) => chunks.push(chunk), received });
  return received();
}

interface Sink {
  readonly onData: (chunk: Buffer) => void;
  /** All that came so far. */
  readonly received: () => Buffer;
}

function readToEnd(incoming: IncomingMessage, { onData, received }: Sink): Promise<void> {
  return new Promise((resolve, reject) => {
    const { socket } = incoming;
    let cut: RequestCutError['cut'] = 'reset';
    const onSocketEnd = () => {
      cut = endingOf(socket);
    };
    // Before Node's own listener, which destroys the socket.
    socket.prependOnceListener('end', onSocketEnd);
    incoming.on('data', onData);
    incoming.once('end', () => {
      socket.removeListener('end', onSocketEnd);
      resolve();
    });
    incoming.once('error', () => reject(new RequestCutError(received(), cut)));
  });
}

/**
 * How a socket that has just ended did so: libuv reports a reset as an ordinary end when data came
 * with it. The kernel knows better, for a socket that was reset has no peer any more.
 */
function endingOf(socket: Socket): RequestCutError['cut'] {
  return socket.remoteAddress === undefined ? 'reset' : 'closed';
}

export interface Payload {
  readonly body: Buffer;
  /** The verified `x-amz-checksum-*` headers, from the head or the trailer, by full name. */
  readonly checksums: Readonly<Record<string, string>>;
}

/**
 * Decodes a body and verifies its digests: the signed SHA-256 or chunk signatures, Content-MD5,
 * and every `x-amz-checksum-*`.
 *
 * @throws S3Error for the first digest that does not match
 */
export function openPayload(request: S3Request, raw: Buffer, signing: PayloadSigning): Payload {
  const { body, trailers } = decode(request, raw, signing);
  if (signing.kind === 'sha256' && hash('sha256', body) !== signing.hex) {
    throw new S3Error('XAmzContentSHA256Mismatch');
  }
  verifyMd5(request.headers.get('content-md5'), body);
  return { body, checksums: verifyChecksums([...request.headers, ...trailers], body) };
}

function decode(
  request: S3Request,
  raw: Buffer,
  signing: PayloadSigning,
): { body: Buffer; trailers: ReadonlyMap<string, string> } {
  if (signing.kind === 'unsigned' || signing.kind === 'sha256') {
    return { body: raw, trailers: new Map() };
  }
  const declared = request.headers.get('x-amz-decoded-content-length');
  if (declared === undefined) throw new S3Error('MissingContentLength');
  const check = signing.kind === 'signed-chunks' ? signing.check : () => undefined;
  const decoded = decodeAwsChunked(raw, check);
  if (decoded.body.length !== Number(declared)) throw new S3Error('IncompleteBody');
  const promised = request.headers.get('x-amz-trailer')?.trim().toLowerCase();
  if (promised !== undefined && !decoded.trailers.has(promised)) {
    throw new S3Error('MalformedTrailerError');
  }
  return decoded;
}

function verifyMd5(contentMd5: string | undefined, body: Buffer): void {
  if (contentMd5 === undefined) return;
  const expected = Buffer.from(contentMd5, 'base64');
  if (expected.length !== 16) throw new S3Error('InvalidDigest');
  if (!expected.equals(hash('md5', body, 'buffer'))) {
    throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match what we received.');
  }
}

const CHECKSUM_HEADER = /^x-amz-checksum-(crc32|crc32c|crc64nvme|sha1|sha256)$/;

function verifyChecksums(
  headers: readonly (readonly [string, string])[],
  body: Buffer,
): Record<string, string> {
  const verified: Record<string, string> = {};
  for (const [header, value] of headers) {
    const name = CHECKSUM_HEADER.exec(header)?.[1] as ChecksumName | undefined;
    if (name === undefined) continue;
    const calculated = CHECKSUMS[name](body);
    if (Buffer.from(value, 'base64').length !== calculated.length) {
      throw new S3Error('InvalidRequest', `Value for ${header} header is invalid.`);
    }
    if (calculated.toString('base64') !== value) {
      throw new S3Error('BadDigest', `The ${name.toUpperCase()} you specified did not match.`);
    }
    verified[header] = value;
  }
  return verified;
}

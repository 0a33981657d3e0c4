/**
 * Who may ask: AWS Signature Version 4 in the Authorization header, for one access key.
 *
 * The canonical request is made from the bytes received: the path decoded and encoded again byte by
 * byte, never normalised, header values as latin1. Query-signed (presigned) requests are refused.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
import { createHmac, hash } from 'node:crypto';
import type { ChunkCheck } from './aws-chunked.ts';
import { percentDecode, percentEncode, percentEncodePath } from './percent-encoding.ts';
import { queryParameters, type S3Request } from './request.ts';
import { S3Error } from './s3-error.ts';

/** Largest difference between a request's time and the server's. */
const MAX_SKEW_MS = 15 * 60 * 1000;

const EMPTY_SHA256 = hash('sha256', '');

/** How the signature covers the body. */
export type PayloadSigning =
  | { readonly kind: 'unsigned' }
  | { readonly kind: 'sha256'; readonly hex: string }
  /** aws-chunked, the body covered by the checksum in its trailer alone. */
  | { readonly kind: 'unsigned-trailer' }
  /** aws-chunked, each chunk signed in a chain that starts with the request's signature. */
  | { readonly kind: 'signed-chunks'; readonly check: ChunkCheck };

export interface SignatureOptions {
  readonly accessKey: string;
  readonly secretKey: string;
  readonly region: string;
  /** Ms since the epoch. */
  readonly now: () => number;
}

interface Authorization {
  readonly accessKey: string;
  /** YYYYMMDD */
  readonly date: string;
  readonly region: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256\s+Credential=([^/,]+)\/(\d{8})\/([^/,]+)\/s3\/aws4_request,\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]{64})$/;

export class SignatureVerifier {
  readonly #options: SignatureOptions;
  #signingKey: { date: string; key: Buffer } | undefined;

  constructor(options: SignatureOptions) {
    this.#options = options;
  }

  /**
   * @returns what is left to verify once the body is there
   * @throws S3Error AccessDenied without a signature or with an `x-amz-` header outside of it,
   *   InvalidAccessKeyId, AuthorizationHeaderMalformed, RequestTimeTooSkewed, SignatureDoesNotMatch
   */
  verify(request: S3Request): PayloadSigning {
    const authorization = parseAuthorization(request.headers.get('authorization'));
    this.#checkScope(authorization);
    const timestamp = this.#checkTime(request, authorization);
    const payload = request.headers.get('x-amz-content-sha256');
    if (payload === undefined) {
      throw new S3Error('InvalidRequest', 'Missing required header: x-amz-content-sha256');
    }
    const signer = this.#chainSigner(authorization.date, timestamp);
    const canonical = canonicalRequest(request, authorization.signedHeaders, payload);
    const expected = signer('AWS4-HMAC-SHA256', hash('sha256', Buffer.from(canonical, 'latin1')));
    if (expected !== authorization.signature) throw new S3Error('SignatureDoesNotMatch');
    return payloadSigning(payload, authorization.signature, signer);
  }

  #checkScope({ accessKey, region }: Authorization): void {
    if (accessKey !== this.#options.accessKey) throw new S3Error('InvalidAccessKeyId');
    if (region === this.#options.region) return;
    throw new S3Error(
      'AuthorizationHeaderMalformed',
      `The authorization header is malformed; the region '${region}' is wrong; expecting '${this.#options.region}'`,
      { Region: this.#options.region },
    );
  }

  /** @returns the request's time in the form that is signed */
  #checkTime(request: S3Request, authorization: Authorization): string {
    const stamp = timestampOf(request);
    if (stamp === undefined) {
      throw new S3Error(
        'AccessDenied',
        'AWS authentication requires a valid Date or x-amz-date header',
      );
    }
    if (Math.abs(stamp.ms - this.#options.now()) > MAX_SKEW_MS) {
      throw new S3Error('RequestTimeTooSkewed');
    }
    if (!stamp.text.startsWith(authorization.date)) throw new S3Error('SignatureDoesNotMatch');
    return stamp.text;
  }

  /** A function that signs a hash (or several, for a chunk) for this scope and time. */
  #chainSigner(date: string, timestamp: string): (algorithm: string, signed: string) => string {
    const { region } = this.#options;
    const key = this.#keyOf(date);
    const scope = `${date}/${region}/s3/aws4_request`;
    return (algorithm, signed) =>
      createHmac('sha256', key)
        .update(`${algorithm}\n${timestamp}\n${scope}\n${signed}`)
        .digest('hex');
  }

  #keyOf(date: string): Buffer {
    if (this.#signingKey?.date !== date) {
      const { secretKey, region } = this.#options;
      const key = [date, region, 's3', 'aws4_request'].reduce<Buffer>(
        (previous, part) => createHmac('sha256', previous).update(part).digest(),
        Buffer.from(`AWS4${secretKey}`),
      );
      this.#signingKey = { date, key };
    }
    return this.#signingKey.key;
  }
}

function parseAuthorization(header: string | undefined): Authorization {
  if (header === undefined) throw new S3Error('AccessDenied');
  const [, accessKey, date, region, signedHeaders, signature] = AUTHORIZATION.exec(header) ?? [];
  if (
    accessKey === undefined ||
    date === undefined ||
    region === undefined ||
    signedHeaders === undefined ||
    signature === undefined
  ) {
    throw new S3Error('AuthorizationHeaderMalformed');
  }
  return { accessKey, date, region, signedHeaders: signedHeaders.split(';'), signature };
}

function timestampOf(request: S3Request): { text: string; ms: number } | undefined {
  const amzDate = request.headers.get('x-amz-date');
  if (amzDate === undefined) {
    const ms = Date.parse(request.headers.get('date') ?? '');
    if (Number.isNaN(ms)) return undefined;
    return { text: new Date(ms).toISOString().replace(/[-:]|\.\d+/g, ''), ms };
  }
  const iso = amzDate.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z');
  const ms = Date.parse(iso);
  return iso === amzDate || Number.isNaN(ms) ? undefined : { text: amzDate, ms };
}

function canonicalRequest(
  request: S3Request,
  signedHeaders: readonly string[],
  payload: string,
): string {
  const path = percentEncodePath(percentDecode(request.rawPath) ?? '');
  const query = canonicalQuery(request.rawQuery);
  const headers = canonicalHeaders(request, signedHeaders);
  return `${request.method}\n${path}\n${query}\n${headers}\n${signedHeaders.join(';')}\n${payload}`;
}

function canonicalQuery(rawQuery: string): string {
  return queryParameters(rawQuery)
    .map(([name, value]) => ({ name: percentEncode(name), value: percentEncode(value) }))
    .toSorted((a, b) => compare(a.name, b.name) || compare(a.value, b.value))
    .map(({ name, value }) => `${name}=${value}`)
    .join('&');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function canonicalHeaders({ headers }: S3Request, signedHeaders: readonly string[]): string {
  const signed = new Set(signedHeaders);
  if (!signed.has('host')) throw new S3Error('SignatureDoesNotMatch');
  for (const name of headers.keys()) {
    if (name.startsWith('x-amz-') && !signed.has(name)) {
      throw new S3Error(
        'AccessDenied',
        `There were headers present which were not signed: ${name}`,
      );
    }
  }
  return signedHeaders
    .map(
      (name) =>
        `${name}:${(headers.get(name) ?? '').replace(/^[ \t]+|[ \t]+$/g, '').replace(/ {2,}/g, ' ')}\n`,
    )
    .join('');
}

function payloadSigning(
  payload: string,
  seed: string,
  sign: (algorithm: string, signed: string) => string,
): PayloadSigning {
  switch (payload) {
    case 'UNSIGNED-PAYLOAD':
      return { kind: 'unsigned' };
    case 'STREAMING-UNSIGNED-PAYLOAD-TRAILER':
      return { kind: 'unsigned-trailer' };
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD':
      return { kind: 'signed-chunks', check: chunkCheck(seed, sign) };
    default:
      if (/^[0-9a-f]{64}$/.test(payload)) return { kind: 'sha256', hex: payload };
      if (payload.startsWith('STREAMING-')) throw new S3Error('NotImplemented');
      throw new S3Error('InvalidArgument', 'x-amz-content-sha256 is not a valid value');
  }
}

/** Each chunk's signature covers the one before it, so chunks cannot be left out or moved. */
function chunkCheck(seed: string, sign: (algorithm: string, signed: string) => string): ChunkCheck {
  let previous = seed;
  return (chunk, signature) => {
    const signed = `${previous}\n${EMPTY_SHA256}\n${hash('sha256', chunk)}`;
    const expected = sign('AWS4-HMAC-SHA256-PAYLOAD', signed);
    if (signature !== expected) throw new S3Error('SignatureDoesNotMatch');
    previous = expected;
  };
}

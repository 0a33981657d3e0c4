/**
 * AWS Signature Version 4 in the Authorization header, for S3.
 *
 * Signs exactly the bytes that go out: the percent-encoded path as it is sent (S3 neither encodes it
 * twice nor normalises it) and the bytes of every header value. The signing key is kept for the day.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
import { createHmac, hash } from 'node:crypto';
import { HmacSha256 } from './hmac.ts';

export interface Credentials {
  readonly accessKey: string;
  readonly secret: string;
  /** Of temporary credentials; sent as `x-amz-security-token`. */
  readonly sessionToken?: string | undefined;
}

/** A header: its name in lower case, its value as a byte string without CR, LF or NUL. */
export type Header = readonly [name: string, value: string];

/** `x-amz-content-sha256` of a request whose body is covered by TLS or by a signed digest header. */
export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';
/** SHA-256 of no bytes. */
export const EMPTY_PAYLOAD = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

export interface RequestToSign {
  readonly method: string;
  /** Percent-encoded, beginning with `/`. */
  readonly path: string;
  /** `name=value` pairs, percent-encoded and sorted by name, joined by `&`; empty when there are none. */
  readonly query: string;
  /** Value of the Host header. */
  readonly host: string;
  /** All headers to be signed but Host and the three the signer adds. */
  readonly headers: readonly Header[];
  /** Hex SHA-256 of the body, or {@link UNSIGNED_PAYLOAD}. */
  readonly payloadHash: string;
}

/** The headers of a request, as far as they do not depend on what it asks for. */
interface SignedHeaders {
  readonly headers: readonly Header[];
  readonly second: number;
  readonly host: string;
  readonly payloadHash: string;
  /** The end of the canonical request, from its headers on. */
  readonly canonical: string;
  /** The header lines up to where the signature goes. */
  readonly lines: string;
}

export class Signer {
  readonly #credentials: Credentials;
  readonly #region: string;
  #second = -1;
  #timestamp = '';
  #scope = '';
  /** What is signed before the request's hash; the same for a second. */
  #stringStart = '';
  #signingKey = new HmacSha256(Buffer.alloc(0));
  #last: SignedHeaders | undefined;

  constructor(credentials: Credentials, region: string) {
    this.#credentials = credentials;
    this.#region = region;
  }

  /**
   * @param request - where many in a row have the very same `headers`, those are put in order once
   * @param atMs the request's time as the server sees it, in ms since the epoch
   * @returns the header lines of the request, each ended by CRLF: host, those given, x-amz-content-sha256,
   *   x-amz-date, x-amz-security-token when there is one, authorization
   */
  sign(request: RequestToSign, atMs: number): string {
    this.#turnTo(Math.floor(atMs / 1000));
    const headers = this.#headersOf(request);
    const canonicalRequest = `${request.method}\n${request.path}\n${request.query}\n${headers.canonical}`;
    const signature = this.#signingKey.hex(this.#stringStart + sha256Hex(canonicalRequest));
    return `${headers.lines}${signature}\r\n`;
  }

  #headersOf({ headers, host, payloadHash }: RequestToSign): SignedHeaders {
    const last = this.#last;
    if (
      last?.headers === headers &&
      last.second === this.#second &&
      last.host === host &&
      last.payloadHash === payloadHash
    ) {
      return last;
    }
    const sorted: Header[] = [['host', host]];
    let lines = `host: ${host}\r\n`;
    const add = (header: Header): void => {
      // Whoever makes headers must not let this happen; if it does, nothing is sent.
      if (LINE_END.test(header[1])) throw new Error(`the header ${header[0]} is not one line`);
      insertByName(sorted, header);
      lines += `${header[0]}: ${header[1]}\r\n`;
    };
    headers.forEach(add);
    add(['x-amz-content-sha256', payloadHash]);
    add(['x-amz-date', this.#timestamp]);
    const { accessKey, sessionToken } = this.#credentials;
    if (sessionToken !== undefined) add(['x-amz-security-token', sessionToken]);
    let canonical = '';
    let names = '';
    for (const [name, value] of sorted) {
      canonical += `${name}:${canonicalValue(value)}\n`;
      names += names === '' ? name : `;${name}`;
    }
    this.#last = {
      headers,
      second: this.#second,
      host,
      payloadHash,
      canonical: `${canonical}\n${names}\n${payloadHash}`,
      lines: `${lines}authorization: AWS4-HMAC-SHA256 Credential=${accessKey}/${this.#scope}, SignedHeaders=${names}, Signature=`,
    };
    return this.#last;
  }

  #turnTo(second: number): void {
    if (second === this.#second) return;
    this.#second = second;
    const iso = new Date(second * 1000).toISOString();
    this.#timestamp = `${iso.slice(0, 19).replace(/[-:]/g, '')}Z`;
    const day = this.#timestamp.slice(0, 8);
    const scope = `${day}/${this.#region}/s3/aws4_request`;
    this.#stringStart = `AWS4-HMAC-SHA256\n${this.#timestamp}\n${scope}\n`;
    if (scope === this.#scope) return;
    this.#scope = scope;
    const dayKey = hmac(`AWS4${this.#credentials.secret}`, day);
    this.#signingKey = new HmacSha256(hmac(hmac(hmac(dayKey, this.#region), 's3'), 'aws4_request'));
  }
}

/** A handful is sorted so in less time than `sort` takes to begin. Of one name, they stay in the order they came. */
function insertByName(sorted: Header[], header: Header): void {
  let at = sorted.length;
  for (let before = sorted[at - 1]; before !== undefined && before[0] > header[0]; ) {
    sorted[at] = before;
    at--;
    before = sorted[at - 1];
  }
  sorted[at] = header;
}

/** The order of headers, and of query parameters, in what is signed: by the bytes of their names. */
export function byName(a: Header, b: Header): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0;
}

// oxlint-disable-next-line no-control-regex
const LINE_END = /[\r\n\0]/;
const OUTER_BLANK = /^[ \t]|[ \t]$/;
const OUTER_BLANKS = /^[ \t]+|[ \t]+$/g;

/**
 * Outer blanks removed, runs of spaces folded: both real servers refuse a signature over unfolded runs.
 * Not by `trim()`, which takes the byte 0xA0 for a space, and so cuts an "à" at the end in two.
 */
function canonicalValue(value: string): string {
  const trimmed = OUTER_BLANK.test(value) ? value.replace(OUTER_BLANKS, '') : value;
  return trimmed.includes('  ') ? trimmed.replace(/ {2,}/g, ' ') : trimmed;
}

function sha256Hex(bytes: string): string {
  // oxlint-disable-next-line no-control-regex
  return /^[\x00-\x7f]*$/.test(bytes)
    ? hash('sha256', bytes, 'hex')
    : hash('sha256', Buffer.from(bytes, 'latin1'), 'hex');
}

function hmac(key: string | Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

/**
 * The head of an HTTP/1.1 answer: status line and headers, read strictly (RFC 9112).
 *
 * Values keep their exact bytes. Anything a careful peer would not send (a line without a colon, a
 * bare CR, obsolete folding, two different lengths) is an error: a head that can be read in two ways
 * must not decide where one answer ends and the next begins.
 */

/** Largest head taken, in bytes: more than any store sends (user metadata is 2 KB, S3's whole header limit 8 KB). */
export const MAX_HEAD_BYTES = 64 * 1024;
/** Most headers taken. */
const MAX_HEADERS = 256;

/** Headers by lower-case name; a name that came more than once has its values joined by `, ` (RFC 9110, section 5.3). */
export type ResponseHeaders = ReadonlyMap<string, string>;

export interface ResponseHead {
  readonly status: number;
  readonly headers: ResponseHeaders;
  /** Whether the connection can serve another exchange after this answer. */
  readonly keepAlive: boolean;
}

/** How far an answer's body reaches. */
export type BodyFraming =
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'until-close' };

/** What is wrong with an answer, as a clause: `a header line without a colon`. */
export class MalformedAnswer extends Error {
  override readonly name = 'MalformedAnswer';
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5][0-9][0-9])(?: .*)?$/;
const STRAY_CONTROL = /\0|\r(?!\n)|(?<!\r)\n/;
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * @param text the head as a byte string, without the empty line that ends it
 * @throws MalformedAnswer
 */
export function parseResponseHead(text: string): ResponseHead {
  const lines = text.split('\r\n');
  // Between the line ends nothing may look like one: `lines` has none of these left in a sound head.
  if (STRAY_CONTROL.test(text)) throw new MalformedAnswer('a control character in a header');
  const statusLine = STATUS_LINE.exec(lines[0] as string);
  if (statusLine === null) throw new MalformedAnswer('no HTTP/1.1 status line');
  if (lines.length - 1 > MAX_HEADERS) throw new MalformedAnswer('too many headers');
  const headers = new Map<string, string>();
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i] as string;
    const colon = line.indexOf(':');
    if (colon < 0) throw new MalformedAnswer('a header line without a colon');
    const name = fieldName(line.slice(0, colon));
    const value = trimBlanks(line, colon + 1);
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  const keepAlive = isKept(statusLine[1] === '1', headers);
  return { status: Number(statusLine[2]), headers, keepAlive };
}

const CLOSE_OPTION = /(?:^|,)[ \t]*close[ \t]*(?:,|$)/i;
const KEEP_ALIVE_OPTION = /(?:^|,)[ \t]*keep-alive[ \t]*(?:,|$)/i;

/** RFC 9112, section 9.3; chunks in HTTP/1.0 come from a peer that does not know them (section 6.1). */
function isKept(isHttp11: boolean, headers: ResponseHeaders): boolean {
  const options = headers.get('connection');
  if (options === undefined) return isHttp11;
  if (CLOSE_OPTION.test(options)) return false;
  return isHttp11 || (KEEP_ALIVE_OPTION.test(options) && !headers.has('transfer-encoding'));
}

/** Names as servers write them, and in lower case: the same few come with every answer. */
const knownNames = new Map<string, string>();
/** A server that makes names up must not fill the memory. */
const MAX_KNOWN_NAMES = 512;

function fieldName(written: string): string {
  const known = knownNames.get(written);
  if (known !== undefined) return known;
  if (!FIELD_NAME.test(written)) throw new MalformedAnswer('a header with a malformed name');
  const name = written.toLowerCase();
  if (knownNames.size < MAX_KNOWN_NAMES) knownNames.set(written, name);
  return name;
}

/** The value without its outer spaces and tabs; other bytes, 0xA0 among them, are content. */
function trimBlanks(line: string, from: number): string {
  let start = from;
  let end = line.length;
  while (start < end && isBlank(line.charCodeAt(start))) start++;
  while (end > start && isBlank(line.charCodeAt(end - 1))) end--;
  return line.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/**
 * RFC 9112, section 6.3.
 *
 * @throws MalformedAnswer when the head tells the length in contradicting ways
 */
export function framingOf(head: ResponseHead, method: string): BodyFraming {
  if (method === 'HEAD' || head.status === 204 || head.status === 304) {
    return { kind: 'length', bytes: 0 };
  }
  const transferEncoding = head.headers.get('transfer-encoding');
  const contentLength = head.headers.get('content-length');
  if (transferEncoding !== undefined) {
    if (transferEncoding.toLowerCase() !== 'chunked') {
      throw new MalformedAnswer('an unknown transfer encoding');
    }
    if (contentLength !== undefined) {
      throw new MalformedAnswer('both Content-Length and Transfer-Encoding');
    }
    return { kind: 'chunked' };
  }
  if (contentLength === undefined) return { kind: 'until-close' };
  const bytes = parseLength(contentLength);
  if (bytes === undefined) throw new MalformedAnswer('a malformed Content-Length');
  return { kind: 'length', bytes };
}

/** A Content-Length; the same number repeated, as some proxies make it, counts once. */
export function parseLength(value: string): number | undefined {
  const first = value.split(',', 1)[0] as string;
  if (first !== value && value.split(',').some((one) => one.trim() !== first)) return undefined;
  if (!/^[0-9]{1,16}$/.test(first)) return undefined;
  const bytes = Number(first);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

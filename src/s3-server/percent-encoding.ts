/**
 * Percent-encoding of byte strings (one char a byte), as SigV4 and S3's `encoding-type=url` have it.
 * `encodeURIComponent` and `URL` are no use here: they work on text and rewrite paths.
 */

/**
 * Every escape replaced by its byte; all else, `+` too, stays.
 *
 * @returns undefined when a `%` is not followed by two hex digits
 */
export function percentDecode(encoded: string): string | undefined {
  if (!encoded.includes('%')) return encoded;
  let malformed = false;
  const decoded = encoded.replace(/%([0-9A-Fa-f]{2})?/g, (_, hex: string | undefined) => {
    if (hex === undefined) {
      malformed = true;
      return '';
    }
    return String.fromCharCode(Number.parseInt(hex, 16));
  });
  return malformed ? undefined : decoded;
}

const ESCAPES = Array.from(
  { length: 256 },
  (_, byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
);

function escapeByte(char: string): string {
  return ESCAPES[char.charCodeAt(0)] ?? '';
}

/** Every byte but RFC 3986's unreserved ones escaped, in capitals: SigV4's UriEncode. */
export function percentEncode(bytes: string): string {
  return bytes.replace(/[^A-Za-z0-9\-._~]/g, escapeByte);
}

/** As {@link percentEncode}, but `/` stays. */
export function percentEncodePath(bytes: string): string {
  return bytes.replace(/[^A-Za-z0-9\-._~/]/g, escapeByte);
}

/** What a listing with `encoding-type=url` shows: as a path, but a space is `+` (AWS and MinIO alike). */
export function encodeForListing(bytes: string): string {
  return percentEncodePath(bytes).replaceAll('%20', '+');
}

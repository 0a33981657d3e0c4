/**
 * Percent-encoding as Signature Version 4 wants it, byte by byte, with no URL object near a key:
 * `new URL()` rewrites `a/../b`, `//` and `%2e%2e` and would send another key than it was given.
 */

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html, UriEncode
const UNRESERVED = /^[A-Za-z0-9\-._~]*$/;
const UNRESERVED_OR_SLASH = /^[A-Za-z0-9\-._~/]*$/;
const RESERVED = /[^A-Za-z0-9\-._~]/g;
const RESERVED_BUT_SLASH = /[^A-Za-z0-9\-._~/]/g;

const ENCODED = Array.from(
  { length: 256 },
  (_, byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
);

const encodeByte = (char: string): string => ENCODED[char.charCodeAt(0)] as string;

/** A byte string as a path: `/` stays. */
export function encodePath(bytes: string): string {
  return UNRESERVED_OR_SLASH.test(bytes) ? bytes : bytes.replace(RESERVED_BUT_SLASH, encodeByte);
}

/** A byte string as the name or the value of a query parameter: `/` is encoded too. */
export function encodeQuery(bytes: string): string {
  return UNRESERVED.test(bytes) ? bytes : bytes.replace(RESERVED, encodeByte);
}

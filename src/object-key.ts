/**
 * Object keys as byte strings, and the only places where they become anything else.
 *
 * S3 orders keys by their UTF-8 bytes, and some stores hold keys that are not UTF-8. A key is
 * therefore a JavaScript string with one char (0-255) for each byte: `<` and `===` are then S3's
 * order and identity at native speed, V8 keeps one byte a char, and nothing is normalised or lost.
 */

declare const objectKeyBrand: unique symbol;

/** An object key: one char (U+0000 to U+00FF) for each of its bytes. Never text. */
export type ObjectKey = string & { readonly [objectKeyBrand]: true };

/** Longest key S3 takes, in bytes. https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html */
export const MAX_KEY_BYTES = 1024;

/** The position before every key: no key is empty, so it orders below all of them. */
export const BEFORE_ALL = '' as ObjectKey;

/** Takes text (argv, an SDK answer) to the bytes of its UTF-8 form. */
export function keyFromText(text: string): ObjectKey {
  // oxlint-disable-next-line no-control-regex
  if (/^[\x00-\x7f]*$/.test(text)) return text as ObjectKey;
  return Buffer.from(text, 'utf8').toString('latin1') as ObjectKey;
}

export function keyFromBytes(bytes: Uint8Array): ObjectKey {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(
    'latin1',
  ) as ObjectKey;
}

export function keyToBytes(key: ObjectKey): Buffer {
  return Buffer.from(key, 'latin1');
}

/** A well-formed UTF-8 sequence of two to four bytes (RFC 3629, section 4), as chars of a byte string. */
const UTF8_SEQUENCE =
  /[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}/;
// oxlint-disable-next-line no-control-regex
const PLAIN = /^[\x20-\x5b\x5d-\x7e]*$/;
const TOKEN = new RegExp(`${UTF8_SEQUENCE.source}|[^\\x20-\\x5b\\x5d-\\x7e]`, 'g');

function escapeToken(token: string): string {
  switch (token) {
    case '\\':
      return '\\\\';
    case '\n':
      return '\\n';
    case '\r':
      return '\\r';
    case '\t':
      return '\\t';
    default:
      return token.length > 1 ? token : hexEscape(token);
  }
}

function hexEscape(bytes: string): string {
  let escaped = '';
  for (let i = 0; i < bytes.length; i++) {
    escaped += `\\x${bytes.charCodeAt(i).toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return escaped;
}

/**
 * The one-line form of a key in logs and `.csv` lists: `\\`, `\n`, `\r`, `\t`, and `\xHH` for other
 * control bytes and for bytes that are not UTF-8. The result is again a byte string: write it as
 * latin1. docs/formats.md specifies it; {@link unescapeKey} takes it back.
 */
export function escapeKey(key: ObjectKey): string {
  return PLAIN.test(key) ? key : key.replace(TOKEN, escapeToken);
}

/**
 * Reads the form {@link escapeKey} writes, from a byte string.
 *
 * @returns undefined when an escape is malformed: a lone backslash, an unknown letter, fewer than
 *   two hex digits after `\x`
 */
export function unescapeKey(escaped: string): ObjectKey | undefined {
  if (!escaped.includes('\\')) return escaped as ObjectKey;
  let malformed = false;
  const key = escaped.replace(/\\(?:x([0-9A-Fa-f]{2})|([\\nrt])|)/g, (_, hex, letter) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    if (letter === '\\') return '\\';
    if (letter === 'n') return '\n';
    if (letter === 'r') return '\r';
    if (letter === 't') return '\t';
    malformed = true;
    return '';
  });
  return malformed ? undefined : (key as ObjectKey);
}

/**
 * C1 controls, bidirectional controls, zero-width and other invisible format characters, line and
 * paragraph separators, variation selectors of the tag block: what can make a terminal show
 * something else than what is there.
 */
const DECEPTIVE =
  // oxlint-disable-next-line no-misleading-character-class
  /[\u0080-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\uffff\u{e0000}-\u{e0fff}]/gu;

/**
 * A key as text for a terminal: the form of {@link escapeKey}, in which also every character that
 * could mislead the reader is escaped byte by byte. Can be pasted to `--start-after`.
 */
export function displayKey(key: ObjectKey): string {
  return Buffer.from(escapeKey(key), 'latin1')
    .toString('utf8')
    .replace(DECEPTIVE, (char) => hexEscape(keyFromText(char)));
}

/** Any text that came from outside (a server's message, a file name) made safe for one terminal line. */
export function displayText(text: string): string {
  return (
    text
      .replace(DECEPTIVE, (char) => hexEscape(keyFromText(char)))
      // oxlint-disable-next-line no-control-regex
      .replace(/[\x00-\x1f\x7f]/g, (char) =>
        char === '\n' || char === '\t' ? ' ' : hexEscape(char),
      )
  );
}

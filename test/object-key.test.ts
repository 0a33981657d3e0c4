/**
 * The laws of keys: bytes stay bytes, and every written form leads back to them.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  displayKey,
  displayText,
  escapeKey,
  keyFromBytes,
  keyFromText,
  keyToBytes,
  type ObjectKey,
  unescapeKey,
} from '../src/object-key.ts';

/** Any bytes, with those made frequent that an escape, UTF-8 or a terminal stumbles over. */
function anyKey(): fc.Arbitrary<ObjectKey> {
  const bytes = fc.oneof(
    { weight: 4, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 4 }) },
    {
      weight: 2,
      arbitrary: fc.constantFrom('\\', '\\\\', '\\n', '\\x41', '\n', '\r', '\t', '\0', '\x7f'),
    },
    { weight: 2, arbitrary: fc.string({ unit: 'grapheme', maxLength: 3 }) },
    // Surrogates, overlong forms, what is beyond U+10FFFF, and sequences that are cut.
    {
      weight: 2,
      arbitrary: fc
        .constantFrom('eda080', 'c080', 'e08080', 'f4908080', 'c3', 'e282', 'f09f98', '80')
        .map((hex) => Buffer.from(hex, 'hex')),
    },
    { weight: 1, arbitrary: fc.constantFrom('\u202e', '\u200b', '\ufeff', '\u2028', '\u{e0041}') },
  );
  return fc
    .array(bytes, { maxLength: 8 })
    .map((parts) => keyFromBytes(Buffer.concat(parts.map((part) => Buffer.from(part as string)))));
}

const utf8Of = (byteString: string): string => Buffer.from(byteString, 'latin1').toString('utf8');

describe('a key', () => {
  it('is its bytes, whichever way they came', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.string({ unit: 'binary' }), (bytes, text) => {
        expect(keyToBytes(keyFromBytes(bytes))).toEqual(Buffer.from(bytes));
        expect(keyToBytes(keyFromText(text))).toEqual(Buffer.from(text, 'utf8'));
      }),
    );
  });

  it('is ordered by < as its bytes are, also where UTF-16 is not', () => {
    fc.assert(
      fc.property(anyKey(), anyKey(), (a, b) => {
        const byBytes = Buffer.compare(keyToBytes(a), keyToBytes(b));
        expect(a < b ? -1 : Number(a > b)).toBe(byBytes);
      }),
    );
    expect(keyFromText('\uff5e') < keyFromText('\u{1f600}')).toBe(true);
  });
});

describe('the escaped form', () => {
  it('leads back to the key, for all bytes', () => {
    fc.assert(
      fc.property(anyKey(), (key) => {
        expect(unescapeKey(escapeKey(key))).toBe(key);
      }),
      { numRuns: 1000 },
    );
  });

  it('is one line of well-formed UTF-8 without a control character, for all bytes', () => {
    fc.assert(
      fc.property(anyKey(), (key) => {
        const escaped = escapeKey(key);
        // oxlint-disable-next-line no-control-regex
        expect(escaped).not.toMatch(/[\x00-\x1f\x7f]/);
        expect(Buffer.from(utf8Of(escaped), 'utf8').toString('latin1')).toBe(escaped);
      }),
      { numRuns: 1000 },
    );
  });

  it('is the key itself where nothing needs an escape', () => {
    for (const plain of ['', 'photos/a b.jpg', '+%?#"\',;=~', keyFromText('\u00fc \u{1f600}')]) {
      expect(escapeKey(plain as ObjectKey)).toBe(plain);
    }
  });

  it.each([
    ['a\\b', String.raw`a\\b`],
    ['a\nb\rc\td', String.raw`a\nb\rc\td`],
    ['\0\x1b\x7f', String.raw`\x00\x1B\x7F`],
    ['\xff\xfe', String.raw`\xFF\xFE`],
    ['caf\xe9', String.raw`caf\xE9`],
    ['\xed\xa0\x80', String.raw`\xED\xA0\x80`],
    ['\\x41', String.raw`\\x41`],
  ])('writes %j as %s', (key, escaped) => {
    expect(escapeKey(key as ObjectKey)).toBe(escaped);
    expect(unescapeKey(escaped)).toBe(key);
  });

  it('may be typed with lower-case digits, or with an escape where none is needed', () => {
    expect(unescapeKey(String.raw`\xfF\x41`)).toBe('\xffA');
  });

  it.each([
    '\\',
    'a\\',
    String.raw`\q`,
    String.raw`\x`,
    String.raw`\x4`,
    String.raw`\xg1`,
    '\\X41',
  ])('is malformed: %s', (escaped) => {
    expect(unescapeKey(escaped)).toBeUndefined();
  });
});

describe('the form for a terminal', () => {
  it('leads back to the key when it is pasted', () => {
    fc.assert(
      fc.property(anyKey(), (key) => {
        expect(unescapeKey(keyFromText(displayKey(key)))).toBe(key);
      }),
      { numRuns: 1000 },
    );
  });

  it('holds no character that controls, hides or turns what is shown', () => {
    fc.assert(
      fc.property(anyKey(), fc.string({ unit: 'binary' }), (key, text) => {
        for (const shown of [displayKey(key), displayText(text)]) {
          expect(shown).not.toMatch(
            /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069\u200b-\u200f\ufeff]/u,
          );
        }
      }),
      { numRuns: 1000 },
    );
    expect(displayKey(keyFromText('photo\u202egpj.exe'))).toBe(
      String.raw`photo\xE2\x80\xAEgpj.exe`,
    );
    expect(displayText('two\nlines\x1b[31m')).toBe(String.raw`two lines\x1B[31m`);
  });

  it('shows letters of all scripts as they are', () => {
    for (const text of ['\u00fcmlaut', '\u65e5\u672c', '\u{1f600}', '\u0627\u0644']) {
      expect(displayKey(keyFromText(text))).toBe(text);
      expect(displayText(text)).toBe(text);
    }
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodePath, encodeQuery } from '../../src/wire/percent-encoding.ts';
import { byteString, queryText, utf8 } from './byte-strings.ts';

function decode(encoded: string): string {
  return encoded.replace(/%([0-9A-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

describe('percent-encoding', () => {
  it('leaves letters, digits, "-", ".", "_" and "~" alone', () => {
    const unreserved = 'ABCXYZabcxyz0123456789-._~';
    expect(encodePath(unreserved)).toBe(unreserved);
    expect(encodeQuery(unreserved)).toBe(unreserved);
  });

  it('keeps slashes in a path, and encodes them in a query', () => {
    expect(encodePath('//a/../b/./c//')).toBe('//a/../b/./c//');
    expect(encodeQuery('a/b')).toBe('a%2Fb');
  });

  it('encodes a percent sign, so that an encoded key is not taken for another', () => {
    expect(encodePath('%41')).toBe('%2541');
    expect(encodePath('%2e%2e/%00')).toBe('%252e%252e/%2500');
  });

  it('encodes a space as %20 and a plus as %2B', () => {
    expect(encodePath('a b+c')).toBe('a%20b%2Bc');
    expect(encodeQuery('a b+c')).toBe('a%20b%2Bc');
  });

  it('encodes bytes that are not UTF-8 one by one', () => {
    expect(encodePath('\xff\xa0\x00\n')).toBe('%FF%A0%00%0A');
  });

  it('is undone by decoding, for every byte string', () => {
    fc.assert(
      fc.property(byteString(40), (bytes) => {
        expect(decode(encodePath(bytes))).toBe(bytes);
        expect(decode(encodeQuery(bytes))).toBe(bytes);
      }),
    );
  });

  it('writes only characters that a request line and a signature may hold', () => {
    fc.assert(
      fc.property(byteString(40), (bytes) => {
        expect(encodePath(bytes)).toMatch(/^(?:[A-Za-z0-9\-._~/]|%[0-9A-F]{2})*$/);
        expect(encodeQuery(bytes)).toMatch(/^(?:[A-Za-z0-9\-._~]|%[0-9A-F]{2})*$/);
      }),
    );
  });

  it('encodes text as encodeURIComponent does, but for the five characters SigV4 wants encoded', () => {
    fc.assert(
      fc.property(queryText(30), (text) => {
        const expected = encodeURIComponent(text).replace(
          /[!'()*]/g,
          (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
        );
        expect(encodeQuery(utf8(text))).toBe(expected);
      }),
    );
  });
});

/**
 * The laws of a listing, over any keys and any way to page through them.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { type ListingRequest, listPage } from '../../src/s3-server/list-objects.ts';

const WHOLE = { prefix: '', delimiter: '', startAfter: '', token: undefined, maxKeys: 1000 };

/** Bytes around which order and delimiters go wrong, and any other. */
const byte = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('a', 'b', '/', '\0', '\xef', '\xf0', '\xff') },
  { weight: 1, arbitrary: fc.nat(255).map((code) => String.fromCharCode(code)) },
);
const bytes = fc.array(byte, { maxLength: 6 }).map((chars) => chars.join(''));
const keys = fc
  .uniqueArray(
    bytes.filter((key) => key !== ''),
    { maxLength: 40 },
  )
  .map((unsorted) => unsorted.toSorted() as ObjectKey[]);
const delimiter = fc.constantFrom('', '/', 'a', '//', 'ab');

/** All pages of a listing as one, a common prefix marked by a leading `>`. */
function listAll(sortedKeys: readonly ObjectKey[], request: ListingRequest): string[] {
  const entries: string[] = [];
  let token: string | undefined;
  do {
    const page = listPage(sortedKeys, { ...request, token });
    const size = page.keys.length + page.commonPrefixes.length;
    expect(size).toBeLessThanOrEqual(request.maxKeys);
    if (page.nextToken !== undefined) expect(size).toBe(request.maxKeys);
    const marked = [...page.keys, ...page.commonPrefixes.map((prefix) => `>${prefix}`)];
    entries.push(...marked.toSorted((a, b) => (unmarked(a) < unmarked(b) ? -1 : 1)));
    token = page.nextToken;
  } while (token !== undefined);
  return entries;
}

function unmarked(entry: string): string {
  return entry.replace(/^>/, '');
}

/** The definition of a listing, without pages. */
function expected(sortedKeys: readonly ObjectKey[], request: ListingRequest): string[] {
  const entries = sortedKeys
    .filter((key) => key > request.startAfter && key.startsWith(request.prefix))
    .map((key) => {
      const rest = key.slice(request.prefix.length);
      const border = request.delimiter === '' ? -1 : rest.indexOf(request.delimiter);
      return border < 0 ? key : `>${request.prefix}${rest.slice(0, border)}${request.delimiter}`;
    });
  return [...new Set(entries)];
}

describe('a listing', () => {
  // `>` is a byte like any other, so keys that hold it would look like common prefixes here.
  const plainKeys = keys.map((all) => all.filter((key) => !key.startsWith('>')));

  it('is the same whatever the size of its pages', () => {
    fc.assert(
      fc.property(
        plainKeys,
        fc.record({ prefix: bytes.map((text) => text.slice(0, 2)), delimiter, startAfter: bytes }),
        fc.integer({ min: 1, max: 12 }),
        (sortedKeys, parameters, maxKeys) => {
          const request = { ...parameters, token: undefined, maxKeys };
          expect(listAll(sortedKeys, request)).toEqual(expected(sortedKeys, request));
        },
      ),
    );
  });

  it('starts after a key whether that is there or not', () => {
    fc.assert(
      fc.property(keys, bytes, (sortedKeys, startAfter) => {
        expect(listPage(sortedKeys, { ...WHOLE, startAfter }).keys).toEqual(
          sortedKeys.filter((key) => Buffer.compare(latin1(key), latin1(startAfter)) > 0),
        );
      }),
    );
  });

  it('of no keys at all is complete', () => {
    expect(listPage(['a' as ObjectKey], { ...WHOLE, maxKeys: 0 })).toEqual({
      keys: [],
      commonPrefixes: [],
      nextToken: undefined,
    });
  });

  it('refuses a token it has not given', () => {
    expect(() => listPage([], { ...WHOLE, token: 'rubbish' })).toThrow('continuation token');
  });
});

function latin1(key: string): Buffer {
  return Buffer.from(key, 'latin1');
}

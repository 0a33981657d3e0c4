import { expect, it } from 'vitest';
import type { ObjectHead } from '../../src/s3/object-store.ts';
import { compareEtags } from '../../src/verify/compare-etags.ts';

const A = 'a'.repeat(32);
const B = 'b'.repeat(32);

function head(etag: string, more: Partial<ObjectHead> = {}): ObjectHead {
  return { bytes: 1, etag, etagMayBeMd5: true, lastModified: '', metadata: [], ...more };
}

function ofParts(etag: string, etagParts: number): ObjectHead {
  return head(`${etag}-${etagParts}`, { etagMayBeMd5: false, etagParts });
}

it.each([
  ['two equal MD5s', head(A), head(A), 'same'],
  ['one MD5 in other letters', head(A), head(A.toUpperCase()), 'same'],
  ['two MD5s', head(A), head(B), 'different'],
  ['equal ETags of parts', ofParts(A, 2), ofParts(A, 2), 'same'],
  ['ETags of as many parts', ofParts(A, 2), ofParts(B, 2), 'different'],
  ['ETags of other numbers of parts', ofParts(A, 2), ofParts(A, 3), 'incomparable'],
  ['an MD5 and an ETag of parts', head(A), ofParts(A, 1), 'incomparable'],
  [
    'an MD5 and what encryption has changed',
    head(A),
    head(A, { etagMayBeMd5: false }),
    'incomparable',
  ],
  ['none', head('', { etagMayBeMd5: false }), head('', { etagMayBeMd5: false }), 'incomparable'],
])('%s', (_, source, destination, expected) => {
  expect(compareEtags(source, destination)).toBe(expected);
  expect(compareEtags(destination, source)).toBe(expected);
});

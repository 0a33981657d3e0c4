/**
 * What travels with an object.
 */
import { expect, it } from 'vitest';
import { metadataOf } from '../../src/s3/metadata.ts';

const of = (headers: Record<string, string>) => metadataOf(new Map(Object.entries(headers)));

it('takes the headers that belong to the object, byte for byte', () => {
  const headers = {
    'content-type': 'image/jpeg',
    'cache-control': 'no-store',
    'content-disposition': 'inline; filename="\xe9.jpg"',
    'content-encoding': 'zstd, custom',
    'content-language': 'de',
    expires: '0',
    'x-amz-meta-place': 'Z\xc3\xbcrich  twice',
    'x-amz-meta-empty': '',
  };
  expect(of(headers)).toEqual(Object.entries(headers));
});

it('leaves what belongs to the answer or to the store', () => {
  expect(
    of({
      'content-length': '5',
      etag: '"a"',
      'last-modified': 'now',
      'accept-ranges': 'bytes',
      'x-amz-request-id': '1',
      'x-amz-storage-class': 'GLACIER',
      'x-amz-server-side-encryption': 'aws:kms',
      'x-amz-tagging-count': '2',
      connection: 'close',
    }),
  ).toEqual([]);
});

it.each([
  ['aws-chunked', undefined],
  ['aws-chunked,gzip', 'gzip'],
  ['gzip, aws-chunked', 'gzip'],
  ['gzip,aws-chunked,br', 'gzip,br'],
  ['gzip, br', 'gzip, br'],
])('of the encoding %s keeps %s', (given, kept) => {
  expect(of({ 'content-encoding': given })).toEqual(
    kept === undefined ? [] : [['content-encoding', kept]],
  );
});

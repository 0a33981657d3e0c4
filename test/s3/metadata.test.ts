/**
 * What travels with an object.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { metadataOf, propertiesOf } from '../../src/s3/metadata.ts';
import { parseResponseHead } from '../../src/wire/response-head.ts';

const of = (headers: Record<string, string>) => metadataOf(new Map(Object.entries(headers)));

it('takes the headers that belong to the object, byte for byte', () => {
  const headers = {
    'content-type': 'image/jpeg',
    'cache-control': 'no-store',
    'content-disposition': 'inline; filename="\xe9.jpg"',
    'content-encoding': 'zstd, custom',
    'content-language': 'de',
    expires: '0',
    'x-amz-website-redirect-location': '/elsewhere',
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
      'x-amz-missing-meta': '1',
      'x-amz-object-lock-mode': 'GOVERNANCE',
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

it('keeps any bytes of any value, from the head of an answer on', () => {
  const value = fc
    .array(fc.integer({ min: 0x20, max: 0xff }).filter((byte) => byte !== 0x7f))
    .map((bytes) => String.fromCharCode(...bytes).replaceAll(/^[ \t]+|[ \t]+$/g, ''));
  const headers = fc.dictionary(
    fc.stringMatching(/^[a-z0-9-]{1,12}$/).map((name) => `x-amz-meta-${name}`),
    value,
    { maxKeys: 8 },
  );
  fc.assert(
    fc.property(headers, (sent) => {
      const lines = Object.entries(sent).map(([name, text]) => `${name}: ${text}`);
      const head = parseResponseHead(['HTTP/1.1 200 OK', ...lines].join('\r\n'));
      expect(Object.fromEntries(metadataOf(head.headers))).toEqual({ ...sent });
    }),
  );
});

const propertiesIn = (headers: Record<string, string>) =>
  propertiesOf(new Map(Object.entries(headers)));

it('tells tags, storage class, lock and unreadable metadata apart from the headers', () => {
  expect(
    propertiesIn({
      'x-amz-tagging-count': '2',
      'x-amz-storage-class': 'STANDARD_IA',
      'x-amz-object-lock-mode': 'GOVERNANCE',
      'x-amz-object-lock-retain-until-date': '2065-10-21T07:28:00.000Z',
      'x-amz-object-lock-legal-hold': 'ON',
      'x-amz-missing-meta': '3',
    }),
  ).toEqual({
    tags: 2,
    storageClass: 'STANDARD_IA',
    lock: [
      ['x-amz-object-lock-mode', 'GOVERNANCE'],
      ['x-amz-object-lock-retain-until-date', '2065-10-21T07:28:00.000Z'],
      ['x-amz-object-lock-legal-hold', 'ON'],
    ],
    unreadable: 3,
  });
});

it('tells of no properties where there are none', () => {
  expect(propertiesIn({ 'content-type': 'image/jpeg' })).toBeUndefined();
  expect(propertiesIn({ 'x-amz-tagging-count': '0', 'x-amz-missing-meta': '?' })).toBeUndefined();
});

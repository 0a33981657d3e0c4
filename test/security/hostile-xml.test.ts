/**
 * Documents that a hostile store sends to whoever reads them: none is read in more than one pass, none has entities,
 * none gets markup into what is sent on.
 */
import { expect, test } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { parseTagging } from '../../src/s3/tagging.ts';
import { MAX_LISTING_BYTES, partsPage, uploadsPage } from '../../src/s3/upload-listings.ts';
import { elementText, escapeText, innerXml, isErrorDocument } from '../../src/s3/xml.ts';
import { taggingHeader } from '../../src/transfer/belongings.ts';

const DOCUMENT_BYTES = 64 * 1024;

function filled(bytes: number, piece: string, before = ''): string {
  return before + piece.repeat(bytes / piece.length);
}

const KEY = 'photo' as ObjectKey;

/**
 * Each would take minutes where every opening tag looks for its end anew: the test's time limit ends them then, and on
 * the way a run of the program hangs.
 */
test.each<[string, () => unknown, unknown]>([
  ['tags', () => parseTagging(filled(DOCUMENT_BYTES, '<Tag>')).size, 0],
  [
    'parts',
    () => partsPage(filled(MAX_LISTING_BYTES, '<Part>', '<ListPartsResult>'), 0)?.entries,
    [],
  ],
  [
    'uploads',
    () =>
      uploadsPage(
        filled(MAX_LISTING_BYTES, '<Upload>', '<ListMultipartUploadsResult>'),
        KEY,
        undefined,
      )?.entries,
    [],
  ],
  ['elements', () => innerXml(filled(MAX_LISTING_BYTES, '<A>'), 'A'), []],
  ['codes', () => elementText(filled(MAX_LISTING_BYTES, '<Code>'), 'Code'), undefined],
  ['an open code', () => elementText(filled(DOCUMENT_BYTES, 'x', '<Code>'), 'Code'), undefined],
  ['blanks', () => isErrorDocument(filled(DOCUMENT_BYTES, ' ')), false],
  ['a declaration', () => isErrorDocument(filled(DOCUMENT_BYTES, '?', '<?xml ')), false],
  [
    'a declaration and blanks',
    () => isErrorDocument(`<?xml ?>${filled(DOCUMENT_BYTES, ' ')}`),
    false,
  ],
])('an open end of %s is passed over', (_, read, expected) => {
  expect(read()).toEqual(expected);
});

test('no entity but the five of XML is known, and a document type says nothing', () => {
  const xml = `<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd"><!ENTITY lol "x">]><Error><Code>&e;&lol;&lt;</Code></Error>`;
  expect(elementText(xml, 'Code')).toBe('&e;&lol;<');
  expect(isErrorDocument(xml)).toBe(false);
});

test.each([
  ['a', '&#60;&#47;ETag>', '</ETag>'],
  ['a', '&#13;&#10;x-amz-acl: public-read', '\r\nx-amz-acl: public-read'],
])(
  'what an element says (%s) is text, and markup in it is escaped when it goes on',
  (_, told, text) => {
    expect(elementText(`<ETag>${told}</ETag>`, 'ETag')).toBe(text);
    expect(escapeText(text)).not.toMatch(/[<>&](?!#)/);
  },
);

test('tags cannot bring a header or another tag with them', () => {
  const tags = parseTagging(
    '<Tag><Key>a&#13;&#10;x-amz-acl: public-read</Key><Value>b&amp;c=d</Value></Tag>',
  );
  expect(taggingHeader(tags)).toBe('a%0D%0Ax-amz-acl%3A%20public-read=b%26c%3Dd');
});

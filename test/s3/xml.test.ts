/**
 * The little XML of object calls.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { elementText, escapeText, innerXml, isErrorDocument } from '../../src/s3/xml.ts';

const error =
  '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Message></Message></Error>';

describe('innerXml', () => {
  it('gives what is inside each element, in order', () => {
    const xml = '<a><b><c>1</c></b><b></b><bb>no</bb><b>\n<c>2</c></b></a>';
    expect(innerXml(xml, 'b')).toEqual(['<c>1</c>', '', '\n<c>2</c>']);
    expect(innerXml(xml, 'd')).toEqual([]);
  });
});

describe('elementText', () => {
  it('gives the text of an element', () => {
    expect(elementText(error, 'Code')).toBe('NoSuchKey');
    expect(elementText(error, 'Message')).toBe('');
  });

  it('gives nothing for an element that is absent or holds others', () => {
    expect(elementText(error, 'Region')).toBeUndefined();
    expect(elementText(error, 'Error')).toBeUndefined();
    expect(elementText('', 'Code')).toBeUndefined();
  });

  it.each([
    ['&lt;a&gt; &amp; &quot;b&apos;', `<a> & "b'`],
    ['&#34;&#x1F600;', '"\u{1f600}'],
    ['&amp;lt;', '&lt;'],
    ['&#x110000;', '&#x110000;'],
    ['&unknown;', '&unknown;'],
  ])('reads %s', (encoded, text) => {
    expect(elementText(`<ETag>${encoded}</ETag>`, 'ETag')).toBe(text);
  });

  it('gives back what was escaped', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(elementText(`<ETag>${escapeText(text)}</ETag>`, 'ETag')).toBe(text);
      }),
    );
  });
});

describe('isErrorDocument', () => {
  it.each([
    error,
    '<Error><Code>SlowDown</Code></Error>',
    '<Error xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Code>A</Code></Error>',
    '   \n\n<?xml version="1.0"?><Error></Error>',
  ])('is an error: %s', (xml) => {
    expect(isErrorDocument(xml)).toBe(true);
  });

  it.each([
    '',
    '<!DOCTYPE html><Error>',
    '<html><Error><Code>A</Code></Error></html>',
    '<Errors></Errors>',
    '<CompleteMultipartUploadResult><ETag>"a"</ETag></CompleteMultipartUploadResult>',
  ])('is none: %s', (xml) => {
    expect(isErrorDocument(xml)).toBe(false);
  });
});

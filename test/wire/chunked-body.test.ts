import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChunkedBody } from '../../src/wire/chunked-body.ts';
import { MalformedAnswer } from '../../src/wire/response-head.ts';
import { unitsOf } from './byte-strings.ts';

interface Decoded {
  readonly content: string;
  readonly done: boolean;
  /** Bytes after the body's end. */
  readonly rest: string;
}

/** Decodes a stream that arrives in the given pieces. */
function decode(pieces: readonly string[]): Decoded {
  const body = new ChunkedBody();
  let content = '';
  let rest = '';
  for (const piece of pieces) {
    const bytes = Buffer.from(piece, 'latin1');
    const taken = body.take(bytes, (own) => {
      content += own.toString('latin1');
    });
    rest += bytes.toString('latin1', taken);
  }
  return { content, done: body.done, rest };
}

function cutEverywhere(stream: string): string[][] {
  return Array.from({ length: stream.length + 1 }, (_, at) => [
    stream.slice(0, at),
    stream.slice(at),
  ]);
}

describe('a chunked body', () => {
  it('is the content of its chunks, with sizes in either letter case and with leading zeros', () => {
    const stream = 'A\r\n0123456789\r\n0001\r\nx\r\nb\r\nabcdefghijk\r\n0\r\n\r\n';
    expect(decode([stream])).toEqual({ content: '0123456789xabcdefghijk', done: true, rest: '' });
  });

  it('may be empty', () => {
    expect(decode(['0\r\n\r\n'])).toEqual({ content: '', done: true, rest: '' });
  });

  it('leaves extensions and trailers out', () => {
    const stream = '3;a=b;c="d"\r\nabc\r\n1 \t; x\r\nd\r\n000\r\nETag: "x"\r\nX-A: b\r\n\r\n';
    expect(decode([stream]).content).toBe('abcd');
  });

  it('may hold what looks like framing', () => {
    expect(decode(['7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n']).content).toBe('\r\n0\r\n\r\n');
  });

  it('is the same wherever it is cut, and leaves the bytes after it untouched', () => {
    const stream = '5;x\r\nhello\r\nA\r\n, everyone\r\n0\r\nX-A: b\r\n\r\nHTTP/1.1 200 OK';
    for (const pieces of cutEverywhere(stream)) {
      expect(decode(pieces)).toEqual({
        content: 'hello, everyone',
        done: true,
        rest: 'HTTP/1.1 200 OK',
      });
    }
    expect(decode(unitsOf(stream)).content).toBe('hello, everyone');
  });

  it('is not done before its last byte', () => {
    const stream = '5\r\nhello\r\n0\r\nX-A: b\r\n\r\n';
    for (let end = 0; end < stream.length; end++) {
      expect(decode([stream.slice(0, end)]).done).toBe(false);
    }
  });

  it.each([
    ['no size', '\r\nabc'],
    ['a size with a sign', '+3\r\nabc\r\n'],
    ['a size with a prefix', '0x3\r\nabc\r\n'],
    ['a size that is no number', 'xyz\r\n'],
    ['a size with a blank before it', ' 3\r\nabc\r\n'],
    ['a size beyond 2^53', '20000000000000\r\n'],
    ['a size with bytes after it', '3 abc\r\n'],
    ['a size ended by a bare LF', '3\nabc\r\n'],
    ['a bare CR in an extension', '3;a\rb\r\nabc\r\n'],
    ['a chunk longer than its size', '3\r\nabcd\r\n'],
    ['a chunk shorter than its size', '3\r\nab\r\n0\r\n'],
    ['a chunk ended by a bare LF', '3\r\nabc\n'],
    ['a trailer ended by a bare LF', '0\r\nX-A: b\n\r\n'],
    ['an endless size', `${'0'.repeat(9000)}3`],
    ['an endless extension', `3;${'x'.repeat(9000)}`],
    ['an endless trailer', `0\r\n${'x'.repeat(9000)}`],
    ['endless trailers', `0\r\n${'X-A: b\r\n'.repeat(10_000)}`],
  ])('is refused for %s', (_, stream) => {
    expect(() => decode([stream])).toThrow(MalformedAnswer);
    expect(() => decode(unitsOf(stream))).toThrow(MalformedAnswer);
  });

  it('gives back any content, in any chunks, in any pieces', () => {
    const content = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 6 });
    const extension = fc.constantFrom('', ';a', ' ; a=b');
    const cuts = fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 8 });
    fc.assert(
      fc.property(content, extension, cuts, (chunks, extended, at) => {
        const texts = chunks.map((chunk) => Buffer.from(chunk).toString('latin1'));
        const framed = texts.map((text) => `${text.length.toString(16)}${extended}\r\n${text}\r\n`);
        const stream = `${framed.join('')}0\r\n\r\n`;
        const borders = [0, ...at.toSorted((a, b) => a - b), stream.length];
        const pieces = borders.slice(1).map((end, i) => stream.slice(borders[i], end));
        expect(decode(pieces)).toEqual({ content: texts.join(''), done: true, rest: '' });
      }),
    );
  });
});

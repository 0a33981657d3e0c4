import { describe, expect, it } from 'vitest';
import {
  framingOf,
  MAX_HEAD_BYTES,
  MalformedAnswer,
  parseLength,
  parseResponseHead,
} from '../../src/wire/response-head.ts';

function head(...lines: string[]): ReturnType<typeof parseResponseHead> {
  return parseResponseHead(['HTTP/1.1 200 OK', ...lines].join('\r\n'));
}

describe('the head of an answer', () => {
  it('has a status, with or without a reason, of HTTP/1.1 or 1.0', () => {
    expect(parseResponseHead('HTTP/1.1 206 Partial Content').status).toBe(206);
    expect(parseResponseHead('HTTP/1.1 404 ').status).toBe(404);
    expect(parseResponseHead('HTTP/1.1 503').status).toBe(503);
    expect(parseResponseHead('HTTP/1.0 200 \xc3\xa0\xff').status).toBe(200);
  });

  it.each([
    ['nothing', ''],
    ['an empty first line', '\r\nHTTP/1.1 200 OK'],
    ['HTTP/2', 'HTTP/2 200'],
    ['HTTP/1.2', 'HTTP/1.2 200 OK'],
    ['lower case', 'http/1.1 200 OK'],
    ['a request', 'GET / HTTP/1.1'],
    ['two digits', 'HTTP/1.1 20 OK'],
    ['four digits', 'HTTP/1.1 2000 OK'],
    ['status 600', 'HTTP/1.1 600 X'],
    ['status 000', 'HTTP/1.1 000 X'],
    ['two spaces before the status', 'HTTP/1.1  200 OK'],
    ['bytes before it', ' HTTP/1.1 200 OK'],
    ['a tab', 'HTTP/1.1\t200 OK'],
  ])('is refused when its status line is %s', (_, text) => {
    expect(() => parseResponseHead(text)).toThrow(MalformedAnswer);
  });

  it('has headers by lower-case name, their values without outer blanks', () => {
    const { headers } = head('ETag: "a b"', 'Content-Type:text/plain', 'X-Empty:', 'X-Blank: \t  ');
    expect([...headers]).toEqual([
      ['etag', '"a b"'],
      ['content-type', 'text/plain'],
      ['x-empty', ''],
      ['x-blank', ''],
    ]);
  });

  it('keeps the exact bytes of a value, also those that JavaScript takes for spaces', () => {
    expect(head('x-amz-meta-a: \xa0voil\xc3\xa0').headers.get('x-amz-meta-a')).toBe(
      '\xa0voil\xc3\xa0',
    );
    expect(head('x-amz-meta-a: a  b\tc : d').headers.get('x-amz-meta-a')).toBe('a  b\tc : d');
  });

  it('joins the values of a name that comes more than once', () => {
    expect(head('X-A: 1', 'x-a: 2', 'X-a: 3').headers.get('x-a')).toBe('1, 2, 3');
  });

  it('takes names that objects have of their own for plain names', () => {
    const { headers } = head('__proto__: a', 'constructor: b');
    expect(headers.get('__proto__')).toBe('a');
    expect(headers.get('constructor')).toBe('b');
    expect(headers.get('tostring')).toBeUndefined();
  });

  it.each([
    ['a line without a colon', 'etag'],
    ['a folded line', ' folded: value'],
    ['a blank before the colon', 'etag : a'],
    ['an empty name', ': a'],
    ['a name with a byte that is not ASCII', 'et\xe4g: a'],
    ['a NUL in a value', 'etag: a\0b'],
    ['a bare CR in a value', 'etag: a\rContent-Length: 5'],
    ['a bare LF in a value', 'etag: a\nContent-Length: 5'],
    ['a bare LF that ends a line', 'etag: a\n'],
  ])('is refused for %s', (_, line) => {
    expect(() => head(line)).toThrow(MalformedAnswer);
  });

  it('is refused with more than 256 headers', () => {
    const many = (count: number): string[] => Array.from({ length: count }, (_, i) => `x-${i}: a`);
    expect(head(...many(256)).headers.size).toBe(256);
    expect(() => head(...many(257))).toThrow(MalformedAnswer);
    expect(() => head(...Array.from({ length: 257 }, () => 'x: a'))).toThrow(MalformedAnswer);
  });

  it('still tells names apart after a server has made up thousands', () => {
    for (let i = 0; i < 2000; i++) head(`X-Made-Up-${i}: a`);
    expect(head('X-Made-Up-1999: b', 'X-New: c').headers.get('x-new')).toBe('c');
    expect(() => head('X Bad: a')).toThrow(MalformedAnswer);
  });

  it('bounds a head well above what stores send', () => {
    expect(MAX_HEAD_BYTES).toBeGreaterThanOrEqual(32 * 1024);
  });
});

describe('keeping a connection', () => {
  it.each([
    ['HTTP/1.1', undefined, true],
    ['HTTP/1.1', 'keep-alive', true],
    ['HTTP/1.1', 'close', false],
    ['HTTP/1.1', 'Close', false],
    ['HTTP/1.1', 'close, x-a', false],
    ['HTTP/1.1', 'x-a ,\tCLOSE', false],
    ['HTTP/1.1', 'keep-alive, close', false],
    ['HTTP/1.1', 'closed', true],
    ['HTTP/1.0', undefined, false],
    ['HTTP/1.0', 'keep-alive', true],
    ['HTTP/1.0', 'Keep-Alive', true],
    ['HTTP/1.0', 'close', false],
    ['HTTP/1.0', 'keep-alive, close', false],
  ])('%s with Connection %s: %s', (version, connection, kept) => {
    const line = connection === undefined ? '' : `\r\nConnection: ${connection}`;
    expect(parseResponseHead(`${version} 200 OK${line}`).keepAlive).toBe(kept);
  });

  it('is over when one of several Connection headers says so', () => {
    expect(head('Connection: keep-alive', 'Connection: close').keepAlive).toBe(false);
  });

  // RFC 9112, section 6.1: chunks in an HTTP/1.0 message come from a peer that does not know them.
  it('is over after a transfer encoding in HTTP/1.0', () => {
    const text = 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked';
    expect(parseResponseHead(text).keepAlive).toBe(false);
  });
});

describe('the framing of a body', () => {
  const framing = (method: string, ...lines: string[]): ReturnType<typeof framingOf> =>
    framingOf(head(...lines), method);

  it('is the Content-Length', () => {
    expect(framing('GET', 'Content-Length: 0')).toEqual({ kind: 'length', bytes: 0 });
    expect(framing('GET', 'Content-Length: 5497558138880')).toEqual({
      kind: 'length',
      bytes: 5_497_558_138_880,
    });
  });

  it('is chunked, in any letter case', () => {
    expect(framing('GET', 'Transfer-Encoding: Chunked')).toEqual({ kind: 'chunked' });
  });

  it('reaches until the connection closes when nothing else is said', () => {
    expect(framing('GET', 'etag: a')).toEqual({ kind: 'until-close' });
  });

  it('is empty for HEAD, 204 and 304, whatever their headers say', () => {
    const empty = { kind: 'length', bytes: 0 };
    expect(framing('HEAD', 'Content-Length: 5')).toEqual(empty);
    expect(framing('HEAD', 'Transfer-Encoding: chunked')).toEqual(empty);
    for (const status of [204, 304]) {
      const answer = parseResponseHead(`HTTP/1.1 ${status} X\r\nContent-Length: 5`);
      expect(framingOf(answer, 'GET')).toEqual(empty);
    }
  });

  it.each([
    ['two different lengths', ['Content-Length: 5', 'Content-Length: 6']],
    ['two different lengths in one header', ['Content-Length: 5, 6']],
    ['a sign', ['Content-Length: +5']],
    ['a negative length', ['Content-Length: -5']],
    ['a hexadecimal length', ['Content-Length: 0x5']],
    ['a fraction', ['Content-Length: 5.0']],
    ['an exponent', ['Content-Length: 5e3']],
    ['no digits', ['Content-Length:']],
    ['blanks inside', ['Content-Length: 5 6']],
    ['digits of another script', ['Content-Length: \xd9\xa5']],
    ['a length beyond 2^53', ['Content-Length: 9007199254740993']],
    ['a length of 20 digits', ['Content-Length: 00000000000000000005']],
    ['a length and chunks', ['Content-Length: 5', 'Transfer-Encoding: chunked']],
    ['gzip', ['Transfer-Encoding: gzip, chunked']],
    ['chunked twice', ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked']],
    ['identity', ['Transfer-Encoding: identity']],
  ])('is refused for %s', (_, lines) => {
    expect(() => framing('GET', ...lines)).toThrow(MalformedAnswer);
  });

  it('takes the same length said twice for one', () => {
    expect(framing('GET', 'Content-Length: 5', 'Content-Length: 5')).toEqual({
      kind: 'length',
      bytes: 5,
    });
    expect(parseLength('5,5')).toBe(5);
    expect(parseLength('5, 5, 7')).toBeUndefined();
    expect(parseLength('5,')).toBeUndefined();
  });
});

/**
 * aws-chunked bodies, signed chunk by chunk and with trailers, good and bad.
 */
import { createHash, createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyFromText } from '../../src/object-key.ts';
import type { S3Server } from '../../src/s3-server/server.ts';
import { CREDENTIALS, exchange, type RawAnswer, sign, startPhotosServer } from './raw-request.ts';

let server: S3Server;
beforeAll(async () => {
  server = await startPhotosServer();
});
afterAll(() => server.close());

const path = '/photos/waterfall';
const stored = () => server.bucket('photos').get(keyFromText('waterfall'))?.body.toString();

async function putChunked(
  headers: Record<string, string>,
  encode: (signed: Record<string, string>) => string,
): Promise<RawAnswer> {
  const request = {
    method: 'PUT',
    path,
    headers: { 'content-encoding': 'aws-chunked', ...headers },
  };
  const signed = await sign(server, request);
  return exchange(server, { ...request, body: Buffer.from(encode(signed), 'latin1') }, signed);
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

/** The chain of signatures, after the specification's own words. */
function signChunks(signed: Record<string, string>, chunks: readonly string[]): string {
  const date = signed['x-amz-date'] ?? '';
  const day = date.slice(0, 8);
  const key = ['us-east-1', 's3', 'aws4_request'].reduce<Buffer>(
    hmac,
    hmac(`AWS4${CREDENTIALS.secretAccessKey}`, day),
  );
  let previous = /Signature=(\w+)/.exec(signed.authorization ?? '')?.[1] ?? '';
  return [...chunks, '']
    .map((chunk) => {
      const scope = `${day}/us-east-1/s3/aws4_request`;
      const text = `AWS4-HMAC-SHA256-PAYLOAD\n${date}\n${scope}\n${previous}\n${sha256('')}\n${sha256(chunk)}`;
      previous = hmac(key, text).toString('hex');
      return `${chunk.length.toString(16)};chunk-signature=${previous}\r\n${chunk}\r\n`;
    })
    .join('');
}

describe('a body signed in chunks', () => {
  const headers = {
    'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
    'x-amz-decoded-content-length': '11',
  };

  it('is stored without its framing', async () => {
    const answer = await putChunked(headers, (signed) => signChunks(signed, ['white ', 'water']));
    expect(answer.status).toBe(200);
    expect(stored()).toBe('white water');
  });

  it.each([
    ['a changed chunk', (body: string) => body.replace('water', 'wAter')],
    ['a lost chunk', (body: string) => body.replace(/^6;[^]*?white \r\n/, '')],
    [
      'chunks in another order',
      (body: string) => body.replace(/^([^]*?white \r\n)([^]*?water\r\n)/, '$2$1'),
    ],
    ['an unsigned chunk', (body: string) => body.replace(/;chunk-signature=\w+/, '')],
  ])('is refused with %s', async (_, tamper) => {
    const answer = await putChunked(headers, (signed) =>
      tamper(signChunks(signed, ['white ', 'water'])),
    );
    expect(answer).toMatchObject({ status: 403, code: 'SignatureDoesNotMatch' });
  });
});

describe('a body with a trailer', () => {
  const headers = {
    'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
    'x-amz-decoded-content-length': '5',
    'x-amz-trailer': 'x-amz-checksum-sha256',
  };
  const checksum = createHash('sha256').update('white').digest('base64');
  const good = `3\r\nwhi\r\n2\r\nte\r\n0\r\nx-amz-checksum-sha256:${checksum}\r\n\r\n`;

  it('is stored when the checksum is right', async () => {
    expect(await putChunked(headers, () => good)).toMatchObject({
      status: 200,
      headers: { 'x-amz-checksum-sha256': checksum },
    });
    expect(stored()).toBe('white');
  });

  it.each([
    ['another body', good.replace('whi', 'whI'), 'BadDigest'],
    ['no trailer', '5\r\nwhite\r\n0\r\n\r\n', 'MalformedTrailerError'],
    ['a trailer that is none', '5\r\nwhite\r\n0\r\nrubbish\r\n\r\n', 'MalformedTrailerError'],
    ['no last chunk', '5\r\nwhite\r\n', 'IncompleteBody'],
    ['a chunk cut short', '9\r\nwhite\r\n', 'IncompleteBody'],
    ['a size that is no number', 'five\r\nwhite\r\n0\r\n\r\n', 'IncompleteBody'],
    ['another length than declared', good.replace('2\r\nte\r\n', ''), 'IncompleteBody'],
  ])('is refused with %s', async (_, body, code) => {
    expect(await putChunked(headers, () => body)).toMatchObject({ status: 400, code });
    expect(stored()).toBe('white');
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodePath, encodeQuery } from '../../src/wire/percent-encoding.ts';
import {
  byName,
  type Credentials,
  EMPTY_PAYLOAD,
  type Header,
  type RequestToSign,
  Signer,
  UNSIGNED_PAYLOAD,
} from '../../src/wire/signature.ts';
import { runs } from '../support/random-runs.ts';
import { byteString, headerText, queryText, utf8 } from './byte-strings.ts';
import { smithyAuthorization } from './smithy-signature.ts';

const CREDENTIALS: Credentials = { accessKey: 'AKIDTEST', secret: 'wonderful/secret+key' };
const MAY_24_2013 = Date.UTC(2013, 4, 24);

const PLAIN_GET: RequestToSign = {
  method: 'GET',
  path: '/photos/2019/a.jpg',
  query: '',
  host: 'store.test:9000',
  headers: [],
  payloadHash: EMPTY_PAYLOAD,
};

/** The header lines that a signer makes, by name. */
function signedLines(signer: Signer, request: RequestToSign, atMs: number): Map<string, string> {
  const lines = signer.sign(request, atMs).split('\r\n').slice(0, -1);
  return new Map(
    lines.map((line) => [
      line.slice(0, line.indexOf(': ')),
      line.slice(line.indexOf(': ') + ': '.length),
    ]),
  );
}

function authorizationOf(signer: Signer, request: RequestToSign, atMs: number): string {
  return signedLines(signer, request, atMs).get('authorization') ?? '';
}

/** Smithy's opinion on a request whose header values are UTF-8 byte strings. */
function smithyOpinion(
  request: RequestToSign,
  credentials: Credentials,
  { region, atMs, query = {} }: { region: string; atMs: number; query?: Record<string, string> },
): Promise<string | undefined> {
  const headers = Object.fromEntries(
    request.headers.map(([name, value]) => [name, Buffer.from(value, 'latin1').toString('utf8')]),
  );
  return smithyAuthorization(
    {
      method: request.method,
      path: request.path,
      query,
      headers: { ...headers, host: request.host, 'x-amz-content-sha256': request.payloadHash },
    },
    { credentials, region, atMs },
  );
}

/** A query as it is sent and signed: percent-encoded, in the order of the encoded names. */
function encoded(query: Readonly<Record<string, string>>): string {
  return Object.entries(query)
    .map(([name, value]) => [encodeQuery(utf8(name)), encodeQuery(utf8(value))] as const)
    .toSorted(byName)
    .map((pair) => pair.join('='))
    .join('&');
}

describe('a signature', () => {
  // https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, GET Object
  it('is the one of the example in the S3 reference', () => {
    const signer = new Signer(
      { accessKey: 'AKIAIOSFODNN7EXAMPLE', secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' },
      'us-east-1',
    );
    const request: RequestToSign = {
      method: 'GET',
      path: '/test.txt',
      query: '',
      host: 'examplebucket.s3.amazonaws.com',
      headers: [['range', 'bytes=0-9']],
      payloadHash: EMPTY_PAYLOAD,
    };
    expect(authorizationOf(signer, request, MAY_24_2013)).toBe(
      'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, ' +
        'SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, ' +
        'Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    );
  });

  it('is the one of @smithy/signature-v4 for any key bytes, query, headers, token, region and time', async () => {
    const headerNames = fc.constantFrom(
      'cache-control',
      'content-md5',
      'content-type',
      'if-none-match',
      'x-amz-meta-a',
      'x-amz-meta-a-b',
      'x-amz-tagging',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          method: fc.constantFrom('GET', 'HEAD', 'PUT', 'POST', 'DELETE'),
          key: byteString(40),
          query: fc.dictionary(queryText(8), queryText(8), { maxKeys: 4 }),
          headers: fc.uniqueArray(fc.tuple(headerNames, headerText(12)), {
            selector: ([name]) => name,
          }),
          payloadHash: fc.constantFrom(EMPTY_PAYLOAD, UNSIGNED_PAYLOAD),
          region: fc.constantFrom('us-east-1', 'eu-central-2', 'auto'),
          sessionToken: fc.option(fc.base64String({ minLength: 1, maxLength: 40 }), {
            nil: undefined,
          }),
          atMs: fc.date({ min: new Date(0), max: new Date('2099-12-31'), noInvalidDate: true }),
        }),
        async ({ method, key, query, headers, payloadHash, region, sessionToken, atMs }) => {
          const credentials = { ...CREDENTIALS, sessionToken };
          const request: RequestToSign = {
            ...PLAIN_GET,
            method,
            path: `/photos/${encodePath(key)}`,
            query: encoded(query),
            headers: headers.map(([name, text]) => [name, utf8(text)]),
            payloadHash,
          };
          expect(authorizationOf(new Signer(credentials, region), request, atMs.getTime())).toBe(
            await smithyOpinion(request, credentials, { region, atMs: atMs.getTime(), query }),
          );
        },
      ),
      { numRuns: runs(300) },
    );
  });

  it('follows the days, to and fro, with one signer', async () => {
    const signer = new Signer(CREDENTIALS, 'us-east-1');
    const midnight = Date.UTC(2026, 11, 31, 24);
    const times = [-1, 0, 999, -1000, 86_400_000, -86_400_001, 1, 366 * 86_400_000];
    for (const atMs of times.map((offset) => midnight + offset)) {
      expect(authorizationOf(signer, PLAIN_GET, atMs)).toBe(
        await smithyOpinion(PLAIN_GET, CREDENTIALS, { region: 'us-east-1', atMs }),
      );
    }
  });

  it('sends the session token, signed', () => {
    const signer = new Signer({ ...CREDENTIALS, sessionToken: 'token' }, 'us-east-1');
    const added = signedLines(signer, PLAIN_GET, MAY_24_2013);
    expect(added.get('x-amz-security-token')).toBe('token');
    expect(added.get('authorization')).toContain(';x-amz-security-token,');
  });

  it('is the same whether headers were signed before or not', () => {
    const sets: readonly Header[][] = [[], [['range', 'bytes=0-1']], [['x-amz-meta-a', 'b']]];
    const request = fc.record({
      path: fc.constantFrom('/b/k', '/b/l'),
      host: fc.constantFrom('store.test:9000', 'b.store.test'),
      headers: fc.constantFrom(...sets),
      payloadHash: fc.constantFrom(EMPTY_PAYLOAD, UNSIGNED_PAYLOAD),
    });
    const seconds = fc.nat({ max: 3 });
    fc.assert(
      fc.property(fc.array(fc.tuple(request, seconds), { maxLength: 20 }), (requests) => {
        const signer = new Signer(CREDENTIALS, 'us-east-1');
        for (const [changes, second] of requests) {
          const one = { ...PLAIN_GET, ...changes };
          const atMs = MAY_24_2013 + second * 1000;
          expect(signer.sign(one, atMs)).toBe(new Signer(CREDENTIALS, 'us-east-1').sign(one, atMs));
        }
      }),
    );
  });

  it('folds runs of spaces and ignores outer blanks, as servers do before they verify', () => {
    const signer = new Signer(CREDENTIALS, 'us-east-1');
    const signed = (value: string): string =>
      authorizationOf(signer, { ...PLAIN_GET, headers: [['x-amz-meta-a', value]] }, MAY_24_2013);
    expect(signed(' \ttwo  or   three ')).toBe(signed('two or three'));
    expect(signed('two or three')).not.toBe(signed('twoorthree'));
  });

  it('covers a byte 0xA0 at the end of a value: in UTF-8 it ends letters such as "à"', async () => {
    const request: RequestToSign = { ...PLAIN_GET, headers: [['x-amz-meta-a', utf8('voilà')]] };
    expect(authorizationOf(new Signer(CREDENTIALS, 'us-east-1'), request, MAY_24_2013)).toBe(
      await smithyOpinion(request, CREDENTIALS, { region: 'us-east-1', atMs: MAY_24_2013 }),
    );
  });

  it('depends on every byte of a value that is not text', () => {
    const signer = new Signer(CREDENTIALS, 'us-east-1');
    const signatures = Array.from({ length: 128 }, (_, i) => {
      const value = `x${String.fromCharCode(128 + i)}`;
      return authorizationOf(
        signer,
        { ...PLAIN_GET, headers: [['x-amz-meta-a', value]] },
        MAY_24_2013,
      );
    });
    expect(new Set(signatures).size).toBe(128);
  });
});

/**
 * Node's own HTTP as the other opinion: what wire sends, its server reads back; what its server
 * writes, wire reads.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type SignedRequest, WireClient } from '../../src/wire/client.ts';
import { Passage } from '../../src/wire/passage.ts';
import { encodePath } from '../../src/wire/percent-encoding.ts';
import type { Header } from '../../src/wire/signature.ts';
import { runs } from '../support/random-runs.ts';
import { byteString, headerText, queryText, unitsOf, utf8 } from './byte-strings.ts';
import { listen } from './scripted-server.ts';
import { smithyAuthorization } from './smithy-signature.ts';

const CREDENTIALS = { accessKey: 'AKIDTEST', secret: 'wonderful/secret+key', sessionToken: 'a+/=' };
const REGION = 'eu-central-2';

type Reply = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** A server of Node's and a client of ours; `reply` may be set anew for each exchange. */
async function startPair(): Promise<{ client: WireClient; on: (reply: Reply) => void }> {
  let reply: Reply = () => Promise.resolve();
  const server = createServer((request, response) => {
    reply(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  onTestFinished(() => new Promise((resolve) => server.close(() => resolve())));
  const port = await listen(server);
  const client = new WireClient({
    endpoint: { host: '127.0.0.1', port, tls: undefined },
    credentials: CREDENTIALS,
    region: REGION,
  });
  onTestFinished(() => client.close());
  return {
    client,
    on: (next) => {
      reply = next;
    },
  };
}

/** `[name, value, name, value]` as pairs. */
function pairs(flat: readonly string[]): [string, string][] {
  return Array.from({ length: flat.length / 2 }, (_, i) => [
    flat[2 * i] as string,
    flat[2 * i + 1] as string,
  ]);
}

function utf8Text(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** Bytes that differ from place to place, short ones often. */
const piece: fc.Arbitrary<Buffer> = fc
  .tuple(fc.oneof(fc.nat({ max: 100 }), fc.nat({ max: 150_000 })), fc.nat({ max: 255 }))
  .map(([bytes, first]) =>
    Buffer.from(Uint8Array.from({ length: bytes }, (_, i) => first + i * 7)),
  );

describe('a request, read back by Node’s server', () => {
  it('has the method, the target, the headers and the body it was made of, and a signature that holds', async () => {
    const { client, on } = await startPair();
    const metadata = fc.uniqueArray(
      fc.tuple(fc.constantFrom('x-amz-meta-a', 'x-amz-meta-a-b', 'content-type'), headerText(10)),
      { selector: ([name]) => name },
    );
    const query = fc.uniqueArray(fc.tuple(queryText(6), queryText(6)), {
      selector: ([name]) => name,
      maxLength: 4,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          method: fc.constantFrom('GET', 'PUT', 'POST', 'DELETE', 'HEAD'),
          key: byteString(30),
          query,
          metadata,
          body: fc.option(fc.uint8Array({ maxLength: 200 }), { nil: undefined }),
        }),
        async ({ method, key, query, metadata, body }) => {
          const bytes =
            body === undefined || method === 'GET' || method === 'HEAD' || method === 'DELETE'
              ? undefined
              : Buffer.from(body);
          let arrived: { message: IncomingMessage; body: Buffer } | undefined;
          on(async (message, response) => {
            arrived = { message, body: await buffer(message) };
            response.end();
          });
          const path = `/photos/${encodePath(key)}`;
          const answer = await client.exchange({
            method,
            path,
            query: query.map(([name, value]) => [utf8(name), utf8(value)]),
            headers: metadata.map(([name, value]): Header => [name, utf8(value)]),
            body: bytes,
            repeatable: true,
            receive: () => ({ kind: 'collect', limit: 0 }),
          });
          expect(answer.head.status).toBe(200);
          const { message, body: received } = arrived as NonNullable<typeof arrived>;
          expect(message.method).toBe(method);
          expect(received.equals(bytes ?? Buffer.alloc(0))).toBe(true);
          const target = message.url ?? '';
          expect(target.split('?', 1)[0]).toBe(path);
          expect(Object.fromEntries(new URLSearchParams(target.split('?')[1] ?? ''))).toEqual(
            Object.fromEntries(query),
          );
          const headers = Object.fromEntries(pairs(message.rawHeaders));
          for (const [name, value] of metadata) {
            expect(utf8Text(headers[name] ?? 'missing')).toBe(value.replace(/^ +| +$/g, ''));
          }
          const {
            authorization,
            'content-length': _,
            'x-amz-date': date = '',
            ...signed
          } = headers;
          expect(authorization).toBe(
            await smithyAuthorization(
              {
                method,
                path,
                query: Object.fromEntries(query),
                headers: Object.fromEntries(
                  Object.entries(signed).map(([name, value]) => [name, utf8Text(value)]),
                ),
              },
              {
                credentials: CREDENTIALS,
                region: REGION,
                atMs: Date.parse(date.replace(/(..)(..)T(..)(..)(..)Z$/, '-$1-$2T$3:$4:$5Z')),
              },
            ),
          );
        },
      ),
      { numRuns: runs(200) },
    );
  });

  it.each([0, 1, 16_384, 16_385, 1_048_576, 1_048_577, 5_000_000])(
    'has all %i bytes of its body',
    async (length) => {
      const { client, on } = await startPair();
      const body = Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 7919) >> 8));
      on(async (message, response) => {
        response.end(
          createHash('md5')
            .update(await buffer(message))
            .digest('hex'),
        );
      });
      const put: SignedRequest = {
        method: 'PUT',
        path: '/photos/a',
        body,
        repeatable: false,
        receive: () => ({ kind: 'collect', limit: 100 }),
      };
      const md5 = createHash('md5').update(body).digest('hex');
      expect((await client.exchange(put)).body.toString()).toBe(md5);
      expect((await client.exchange(put)).body.toString()).toBe(md5);
    },
  );
});

it('passes a body from one server of Node’s to another as it was, in whatever pieces it comes', async () => {
  const from = await startPair();
  const into = await startPair();
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 5 }), async (pieces) => {
      const content = Buffer.concat(pieces);
      from.on(async (_, response) => {
        response.setHeader('Content-Length', content.length);
        for (const one of pieces) {
          await new Promise((resolve) => response.write(one, resolve));
        }
        response.end();
      });
      let arrived: Buffer | undefined;
      into.on(async (message, response) => {
        arrived = await buffer(message);
        response.end();
      });
      const passage = new Passage(content.length, () => {});
      const path = '/photos/a';
      const [got, put] = await Promise.all([
        from.client.exchange({
          method: 'GET',
          path,
          repeatable: true,
          receive: () => ({ kind: 'pass', passage }),
        }),
        into.client.exchange({
          method: 'PUT',
          path,
          body: passage,
          repeatable: false,
          receive: () => ({ kind: 'collect', limit: 0 }),
        }),
      ]);
      expect(got.whole).toBe(true);
      expect(put.head.status).toBe(200);
      expect(arrived?.equals(content)).toBe(true);
    }),
    { numRuns: runs(50) },
  );
});

describe('an answer of Node’s server', () => {
  const headerName = fc.constantFrom('ETag', 'x-amz-meta-a', 'X-Amz-Meta-B', 'Content-Type');
  /** Bytes that Node lets pass in a value; it trims nothing, so outer blanks are left out. */
  const headerValue = fc
    .array(fc.constantFrom(...unitsOf('aZ09 ,;:="\t'), '\x80', '\xa0', '\xff', '\xc3\xa0'), {
      maxLength: 12,
    })
    .map((units) => units.join('').replace(/^[ \t]+|[ \t]+$/g, ''));

  it('is read as it was written', async () => {
    const { client, on } = await startPair();
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          method: fc.constantFrom('GET', 'HEAD', 'PUT'),
          status: fc.constantFrom(200, 201, 204, 206, 304, 400, 404, 412, 503),
          headers: fc.uniqueArray(fc.tuple(headerName, headerValue), {
            selector: ([name]) => name,
          }),
          chunks: fc.array(piece, { maxLength: 4 }),
          framing: fc.constantFrom('length', 'chunked', 'trailers'),
          interim: fc.boolean(),
          keepAlive: fc.boolean(),
          intoBuffer: fc.boolean(),
        }),
        async ({ method, status, headers, chunks, framing, interim, keepAlive, intoBuffer }) => {
          const content = Buffer.concat(chunks);
          const bodiless = method === 'HEAD' || status === 204 || status === 304;
          on(async (message, response) => {
            await buffer(message);
            if (interim) response.writeProcessing();
            response.shouldKeepAlive = keepAlive;
            const declared = framing === 'length' ? { 'Content-Length': content.length } : {};
            const trailer = framing === 'trailers' && !bodiless ? { Trailer: 'X-Checked' } : {};
            response.writeHead(status, { ...Object.fromEntries(headers), ...declared, ...trailer });
            for (const chunk of chunks) response.write(chunk);
            response.addTrailers(framing === 'trailers' ? { 'X-Checked': 'yes' } : {});
            response.end();
          });
          const { head, body, whole } = await client.exchange({
            method,
            path: '/photos/a',
            repeatable: true,
            receive: () =>
              intoBuffer && framing === 'length' && !bodiless
                ? { kind: 'into', buffer: Buffer.alloc(content.length) }
                : { kind: 'collect', limit: 1_000_000 },
          });
          expect(head.status).toBe(status);
          expect(head.keepAlive).toBe(keepAlive);
          expect(whole).toBe(true);
          for (const [name, value] of headers) {
            expect(head.headers.get(name.toLowerCase())).toBe(value);
          }
          expect(body.equals(bodiless ? Buffer.alloc(0) : content)).toBe(true);
        },
      ),
      { numRuns: runs(200) },
    );
  });
});

/**
 * What comes from a hostile store goes on to the other one: in keys, metadata, ETags, upload ids, regions. None of it may
 * end a header, a request or an element there.
 */
import { describe, expect, test } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { WireObjectStore } from '../../src/s3/wire-object-store.ts';
import { Signer } from '../../src/wire/signature.ts';
import {
  answer,
  answering,
  clientOf,
  get,
  ok,
  type ReceivedRequest,
  startScriptedServer,
} from '../wire/scripted-server.ts';

const CREDENTIALS = { accessKey: 'AKIDTEST', secret: 'wonderful/secret+key' };
const INJECTED = '\r\nx-injected: 1\r\n\r\nGET /evil HTTP/1.1\r\n';
const AS_REFERENCES = INJECTED.replaceAll('\r', '&#13;').replaceAll('\n', '&#10;');

/** A store on a server that answers as the test says, and all that it was sent. */
async function storeOn(reply: (request: ReceivedRequest) => string) {
  const requests: ReceivedRequest[] = [];
  const server = await startScriptedServer(
    answering((request) => {
      requests.push(request);
      return reply(request);
    }),
  );
  const store = new WireObjectStore({
    endpoint: server.endpoint,
    bucket: 'photos',
    region: 'us-east-1',
    credentials: CREDENTIALS,
    addressing: 'path',
  });
  return { store, requests, done: () => store.close() };
}

/** Each request is one, and has no header that nobody has asked for. */
function expectClean(requests: readonly ReceivedRequest[]): void {
  for (const { head, target } of requests) {
    expect(head).not.toMatch(/^x-injected/im);
    expect(head.match(/ HTTP\/1\.1\r\n/g)).toHaveLength(1);
    expect(target).toMatch(/^\/photos[\x21-\x7e]*$/);
  }
}

const HOSTILE_KEYS = [
  `a${INJECTED}`,
  'a\0b',
  'a HTTP/1.1\r\nhost: evil.test',
  '../../other-bucket/a',
  '//evil.test/a',
  'a?acl=x&uploads',
  'a#b%0d%0a',
  'http://evil.test/a',
] as ObjectKey[];

test('a key cannot end its request line, leave its bucket or become a query', async () => {
  const { store, requests, done } = await storeOn(() =>
    answer(200, ['ETag: "e"', 'Content-Length: 0', 'x-amz-request-id: 1']),
  );
  for (const key of HOSTILE_KEYS) await store.head(key);
  done();
  expect(requests).toHaveLength(HOSTILE_KEYS.length);
  for (const { target } of requests) {
    expect(target).toMatch(/^\/photos\/(?:[A-Za-z0-9\-._~/]|%[0-9A-F]{2})*$/);
  }
  expectClean(requests);
});

test('an upload id cannot', async () => {
  const { store, requests, done } = await storeOn(({ target }) =>
    target.endsWith('?uploads=')
      ? ok(
          `<InitiateMultipartUploadResult><UploadId>u${AS_REFERENCES}&amp;x=1</UploadId></InitiateMultipartUploadResult>`,
        )
      : answer(204, []),
  );
  const key = 'a' as ObjectKey;
  await store.abortMultipartUpload(key, await store.createMultipartUpload(key, []));
  done();
  expect(requests).toHaveLength(2);
  expect(requests[1]?.target).toMatch(/^\/photos\/a\?uploadId=u%0D%0A[^&]*%26x%3D1$/);
  expectClean(requests);
});

test('an ETag from a document is not taken when it is more than one line', async () => {
  const { store, requests, done } = await storeOn(() =>
    ok(
      `<CompleteMultipartUploadResult><ETag>"e${AS_REFERENCES}"</ETag></CompleteMultipartUploadResult>`,
    ),
  );
  await expect(
    store.completeNew('a' as ObjectKey, { uploadId: 'u', parts: [] }),
  ).rejects.toMatchObject({ code: 'no-etag' });
  done();
  expectClean(requests);
});

test('an ETag of a part is text in the document that puts the parts together', async () => {
  const { store, requests, done } = await storeOn(() =>
    ok('<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>'),
  );
  await store.completeNew('a' as ObjectKey, {
    uploadId: 'u',
    parts: [
      {
        partNumber: 1,
        etag: '"</ETag></Part><Part><PartNumber>2',
        digest: { algorithm: 'md5', base64: '' },
      },
    ],
  });
  done();
  const body = requests[0]?.body.toString() ?? '';
  expect(body.match(/<Part>/g)).toHaveLength(1);
  expect(body.match(/<PartNumber>/g)).toHaveLength(1);
});

test('a region that a store tells is not taken when it is no name', async () => {
  const { store, requests, done } = await storeOn(() => {
    const xml = `<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu${AS_REFERENCES}</Region></Error>`;
    return answer(400, [`Content-Length: ${xml.length}`], xml);
  });
  await expect(store.getTagging('a' as ObjectKey)).rejects.toMatchObject({ region: undefined });
  done();
  expectClean(requests);
});

describe('the last line of defence', () => {
  test.each(['\r', '\n', '\0'])('a header with %j in it is not signed and not sent', (end) => {
    const signer = new Signer(CREDENTIALS, 'us-east-1');
    const request = {
      method: 'PUT',
      path: '/photos/a',
      query: '',
      host: 'store.test',
      headers: [['x-amz-meta-a', `b${end}c`]] as const,
      payloadHash: 'UNSIGNED-PAYLOAD',
    };
    expect(() => signer.sign(request, 0)).toThrow('the header x-amz-meta-a is not one line');
  });
});

/** Heads that can be read in two ways: whoever reads them otherwise would see a second answer, or another object. */
test.each([
  ['two lengths', ['content-length: 3', 'content-length: 4'], 'abc'],
  [
    'length and chunks',
    ['content-length: 3', 'transfer-encoding: chunked'],
    '3\r\nabc\r\n0\r\n\r\n',
  ],
  ['chunks twice', ['transfer-encoding: chunked, chunked'], '3\r\nabc\r\n0\r\n\r\n'],
  ['a bare line feed', ['content-length: 3\nx-amz-meta-a: b'], 'abc'],
  ['a bare carriage return', ['content-length: 3\rx-amz-meta-a: b'], 'abc'],
  ['a NUL', ['content-length: 3', 'x-amz-meta-a: b\0c'], 'abc'],
  ['a folded line', ['content-length: 3', 'x-amz-meta-a: b', ' x-amz-meta-c: d'], 'abc'],
  ['a blank before the colon', ['content-length : 3'], 'abc'],
  ['a signed length', ['content-length: +3'], 'abc'],
])('an answer with %s is none', async (_, lines, body) => {
  const server = await startScriptedServer(async (peer) => {
    await peer.request();
    await peer.send(answer(200, lines, body));
    peer.end();
  });
  await expect(clientOf(server.endpoint).exchange(get())).rejects.toMatchObject({
    code: 'malformed',
  });
});

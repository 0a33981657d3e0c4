/**
 * What a store does when the credentials that it signs with have been replaced: the exchange is made once more.
 */
import { hash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keyFromText, type ObjectKey } from '../../src/object-key.ts';
import { Keyring } from '../../src/s3/keyring.ts';
import { listObjects } from '../../src/s3/listing.ts';
import type { ObjectStore } from '../../src/s3/object-store.ts';
import type { S3Server } from '../../src/s3-server/server.ts';
import { Passage } from '../../src/wire/passage.ts';
import { type FaultScript, faults } from '../support/fault-script.ts';
import { BUCKET, CREDENTIALS, endpointOf, startServer, storeOn } from './embedded.ts';

const KEY = keyFromText('photos/a.jpg');
const BODY = Buffer.from('bytes of a photo');
const DIGEST = { algorithm: 'md5', base64: hash('md5', BODY, 'base64') } as const;
const EXPIRED = { code: 'ExpiredToken' };

let server: S3Server;
let script: FaultScript;
let store: ObjectStore;
/** How often the provider was asked, and up to which number it has tokens. */
let asked: number;
let tokens: number;
let keyring: Keyring;
beforeEach(async () => {
  server = await startServer();
  script = faults(server);
  server.bucket(BUCKET).put(KEY, { body: BODY });
  asked = 0;
  tokens = 2;
  const numbered = (number: number) => ({ ...CREDENTIALS, sessionToken: `token-${number}` });
  keyring = new Keyring(numbered(1), {
    now: Date.now,
    ask: () => {
      asked++;
      return Promise.resolve(numbered(Math.min(tokens, asked + 1)));
    },
  });
  store = storeOn(server, { keyring });
});
afterEach(async () => {
  store.close();
  await server.close();
});

/** Requests with this token are refused. */
const refuse = (token: string, status: number, options: { code?: string } = {}) => {
  for (const method of ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'] as const) {
    script
      .on(method)
      .where(({ headers }) => headers.get('x-amz-security-token') === token)
      .status(status, options);
  }
};
const get = () => store.get(KEY, { receive: ({ bytes }) => Buffer.alloc(bytes) });
const put = (key: ObjectKey) => store.putNew(key, { body: BODY, metadata: [], digest: DIGEST });

it.each([
  ['ExpiredToken', 400],
  ['InvalidToken', 400],
  ['TokenRefreshRequired', 400],
  ['InvalidAccessKeyId', 403],
  ['SignatureDoesNotMatch', 403],
])('makes an exchange once more that is refused with %s', async (code, status) => {
  refuse('token-1', status, { code });
  expect((await get()).body).toEqual(BODY);
  await put(keyFromText('new'));
  expect(server.bucket(BUCKET).get(keyFromText('new'))?.body).toEqual(BODY);
  expect(asked).toBe(1);
  expect(script.requests).toHaveLength(3);
});

it.each([400, 401, 403])(
  'takes a HEAD with %i, which has no code, for such a refusal',
  async (status) => {
    refuse('token-1', status);
    await store.headBucket();
    expect(await store.head(KEY)).toMatchObject({ bytes: BODY.length });
    expect(asked).toBe(1);
  },
);

it('asks once for all exchanges that are refused at once', async () => {
  refuse('token-1', 400, EXPIRED);
  const got = await Promise.all(Array.from({ length: 20 }, get));
  expect(got.map(({ body }) => body)).toEqual(Array.from({ length: 20 }, () => BODY));
  expect(asked).toBe(1);
});

it('lets what passes through be tried again by who has it, at once', async () => {
  const refusal = { ...EXPIRED, unread: 'drain' } as const;
  script.on('PUT').times(1).status(400, refusal);
  const passage = new Passage(BODY.length, () => {});
  const putting = store.putNew(keyFromText('new'), { body: passage, metadata: [], digest: DIGEST });
  await expect(putting).rejects.toMatchObject({ code: 'ExpiredToken', stale: true });
  expect(asked).toBe(1);
  await put(keyFromText('new'));
});

describe('where there are no newer ones', () => {
  beforeEach(() => {
    tokens = 1;
  });

  it('an expired token may have been renewed at the next attempt', async () => {
    refuse('token-1', 400, EXPIRED);
    await expect(get()).rejects.toMatchObject({ kind: 'unavailable', code: 'ExpiredToken' });
    expect(script.requests).toHaveLength(1);
  });

  it('another refusal stays what it is', async () => {
    refuse('token-1', 403, { code: 'InvalidAccessKeyId' });
    await expect(get()).rejects.toMatchObject({ kind: 'denied', code: 'InvalidAccessKeyId' });
    await expect(store.head(KEY)).rejects.toMatchObject({ kind: 'denied', code: 'HTTP 403' });
    expect(asked).toBe(1);
  });
});

it('gives up for now when the new ones are refused as well, however many there are', async () => {
  tokens = 100;
  script.on('GET').status(400, EXPIRED);
  await expect(get()).rejects.toMatchObject({ kind: 'unavailable', code: 'ExpiredToken' });
  expect(script.requests).toHaveLength(2);
});

it('asks nobody about a refusal that other credentials would meet too', async () => {
  script.on('GET').status(403, { code: 'AccessDenied' });
  await expect(get()).rejects.toMatchObject({ kind: 'denied', code: 'AccessDenied' });
  expect(asked).toBe(0);
});

it('tells what is thrown by who renews them', async () => {
  const error = new Error('no credentials');
  keyring = new Keyring(CREDENTIALS, { now: Date.now, ask: () => Promise.reject(error) });
  store.close();
  store = storeOn(server, { keyring });
  script.on('GET').status(400, EXPIRED);
  await expect(get()).rejects.toBe(error);
});

it('has nobody to ask with keys that were given: they are denied', async () => {
  store.close();
  store = storeOn(server);
  script.on('GET').status(400, EXPIRED);
  await expect(get()).rejects.toMatchObject({ kind: 'denied', code: 'ExpiredToken' });
  expect(script.requests).toHaveLength(1);
});

it('lists on with new ones in the middle of a listing', async () => {
  for (let i = 0; i < 30; i++) server.bucket(BUCKET).put(keyFromText(`k${i}`), { body: BODY });
  // The second page is refused.
  script
    .on('GET')
    .where(
      ({ headers, query }) =>
        headers.get('x-amz-security-token') === 'token-1' && query.has('continuation-token'),
    )
    .status(400, EXPIRED);
  script
    .on('GET')
    .before(({ request }) => void (request.query as Map<string, string>).set('max-keys', '7'));
  const options = {
    endpoint: endpointOf(server),
    bucket: BUCKET,
    region: 'us-east-1',
    credentials: { ...CREDENTIALS, secret: 'not used' },
    keyring,
    addressing: 'path',
    prefix: '' as ObjectKey,
    signal: new AbortController().signal,
  } as const;
  let listed = 0;
  for await (const objects of listObjects(options)) listed += objects.length;
  expect(listed).toBe(31);
  expect(asked).toBe(1);
  const tokens = script.requests.map(({ headers }) => headers.get('x-amz-security-token'));
  expect(tokens.slice(0, 3)).toEqual(['token-1', 'token-1', 'token-2']);
});

/**
 * What S3 keeps with an object and shows again: redirect, storage class, lock, tags; and what it refuses.
 */
import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import type { S3Server } from '../../src/s3-server/server.ts';
import { type RawAnswer, send, startPhotosServer } from './raw-request.ts';

const path = '/photos/lake';
const body = Buffer.from('still water');
const md5 = createHash('md5').update(body).digest('base64');

let server: S3Server;
afterEach(() => server.close());

const putAsItIs = (headers: Record<string, string>): Promise<RawAnswer> =>
  send(server, { method: 'PUT', path, body, headers });
const put = (headers: Record<string, string>): Promise<RawAnswer> =>
  putAsItIs({ ...headers, 'content-md5': md5 });
const begin = (headers: Record<string, string>): Promise<RawAnswer> =>
  send(server, { method: 'POST', path, query: { uploads: '' }, headers });

const LOCK = {
  'x-amz-object-lock-mode': 'GOVERNANCE',
  'x-amz-object-lock-retain-until-date': '2065-10-21T07:28:00.000Z',
  'x-amz-object-lock-legal-hold': 'ON',
};

it.each(['GET', 'HEAD'])('shows with %s what came with the object', async (method) => {
  server = await startPhotosServer({ objectLock: true });
  const kept = {
    'x-amz-website-redirect-location': '/elsewhere',
    'x-amz-storage-class': 'STANDARD_IA',
    ...LOCK,
  };
  const sent = { ...kept, 'x-amz-tagging': 'a=1&with%20a%20space=b%2Fc' };
  expect(await put(sent)).toMatchObject({ status: 200 });
  const { headers } = await send(server, { method, path });
  expect(headers).toMatchObject({ ...kept, 'x-amz-tagging-count': '2' });
  const { body: tagging } = await send(server, { method: 'GET', path, query: { tagging: '' } });
  expect(tagging.toString()).toContain('<Key>with a space</Key><Value>b/c</Value>');
});

it('does not name the class that an object has anyway', async () => {
  server = await startPhotosServer();
  await put({ 'x-amz-storage-class': 'STANDARD' });
  const { headers } = await send(server, { method: 'HEAD', path });
  expect(headers).not.toHaveProperty('x-amz-storage-class');
});

const { 'x-amz-object-lock-mode': _, ...withoutMode } = LOCK;

describe.each([
  ['a PUT', put],
  ['an upload', begin],
])('refuses %s', (_what, write) => {
  it.each([
    ['InvalidStorageClass', { 'x-amz-storage-class': 'COLD' }],
    ['InvalidRedirectLocation', { 'x-amz-website-redirect-location': 'elsewhere' }],
    ['InvalidArgument', withoutMode],
    [
      'InvalidArgument',
      { ...LOCK, 'x-amz-object-lock-retain-until-date': '2015-10-21T07:28:00.000Z' },
    ],
  ])('with %s for %o', async (code, headers) => {
    server = await startPhotosServer({ objectLock: true });
    expect(await write(headers)).toMatchObject({ status: 400, code });
  });

  it('with a lock in a bucket that was not made for it', async () => {
    server = await startPhotosServer();
    expect(await write(LOCK)).toMatchObject({ code: 'InvalidRequest' });
  });
});

it('refuses a PUT with a lock and without a digest', async () => {
  server = await startPhotosServer({ objectLock: true });
  expect(await putAsItIs(LOCK)).toMatchObject({ status: 400, code: 'InvalidRequest' });
  expect(await begin(LOCK)).toMatchObject({ status: 200 });
});

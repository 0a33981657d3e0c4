/**
 * What a destination does with a part whose digest is wrong decides what parts are sent with: once for
 * all objects of a run, and never at a listed key.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keyFromText } from '../../../src/object-key.ts';
import type { CopyContext } from '../../../src/transfer/copy-context.ts';
import type { FaultScript } from '../../support/fault-script.ts';
import { startTwoServers, type TwoServers } from '../two-servers.ts';

const keys = ['2019/film.mp4', '2020/film.mp4', '2021/film.mp4'].map(keyFromText);
const film = keys[0] as (typeof keys)[number];
const body = Buffer.from('a short film of water');

let servers: TwoServers;
let destination: FaultScript;
let context: CopyContext;
beforeEach(async () => {
  servers = await startTwoServers();
  destination = servers.destination.script;
  for (const key of keys) servers.source.bucket.put(key, { body });
  context = servers.context({ multipartThresholdBytes: 0 });
});
afterEach(async () => {
  // Whatever was found out, nothing is left over.
  expect(servers.destination.bucket.uploads()).toEqual([]);
  await servers.close();
});

const copy = (key = film) => servers.copyIn(context, key);
const copyAll = () => Promise.all(keys.map((key) => copy(key)));
const proven = (detail: string) => ({ kind: 'copied', detail, bytes: body.length });
/** Digests of the parts sent, by header, in order. */
const partHeaders = () =>
  destination.requests
    .filter(({ operation }) => operation === 'UploadPart')
    .map(({ headers }) => (headers.has('content-md5') ? 'md5' : 'crc32'));
const ignoreCrc32 = (): void => {
  destination.on('CreateMultipartUpload').ignoreHeaders('x-amz-checksum-algorithm');
};

describe('a destination', () => {
  it('that refuses a wrong CRC32 gets CRC32s, in the same upload', async () => {
    expect(await copy()).toMatchObject(proven('crc32-parts'));
    expect(context.learnt.partProof).toBe('crc32');
    expect(partHeaders()).toEqual(['crc32', 'crc32']);
    expect(destination.count('CreateMultipartUpload')).toBe(1);
    expect(servers.destination.bodyOf(film)).toEqual(body);
  });

  it('that keeps a wrong CRC32, and tells MD5s, is held to its ETags', async () => {
    ignoreCrc32();
    destination.on('UploadPart').ignoreHeaders('x-amz-checksum-crc32');
    expect(await copy()).toMatchObject(proven('md5-parts'));
    expect(context.learnt.partProof).toBe('etag');
    expect(partHeaders()).toEqual(['crc32', 'md5']);
  });

  it('that keeps a wrong CRC32 but no wrong MD5 gets MD5s, in the upload that was asked', async () => {
    ignoreCrc32();
    destination.on('UploadPart').ignoreHeaders('x-amz-checksum-crc32').etag('0x8D').times(1);
    expect(await copy()).toMatchObject(proven('md5-parts'));
    expect(partHeaders()).toEqual(['crc32', 'md5', 'md5']);
    expect(context.learnt.partProof).toBe('md5');
    expect(destination.count('CreateMultipartUpload')).toBe(2);
  });

  it('that verifies nothing gets CRC32s, and no proof is claimed', async () => {
    ignoreCrc32();
    const telling = () =>
      destination.on('UploadPart').ignoreHeaders('x-amz-checksum-crc32', 'content-md5');
    telling().etag('f00d'.repeat(8)).times(2);
    telling();
    expect(await copy()).toMatchObject(proven('length-only'));
    expect(context.learnt.partProof).toBe('none');
    expect(partHeaders()).toEqual(['crc32', 'md5', 'crc32']);
  });

  it.each([
    [501, 'NotImplemented'],
    [400, 'InvalidRequest'],
    [400, 'InvalidArgument'],
  ])('that refuses uploads for CRC32 with %i %s gets MD5s', async (status, code) => {
    destination
      .on('CreateMultipartUpload')
      .where(({ headers }) => headers.has('x-amz-checksum-algorithm'))
      .status(status, { code });
    expect(await copyAll()).toMatchObject(keys.map(() => proven('md5-parts')));
    expect(context.learnt.partProof).toBe('md5');
    expect(destination.count('CreateMultipartUpload')).toBe(1 + keys.length);
  });

  it('that refuses every part with a CRC32 gets MD5s', async () => {
    destination
      .on('UploadPart')
      .where(({ headers }) => headers.has('x-amz-checksum-crc32'))
      .status(400, { code: 'InvalidRequest' });
    expect(await copy()).toMatchObject(proven('md5-parts'));
  });

  it.each([
    ['that is busy', (script: FaultScript) => script.on('UploadPart').status(503).times(2)],
    ['that breaks off', (script: FaultScript) => script.on('UploadPart').disconnect().times(2)],
  ])('%s is asked again', async (_, break_) => {
    break_(destination);
    expect(await copy()).toMatchObject(proven('crc32-parts'));
    expect(destination.count('UploadPart')).toBe(2 + 2);
  });
});

describe('the journal', () => {
  it('has each upload before it is created, also those that only find out', async () => {
    ignoreCrc32();
    destination.on('UploadPart').ignoreHeaders('x-amz-checksum-crc32').etag('0x8D').times(1);
    await copy();
    expect(servers.uploads.notes).toEqual([
      '101 intended',
      '101 created',
      '101 abandoned',
      '101 over',
      '102 intended',
      '102 created',
      '102 begun',
      '102 part 1',
      '102 completed',
    ]);
  });

  it('that takes no intent keeps the upload from being created', async () => {
    servers.uploads.failure = new Error('the disk is full');
    await expect(copy()).rejects.toThrow('the disk is full');
    expect(destination.count('CreateMultipartUpload')).toBe(0);
  });

  it.each([
    [400, 'InvalidRequest', true],
    [403, 'AccessDenied', true],
    [503, 'SlowDown', true],
    [500, 'InternalError', false],
  ])('is told by %i %s that nothing was created: %s', async (status, code, over) => {
    destination.on('CreateMultipartUpload').status(status, { code }).times(1);
    await copy();
    expect(servers.uploads.notes.includes('101 over')).toBe(over);
  });
});

describe('several objects', () => {
  it('at once ask once', async () => {
    expect(await copyAll()).toMatchObject(keys.map(() => proven('crc32-parts')));
    expect(destination.count('UploadPart')).toBe(1 + keys.length);
    expect(destination.count('CreateMultipartUpload')).toBe(keys.length);
  });

  it('after each other ask once', async () => {
    for (const key of keys) await copy(key);
    expect(destination.count('UploadPart')).toBe(1 + keys.length);
  });

  it('do not fail with the one that asked, and the next one asks again', async () => {
    destination.on('UploadPart', film).status(403, { code: 'AccessDenied' });
    const [asking, ...waiting] = await copyAll();
    expect(asking).toMatchObject({ kind: 'failed', failure: { code: 'AccessDenied' } });
    expect(waiting).toMatchObject(waiting.map(() => proven('md5-parts')));
    const last = keyFromText('2022/film.mp4');
    servers.source.bucket.put(last, { body });
    expect(await copy(last)).toMatchObject(proven('crc32-parts'));
  });
});

it('what keeps failing to be asked fails the object, with the attempts of that', async () => {
  destination.on('UploadPart').status(503, { code: 'SlowDown' });
  expect(await copy()).toMatchObject({
    kind: 'failed',
    failure: { code: 'SlowDown', attempts: 4, side: 'destination' },
  });
  expect(context.learnt.partProof).toBeUndefined();
});

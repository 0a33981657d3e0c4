/**
 * The probe of a destination: what it finds at a store that does all as it should, and at stores that each do
 * one thing otherwise; and that it leaves nothing behind.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keyFromText, type ObjectKey } from '../../src/object-key.ts';
import type { Capabilities, KeyHandling, KeyRuleName } from '../../src/s3/probe/capabilities.ts';
import { DIGEST_BODY, DIGEST_NAMES, DIGESTS } from '../../src/s3/probe/digests.ts';
import { type ProbeOptions, probeDestination, probeSource } from '../../src/s3/probe/probe.ts';
import { DEFAULT_PROBE_PREFIX, parseProbePrefix } from '../../src/s3/probe/probe-prefix.ts';
import type { WireObjectStore } from '../../src/s3/wire-object-store.ts';
import { CHECKSUMS, type ChecksumName } from '../../src/s3-server/checksums.ts';
import type { S3Server } from '../../src/s3-server/server.ts';
import { type FaultScript, faults, type SeenRequest } from '../support/fault-script.ts';
import { BUCKET, startServer, storeOn } from './embedded.ts';

let server: S3Server;
let script: FaultScript;
let store: WireObjectStore;
beforeEach(async () => {
  server = await startServer();
  script = faults(server).seeProbe();
  store = storeOn(server);
});
afterEach(async () => {
  store.close();
  await server.close();
});

const RANDOM = '0123456789abcdef0123456789abcdef';
const BASE = `${DEFAULT_PROBE_PREFIX}${RANDOM}/`;

function probe(options: Partial<ProbeOptions> = {}): Promise<Capabilities> {
  return probeDestination(store, {
    prefix: parseProbePrefix(DEFAULT_PROBE_PREFIX),
    random: () => RANDOM,
    now: Date.now,
    signal: new AbortController().signal,
    ...options,
  });
}

/** Objects and unfinished uploads of the bucket. */
function remains(): string[] {
  const bucket = server.bucket(BUCKET);
  return [...bucket.keys(), ...bucket.uploads().map(({ key }) => `upload of ${key}`)];
}

const has = (header: string) => (seen: SeenRequest) => seen.headers.has(header);
const KEPT = { kind: 'kept' } as const;

/** The findings about keys, without those that are kept. */
function unusualKeys({ keys }: Capabilities): Partial<Record<KeyRuleName, KeyHandling>> {
  const unusual = keys.filter(({ handling }) => handling.kind !== 'kept');
  return Object.fromEntries(unusual.map(({ rule, handling }) => [rule, handling]));
}

/** From now on the store takes one key for another. */
function aliasing(name: (key: string) => string): void {
  server.interceptWith(({ request }, proceed) =>
    proceed({ request: { ...request, key: name(request.key) as ObjectKey } }),
  );
}

describe('at a store that does all as it should', () => {
  it('every finding is good', async () => {
    const verified = Object.fromEntries(DIGEST_NAMES.map((name) => [name, { kind: 'verified' }]));
    const { metadata, keys, probedAt, ...found } = await probe();
    expect(found).toEqual({
      putCondition: { kind: 'honoured', status: 412 },
      completeCondition: { kind: 'honoured', status: 412 },
      race: { kind: 'one-wins' },
      deleteCondition: { kind: 'honoured', status: 412 },
      etagIsMd5: { kind: 'yes' },
      multipartEtag: { kind: 'yes' },
      putDigests: verified,
      partDigests: verified,
      partNumberHead: { kind: 'yes' },
      clock: { kind: 'measured', aheadMs: 0 },
      leftovers: [],
    });
    expect(Object.values(metadata)).toEqual(Array.from({ length: 9 }, () => KEPT));
    expect(keys.map(({ handling }) => handling)).toEqual(Array.from({ length: 16 }, () => KEPT));
    expect(Math.abs(probedAt - Date.now())).toBeLessThan(60_000);
  });

  it('nothing is left of it, and the objects that were there are as they were', async () => {
    const bucket = server.bucket(BUCKET);
    const mine = keyFromText('.s3migrate-probe/not-of-the-probe');
    bucket.put(mine, { body: Buffer.from('mine') });
    await probe();
    expect(remains()).toEqual([mine]);
  });

  it('no key outside its random name is touched, but for a slash before it', async () => {
    await probe();
    const outside = script.requests.filter(
      ({ key, query }) =>
        !(key === '' ? query.get('prefix') : key)?.replace(/^\//, '').startsWith(BASE),
    );
    expect(outside).toEqual([]);
  });

  it('the findings survive JSON', async () => {
    const found = await probe();
    expect(JSON.parse(JSON.stringify(found))).toEqual(found);
  });
});

it.each(DIGEST_NAMES)('the pinned digests are those of their bodies: %s', (name) => {
  if (name === 'content-md5') return;
  const digest = CHECKSUMS[name satisfies ChecksumName];
  expect(digest(DIGEST_BODY).toString('base64')).toBe(DIGESTS[name].right);
  expect(digest(Buffer.from('other bytes')).toString('base64')).toBe(DIGESTS[name].wrong);
});

describe('the condition of PutObject:', () => {
  it('ignored', async () => {
    script.on('PutObject').ignoreConditions();
    expect(await probe()).toMatchObject({
      putCondition: { kind: 'ignored' },
      race: { kind: 'several-win', winners: 4 },
      completeCondition: { kind: 'honoured', status: 412 },
    });
    expect(remains()).toEqual([]);
  });

  it('answered with 412 by a store that has overwritten all the same', async () => {
    script
      .on('PutObject', `${BASE}first`)
      .skip(1)
      .ignoreConditions()
      .alter((answer) => ({ ...answer, status: 412 }));
    expect(await probe()).toMatchObject({ putCondition: { kind: 'ignored' } });
  });

  it('honoured with 409', async () => {
    script
      .on('PutObject', `${BASE}first`)
      .skip(1)
      .status(409, { code: 'ConditionalRequestConflict' });
    expect(await probe()).toMatchObject({ putCondition: { kind: 'honoured', status: 409 } });
  });

  it('answered with 304', async () => {
    script.on('PutObject', `${BASE}first`).skip(1).status(304);
    expect(await probe()).toMatchObject({ putCondition: { kind: 'not-modified' } });
  });

  it('not implemented; all else is found out without it', async () => {
    script.on('PutObject').where(has('if-none-match')).status(501, { code: 'NotImplemented' });
    const found = await probe();
    expect(found).toMatchObject({
      putCondition: { kind: 'not-implemented' },
      race: { kind: 'unknown' },
      etagIsMd5: { kind: 'yes' },
      deleteCondition: { kind: 'honoured', status: 412 },
    });
    expect(unusualKeys(found)).toEqual({});
    expect(remains()).toEqual([]);
  });

  // MinIO RELEASE.2025-09-06 did so for a day.
  it('refused although the key is free', async () => {
    script.on('PutObject').where(has('if-none-match')).status(404, { code: 'NoSuchKey' });
    expect(await probe()).toMatchObject({
      putCondition: { kind: 'refused', answer: '404 NoSuchKey' },
    });
  });

  it('refused in words that S3 does not have for it', async () => {
    script.on('PutObject', `${BASE}first`).skip(1).status(400, { code: 'InvalidArgument' });
    expect(await probe()).toMatchObject({
      putCondition: { kind: 'refused', answer: '400 InvalidArgument' },
    });
  });

  it('unknown when the connection breaks', async () => {
    script.on('PutObject', `${BASE}first`).skip(1).disconnect();
    expect(await probe()).toMatchObject({ putCondition: { kind: 'unknown' } });
    expect(remains()).toEqual([]);
  });
});

describe('the condition of CompleteMultipartUpload:', () => {
  it('ignored', async () => {
    script.on('CompleteMultipartUpload').ignoreConditions();
    expect(await probe()).toMatchObject({
      putCondition: { kind: 'honoured', status: 412 },
      completeCondition: { kind: 'ignored' },
    });
    expect(remains()).toEqual([]);
  });

  it('not implemented; the rest of multipart is found out without it', async () => {
    script
      .on('CompleteMultipartUpload')
      .where(has('if-none-match'))
      .status(501, { code: 'NotImplemented' });
    expect(await probe()).toMatchObject({
      completeCondition: { kind: 'not-implemented' },
      multipartEtag: { kind: 'yes' },
      partNumberHead: { kind: 'yes' },
    });
    expect(remains()).toEqual([]);
  });

  it('refused inside an answer that begins as a success', async () => {
    script.on('CompleteMultipartUpload').skip(1).status(200, { code: 'PreconditionFailed' });
    expect(await probe()).toMatchObject({
      completeCondition: { kind: 'honoured', status: 412 },
    });
    expect(remains()).toEqual([]);
  });

  it('unknown where there are no uploads', async () => {
    script.on('CreateMultipartUpload').status(501, { code: 'NotImplemented' });
    const unknown = { kind: 'unknown', reason: '501 NotImplemented' };
    expect(await probe()).toMatchObject({
      completeCondition: unknown,
      multipartEtag: unknown,
      partNumberHead: unknown,
    });
  });
});

describe('the condition of DeleteObject:', () => {
  it('ignored: the object is gone', async () => {
    script.on('DeleteObject').ignoreConditions();
    expect(await probe()).toMatchObject({ deleteCondition: { kind: 'ignored' } });
  });

  it.each([
    [501, 'NotImplemented', { kind: 'not-implemented' }],
    [400, 'InvalidArgument', { kind: 'refused', answer: '400 InvalidArgument' }],
    [403, 'AccessDenied', { kind: 'unknown', reason: '403 AccessDenied' }],
  ])('answered with %i %s', async (status, code, deleteCondition) => {
    script.on('DeleteObject').where(has('if-match')).status(status, { code });
    expect(await probe()).toMatchObject({ deleteCondition });
    expect(remains()).toEqual([]);
  });

  it('refused even where it holds', async () => {
    script
      .on('DeleteObject')
      .where(has('if-match'))
      .skip(1)
      .status(412, { code: 'PreconditionFailed' });
    expect(await probe()).toMatchObject({
      deleteCondition: { kind: 'refused', answer: '412 PreconditionFailed' },
    });
  });
});

describe('ETags and parts:', () => {
  it('ETags that are no MD5', async () => {
    script.on('PutObject').etag('0x8D9F');
    script.on('HEAD', `${BASE}assembled`).etag('0x8D9E');
    expect(await probe()).toMatchObject({
      etagIsMd5: { kind: 'no', answer: '0x8D9F' },
      multipartEtag: { kind: 'no', answer: '0x8D9E' },
    });
  });

  it('HEAD that takes no notice of partNumber', async () => {
    script
      .on('HEAD')
      .where(({ query }) => query.has('partNumber'))
      .alter((answer) => ({ ...answer, status: 200 }));
    expect(await probe()).toMatchObject({
      partNumberHead: { kind: 'no', answer: 'partNumber is ignored' },
    });
  });
});

describe('digests:', () => {
  it.each(DIGEST_NAMES)('a wrong %s is taken', async (name) => {
    const header = name === 'content-md5' ? name : `x-amz-checksum-${name}`;
    server.interceptWith(({ request }, proceed) => {
      const wrong = request.headers.get(header) === DIGESTS[name].wrong;
      // The server verifies what the client sent: a body that fits is put in the place of the one that does not.
      return proceed(wrong ? { rawBody: Buffer.from('other bytes') } : {});
    });
    const { putDigests, partDigests } = await probe();
    expect(putDigests).toMatchObject({ [name]: { kind: 'ignored' } });
    expect(partDigests).toMatchObject({ [name]: { kind: 'ignored' } });
    const others = DIGEST_NAMES.filter((other) => other !== name);
    expect(new Set(others.map((other) => putDigests[other].kind))).toEqual(new Set(['verified']));
    expect(remains()).toEqual([]);
  });

  it('one that is not known is refused', async () => {
    script.on('PUT').where(has('x-amz-checksum-crc64nvme')).status(501, { code: 'NotImplemented' });
    const refused = { kind: 'refused', answer: '501 NotImplemented' };
    const { putDigests, partDigests } = await probe();
    expect(putDigests).toMatchObject({ crc64nvme: refused, crc32: { kind: 'verified' } });
    expect(partDigests).toMatchObject({ crc64nvme: refused, crc32: { kind: 'verified' } });
  });
});

describe('metadata:', () => {
  it('dropped, changed and refused ones are told apart', async () => {
    script.on('HEAD', `${BASE}expires-not-a-date`).header('expires', undefined);
    script.on('HEAD', `${BASE}metadata-utf8`).header('x-amz-meta-probe', '=?UTF-8?q?Z=C3=BCrich?=');
    script.on('PUT', `${BASE}website-redirect`).status(400, { code: 'InvalidArgument' });
    script.on('PUT', `${BASE}tags`).status(403, { code: 'AccessDenied' });
    const { metadata } = await probe();
    expect(metadata).toEqual({
      'ordinary-headers': KEPT,
      'content-encoding': KEPT,
      'content-encodings': KEPT,
      'expires-not-a-date': { kind: 'dropped', header: 'expires' },
      'metadata-utf8': {
        kind: 'changed',
        header: 'x-amz-meta-probe',
        to: '=?UTF-8?q?Z=C3=BCrich?=',
      },
      'metadata-latin1': KEPT,
      'metadata-rfc2047': KEPT,
      'website-redirect': { kind: 'refused', answer: '400 InvalidArgument' },
      tags: { kind: 'refused', answer: '403 AccessDenied' },
    });
  });

  it('tags that are dropped, and tags that cannot be read', async () => {
    const empty = Buffer.from('<Tagging><TagSet/></Tagging>');
    script
      .on('GetObjectTagging')
      .times(1)
      .alter((answer) => ({ ...answer, body: empty }));
    script.on('GetObjectTagging').status(403, { code: 'AccessDenied' });
    expect((await probe()).metadata.tags).toEqual({ kind: 'dropped', header: 'x-amz-tagging' });
    expect((await probe()).metadata.tags).toEqual({
      kind: 'unknown',
      reason: 'GetObjectTagging: 403 AccessDenied',
    });
  });
});

describe('keys:', () => {
  it.each<
    [what: string, rule: KeyRuleName, alias: (key: string) => string, sent: string, of: string]
  >([
    ['a leading slash', 'leading-slash', (key) => key.replace(/^\/+/, ''), '/lead', 'lead'],
    [
      'two slashes',
      'double-slash',
      (key) => key.replace(/(.)\/\/+/g, '$1/'),
      'twice//x',
      'twice/x',
    ],
    ['a dot segment', 'dot-segment', (key) => key.replaceAll('/./', '/'), 'dot/./y', 'dot/y'],
    [
      'a dot-dot segment',
      'dot-dot-segment',
      (key) => key.replace(/[^/]+\/\.\.\//, ''),
      'dots/../z',
      'z',
    ],
    ['a plus', 'plus', (key) => key.replaceAll('+', ' '), 'a+plus', 'a plus'],
    ['an escape', 'percent-escape', (key) => key.replace('%41', 'A'), 'escape%41', 'escapeA'],
    ['letter case', 'upper-case', (key) => key.toLowerCase(), 'CASE', 'case'],
    [
      'normal forms',
      'decomposed',
      (key) => keyFromText(Buffer.from(key, 'latin1').toString('utf8').normalize('NFC')),
      keyFromText('u\u0308mlaut'),
      keyFromText('\u00fcmlaut'),
    ],
  ])('%s under another name', async (_, rule, alias, sent, of) => {
    aliasing((key) => (/byte/.test(key) ? key : alias(key)));
    expect(unusualKeys(await probe())).toEqual({ [rule]: { kind: 'alias', sent, of } });
    expect(remains()).toEqual([]);
  });

  it('an ending slash under another name: then a folder stands in the way of its name too', async () => {
    aliasing((key) => key.replace(/\/$/, ''));
    expect(unusualKeys(await probe())).toEqual({
      'trailing-slash': { kind: 'alias', sent: 'marker/', of: 'marker' },
      'trailing-slash-with-content': { kind: 'alias', sent: 'filled/', of: 'filled' },
      'beside-folder': { kind: 'refused', answer: '412 PreconditionFailed' },
    });
    expect(remains()).toEqual([]);
  });

  it('stray bytes that become U+FFFD, and names that are cut', async () => {
    const replaced = (key: string) => keyFromText(Buffer.from(key, 'latin1').toString('utf8'));
    aliasing((key) => replaced(key).slice(0, 1023));
    const { 'not-utf8': bytes, 'long-key': long, ...others } = unusualKeys(await probe());
    expect(others).toEqual({});
    expect(bytes).toEqual({ kind: 'alias', sent: 'byte\xff', of: 'byte\xfe' });
    expect(long).toMatchObject({ kind: 'alias' });
    expect(remains()).toEqual([]);
  });

  it('refused ones', async () => {
    const refused = (seen: SeenRequest) => /\/\/|\xff|p{255}d|control/.test(seen.key);
    script.on('PutObject').where(refused).status(400, { code: 'InvalidObjectName' });
    const handling = { kind: 'refused', answer: '400 InvalidObjectName' };
    expect(unusualKeys(await probe())).toEqual({
      'double-slash': handling,
      'control-characters': handling,
      'not-utf8': handling,
      'long-part': handling,
    });
  });

  it('one that is acknowledged and then not there', async () => {
    script.on('HEAD', `${BASE}filled/`).status(404);
    expect(unusualKeys(await probe())).toEqual({
      'trailing-slash-with-content': { kind: 'lost', answer: '404' },
    });
  });

  it('one that takes the place of those below it', async () => {
    script.on('HEAD', `${BASE}stem/leaf`).status(404);
    expect(unusualKeys(await probe())).toEqual({
      'above-key': { kind: 'lost', answer: '404 for stem/leaf' },
    });
  });
});

it('measures the clock', async () => {
  const date = new Date(Date.now() + 90_000).toUTCString();
  script.on('PutObject', `${BASE}first`).header('date', date);
  const { clock } = await probe();
  expect(clock).toEqual({ kind: 'measured', aheadMs: expect.any(Number) });
  expect(clock.kind === 'measured' && Math.round(clock.aheadMs / 10_000)).toBe(9);
});

describe('a store that does not let it', () => {
  it('write: everything is unknown, with the answer, after two requests', async () => {
    script.on('PUT').status(403, { code: 'AccessDenied' });
    const found = await probe();
    const reason = `nothing can be written below ${BASE}: 403 AccessDenied`;
    expect(found).toMatchObject({
      putCondition: { kind: 'unknown', reason },
      completeCondition: { kind: 'unknown', reason },
      etagIsMd5: { kind: 'unknown', reason },
      leftovers: [],
    });
    expect(new Set(found.keys.map(({ handling }) => handling.kind))).toEqual(new Set(['unknown']));
    expect(script.count('PUT')).toBe(2);
  });

  it('delete: what stays is named', async () => {
    script.on('DeleteObject').status(403, { code: 'AccessDenied' });
    const { leftovers, putCondition } = await probe();
    expect(putCondition).toEqual({ kind: 'honoured', status: 412 });
    expect(leftovers).toEqual(server.bucket(BUCKET).keys());
    expect(leftovers).toContain(`${BASE}first`);
    expect(leftovers).toContain(`/${BASE}lead`);
  });

  it('list: all is removed that it knows of', async () => {
    script.on('ListObjectsV2').status(403, { code: 'AccessDenied' });
    script.on('ListMultipartUploads').status(403, { code: 'AccessDenied' });
    expect(await probe()).toMatchObject({ leftovers: [] });
    expect(remains()).toEqual([]);
  });

  it('have it all at once: it asks again', async () => {
    script.on('PUT').status(503, { code: 'SlowDown' }).times(3);
    expect(await probe()).toMatchObject({ putCondition: { kind: 'honoured', status: 412 } });
  });
});

describe('removes nothing that is not below its own name', () => {
  const THEIRS = ['photos/a.jpg', 'byte\xff', 'control\x01\t\n\r\x1f\x7f.'];
  beforeEach(() => {
    for (const key of THEIRS) {
      server.bucket(BUCKET).put(key as ObjectKey, { body: Buffer.from('of a client') });
    }
  });

  it('also when the store lists all of the bucket, whatever is asked for', async () => {
    server
      .bucket(BUCKET)
      .createUpload('films/b.mov' as ObjectKey, { headers: {}, tags: new Map() });
    server.interceptWith(({ request }, proceed) => {
      const query = new Map(request.query);
      query.delete('prefix');
      return proceed({ request: { ...request, query } });
    });
    expect(await probe({ abandoned: `${DEFAULT_PROBE_PREFIX}0123` as ObjectKey })).toMatchObject({
      putCondition: { kind: 'honoured', status: 412 },
    });
    expect(remains()).toEqual([...THEIRS.toSorted(), 'upload of films/b.mov']);
  });

  it('also when somebody has put a key there that is like its name, and is none', async () => {
    const near = `${DEFAULT_PROBE_PREFIX}${RANDOM}` as ObjectKey;
    server.bucket(BUCKET).put(near, { body: Buffer.from('of a client') });
    await probe({ abandoned: `${DEFAULT_PROBE_PREFIX}0123` as ObjectKey });
    expect(remains()).toEqual(expect.arrayContaining(THEIRS));
  });
});

it('removes also what was written though the answer was lost', async () => {
  script.on('PutObject', `${BASE}race`).loseAnswer();
  script.on('CreateMultipartUpload', `${BASE}assembled`).loseAnswer();
  expect(await probe()).toMatchObject({ race: { kind: 'unknown' }, leftovers: [] });
  expect(remains()).toEqual([]);
});

it('removes old versions one by one', async () => {
  script.on('PutObject', `${BASE}first`).header('x-amz-version-id', 'v1');
  script.on('DELETE', `${BASE}first`).alter((answer) => ({ ...answer, status: 204 }));
  await probe();
  const deletes = script.requests.filter(
    ({ method, key }) => method === 'DELETE' && key === `${BASE}first`,
  );
  expect(deletes.map(({ query }) => query.get('versionId'))).toContain('v1');
});

it('is broken off by the signal: its reason is thrown, and nothing is left', async () => {
  const controller = new AbortController();
  const reason = new Error('enough');
  script.on('HEAD').before(() => controller.abort(reason));
  await expect(probe({ signal: controller.signal })).rejects.toBe(reason);
  expect(remains()).toEqual([]);
});

it('names what is left when it is broken off and may not delete', async () => {
  const controller = new AbortController();
  script.on('HEAD').before(() => controller.abort(new Error('enough')));
  script.on('DeleteObject').status(403, { code: 'AccessDenied' });
  await expect(probe({ signal: controller.signal })).rejects.toMatchObject({
    exitCode: 3,
    hint: expect.stringContaining(`${BASE}first`),
  });
});

it.each(['', '/', '/lead/', 'a//b/', 'a/../b/', './', 'a b', 'ä', '\\', 'x'.repeat(257)])(
  'takes no prefix that could become another: "%s"',
  (given) => {
    expect(() => parseProbePrefix(given)).toThrow(/--probe-prefix/);
  },
);

describe('a source is asked by reading alone:', () => {
  const options = { prefix: parseProbePrefix('probe'), random: () => RANDOM, now: Date.now };

  it('what is missing, what may be listed, and its clock', async () => {
    expect(await probeSource(store, options)).toMatchObject({
      tellsMissing: { kind: 'yes' },
      listing: { kind: 'yes' },
      clock: { kind: 'measured', aheadMs: 0 },
    });
    expect(new Set(script.requests.map(({ method }) => method))).toEqual(new Set(['GET', 'HEAD']));
  });

  it('a user who may not list cannot tell missing from forbidden', async () => {
    script.on('HEAD').status(403);
    script.on('GET').status(403, { code: 'AccessDenied' });
    expect(await probeSource(store, options)).toMatchObject({
      tellsMissing: { kind: 'no', answer: '403' },
      listing: { kind: 'no', answer: '403 AccessDenied' },
    });
  });

  it('a store that cannot be reached is unknown', async () => {
    await server.close();
    expect(await probeSource(store, options)).toMatchObject({
      tellsMissing: { kind: 'unknown' },
      listing: { kind: 'unknown' },
      clock: { kind: 'unknown' },
    });
    server = await startServer();
  });
});

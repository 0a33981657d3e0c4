/**
 * What arrives with an object besides its bytes, and what becomes of it where the destination cannot keep
 * all: by each way an object can travel.
 */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lossesIn, type Outcome } from '../../src/domain.ts';
import { keyFromText } from '../../src/object-key.ts';
import { StoreError } from '../../src/s3/object-store.ts';
import type {
  Capabilities,
  MetadataFinding,
  MetadataName,
} from '../../src/s3/probe/capabilities.ts';
import { METADATA_NAMES } from '../../src/s3/probe/metadata-fidelity.ts';
import { tagsFromHeader } from '../../src/s3-server/tagging.ts';
import { refusedBelonging, taggingHeader } from '../../src/transfer/belongings.ts';
import {
  type CopyPolicy,
  DEFAULT_POLICY,
  type LossClass,
  type OnLoss,
} from '../../src/transfer/copy-policy.ts';
import { TransferError } from '../../src/transfer/transfer-error.ts';
import { NOW, startSide, startTwoServers, TwoServers } from './two-servers.ts';

const key = keyFromText('2019/lake.jpg');
const body = Buffer.from('still water runs deep');

const HEADERS = {
  'content-type': 'text/html; charset="x"',
  'cache-control': 'max-age=60, must-revalidate',
  'content-disposition': 'attachment; filename="\xe9 b.jpg"',
  'content-encoding': 'zstd, custom',
  'content-language': 'de, en',
  expires: '0',
  'x-amz-website-redirect-location': '/elsewhere?a=b',
  'x-amz-meta-utf8': 'Z\xc3\xbcrich  twice',
  'x-amz-meta-latin1': 'Z\xfcrich',
  'x-amz-meta-word': '=?UTF-8?B?WsO8cmljaA==?=',
  'x-amz-meta-empty': '',
} as const;
const TAGS = new Map([
  ['stage', 'raw'],
  ['with a space', 'a/b=c&d+e%'],
  ['größe', '😀'],
  ['empty', ''],
]);
const LOCK = {
  'x-amz-object-lock-mode': 'GOVERNANCE',
  'x-amz-object-lock-retain-until-date': '2065-10-21T07:28:00.000Z',
  'x-amz-object-lock-legal-hold': 'ON',
} as const;

const withPolicy = (changes: Partial<CopyPolicy>): { policy: CopyPolicy } => ({
  policy: { ...DEFAULT_POLICY, ...changes },
});

/** The same for every class. */
const onEveryLoss = (choice: OnLoss): CopyPolicy['onLoss'] => ({
  tags: choice,
  lock: choice,
  redirect: choice,
  'storage-class': choice,
  metadata: choice,
});

const capabilities = (findings: Partial<Record<MetadataName, MetadataFinding>>): Capabilities => ({
  probedAt: NOW,
  putCondition: { kind: 'honoured', status: 412 },
  completeCondition: { kind: 'honoured', status: 412 },
  race: { kind: 'one-wins' },
  deleteCondition: { kind: 'honoured', status: 412 },
  etagIsMd5: { kind: 'yes' },
  multipartEtag: { kind: 'yes' },
  putDigests: {} as Capabilities['putDigests'],
  partDigests: {} as Capabilities['partDigests'],
  partNumberHead: { kind: 'yes' },
  metadata: {
    ...(Object.fromEntries(
      METADATA_NAMES.map((name) => [name, { kind: 'kept' }]),
    ) as Capabilities['metadata']),
    ...findings,
  },
  keys: [],
  clock: { kind: 'measured', aheadMs: 0 },
  leftovers: [],
});

let servers: TwoServers;
beforeEach(async () => {
  servers = await startTwoServers();
});
afterEach(async () => {
  await servers.close();
});

const arrived = () => servers.destination.bucket.get(key);

describe.each([
  ['collected', body],
  ['passed through', Buffer.alloc(600_001, 'still water runs deep ')],
  ['copied in parts', Buffer.alloc(6_000_001, 'still water runs deep ')],
])('an object that is %s', (way, content) => {
  const threshold = { multipartThresholdBytes: way === 'copied in parts' ? 5_000_000 : 10_000_000 };
  const copy = (changes: Partial<CopyPolicy> = {}): Promise<Outcome> =>
    servers.copy(key, { ...threshold, ...withPolicy(changes) });
  const lossless = { kind: 'copied', detail: expect.not.stringContaining('lost') };
  /** What the write of such an object begins with. */
  const write = way === 'copied in parts' ? 'CreateMultipartUpload' : 'PutObject';

  const given = (headers: Readonly<Record<string, string>>, tags?: typeof TAGS): void =>
    void servers.source.bucket.put(key, {
      body: content,
      headers,
      ...(tags !== undefined && { tags }),
    });

  it('arrives with all its headers, byte for byte', async () => {
    given(HEADERS);
    expect(await copy()).toMatchObject(lossless);
    expect(arrived()?.headers).toEqual(HEADERS);
    expect(arrived()?.body.equals(content)).toBe(true);
    expect(servers.source.script.count('GetObjectTagging')).toBe(0);
  });

  it('arrives with its tags, asked for once', async () => {
    given({}, TAGS);
    expect(await copy()).toMatchObject(lossless);
    expect(arrived()?.tags).toEqual(TAGS);
    expect(servers.source.script.count('GetObjectTagging')).toBe(1);
    expect(servers.destination.script.count('PutObjectTagging')).toBe(0);
  });

  it('waits for tags that the source is too busy to tell', async () => {
    given({}, TAGS);
    servers.source.script.on('GetObjectTagging').times(2).status(503, { code: 'SlowDown' });
    expect(await copy()).toMatchObject(lossless);
    expect(arrived()?.tags).toEqual(TAGS);
  });

  it.each([
    ['AccessDenied', 403],
    ['NotImplemented', 501],
    ['MethodNotAllowed', 405],
  ])('goes without tags that the source does not give: %s', async (code, status) => {
    given({}, TAGS);
    servers.source.script.on('GetObjectTagging').status(status, { code });
    expect(await copy()).toMatchObject({
      kind: 'copied',
      detail: expect.stringMatching(/; lost: tags$/),
    });
    expect(arrived()?.tags).toEqual(new Map());
    expect(servers.counters.retries).toBe(0);
  });

  it('fails where it must not go without them, with nothing written', async () => {
    given({}, TAGS);
    servers.source.script.on('GetObjectTagging').status(403, { code: 'AccessDenied' });
    expect(await copy({ onLoss: { ...DEFAULT_POLICY.onLoss, tags: 'fail' } })).toMatchObject({
      kind: 'failed',
      failure: { code: 'loss-tags', status: 403, side: 'source', attempts: 1 },
    });
    expect(arrived()).toBeUndefined();
    expect(servers.destination.script.count(write)).toBe(0);
  });

  it('is skipped when it is gone before its tags are told', async () => {
    given({}, TAGS);
    servers.source.script.on('GetObjectTagging').before(() => servers.source.bucket.delete(key));
    expect(await copy()).toMatchObject({ kind: 'skipped-download', detail: 'NoSuchKey' });
  });

  it('gets the storage class of the source, another, or none', async () => {
    given({ 'x-amz-storage-class': 'STANDARD_IA' });
    await copy({ storageClass: { kind: 'keep' } });
    expect(arrived()?.headers).toMatchObject({ 'x-amz-storage-class': 'STANDARD_IA' });
    servers.destination.bucket.delete(key);
    await copy({ storageClass: { kind: 'named', name: 'GLACIER_IR' } });
    expect(arrived()?.headers).toMatchObject({ 'x-amz-storage-class': 'GLACIER_IR' });
    servers.destination.bucket.delete(key);
    expect(await copy()).toMatchObject(lossless);
    expect(arrived()?.headers).not.toHaveProperty('x-amz-storage-class');
  });

  /** What each class makes a destination refuse, and what the object looks like then. */
  const refusals: readonly [LossClass, number, { code: string; message?: string }][] = [
    ['tags', 501, { code: 'NotImplemented' }],
    ['tags', 400, { code: 'InvalidTag' }],
    [
      'tags',
      403,
      { code: 'AccessDenied', message: 'not authorized to perform: s3:PutObjectTagging' },
    ],
    [
      'lock',
      400,
      { code: 'InvalidRequest', message: 'Bucket is missing Object Lock Configuration' },
    ],
    ['redirect', 400, { code: 'InvalidRedirectLocation' }],
    ['storage-class', 400, { code: 'InvalidStorageClass' }],
    ['metadata', 400, { code: 'MetadataTooLarge' }],
    ['metadata', 431, { code: 'HTTP 431' }],
  ];
  const everything: Partial<CopyPolicy> = { objectLock: true, storageClass: { kind: 'keep' } };
  const givenEverything = (): void =>
    given({ ...HEADERS, ...LOCK, 'x-amz-storage-class': 'STANDARD_IA' }, TAGS);
  const HEADER_OF: Readonly<Record<LossClass, RegExp>> = {
    tags: /^x-amz-tagging$/,
    lock: /^x-amz-object-lock-/,
    redirect: /^x-amz-website-redirect-location$/,
    'storage-class': /^x-amz-storage-class$/,
    metadata: /^x-amz-meta-/,
  };
  const carriers = (lost: LossClass) =>
    servers.destination.script.requests.filter(({ headers }) =>
      [...headers.keys()].some((name) => HEADER_OF[lost].test(name)),
    );

  describe.each(refusals)('whose %s is refused with %i %o', (lost, status, refusal) => {
    beforeEach(async () => {
      await servers.close();
      servers = new TwoServers(await startSide(), await startSide({ objectLock: true }));
      givenEverything();
      servers.destination.script
        .on(write)
        .where(({ headers }) => [...headers.keys()].some((name) => HEADER_OF[lost].test(name)))
        .status(status, refusal);
    });

    it('is written without it, which is told', async () => {
      expect(await copy(everything)).toMatchObject({
        kind: 'copied',
        detail: expect.stringMatching(new RegExp(`; lost: ${lost}$`)),
      });
      expect(arrived()?.body.equals(content)).toBe(true);
      expect(arrived()?.tags).toEqual(lost === 'tags' ? new Map() : TAGS);
      const expected = { ...HEADERS, ...LOCK, 'x-amz-storage-class': 'STANDARD_IA' };
      const kept = Object.entries(expected).filter(([name]) => !HEADER_OF[lost].test(name));
      expect(arrived()?.headers).toMatchObject(Object.fromEntries(kept));
      expect(servers.counters.retries).toBe(1);
      expect(servers.waits).toEqual([]);
    });

    it('is written without a word where the operator does not mind', async () => {
      const policy = { ...everything, onLoss: { ...DEFAULT_POLICY.onLoss, [lost]: 'drop' } };
      expect(await copy(policy as Partial<CopyPolicy>)).toMatchObject(lossless);
    });

    it('fails where it must not go without it', async () => {
      const onLoss = { ...onEveryLoss('drop'), [lost]: 'fail' } as CopyPolicy['onLoss'];
      expect(await copy({ ...everything, onLoss })).toMatchObject({
        kind: 'failed',
        failure: { code: `loss-${lost}`, status, side: 'destination' },
      });
      expect(arrived()).toBeUndefined();
      expect(carriers(lost).length).toBeGreaterThan(0);
    });
  });

  it('loses one class after the other, each at the cost of one attempt', async () => {
    // Without object lock the destination refuses this as S3 does.
    given({ ...HEADERS, ...LOCK, 'x-amz-storage-class': 'COLD' }, TAGS);
    const outcome = await copy(everything);
    expect(outcome).toMatchObject({ kind: 'copied' });
    expect(lossesIn(outcome.kind === 'copied' ? outcome.detail : '')).toEqual([
      'lock',
      'storage-class',
    ]);
    expect(servers.counters.retries).toBe(2);
    expect(arrived()?.tags).toEqual(TAGS);
  });
});

describe('the object lock', () => {
  beforeEach(async () => {
    await servers.close();
    servers = new TwoServers(await startSide(), await startSide({ objectLock: true }));
  });

  it('is left behind unless asked for, without a word', async () => {
    servers.source.bucket.put(key, { body, headers: LOCK });
    expect(await servers.copy(key)).toMatchObject({ detail: 'md5' });
    expect(Object.keys(arrived()?.headers ?? {})).toEqual(['content-type']);
  });

  it('is copied when asked for', async () => {
    servers.source.bucket.put(key, { body, headers: LOCK });
    expect(await servers.copy(key, withPolicy({ objectLock: true }))).toMatchObject({
      detail: 'md5',
    });
    expect(arrived()?.headers).toMatchObject(LOCK);
  });

  it('is lost, and the object copied, where that is kept before its lock is refused', async () => {
    servers.source.bucket.put(key, { body, headers: LOCK, tags: TAGS });
    // As versitygw 1.8 does.
    servers.destination.script
      .on('PutObject')
      .times(1)
      .ignoreHeaders(...Object.keys(LOCK))
      .alter((answer) => ({
        ...answer,
        status: 400,
        body: Buffer.from(
          '<Error><Code>InvalidRequest</Code><Message>Bucket is missing ObjectLockConfiguration</Message></Error>',
        ),
      }));
    expect(await servers.copy(key, withPolicy({ objectLock: true }))).toMatchObject({
      kind: 'copied',
      detail: 'found after a lost answer; lost: lock',
    });
    expect(servers.counters.uploadedBytes).toBe(body.length);
    expect(arrived()?.tags).toEqual(TAGS);
  });

  it('of a retention that is over is the legal hold alone', async () => {
    const until = new Date(NOW - 1000).toISOString();
    const headers = { ...LOCK, 'x-amz-object-lock-retain-until-date': until };
    servers.source.bucket.put(key, { body, headers });
    expect(await servers.copy(key, withPolicy({ objectLock: true }))).toMatchObject({
      detail: 'md5',
    });
    const kept = Object.keys(arrived()?.headers ?? {});
    expect(kept).toEqual(['content-type', 'x-amz-object-lock-legal-hold']);
  });
});

describe('what the probe has seen the destination do', () => {
  const copy = (
    findings: Partial<Record<MetadataName, MetadataFinding>>,
    changes: Partial<CopyPolicy> = {},
  ): Promise<Outcome> =>
    servers.copy(key, withPolicy({ capabilities: capabilities(findings), ...changes }));
  const given = (headers: Readonly<Record<string, string>>, tags = new Map<string, string>()) =>
    servers.source.bucket.put(key, { body, headers, tags });
  const dropped = (header: string): MetadataFinding => ({ kind: 'dropped', header });
  const changed = (header: string): MetadataFinding => ({ kind: 'changed', header, to: '?' });
  const refused: MetadataFinding = { kind: 'refused', answer: '400 InvalidArgument' };

  it('costs no request for tags that it would lose', async () => {
    given({}, TAGS);
    expect(await copy({ tags: dropped('x-amz-tagging') })).toMatchObject({
      detail: 'md5; lost: tags',
    });
    expect(await copy({ tags: refused }, { onLoss: onEveryLoss('fail') })).toMatchObject({
      kind: 'failed',
      failure: { code: 'loss-tags', status: 0, side: 'destination' },
    });
    expect(servers.source.script.count('GetObjectTagging')).toBe(0);
  });

  it('sends tags that it changes all the same', async () => {
    given({}, TAGS);
    expect(await copy({ tags: changed('x-amz-tagging') })).toMatchObject({
      detail: 'md5; lost: tags',
    });
    expect(arrived()?.tags).toEqual(TAGS);
  });

  it.each<[MetadataName, MetadataFinding, string, string]>([
    ['metadata-utf8', changed('x-amz-meta-probe'), 'x-amz-meta-place', 'Z\xc3\xbcrich'],
    ['metadata-latin1', changed('x-amz-meta-probe'), 'x-amz-meta-place', 'Z\xfcrich'],
    ['metadata-rfc2047', changed('x-amz-meta-probe'), 'x-amz-meta-place', '=?UTF-8?B?WsO8?='],
    ['expires-not-a-date', dropped('expires'), 'expires', 'tomorrow'],
    ['content-encoding', changed('content-encoding'), 'content-encoding', 'gzip'],
    ['content-encodings', changed('content-encoding'), 'content-encoding', 'gzip, br'],
    ['ordinary-headers', dropped('cache-control'), 'cache-control', 'no-cache'],
  ])(
    'with %s is told of each object that has such a header',
    async (name, finding, header, value) => {
      given({ [header]: value, 'content-language': 'de' });
      expect(await copy({ [name]: finding })).toMatchObject({ detail: 'md5; lost: metadata' });
      expect(arrived()?.headers).toMatchObject({ [header]: value });
      servers.destination.bucket.delete(key);
      given({
        'content-language': 'de',
        expires: 'Wed, 21 Oct 2065 07:28:00 GMT',
        'x-amz-meta-place': 'Bern',
      });
      expect(await copy({ [name]: finding })).toMatchObject({ detail: 'md5' });
    },
  );

  it('leaves out the headers alone that it would refuse', async () => {
    given({ 'x-amz-meta-place': 'Z\xfcrich', 'x-amz-meta-title': 'lake' });
    expect(await copy({ 'metadata-latin1': refused })).toMatchObject({
      detail: 'md5; lost: metadata',
    });
    expect(arrived()?.headers).toMatchObject({ 'x-amz-meta-title': 'lake' });
    expect(arrived()?.headers).not.toHaveProperty('x-amz-meta-place');
  });

  it('lets an object fail for a redirect that it must keep, before anything is written', async () => {
    given({ 'x-amz-website-redirect-location': '/there' });
    const redirect = dropped('x-amz-website-redirect-location');
    expect(await copy({ 'website-redirect': redirect })).toMatchObject({
      detail: 'md5; lost: redirect',
    });
    servers.destination.bucket.delete(key);
    const onLoss: CopyPolicy['onLoss'] = { ...DEFAULT_POLICY.onLoss, redirect: 'fail' };
    expect(await copy({ 'website-redirect': redirect }, { onLoss })).toMatchObject({
      failure: {
        code: 'loss-redirect',
        message:
          'not copied, because it would lose its redirect (the destination does not keep it)',
      },
    });
    expect(arrived()).toBeUndefined();
  });
});

it('tells of metadata that the source itself cannot show', async () => {
  servers.source.bucket.put(key, { body, headers: { 'x-amz-missing-meta': '2' } });
  expect(await servers.copy(key)).toMatchObject({ detail: 'md5; lost: metadata' });
});

it('sends no Content-Type where the source tells none', async () => {
  servers.source.bucket.put(key, { body, headers: {} });
  await servers.copy(key);
  const [put] = servers.destination.script.requests.filter(({ method }) => method === 'PUT');
  expect(put?.headers.has('content-type')).toBe(false);
});

it('leaves a refusal that is about nothing that was sent along what it is', async () => {
  servers.source.bucket.put(key, { body, headers: HEADERS, tags: TAGS });
  servers.destination.script
    .on('PutObject')
    .status(400, { code: 'InvalidArgument', message: 'The ETag is not valid' });
  expect(await servers.copy(key)).toMatchObject({
    kind: 'failed',
    failure: { code: 'InvalidArgument', attempts: 1 },
  });
});

it('goes without what the store names as the reason, and keeps the rest', async () => {
  servers.source.bucket.put(key, { body, headers: HEADERS, tags: TAGS });
  servers.destination.script
    .on('PutObject')
    .where(({ headers }) => headers.has('x-amz-website-redirect-location'))
    .alter((answer) => ({
      ...answer,
      body: Buffer.from(
        '<Error><Code>NotImplemented</Code><Message>A header you provided implies functionality that is not implemented</Message><Header>x-amz-website-redirect-location</Header></Error>',
      ),
    }))
    .status(501);
  expect(await servers.copy(key)).toMatchObject({ detail: 'md5; lost: redirect' });
  expect(arrived()?.tags).toEqual(TAGS);
});

it('stops the run when nothing is left to go without, and the write is still not implemented', async () => {
  servers.source.bucket.put(key, { body, headers: HEADERS, tags: TAGS });
  servers.destination.script.on('PutObject').status(501, { code: 'NotImplemented' });
  await expect(servers.copy(key)).rejects.toMatchObject({ exitCode: 3 });
  expect(servers.destination.script.count('PutObject')).toBe(3);
});

describe('what a refusal is about', () => {
  const offered = [
    ['x-amz-tagging', 'a=b'],
    ['x-amz-object-lock-legal-hold', 'ON'],
  ] as const;
  const about = (status: number, code: string, message: string, named?: string) =>
    refusedBelonging(
      new TransferError(
        'destination',
        new StoreError(message, {
          kind: 'refused',
          code,
          status,
          mayHaveLanded: false,
          about: named,
        }),
      ),
      offered,
    );

  it('is told by the header that the store names', () => {
    const notImplemented = 'A header you provided implies functionality that is not implemented';
    expect(about(501, 'NotImplemented', notImplemented, 'x-amz-object-lock-legal-hold')).toBe(
      'lock',
    );
    expect(about(501, 'NotImplemented', notImplemented, 'If-None-Match')).toBeUndefined();
    expect(about(501, 'NotImplemented', notImplemented)).toBe('tags');
  });

  it('is not told by a key that a denial quotes', () => {
    const denied =
      'not authorized to perform: s3:PutObject on resource: "arn:aws:s3:::b/tags/lock"';
    expect(about(403, 'AccessDenied', denied)).toBeUndefined();
    expect(about(403, 'AccessDenied', 'not authorized: s3:PutObjectLegalHold')).toBe('lock');
  });

  it('is nothing that was not sent', () => {
    expect(about(400, 'InvalidStorageClass', 'no such class')).toBeUndefined();
    expect(about(503, 'SlowDown', 'too many tags at once')).toBeUndefined();
  });
});

it('writes any tags so that a server reads the same', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 12 });
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(text, text), { selector: ([name]) => name, maxLength: 10 }),
      (tags) => {
        expect(tagsFromHeader(taggingHeader(new Map(tags)))).toEqual(new Map(tags));
      },
    ),
  );
});

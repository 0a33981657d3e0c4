/**
 * What proves that the destination has the source's bytes, what is done where nothing does, and what becomes
 * of an object that is found wrong when it is there already.
 */
import { hash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keyFromText } from '../../src/object-key.ts';
import { CHECKSUMS, type ChecksumName } from '../../src/s3-server/checksums.ts';
import { type CopyContext, newCopyState } from '../../src/transfer/copy-context.ts';
import { isBetterWhole } from '../../src/transfer/object-proof.ts';
import type { FaultScript } from '../support/fault-script.ts';
import { probedPolicy, VERIFIED } from './sound-store.ts';
import { NOW, startTwoServers, type TwoServers } from './two-servers.ts';

const lake = keyFromText('2019/lake.jpg');
const others = Buffer.from('what another client wrote');
const short = Buffer.from('a small lake');
/** Long enough to pass through. */
const long = Buffer.alloc(600_001, 'a lake of still water, running deep. ');
/** The servers' clocks go on, where that of these tests stands still. */
const NO_DELETE_CONDITION = {
  deleteCondition: { kind: 'ignored' },
  clock: { kind: 'unknown', reason: 'not asked' },
} as const;
const checksum = (name: ChecksumName, body: Buffer) => CHECKSUMS[name](body).toString('base64');

let servers: TwoServers;
let destination: FaultScript;
beforeEach(async () => {
  servers = await startTwoServers();
  destination = servers.destination.script;
});
afterEach(async () => {
  expect(servers.destination.bucket.uploads()).toEqual([]);
  await servers.close();
});

const arrived = () => servers.destination.bodyOf(lake);
const copy = (changes: Partial<CopyContext> = {}) =>
  servers.copy(lake, { policy: probedPolicy(), ...changes });
const copyProven = (changes: Partial<CopyContext> = {}) =>
  copy({ policy: probedPolicy({}, { requireProof: true }), ...changes });
const noProof = (message: string) => ({
  kind: 'failed',
  failure: {
    code: 'no-proof',
    attempts: 1,
    side: 'source',
    message: expect.stringContaining(message),
  },
});

describe.each([
  ['collected', short],
  ['passed through', long],
])('an object without an MD5, %s,', (_, body) => {
  const putWith = (name: ChecksumName, value = checksum(name, body)): void => {
    const checksums = { [`x-amz-checksum-${name}`]: value };
    servers.source.bucket.put(lake, { body, etag: 'kms', checksums });
  };

  it.each<ChecksumName>(['sha256', 'crc64nvme', 'sha1', 'crc32c', 'crc32'])(
    'is sent with its %s, for the destination to verify',
    async (name) => {
      putWith(name);
      expect(await copy()).toMatchObject({ kind: 'copied', detail: name });
      expect(arrived()?.equals(body)).toBe(true);
      const put = destination.requests.find(({ operation }) => operation === 'PutObject');
      expect(put?.headers.get(`x-amz-checksum-${name}`)).toBe(checksum(name, body));
      expect(put?.headers.has('content-md5')).toBe(false);
    },
  );

  it('passes the demand for a proof by it', async () => {
    putWith('sha256');
    expect(await copyProven()).toMatchObject({ kind: 'copied', detail: 'sha256' });
  });

  it.each<[string, CopyContext['policy']]>([
    ['verify it', probedPolicy({ putDigests: { ...VERIFIED, crc64nvme: { kind: 'ignored' } } })],
    ['be known to verify it', { ...probedPolicy(), capabilities: undefined }],
  ])('is sent with an MD5 of its own to a destination that does not %s', async (__, policy) => {
    putWith('crc64nvme');
    expect(await copy({ policy })).toMatchObject({ kind: 'copied', detail: 'length-only' });
    expect(arrived()?.equals(body)).toBe(true);
  });

  it('has failed when its content does not fit its checksum', async () => {
    putWith('crc64nvme', checksum('crc64nvme', others));
    expect(await copy()).toMatchObject({ kind: 'failed', failure: { code: 'BadDigest' } });
    expect(arrived()).toBeUndefined();
  });

  it('is known again by its checksum when the answer is lost', async () => {
    putWith('sha256');
    destination.on('PUT').loseAnswer().times(1);
    const found = { kind: 'copied', detail: 'found after a lost answer' };
    expect(await copy()).toMatchObject(found);
  });

  it('is not taken for one of the same length when the answer is lost', async () => {
    putWith('sha256');
    const other = Buffer.alloc(body.length, 'x');
    const checksums = { 'x-amz-checksum-sha256': checksum('sha256', other) };
    destination
      .on('PUT')
      .before(() => servers.destination.bucket.put(lake, { body: other, checksums }))
      .loseAnswer()
      .times(1);
    expect(await copy()).toMatchObject({ kind: 'skipped-upload' });
  });
});

describe('a checksum of an object', () => {
  it.each<[string, Record<string, string>]>([
    ['that has the number of parts behind it', { 'x-amz-checksum-sha256': 'AAAA-2' }],
    [
      'of type COMPOSITE',
      { 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-checksum-type': 'COMPOSITE' },
    ],
  ])('%s is not one of its content', async (_, checksums) => {
    servers.source.bucket.put(lake, { body: short, etag: 'kms', checksums });
    expect(await copy()).toMatchObject({ kind: 'copied', detail: 'length-only' });
  });

  it('of parts without a word of its type is not one of its content', async () => {
    const checksums = { 'x-amz-checksum-crc32': 'AAAAAA==' };
    servers.source.bucket.put(lake, { body: short, partBytes: 5, checksums });
    expect(await copy()).toMatchObject({ kind: 'copied', detail: 'length-only' });
  });
});

describe('with --require-proof, an object', () => {
  it.each([
    ['collected', short],
    ['copied in parts', Buffer.alloc(17 * 1024 ** 2, 'water ')],
  ])(
    'of which only the length could be compared is never at the destination: %s',
    async (_, body) => {
      servers.source.bucket.put(lake, { body, etag: 'kms' });
      expect(await copyProven()).toMatchObject(noProof('nothing but its length'));
      expect(destination.requests.filter(({ method }) => method !== 'HEAD')).toEqual([]);
    },
  );

  it('that is empty is proven by that', async () => {
    servers.source.bucket.put(lake, { body: Buffer.alloc(0), etag: 'kms' });
    expect(await copyProven()).toMatchObject({ kind: 'copied', detail: 'md5' });
  });

  it('with an MD5 is not copied in parts, which would prove less', async () => {
    servers.source.bucket.put(lake, { body: long });
    const inParts = { multipartThresholdBytes: 1000 };
    expect(await copyProven(inParts)).toMatchObject({ kind: 'copied', detail: 'md5' });
    expect(destination.count('PutObject')).toBe(1);
  });

  it.each([
    [5 * 1024 ** 3, true],
    [5 * 1024 ** 3 + 1, false],
  ])('with an MD5, of %i bytes, goes in one PUT as long as S3 takes such: %s', (bytes, isWhole) => {
    const etag = hash('md5', 'water');
    const object = { bytes, etag, etagMayBeMd5: true, lastModified: '', metadata: [] };
    const context = servers.context({ policy: probedPolicy({}, { requireProof: true }) });
    expect(isBetterWhole(object, context, newCopyState())).toBe(isWhole);
  });

  it('of parts is proven by its ETag', async () => {
    servers.source.bucket.put(lake, { body: long, partBytes: long.length });
    expect(await copyProven()).toMatchObject({ kind: 'copied', detail: 'etag-parts' });
  });

  it('whose parts make another ETag is not made of them', async () => {
    servers.source.bucket.put(lake, {
      body: long,
      partBytes: long.length,
      etag: `${'f00d'.repeat(8)}-1`,
    });
    expect(await copyProven()).toMatchObject({ failure: { code: 'no-proof', attempts: 2 } });
    expect(destination.count('CompleteMultipartUpload')).toBe(0);
    expect(arrived()).toBeUndefined();
  });

  it('of parts is not begun where the destination’s ETags tell nothing', async () => {
    servers.source.bucket.put(lake, { body: long, partBytes: long.length });
    const policy = probedPolicy(
      { multipartEtag: { kind: 'no', answer: 'r2-1' } },
      { requireProof: true },
    );
    expect(await copy({ policy })).toMatchObject(noProof('not made of MD5s'));
    expect(destination.count('CreateMultipartUpload')).toBe(0);
  });

  it('of parts is removed again where the destination gives it another ETag', async () => {
    servers.source.bucket.put(lake, { body: long, partBytes: long.length });
    const policy = probedPolicy(
      {
        multipartEtag: { kind: 'unknown', reason: 'not asked' },
        ...NO_DELETE_CONDITION,
      },
      { requireProof: true },
    );
    const random = `${'f00d'.repeat(8)}-1`;
    destination.on('CompleteMultipartUpload').alter((answer) => ({
      ...answer,
      body: Buffer.from(answer.body.toString().replace(/[0-9a-f]{32}-1/, random)),
    }));
    destination.on('HEAD').etag(random);
    expect(await copy({ policy })).toMatchObject({ failure: { code: 'no-proof' } });
    expect(arrived()).toBeUndefined();
  });
});

describe('an ETag that is no MD5 by the probe', () => {
  it('is not held against one', async () => {
    servers.source.bucket.put(lake, { body: short });
    destination.on('PUT').etag('f00d'.repeat(8));
    const policy = probedPolicy({ etagIsMd5: { kind: 'no', answer: 'f00d' } });
    expect(await copy({ policy })).toMatchObject({ kind: 'copied', detail: 'md5' });
  });
});

describe('an object that is found wrong when it is there', () => {
  const policyWithout = probedPolicy(NO_DELETE_CONDITION);
  const wrongOnes = () => destination.on('PutObject').ignoreHeaders('content-md5').corruptUpload(2);
  const failedFor = (message: string, attempts = 1) => ({
    kind: 'failed',
    failure: { code: 'wrong-etag', attempts, message: expect.stringContaining(message) },
  });
  beforeEach(() => {
    servers.source.bucket.put(lake, { body: short });
  });

  it('is removed by a conditional DELETE, and copied once more', async () => {
    wrongOnes().times(1);
    expect(await copy()).toMatchObject({ kind: 'copied', detail: 'md5' });
    expect(arrived()).toEqual(short);
    const deletes = destination.requests.filter(({ method }) => method === 'DELETE');
    expect(deletes).toMatchObject([{ status: 204 }]);
    expect(deletes[0]?.headers.get('if-match')).toMatch(/^"[0-9a-f]{32}"$/);
    expect(servers.counters.retries).toBe(1);
    expect(servers.warnings).toEqual([]);
  });

  it('for the second time has failed, and is not there', async () => {
    wrongOnes();
    expect(await copy()).toMatchObject(failedFor('acknowledged ETag', 2));
    expect(arrived()).toBeUndefined();
    expect(destination.count('PutObject')).toBe(2);
  });

  it('is looked at before, and the operator told, where a DELETE heeds no condition', async () => {
    wrongOnes().times(1);
    expect(await copy({ policy: policyWithout })).toMatchObject({ kind: 'copied' });
    expect(destination.requests.map(({ operation }) => operation)).toEqual([
      'PutObject',
      'HeadObject',
      'DeleteObject',
      'PutObject',
    ]);
    expect(servers.warnings).toEqual([
      expect.stringMatching(
        /^removing 2019\/lake\.jpg from the destination again: .*another client/,
      ),
    ]);
  });

  it.each<[string, CopyContext['policy'], 'HEAD' | 'DELETE']>([
    ['before the conditional DELETE', probedPolicy(), 'DELETE'],
    ['before the look', policyWithout, 'HEAD'],
  ])('is left alone when another client has overwritten it %s', async (_, policy, method) => {
    wrongOnes();
    destination.on(method).before(() => servers.destination.bucket.put(lake, { body: others }));
    expect(await copy({ policy })).toMatchObject(failedFor('left alone'));
    expect(arrived()).toEqual(others);
  });

  it('is left alone when the same was written later than ours', async () => {
    wrongOnes();
    destination.on('HEAD').header('last-modified', new Date(NOW + 3_000).toUTCString());
    const policy = probedPolicy({
      deleteCondition: { kind: 'ignored' },
      clock: { kind: 'measured', aheadMs: 0 },
    });
    expect(await copy({ policy })).toMatchObject(failedFor('left alone'));
    expect(destination.count('DELETE')).toBe(0);
  });

  it('and may not be removed is told of, and has failed', async () => {
    wrongOnes();
    destination.on('DELETE').status(403, { code: 'AccessDenied' });
    expect(await copy()).toMatchObject(failedFor('still there'));
    expect(servers.warnings).toEqual([
      expect.stringMatching(/^2019\/lake\.jpg is left at the destination although .*AccessDenied/),
    ]);
    expect(hash('md5', arrived() as Buffer)).not.toBe(hash('md5', short));
  });

  it('is removed when the destination is busy for a while', async () => {
    wrongOnes().times(1);
    destination.on('DELETE').status(503).times(2);
    expect(await copy()).toMatchObject({ kind: 'copied' });
    expect(arrived()).toEqual(short);
  });
});

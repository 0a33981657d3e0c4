/**
 * The copy of one object that fits in memory: what every answer and every fault of the two stores
 * leads to. Rows S1 to S16 and T1 to T15 of the fault list, as far as they concern one request.
 */
import { hash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keyFromText, type ObjectKey } from '../../src/object-key.ts';
import { type GetOptions, type ObjectStore, StoreError } from '../../src/s3/object-store.ts';
import { DEFAULT_POLICY } from '../../src/transfer/copy-policy.ts';
import { MemoryBudget } from '../../src/transfer/memory-budget.ts';
import { TIME_LIMITS } from '../../src/wire/connection.ts';
import type { FaultRule, FaultScript } from '../support/fault-script.ts';
import { probedPolicy } from './sound-store.ts';
import {
  failureOf,
  otherObjectAt,
  startSide,
  startTwoServers,
  type TwoServers,
} from './two-servers.ts';

const lake = keyFromText('2019/lake.jpg');
const river = keyFromText('2019/river.jpg');
const others = Buffer.from('what another client wrote');

describe.each([
  ['collected', Buffer.from('still water runs deep')],
  ['passed through', Buffer.alloc(600_001, 'still water runs deep ')],
])('copying an object that is %s', (way, body) => {
  const etag = hash('md5', body);

  let servers: TwoServers;
  let source: FaultScript;
  let destination: FaultScript;
  beforeEach(async () => {
    servers = await startTwoServers();
    source = servers.source.script;
    destination = servers.destination.script;
    servers.source.bucket.put(lake, { body });
    servers.source.bucket.put(river, { body: Buffer.from('flowing water') });
  });
  afterEach(() => servers.close());

  const arrived = () => servers.destination.bodyOf(lake);
  const copied = (detail = 'md5') => ({
    kind: 'copied',
    key: lake,
    bytes: body.length,
    etag,
    detail,
  });
  const failed = (failure: object) => failureOf(lake, failure);
  const exists = otherObjectAt(lake);

  describe('an object', () => {
    it('is copied with one GET and one conditional PUT, proven by the ETag of the source', async () => {
      expect(await servers.copy(lake)).toEqual(copied());
      expect(arrived()?.equals(body)).toBe(true);
      expect(source.requests.map(({ operation }) => operation)).toEqual(['GetObject']);
      expect(destination.requests).toMatchObject([{ operation: 'PutObject', status: 200 }]);
      const sent = destination.requests[0]?.headers;
      expect(sent?.get('if-none-match')).toBe('*');
      expect(sent?.get('content-md5')).toBe(Buffer.from(etag, 'hex').toString('base64'));
      expect(servers.counters).toMatchObject({
        downloaded: 1,
        downloadedBytes: body.length,
        uploadedBytes: body.length,
        retries: 0,
      });
    });

    it('takes its metadata along, byte for byte', async () => {
      const headers = {
        'content-type': 'image/jpeg',
        'content-encoding': 'gzip',
        'cache-control': 'max-age=1',
        expires: '0',
        'x-amz-meta-place': 'Z\xc3\xbcrich',
      };
      servers.source.bucket.put(lake, { body, headers });
      await servers.copy(lake);
      expect(servers.destination.bucket.get(lake)?.headers).toEqual(headers);
    });

    it('may be empty', async () => {
      servers.source.bucket.put(lake, { body: Buffer.alloc(0) });
      expect(await servers.copy(lake)).toMatchObject({ kind: 'copied', bytes: 0 });
      expect(arrived()).toEqual(Buffer.alloc(0));
    });

    it('whose ETag is of parts, though small, is sent with an MD5 of its own', async () => {
      servers.source.bucket.put(lake, { body, partBytes: 10 });
      expect(await servers.copy(lake)).toEqual(copied('length-only'));
      expect(destination.requests[0]?.headers.has('content-md5')).toBe(true);
    });

    it('without an ETag is copied too', async () => {
      source.on('GET').header('etag', undefined);
      expect(await servers.copy(lake)).toEqual(copied('length-only'));
    });

    it('that is not in the source is skipped, without a retry', async () => {
      const missing = keyFromText('missing');
      expect(await servers.copy(missing)).toEqual({
        kind: 'skipped-download',
        key: missing,
        detail: 'NoSuchKey',
      });
      expect(source.requests).toHaveLength(1);
      expect(destination.requests).toEqual([]);
    });

    it('that the destination has already is skipped, and stays as it is', async () => {
      servers.destination.bucket.put(lake, { body: others });
      expect(await servers.copy(lake)).toEqual(exists);
      expect(arrived()).toEqual(others);
      expect(destination.requests.map(({ operation }) => operation)).toEqual([
        'PutObject',
        'HeadObject',
      ]);
    });

    it('that the destination has already is skipped, also where it may not be looked at', async () => {
      servers.destination.bucket.put(lake, { body: others });
      destination.on('HEAD', lake).status(403, { code: 'AccessDenied' });
      expect(await servers.copy(lake)).toEqual({ ...exists, detail: 'exists' });
    });

    it('that the destination refuses as existing but does not show has failed: nothing is lost silently', async () => {
      destination.on('PUT', lake).status(412, { code: 'PreconditionFailed' });
      expect(await servers.copy(lake)).toEqual(
        failed({ code: 'exists-but-not-shown', status: 404, side: 'destination', attempts: 4 }),
      );
      expect(arrived()).toBeUndefined();
    });

    it('that the destination has already is skipped although it is the same', async () => {
      servers.destination.bucket.put(lake, { body });
      expect(await servers.copy(lake)).toEqual({ ...exists, detail: 'exists-same' });
    });

    it('that the destination has as long, with an ETag that tells nothing, may be the same', async () => {
      servers.destination.bucket.put(lake, { body });
      destination.on('HEAD', lake).etag('0x8DA');
      expect(await servers.copy(lake)).toEqual({ ...exists, detail: 'exists-same-length' });
    });

    it.each([
      ['etagIsMd5', {}],
      ['multipartEtag', { partBytes: 5 * 1024 ** 2 }],
    ] as const)(
      'that the destination has under an ETag that its store makes up may be the same (%s)',
      async (finding, parts) => {
        const policy = probedPolicy({ [finding]: { kind: 'no', answer: 'made up' } });
        const madeUp = `${'f00d'.repeat(8)}${finding === 'multipartEtag' ? '-1' : ''}`;
        servers.source.bucket.put(lake, { body, ...parts });
        servers.destination.bucket.put(lake, { body, etag: madeUp });
        expect(await servers.copy(lake, { policy })).toEqual({
          ...exists,
          detail: 'exists-same-length',
        });
      },
    );

    it('that the destination has already is not looked at with --no-skip-detail, where nothing is lost by that', async () => {
      const spared = { skipDetail: false };
      servers.destination.bucket.put(lake, { body });
      const keys = (['beside-folder', 'above-key'] as const).map((rule) => ({
        rule,
        handling: { kind: 'kept' as const },
      }));
      const probed = probedPolicy({ keys }, { skipDetail: false });
      expect(await servers.copy(lake, { policy: probed })).toEqual({
        ...exists,
        detail: 'exists',
      });
      expect(destination.count('HEAD')).toBe(0);
      // Of a destination that is not known to tell keys from folders.
      const policy = { ...DEFAULT_POLICY, ...spared };
      expect(await servers.copy(lake, { policy })).toEqual({ ...exists, detail: 'exists-same' });
    });

    it('whose key the destination keeps under another name is neither read nor written', async () => {
      const lead = keyFromText('/lead');
      servers.source.bucket.put(lead, { body });
      const handling = { kind: 'alias' as const, sent: lead, of: keyFromText('lead') };
      const policy = probedPolicy({ keys: [{ rule: 'leading-slash', handling }] });
      expect(await servers.copy(lead, { policy })).toMatchObject({
        kind: 'failed',
        failure: {
          code: 'key-not-kept',
          side: 'destination',
          attempts: 0,
          message: expect.stringContaining('"/lead" as "lead"'),
        },
      });
      expect(source.requests).toEqual([]);
      expect(destination.requests).toEqual([]);
    });

    it('is looked for first with --if-exists head', async () => {
      const policy = { ...DEFAULT_POLICY, ifExists: 'head' as const };
      servers.destination.bucket.put(lake, { body: others });
      expect(await servers.copy(lake, { policy })).toEqual(exists);
      expect(source.requests.map(({ operation }) => operation)).toEqual(['HeadObject']);
      servers.destination.bucket.delete(lake);
      expect(await servers.copy(lake, { policy })).toEqual(copied());
    });

    it('is not compared with --if-exists head where that is spared, or the source does not tell', async () => {
      servers.destination.bucket.put(lake, { body: others });
      const policy = { ...DEFAULT_POLICY, ifExists: 'head' as const };
      const notCompared = { ...exists, detail: 'exists' };
      const spared = { ...policy, skipDetail: false };
      expect(await servers.copy(lake, { policy: spared })).toEqual(notCompared);
      expect(source.requests).toEqual([]);
      source.on('HEAD').status(403, { code: 'AccessDenied' });
      expect(await servers.copy(lake, { policy })).toEqual(notCompared);
    });
  });

  describe('the source', () => {
    it.each(['close', 'reset'] as const)(
      'ends the content too soon once (%s): the object is read again',
      async (ending) => {
        source.on('GET').truncateAt(5, ending).times(1);
        expect(await servers.copy(lake)).toEqual(copied());
        expect(arrived()?.equals(body)).toBe(true);
        expect(servers.counters).toMatchObject({ retries: 1, downloaded: 1 });
      },
    );

    it('ends the content too soon for ever: the object fails, nothing is stored', async () => {
      source.on('GET').truncateAt(5);
      expect(await servers.copy(lake)).toEqual(
        failed({ code: 'closed', status: 0, attempts: 4, side: 'source' }),
      );
      expect(arrived()).toBeUndefined();
      // What was begun there was broken off before it could be answered.
      expect(destination.requests.filter(({ status }) => status !== undefined)).toEqual([]);
      expect(servers.counters).toMatchObject({ retries: 3, downloaded: 0 });
      expect(servers.waits).toEqual([50, 100, 200]);
    });

    it.each<[string, (rule: FaultRule) => void]>([
      ['before the answer', (rule) => rule.hang()],
      ['in the middle of the content', (rule) => rule.stallAt(5)],
    ])('falls silent %s: the wait has an end, and the object is read again', async (_, silence) => {
      const limits = { ...TIME_LIMITS, firstByteMs: 200, idleMs: 200 };
      const impatient = await startSide({}, limits);
      impatient.bucket.put(lake, { body });
      silence(impatient.script.on('GET').times(1));
      expect(await servers.copy(lake, { source: impatient.store })).toEqual(copied());
      expect(servers.counters.retries).toBe(1);
      await impatient.close();
    });

    it('ends the content too soon: not even a store that keeps truncated objects has one', async () => {
      destination.keepTruncated();
      source.on('GET').truncateAt(body.length - 1);
      expect(await servers.copy(lake)).toEqual(failed({ code: 'closed' }));
      await servers.destination.store.headBucket();
      expect(arrived()).toBeUndefined();
    });

    it('sends more than it declares: the excess is dropped, the digest tells', async () => {
      source.on('GET').declareLength(5).times(1);
      expect(await servers.copy(lake)).toEqual(copied());
      expect(arrived()?.equals(body)).toBe(true);
    });

    it.each(['chunked', 'until-close'] as const)(
      'sends no length (%s): nothing of it is trusted',
      async (framing) => {
        source.on('GET').withoutLength(framing);
        expect(await servers.copy(lake)).toEqual(failed({ code: 'no-length', side: 'source' }));
        expect(destination.requests).toEqual([]);
      },
    );

    it('gives less than the object in a well-formed answer, once', async () => {
      source.on('GET').shorten(5).times(1);
      expect(await servers.copy(lake)).toEqual(copied());
      expect(arrived()?.equals(body)).toBe(true);
    });

    it('gives less than the object in a well-formed answer, for ever', async () => {
      source.on('GET').shorten(5);
      expect(await servers.copy(lake)).toEqual(
        failed({ code: 'source-truncated', side: 'source', attempts: 4 }),
      );
      expect(arrived()).toBeUndefined();
    });

    it('flips a bit once: the digest tells', async () => {
      source.on('GET').corrupt(3).times(1);
      expect(await servers.copy(lake)).toEqual(copied());
      expect(arrived()?.equals(body)).toBe(true);
    });

    it('flips another bit each time: the object fails, nothing is stored', async () => {
      for (let at = 0; at < 9; at++) source.on('GET').corrupt(at).times(1);
      expect(await servers.copy(lake)).toEqual(failed({ code: 'BadDigest', status: 400 }));
      expect(arrived()).toBeUndefined();
    });

    it('answers with a web page: nothing of it is trusted', async () => {
      source.on('GET').alter(() => ({
        status: 200,
        headers: { 'content-type': 'text/html' },
        body: Buffer.from('<html>Please log in</html>'),
      }));
      expect(await servers.copy(lake)).toEqual(failed({ code: 'no-etag', status: 200 }));
      expect(destination.requests).toEqual([]);
    });

    it('answers 404 with a web page: the object is not taken for missing', async () => {
      source.on('GET').alter(() => ({
        status: 404,
        headers: { 'content-type': 'text/html' },
        body: Buffer.from('<html>Not here</html>'),
      }));
      expect(await servers.copy(lake)).toEqual(failed({ code: 'HTTP 404', status: 404 }));
    });

    it.each([
      ['AccessDenied', 403],
      ['InvalidObjectState', 403],
      ['InvalidRequest', 400],
      ['PermanentRedirect', 301],
      ['TemporaryRedirect', 307],
      ['NotImplemented', 501],
    ])('refuses with %s: the object fails at once', async (code, status) => {
      source.on('GET').status(status, { code, message: 'no' });
      expect(await servers.copy(lake)).toEqual(
        failed({ code, status, attempts: 1, message: 'no', side: 'source' }),
      );
      expect(source.requests).toHaveLength(1);
    });

    it.each([
      [500, 'InternalError'],
      [502, 'BadGateway'],
      [503, 'SlowDown'],
      [504, 'GatewayTimeout'],
      [429, 'TooManyRequests'],
    ])('is out of order for a while (%i %s): the object is copied later', async (status, code) => {
      source.on('GET').status(status, { code }).times(3);
      expect(await servers.copy(lake)).toEqual(copied());
      expect(servers.counters.retries).toBe(3);
    });

    it('asks for a wait: it is waited, up to the cap', async () => {
      source.on('GET').status(503, { retryAfter: 1 }).times(1);
      source.on('GET').status(503, { retryAfter: 1_000_000_000 }).times(1);
      source.on('GET').status(503, { retryAfter: 'rubbish' }).times(1);
      expect(await servers.copy(lake)).toEqual(copied());
      expect(servers.waits).toEqual([1000, 1000, 200]);
    });

    it('has lost its bucket: the run stops', async () => {
      source.on('GET').status(404, { code: 'NoSuchBucket' });
      await expect(servers.copy(lake)).rejects.toMatchObject({
        name: 'MigrateError',
        exitCode: 3,
        message: expect.stringMatching(/^the source says that the bucket does not exist/),
      });
    });

    it('cannot be reached: the object fails after its attempts', async () => {
      const gone = await startSide();
      await gone.server.close();
      expect(await servers.copy(lake, { source: gone.store })).toEqual(
        failed({ code: 'connect-failed', status: 0, attempts: 4 }),
      );
      gone.store.close();
    });
  });

  describe('an ETag in the form of an MD5 that is none', () => {
    const odd = 'f00d'.repeat(8);

    it('is found out by reading the object twice, and once more in two ranges', async () => {
      servers.source.bucket.put(lake, { body, etag: odd });
      expect(await servers.copy(lake)).toEqual(copied('length-only'));
      const ranges = source.requests.filter(({ headers }) => headers.has('range'));
      expect(ranges).toHaveLength(2);
      // What was passed through has to be read once more to be hashed.
      expect(source.count('GetObject')).toBe(2 + (way === 'collected' ? 3 : 5));
      expect(source.count('HeadObject')).toBe(1);
    });

    it('is found out once for all objects', async () => {
      servers.source.bucket.put(lake, { body, etag: odd });
      servers.source.bucket.put(river, { body: Buffer.from('flowing water'), etag: odd });
      const context = { learnt: servers.context().learnt };
      await servers.copy(lake, context);
      await servers.copy(river, context);
      expect(source.count('GetObject', river)).toBe(1);
      expect(destination.count('PutObject', river)).toBe(1);
    });

    it('does not discredit the others once one of them was proven', async () => {
      servers.source.bucket.put(lake, { body, etag: odd });
      const context = { learnt: servers.context().learnt };
      expect(await servers.copy(river, context)).toMatchObject({ detail: 'md5' });
      expect(await servers.copy(lake, context)).toEqual(copied('length-only'));
      expect(context.learnt).toEqual({ sourceEtags: 'md5' });
    });

    it('discredits the others only until one of them is proven', async () => {
      servers.source.bucket.put(lake, { body, etag: odd });
      const context = { learnt: servers.context().learnt };
      await servers.copy(lake, context);
      expect(context.learnt).toEqual({ sourceEtags: 'other' });
      expect(await servers.copy(river, context)).toMatchObject({ detail: 'md5' });
      expect(context.learnt).toEqual({ sourceEtags: 'md5' });
    });

    it('is not suspected when the bytes changed on the way to the destination', async () => {
      destination.on('PUT').corruptUpload(2).times(3);
      expect(await servers.copy(lake)).toEqual(copied());
      expect(arrived()?.equals(body)).toBe(true);
      expect(source.count('HeadObject')).toBe(0);
    });
  });

  describe('the destination', () => {
    it('gets other bytes than were sent, for ever: the object fails, nothing is stored', async () => {
      destination.on('PUT').corruptUpload(2);
      expect(await servers.copy(lake)).toEqual(
        failed({ code: 'BadDigest', status: 400, attempts: 4, side: 'destination' }),
      );
      expect(arrived()).toBeUndefined();
    });

    it('acknowledges another ETag: the object has failed, loudly', async () => {
      destination.on('PUT').etag('f00d'.repeat(8));
      expect(await servers.copy(lake)).toEqual(
        failed({ code: 'wrong-etag', status: 200, attempts: 1, side: 'destination' }),
      );
      expect(servers.counters.uploadedBytes).toBe(0);
    });

    it.each([
      ['an ETag that is no MD5', 'etag', '"0x8D"'],
      ['an encryption that changes the ETag', 'x-amz-server-side-encryption', 'aws:kms'],
    ])('acknowledges with %s: the digest was proof enough', async (_, header, value) => {
      destination.on('PUT').header(header, value);
      expect(await servers.copy(lake)).toMatchObject({ kind: 'copied', detail: 'md5' });
    });

    it.each(['close', 'reset'] as const)(
      'stores the object and loses the answer (%s): it is counted once, as copied',
      async (ending) => {
        destination.on('PUT').loseAnswer(ending).times(1);
        expect(await servers.copy(lake)).toEqual(copied('found after a lost answer'));
        expect(destination.requests.map(({ method }) => method)).toEqual(['PUT', 'HEAD']);
        expect(servers.counters).toMatchObject({ uploadedBytes: body.length, retries: 0 });
      },
    );

    it('fails in the middle of storing (500) although it has stored', async () => {
      destination
        .on('PUT')
        .alter((answer) => ({ ...answer, status: 500, headers: {} }))
        .times(1);
      expect(await servers.copy(lake)).toEqual(copied('found after a lost answer'));
    });

    it('loses an answer, and another client was there: that one is left alone', async () => {
      destination
        .on('PUT')
        .before(() => servers.destination.bucket.put(lake, { body: others }))
        .loseAnswer()
        .times(1);
      expect(await servers.copy(lake)).toEqual(exists);
      expect(arrived()).toEqual(others);
    });

    it('loses an answer, and another client wrote as many bytes: it is not taken for ours', async () => {
      destination
        .on('PUT')
        .loseAnswer()
        .after(() => servers.destination.bucket.put(lake, { body: Buffer.alloc(body.length, 'x') }))
        .times(1);
      expect(await servers.copy(lake)).toEqual(exists);
    });

    it('loses an answer, and the object is deleted before it is looked at: it is sent again', async () => {
      destination.on('PUT').loseAnswer().times(1);
      destination
        .on('HEAD')
        .before(() => servers.destination.bucket.delete(lake))
        .times(1);
      expect(await servers.copy(lake)).toEqual(copied());
      expect(arrived()?.equals(body)).toBe(true);
    });

    it('loses every answer: the last look finds the object', async () => {
      destination.on('PUT').loseAnswer();
      expect(await servers.copy(lake, { retry: { ...servers.retry, maxAttempts: 1 } })).toEqual(
        copied('found after a lost answer'),
      );
    });

    it('is cut off for good: the object fails', async () => {
      destination.on('PUT').disconnect();
      destination.on('HEAD').disconnect();
      expect(await servers.copy(lake)).toEqual(
        failed({ code: 'closed', attempts: 4, side: 'destination' }),
      );
      expect(servers.counters).toMatchObject({ downloaded: 1, downloadedBytes: 4 * body.length });
    });

    it('tells of a conflict once: the object is sent again', async () => {
      destination.on('PUT').status(409, { code: 'ConditionalRequestConflict' }).times(1);
      expect(await servers.copy(lake)).toEqual(copied());
    });

    it('tells of a conflict for ever: the object fails', async () => {
      destination.on('PUT').status(409, { code: 'ConditionalRequestConflict' });
      expect(await servers.copy(lake)).toEqual(
        failed({ code: 'ConditionalRequestConflict', status: 409, attempts: 4 }),
      );
    });

    it('tells of a conflict because another client won: the object is skipped, at once', async () => {
      servers.destination.bucket.put(lake, { body: others });
      destination.on('PUT').status(409, { code: 'ConditionalRequestConflict' });
      expect(await servers.copy(lake)).toEqual(exists);
      expect(destination.count('PUT')).toBe(1);
    });

    it.each([
      ['before the body has arrived', 'drain'],
      ['and resets the connection', 'reset'],
    ] as const)('refuses %s: the reason is told', async (_, unread) => {
      destination.on('PUT').status(403, { code: 'AccessDenied', unread });
      expect(await servers.copy(lake)).toEqual(
        failed({ code: expect.toBeOneOf(['AccessDenied', 'closed']), side: 'destination' }),
      );
    });

    it.each([
      ['AccessDenied', 403],
      ['EntityTooLarge', 400],
      ['KeyTooLongError', 400],
      ['MetadataTooLarge', 400],
      ['PermanentRedirect', 301],
      ['ObjectParentIsFile', 409],
    ])('refuses with %s: the object fails at once', async (code, status) => {
      destination.on('PUT').status(status, { code });
      expect(await servers.copy(lake)).toEqual(
        failed({ code, status, attempts: 1, side: 'destination' }),
      );
      expect(destination.requests).toHaveLength(1);
    });

    it.each([
      [501, 'NotImplemented'],
      [304, 'HTTP 304'],
    ])('does not know the condition (%i): the run stops', async (status, code) => {
      destination.on('PUT').status(status, { code });
      await expect(servers.copy(lake)).rejects.toMatchObject({
        name: 'MigrateError',
        exitCode: 3,
        message: expect.stringContaining(`does not implement a conditional write (${code}`),
      });
      expect(destination.requests).toHaveLength(1);
    });

    it('has lost its bucket: the run stops', async () => {
      destination.on('PUT').status(404, { code: 'NoSuchBucket' });
      await expect(servers.copy(lake)).rejects.toThrow(/^the destination says that the bucket/);
    });

    it('closes kept connections: that costs no attempt', async () => {
      await servers.copy(river);
      destination.on('PUT').disconnect('close').times(1);
      const once = { ...servers.retry, maxAttempts: 1 };
      expect(await servers.copy(lake, { retry: once })).toEqual(copied());
      expect(servers.waits).toEqual([]);
      expect(servers.counters.retries).toBe(1);
    });
  });

  describe('memory', () => {
    it('is given back after every kind of end', async () => {
      const budget = new MemoryBudget(body.length);
      const all = async () => {
        for (const key of [lake, river, keyFromText('missing')])
          await servers.copy(key, { budget });
      };
      await all();
      await all();
      source.on('GET').truncateAt(5);
      destination.on('PUT').status(501);
      await servers.copy(lake, { budget });
      source.clear();
      await expect(servers.copy(lake, { budget })).rejects.toThrow();
      expect(budget.take(body.length)).toBeUndefined();
    });

    it('is not given back before it was taken, when the source leaves while room is waited for', async () => {
      const total = 1024 ** 2;
      const budget = new MemoryBudget(total);
      void budget.take(total);
      let admitted = false;
      const waiting = budget.take(1)?.finally(() => {
        admitted = true;
      });
      const head = {
        bytes: body.length,
        etag,
        etagMayBeMd5: true,
        lastModified: '',
        metadata: [],
      };
      const left = new StoreError('gone', {
        kind: 'network',
        code: 'closed',
        status: 0,
        mayHaveLanded: true,
      });
      const leaving = {
        get: (_: ObjectKey, { receive }: GetOptions) => {
          void receive(head);
          return Promise.reject(left);
        },
      } as unknown as ObjectStore;
      const copying = servers.copy(lake, {
        source: leaving,
        budget,
        retry: { ...servers.retry, maxAttempts: 1 },
      });
      await new Promise((resolve) => void setImmediate(resolve));
      expect(admitted).toBe(false);
      budget.release(total);
      expect(await copying).toEqual(failed({ code: 'closed' }));
      await waiting;
      await servers.destination.store.headBucket();
      expect(destination.count('PutObject')).toBe(0);
      expect(budget.take(total - 1)).toBeUndefined();
      expect(budget.take(1)).toBeDefined();
    });
  });
});

/**
 * What the source alone is witness of is asked for a second time: wrong answers that agree with themselves are found
 * out, and a source that does not answer the question loses no object by it.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keyFromText } from '../../src/object-key.ts';
import { startTwoServers, type TwoServers } from './two-servers.ts';

const lake = keyFromText('photos/lake.jpg');
const water = Buffer.from('water, still and deep');
const OPAQUE = 'kms-0f1e2d';
const MADE_UP = 'f00d'.repeat(8);

let servers: TwoServers;
beforeEach(async () => {
  servers = await startTwoServers();
});
afterEach(() => servers.close());

const put = (etag: string): void => {
  servers.source.bucket.put(lake, { body: water, etag });
};
const failure = async (): Promise<string | undefined> => {
  const outcome = await servers.copy(lake);
  return outcome.kind === 'failed' ? outcome.failure.code : undefined;
};
const arrived = (): Buffer | undefined => servers.destination.bodyOf(lake);

describe('the length of an object whose ETag tells nothing', () => {
  it.each([5, 0])('is that of HEAD: a GET of %i bytes is no object', async (bytes) => {
    put(OPAQUE);
    servers.source.script.on('GET').shorten(bytes);
    expect(await failure()).toBe('source-truncated');
    expect(servers.destination.script.count('PUT')).toBe(0);
  });

  it('is asked for once, where it is right', async () => {
    put(OPAQUE);
    expect(await servers.copy(lake)).toMatchObject({ kind: 'copied', detail: 'length-only' });
    expect(servers.source.script.count('HEAD')).toBe(1);
  });

  it('is not asked for where an ETag or a checksum proves the content', async () => {
    servers.source.bucket.put(lake, { body: water });
    await servers.copy(lake);
    expect(servers.source.script.count('HEAD')).toBe(0);
  });

  it('may be that of another object by then, which is read anew', async () => {
    put(OPAQUE);
    const more = Buffer.from('more water, still and deep');
    servers.source.script
      .on('HEAD')
      .before(() => servers.source.bucket.put(lake, { body: more, etag: 'kms-2' }))
      .times(1);
    expect(await servers.copy(lake)).toMatchObject({ kind: 'copied', bytes: more.length });
    expect(arrived()).toEqual(more);
  });

  it.each([403, 405, 501])('may be refused (%i): then what was read stands', async (status) => {
    put(OPAQUE);
    servers.source.script.on('HEAD').status(status);
    expect(await servers.copy(lake)).toMatchObject({ kind: 'copied', detail: 'length-only' });
  });
});

describe('an answer of no bytes', () => {
  it.each([
    ['an MD5', undefined],
    ['of parts', `${MADE_UP}-2`],
  ])('is no empty object where the ETag is %s of other content', async (_what, etag) => {
    servers.source.bucket.put(lake, { body: water, ...(etag === undefined ? {} : { etag }) });
    servers.source.script.on('GET').shorten(0);
    expect(await failure()).toBe('source-truncated');
    expect(arrived()).toBeUndefined();
  });

  it.each([OPAQUE, MADE_UP])('is one where HEAD says so too (%s)', async (etag) => {
    servers.source.bucket.put(lake, { body: Buffer.alloc(0), etag });
    expect(await servers.copy(lake)).toMatchObject({ kind: 'copied', bytes: 0 });
  });
});

describe('bytes that do not fit an ETag', () => {
  it('and are not the same in ranges are never taken for the object', async () => {
    servers.source.bucket.put(lake, { body: water });
    servers.source.script.on('GET').corrupt(0);
    expect(await failure()).toBe('BadDigest');
    expect(arrived()).toBeUndefined();
  });

  it('are the object where ranges agree: that ETag is no MD5', async () => {
    put(MADE_UP);
    expect(await servers.copy(lake)).toMatchObject({ kind: 'copied', detail: 'length-only' });
  });

  it('are the object where the source gives no ranges', async () => {
    put(MADE_UP);
    servers.source.script.on('GET').ignoreHeaders('range');
    expect(await servers.copy(lake)).toMatchObject({ kind: 'copied', detail: 'length-only' });
  });
});

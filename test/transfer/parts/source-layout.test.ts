/**
 * What layouts can be had of the largest objects, and at what cost. No bytes are copied here:
 * kept-parts.test.ts is about that.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keyFromText } from '../../../src/object-key.ts';
import type { ObjectHead } from '../../../src/s3/object-store.ts';
import { newCopyState } from '../../../src/transfer/copy-context.ts';
import { DEFAULT_POLICY } from '../../../src/transfer/copy-policy.ts';
import {
  keepsParts,
  layoutOf,
  type SourceLayout,
} from '../../../src/transfer/parts/source-layout.ts';
import { startTwoServers, type TwoServers } from '../two-servers.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const TIB = 1024 ** 4;
const film = keyFromText('2019/film.mp4');

let servers: TwoServers;
beforeEach(async () => {
  servers = await startTwoServers();
});
afterEach(() => servers.close());

const objectOf = (bytes: number, etagParts: number): ObjectHead => ({
  bytes,
  etag: `${'f00d'.repeat(8)}-${etagParts}`,
  etagMayBeMd5: false,
  etagParts,
  lastModified: '',
  metadata: [],
});

/** The source tells these lengths, whatever it has. */
function tell(count: number, lengthOf: (partNumber: number) => number): void {
  const { etag } = objectOf(0, count);
  servers.source.bucket.put(film, { body: Buffer.alloc(0), etag });
  for (const partNumber of Array.from({ length: Math.min(count, 1_000) }, (_, i) => i + 1)) {
    tellOne(partNumber);
  }
  if (count > 1_000) tellOne(count);

  function tellOne(partNumber: number): void {
    servers.source.script
      .on('HEAD')
      .where(({ query }) => query.get('partNumber') === String(partNumber))
      .declareLength(lengthOf(partNumber))
      .alter((answer) => ({
        ...answer,
        status: 206,
        headers: { etag: `"${etag}"`, 'x-amz-mp-parts-count': String(count) },
      }));
  }
}

const layoutFor = (bytes: number, count: number): Promise<SourceLayout> =>
  layoutOf(film, objectOf(bytes, count), servers.context(), newCopyState());
const questions = () => servers.source.script.requests.length;

describe('the layout', () => {
  it.each<[string, number, number, number]>([
    ['of 5 TiB in 10,000 parts', 5 * TIB, 10_000, 525 * MIB],
    ['of 10,000 parts of 5 MiB', 50_000 * MIB, 10_000, 5 * MIB],
    ['of 5 TiB in 1,024 parts of 5 GiB', 5 * TIB, 1024, 5 * GIB],
    ['of two parts of 5 GiB, the last one short', 5 * GIB + 1, 2, 5 * GIB],
  ])('%s costs two questions at most', async (_, bytes, count, length) => {
    // The last part is what is left, also where that is more parts than 525 MiB would make.
    const whole = Math.ceil(bytes / length);
    tell(whole, (part) => (part < whole ? length : bytes - (whole - 1) * length));
    const layout = await layoutFor(bytes, whole);
    expect(layout).toMatchObject({ kind: 'told' });
    const lengths = layout.kind === 'told' ? layout.lengths : [];
    expect(lengths).toHaveLength(whole);
    expect(whole).toBeLessThanOrEqual(count);
    expect(lengths.reduce((sum, one) => sum + one)).toBe(bytes);
    expect(questions()).toBeLessThanOrEqual(2);
  });

  it('of a thousand uneven parts costs a question for each', async () => {
    tell(1_000, (part) => (5 + (part % 2)) * MIB);
    const lengths = Array.from({ length: 1_000 }, (_, index) => (5 + ((index + 1) % 2)) * MIB);
    const bytes = lengths.reduce((sum, length) => sum + length);
    expect(await layoutFor(bytes, 1_000)).toEqual({ kind: 'told', lengths });
    expect(questions()).toBe(1_000);
  });

  it.each([
    ['each by itself when an ETag came out otherwise', 1_000, 1_000],
    ['no more often than that', 1_001, 2],
  ])('of equal parts is asked for %s', async (_, count, asked) => {
    tell(count, () => 5 * MIB);
    const state = { ...newCopyState(), triedAgain: true };
    const object = objectOf(count * 5 * MIB, count);
    expect(await layoutOf(film, object, servers.context(), state)).toMatchObject({ kind: 'told' });
    expect(questions()).toBe(asked);
  });

  it('of more uneven parts is not asked for', async () => {
    tell(1_001, (part) => (part === 1 ? 5 : 6) * MIB);
    expect(await layoutFor(6 * 1_001 * MIB - MIB, 1_001)).toEqual({
      kind: 'unknown',
      why: 'it has 1001 uneven parts',
    });
    expect(questions()).toBe(1);
  });

  it.each<[string, number[], string]>([
    ['longer than 5 GiB', [5 * GIB + 1, 1], 'its parts are longer than 5 GiB'],
    ['shorter than 5 MiB', [5 * MIB - 1, 6 * MIB], 'its parts are shorter than 5 MiB'],
  ])('of parts %s is not kept', async (_, lengths, why) => {
    tell(lengths.length, (part) => lengths[part - 1] as number);
    const bytes = lengths.reduce((sum, length) => sum + length);
    expect(await layoutFor(bytes, lengths.length)).toEqual({ kind: 'unknown', why });
  });

  it.each([
    [5 * GIB, { kind: 'told', lengths: [5 * GIB] }],
    [5 * GIB + 1, { kind: 'unknown', why: 'its parts are longer than 5 GiB' }],
  ])('of one part of %i bytes is known without a question', async (bytes, layout) => {
    expect(await layoutFor(bytes, 1)).toEqual(layout);
    expect(questions()).toBe(0);
  });
});

describe('parts', () => {
  const policy = (partLayout: 'keep' | 'even') =>
    servers.context({ policy: { ...DEFAULT_POLICY, partLayout } });

  it.each<[bytes: number, count: number, kept: boolean]>([
    [0, 1, false],
    [1, 1, true],
    [5 * MIB, 2, false],
    [5 * MIB + 1, 2, true],
    [9_999 * 5 * MIB + 1, 10_000, true],
    [10_000 * 5 * MIB + 1, 10_001, false],
    [100, 0, false],
  ])('of an object of %i bytes, %i of them, can be kept: %s', (bytes, count, kept) => {
    expect(keepsParts(objectOf(bytes, count), policy('keep'))).toBe(kept);
    expect(keepsParts(objectOf(bytes, count), policy('even'))).toBe(false);
  });
});

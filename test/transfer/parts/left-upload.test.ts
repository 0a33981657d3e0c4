/**
 * An upload that an earlier start has left is gone on with under the digest that it was begun for, and its object
 * is proven as one that was copied at once.
 */
import { hash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { JournalledUpload, PartProof, UploadPlan } from '../../../src/domain.ts';
import { keyFromText } from '../../../src/object-key.ts';
import { digestOf } from '../../../src/transfer/digest.ts';
import { algorithmOf } from '../../../src/transfer/parts/part-proof.ts';
import type { FaultScript } from '../../support/fault-script.ts';
import { NOW, startTwoServers, type TwoServers } from '../two-servers.ts';

const MIB = 1024 ** 2;
const PART_BYTES = 5 * MIB;
const film = keyFromText('2019/film.mp4');
const body = Buffer.concat(['a', 'b', 'c'].map((part) => Buffer.alloc(PART_BYTES, part)));
const bodyOf = (partNumber: number): Buffer =>
  body.subarray((partNumber - 1) * PART_BYTES, partNumber * PART_BYTES);

let servers: TwoServers;
let destination: FaultScript;
/** Of an upload that was begun by the same command. */
let plan: UploadPlan;
beforeEach(async () => {
  servers = await startTwoServers();
  destination = servers.destination.script;
});
afterEach(async () => {
  expect(servers.destination.bucket.uploads()).toEqual([]);
  await servers.close();
});

/** One part after another. */
const sizes = { multipartThresholdBytes: 0, partBytes: PART_BYTES, partWindow: 1 };
const copy = (partProof?: PartProof) => {
  const context = servers.context({ ...sizes, learnt: { sourceEtags: 'untried', partProof } });
  return servers.copyIn(context, film).then((outcome) => ({ outcome, ...context.learnt }));
};

/** Puts the film at the source, and finds out how it is copied. */
async function givenFilm({ keptParts }: { keptParts: boolean }): Promise<void> {
  servers.source.bucket.put(film, { body, ...(keptParts ? { partBytes: PART_BYTES } : {}) });
  await copy('crc32');
  plan = servers.uploads.plans.get(101) as UploadPlan;
  expect(plan.partLengths).toEqual([PART_BYTES, PART_BYTES, PART_BYTES]);
  servers.destination.bucket.delete(film);
  servers.uploads.notes.length = 0;
}

/** The first part is there, by an upload that has been begun for this proof. */
async function givenLeft(proof: PartProof, first = bodyOf(1)): Promise<void> {
  const { store } = servers.destination;
  const uploadId = await store.createMultipartUpload(film, [], algorithmOf(proof));
  const digest = digestOf(algorithmOf(proof), first);
  const part = await store.uploadPart(film, { uploadId, partNumber: 1, body: first, digest });
  const left: JournalledUpload = {
    number: 7,
    key: film,
    intendedAt: NOW,
    uploadId,
    plan: { ...plan, proof },
    parts: new Map([[1, part]]),
    state: { kind: 'open' },
    isEarlier: true,
    isRecorded: false,
  };
  servers.uploads.left = [left];
  destination.requests.length = 0;
}

/** The parts sent, each with the header of its digest: `2 md5`. */
const sent = (): string[] =>
  destination.requests
    .filter(({ operation }) => operation === 'UploadPart')
    .map(
      ({ query, headers }) =>
        `${query.get('partNumber')} ${headers.has('content-md5') ? 'md5' : 'crc32'}`,
    )
    .toSorted();

describe.each([true, false])('an upload that was left (parts of the source: %s)', (keptParts) => {
  it.each<[PartProof, PartProof, string, string]>([
    ['crc32', 'md5', 'crc32', 'crc32-parts'],
    ['md5', 'crc32', 'md5', 'md5-parts'],
    ['etag', 'crc32', 'md5', 'md5-parts'],
    ['none', 'crc32', 'crc32', 'length-only'],
  ])(
    'for %s is gone on with for that, where %s is used by now',
    async (left, now, sentBy, proof) => {
      await givenFilm({ keptParts });
      await givenLeft(left);

      const { outcome, partProof } = await copy(now);

      expect(sent()).toEqual([`2 ${sentBy}`, `3 ${sentBy}`]);
      expect(outcome).toMatchObject({
        kind: 'copied',
        bytes: body.length,
        detail: keptParts ? 'etag-parts' : proof,
      });
      expect(partProof).toBe(now);
      expect(servers.warnings).toHaveLength(left === 'none' ? 1 : 0);
      expect(servers.destination.bodyOf(film)?.equals(body)).toBe(true);
      expect(servers.uploads.notes).toEqual(['7 resumed', '7 part 2', '7 part 3', '7 completed']);
    },
  );
});

it('leaves it to the next upload to find out what the destination verifies', async () => {
  await givenFilm({ keptParts: true });
  await givenLeft('md5');
  expect(await copy()).toMatchObject({ outcome: { kind: 'copied' }, partProof: undefined });
});

it('a part that is not of the source is found out before there is an object, and all sent anew', async () => {
  await givenFilm({ keptParts: true });
  await givenLeft('crc32', Buffer.alloc(PART_BYTES, 'another'));
  const { outcome } = await copy('crc32');
  expect(outcome).toMatchObject({ kind: 'copied', detail: 'etag-parts' });
  expect(hash('sha256', servers.destination.bodyOf(film) ?? '')).toBe(hash('sha256', body));
  expect(destination.count('CompleteMultipartUpload')).toBe(1);
  expect(sent().map(([number]) => number)).toEqual(['1', '2', '2', '3', '3']);
});

describe('an upload that goes while it is gone on with', () => {
  const abortAll = () => {
    const { bucket } = servers.destination;
    for (const upload of bucket.uploads()) bucket.abortUpload(upload);
  };
  beforeEach(async () => {
    await givenFilm({ keptParts: true });
    await givenLeft('crc32');
  });

  it('is begun anew once, and what it had sent is not taken for the object', async () => {
    destination.on('UploadPart').times(1).before(abortAll);
    expect(await copy('crc32')).toMatchObject({ outcome: { kind: 'copied' } });
    expect(servers.destination.bodyOf(film)?.equals(body)).toBe(true);
    expect(sent()).toEqual(['1 crc32', '2 crc32', '2 crc32', '3 crc32']);
    expect(servers.uploads.notes.filter((note) => / (over|completed)$/.test(note))).toEqual([
      '7 over',
      '102 completed',
    ]);
  });

  it('fails the object when the next one goes as well', async () => {
    destination.on('UploadPart').before(abortAll);
    expect(await copy('crc32')).toMatchObject({
      outcome: { kind: 'failed', failure: { code: 'NoSuchUpload' } },
    });
    expect(servers.uploads.notes.filter((note) => note.endsWith(' over'))).toEqual([
      '7 over',
      '102 over',
    ]);
  });
});

/**
 * T14 and its neighbours: what the destination refuses for the object itself fails with the reason, and is not asked
 * again. Nothing is at its key, and no upload is left.
 */
import { expect, test } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { prepareMigration } from '../cli/migration.ts';
import {
  failed,
  KINDS,
  MAKING,
  ofKinds,
  page,
  testTogether,
  type Variant,
} from './destination-scene.ts';
import { Invariants } from './invariants.ts';

const REFUSALS: readonly (readonly [row: string, status: number, code: string])[] = [
  ['T14', 400, 'EntityTooLarge'],
  ['T14', 400, 'KeyTooLongError'],
  ['T14', 400, 'MetadataTooLarge'],
  ['T14', 400, 'InvalidArgument'],
  ['T14', 413, 'EntityTooLarge'],
  ['T14', 414, 'RequestURITooLong'],
  ['T14', 431, 'RequestHeaderSectionTooLarge'],
  ['T+', 403, 'AccessDenied'],
  ['T+', 404, 'NoSuchKey'],
  ['T+', 405, 'MethodNotAllowed'],
  ['T+', 411, 'MissingContentLength'],
  ['T+', 417, 'ExpectationFailed'],
  ['T+', 422, 'UnprocessableEntity'],
  ['T+', 428, 'PreconditionRequired'],
  ['T+', 451, 'UnavailableForLegalReasons'],
];

/** Pages of a proxy that are about the request, and will be so the next time. */
const PAGES = [405, 411, 413, 414, 417, 431];

const VARIANTS: readonly Variant[] = [
  ...REFUSALS.flatMap(([row, status, code]) =>
    ofKinds(KINDS, (kind) => ({
      row,
      fault: `refused with ${status} ${code}`,
      given: ({ script, making, key }) => void script.on(making, key).status(status, { code }),
      fate: failed(code, status, 1),
      asked: { [MAKING[kind]]: 1 },
    })),
  ),
  ...PAGES.flatMap((status) =>
    ofKinds(KINDS, (kind) => ({
      row: status === 413 || status === 414 || status === 431 ? 'T14' : 'T+',
      fault: `refused with a page of a proxy, ${status}`,
      given: ({ script, making, key }) =>
        void script.on(making, key).alter(page(status)).status(status),
      fate: failed(`HTTP ${status}`, status, 1),
      asked: { [MAKING[kind]]: 1 },
    })),
  ),
];

for (const cores of [1, 2]) testTogether(`--cores ${cores}`, VARIANTS, { flags: { cores } });

test.each([1, 2])(
  'T14: metadata that is too large: with --on-loss metadata=fail the object fails, else it goes without (--cores %i)',
  async (cores) => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    const headers = { 'content-type': 'image/jpeg', 'x-amz-meta-long': 'm'.repeat(3000) };
    source.put('photo', 'a photo', { headers });
    await migration.listKeys();
    const invariants = new Invariants(migration);
    for (const operation of ['PutObject', 'CreateMultipartUpload'] as const) {
      destination.script
        .on(operation)
        .where((seen) => seen.headers.has('x-amz-meta-long'))
        .status(400, { code: 'MetadataTooLarge' });
    }

    const strict = { cores, 'on-loss': 'metadata=fail' };
    expect(await migration.run(strict)).toMatchObject({ exitCode: 1 });
    expect((await invariants.expectComplete()).failed).toMatchObject([
      { code: 'loss-metadata', status: '400', attempts: '1' },
    ]);
    expect(destination.bucket.keys()).toEqual([]);
    expect(destination.script.count('PutObject')).toBe(1);

    const again = { cores, 'log-folder': migration.path('again') };
    expect(await migration.run(again)).toMatchObject({ exitCode: 0 });
    const { migrate } = await invariants.expectComplete(migration.path('again'));
    expect(migrate).toMatchObject([{ outcome: 'copied', detail: 'md5; lost: metadata' }]);
    const kept = destination.bucket.get('photo' as ObjectKey)?.headers;
    expect(kept).toEqual({ 'content-type': 'image/jpeg' });
  },
);

test.each([1, 2])('T+: 404 NoSuchBucket to a write stops the run (--cores %i)', async (cores) => {
  const migration = await prepareMigration();
  await migration.givenPhotos(50);
  const invariants = new Invariants(migration);
  migration.destination.script.on('PutObject').status(404, { code: 'NoSuchBucket' });

  const { exitCode, stderr } = await migration.run({ cores, threads: 4 });

  expect(exitCode).toBe(3);
  expect(stderr).toContain('the destination says that the bucket does not exist (any more)');
  await invariants.expectSound();
  migration.destination.script.clear();
  expect(await migration.run({ cores })).toMatchObject({ exitCode: 0 });
  await invariants.expectComplete();
  expect(migration.destination.contents()).toEqual(migration.source.contents());
});

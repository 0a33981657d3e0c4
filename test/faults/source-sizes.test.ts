/**
 * S16: objects of every length at which something changes on their way: none at all, a buffer, a part, each with one
 * byte less and more; and such as no test can hold in memory, which are begun and then refused.
 */
import { describe, expect, test } from 'vitest';
import type { Answer } from '../../src/s3-server/answer.ts';
import type { Exchange } from '../../src/s3-server/server.ts';
import { digestsOf, type Flags, type Migration, prepareMigration } from '../cli/migration.ts';
import { finish } from './finished-run.ts';
import { Invariants } from './invariants.ts';
import { bytes } from './ways.ts';

const KIB = 1024;
const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** One byte less, as many, and one more. */
function around(length: number): number[] {
  return [length - 1, length, length + 1];
}

async function expectAllTheSame(
  migration: Migration,
  flags: Flags,
): Promise<Record<string, string>> {
  await migration.listKeys();
  const run = await finish(migration, new Invariants(migration), flags);
  expect(run.exitCode).toBe(0);
  expect(digestsOf(migration.destination)).toEqual(digestsOf(migration.source));
  return run.outcomes;
}

describe.each([1, 2])('with --cores %i', (cores) => {
  test('S16: no byte, one byte, and lengths around those of buffers', async () => {
    const migration = await prepareMigration();
    const lengths = [
      0,
      1,
      2,
      ...[4, 16, 64, 128, 256, 512, 1024].flatMap((kib) => around(kib * KIB)),
    ];
    for (const length of lengths) {
      const body = bytes(length);
      migration.source.put(`md5/${length}`, body);
      migration.source.put(`no digest/${length}`, body, { etag: `kms-${length}` });
    }

    const outcomes = await expectAllTheSame(migration, { cores });

    for (const [key, outcome] of Object.entries(outcomes)) {
      const isProven = key.startsWith('md5/') || key === 'no digest/0';
      expect([key, outcome]).toEqual([key, isProven ? 'copied md5' : 'copied length-only']);
    }
  });

  test('S16: lengths around those of parts, as the source has them', async () => {
    const migration = await prepareMigration();
    const partBytes = 5 * MIB;
    const lengths = [0, 1, ...around(partBytes), ...around(2 * partBytes)];
    const body = bytes(Math.max(...lengths));
    for (const length of lengths) {
      migration.source.put(`parts/${length}`, body.subarray(0, length), { partBytes });
    }

    await expectAllTheSame(migration, { cores });

    const { source, destination } = migration;
    for (const key of source.bucket.keys()) {
      const etagOf = ({ bucket }: typeof source) => bucket.get(key)?.etag;
      if (key !== 'parts/0') expect([key, etagOf(destination)]).toEqual([key, etagOf(source)]);
    }
  });

  test('S16: lengths around --multipart-threshold and --part-size', async () => {
    const migration = await prepareMigration();
    const lengths = around(16 * MIB);
    const body = bytes(16 * MIB + 1);
    for (const length of lengths) migration.source.put(`md5/${length}`, body.subarray(0, length));
    for (const length of lengths) {
      migration.source.put(`no digest/${length}`, body.subarray(0, length), {
        etag: `kms-${length}`,
      });
    }

    const outcomes = await expectAllTheSame(migration, { cores, 'multipart-threshold': '16MiB' });

    const [less, equal, more] = lengths;
    expect(outcomes).toEqual({
      [`md5/${less}`]: 'copied md5',
      [`md5/${equal}`]: 'copied md5',
      [`md5/${more}`]: 'copied crc32-parts',
      [`no digest/${less}`]: 'copied length-only',
      [`no digest/${equal}`]: 'copied length-only',
      [`no digest/${more}`]: 'copied crc32-parts',
    });
  });
});

/** Makes the source say that the object is so long, and gives any range of it as zeros. */
function pretend({ source }: Migration, key: string, length: number): void {
  source.script
    .on('GetObject', key)
    .where(({ headers }) => headers.has('range'))
    .ignoreHeaders('range')
    .alter((answer, { request }) => {
      const [, first = '', last = ''] =
        /^bytes=(\d+)-(\d+)$/.exec(request.headers.get('range') ?? '') ?? [];
      const headers = { ...answer.headers, 'content-range': `bytes ${first}-${last}/${length}` };
      return { status: 206, headers, body: Buffer.alloc(Number(last) - Number(first) + 1) };
    });
  source.script.on('GetObject', key).deliver(sendHeadOf(length));
}

/** The head of an object that is so long, and the end of the connection after a little of it. */
function sendHeadOf(length: number) {
  return ({ response, incoming }: Exchange, { status, headers }: Answer): void => {
    response.writeHead(status, { ...headers, 'content-length': String(length) });
    response.write('the beginning of it');
    incoming.socket.destroySoon();
  };
}

/** The lengths of the ranges that were asked for. */
function rangesOf({ source }: Migration, key: string): number[] {
  return source.script.requests
    .filter((seen) => seen.key === key)
    .map(({ headers }) => /^bytes=(\d+)-(\d+)$/.exec(headers.get('range') ?? ''))
    .filter((range) => range !== null)
    .map(([, first, last]) => Number(last) - Number(first) + 1);
}

test('S16: more than 10,000 parts of the usual length: parts are as much longer', async () => {
  const migration = await prepareMigration();
  migration.source.put('giant', 'x', { etag: 'kms-1' });
  await migration.listKeys();
  const { script } = migration.source;
  script
    .on('GetObject', 'giant')
    .where(({ headers }) => headers.has('range'))
    .skip(2)
    .status(403, { code: 'AccessDenied' });
  pretend(migration, 'giant', 200 * GIB);

  const run = await finish(migration, new Invariants(migration), { cores: 1, threads: 1 });

  expect(run).toMatchObject({ exitCode: 1, outcomes: { giant: 'failed AccessDenied' } });
  // 200 GiB by 10,000 are 20.48 MiB, and parts have whole ones.
  expect(rangesOf(migration, 'giant')).toEqual([21 * MIB, 21 * MIB, 21 * MIB]);
  const uploaded = migration.destination.script.requests.filter(
    ({ operation, bodyBytes }) => operation === 'UploadPart' && bodyBytes === 21 * MIB,
  );
  expect(uploaded).toHaveLength(2);
});

test('S16: 5 GiB are one PUT where they may be, and one byte more is not', async () => {
  const migration = await prepareMigration();
  const { source, destination } = migration;
  const lengths = { 'at the border': 5 * GIB, beyond: 5 * GIB + 1 };
  for (const [key, length] of Object.entries(lengths)) {
    source.put(key, 'x');
    const isPart = key === 'beyond';
    source.script
      .on('GetObject', key)
      .where(({ headers }) => headers.has('range') === isPart)
      .skip(1)
      .status(403, { code: 'AccessDenied' });
    pretend(migration, key, length);
  }
  await migration.listKeys();

  const flags = { cores: 1, threads: 2, 'multipart-threshold': '5GiB' };
  const run = await finish(migration, new Invariants(migration), flags);

  expect(run.exitCode).toBe(1);
  expect(run.outcomes).toEqual({
    'at the border': 'failed AccessDenied',
    beyond: 'failed AccessDenied',
  });
  const [put] = destination.script.requests.filter(({ operation }) => operation === 'PutObject');
  expect(put?.key).toBe('at the border');
  expect(put?.headers.get('content-length')).toBe(String(5 * GIB));
  expect(destination.script.count('PutObject', 'beyond')).toBe(0);
  expect(new Set(rangesOf(migration, 'beyond'))).toEqual(new Set([16 * MIB]));
});

test('S16: a part that is longer than --memory is passed on', async () => {
  const migration = await prepareMigration();
  migration.source.put('film', bytes(18 * MIB), { partBytes: 17 * MIB });
  const flags = { cores: 1, memory: '16MiB' };
  expect(await expectAllTheSame(migration, flags)).toEqual({ film: 'copied etag-parts' });
});

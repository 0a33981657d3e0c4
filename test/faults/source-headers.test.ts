/**
 * S13: what comes beside the bytes. Encoded content stays encoded, headers arrive byte for byte, and those that are
 * too long for the destination are lost with a word, never the object.
 */
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { prepareMigration, utf8 } from '../cli/migration.ts';
import { finish } from './finished-run.ts';
import { Invariants } from './invariants.ts';

const KIB = 1024;
const TEXT = gzipSync('a text that was compressed before it was stored, '.repeat(100));

describe.each([1, 2])('with --cores %i', (cores) => {
  test('S13: content that is encoded arrives as it is, with its Content-Encoding', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    const encodings = ['gzip', 'br', 'zstd', 'identity', 'gzip, gzip', 'x-own'];
    for (const encoding of encodings) {
      const headers = { 'content-type': 'text/plain', 'content-encoding': encoding };
      source.put(`${encoding}/whole`, TEXT, { headers });
      // What claims to be compressed and is not must not be touched either.
      source.put(`${encoding}/claimed`, 'plain', { headers });
    }
    await migration.listKeys();

    const run = await finish(migration, new Invariants(migration), { cores });

    expect(run.exitCode).toBe(0);
    for (const key of source.bucket.keys()) {
      expect(run.outcomes[key]).toBe('copied md5');
      expect(destination.bucket.get(key)?.headers).toEqual(source.bucket.get(key)?.headers);
    }
  });

  test('S13: headers of odd content arrive byte for byte', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    const odd = {
      'content-type': 'no type at all',
      'cache-control': 'max-age=60, "quoted, comma", private="a"',
      'content-disposition': `attachment; filename="${utf8('Zürich')}.jpg"; filename*=UTF-8''Z%C3%BCrich.jpg`,
      'content-language': '*',
      'x-amz-meta-utf8': utf8('日本'),
      'x-amz-meta-latin1': 'J\xfcrgen',
      'x-amz-meta-word': '=?UTF-8?B?WsO8cmljaA==?=',
      'x-amz-meta-empty': '',
      'x-amz-meta-blanks': 'two  blanks',
      "x-amz-meta-!#$%&'*+.^_`|~": 'an odd name',
    };
    source.put('odd', 'x', { headers: odd });
    await migration.listKeys();

    const run = await finish(migration, new Invariants(migration), { cores });

    expect(run.outcomes).toEqual({ odd: 'copied md5' });
    expect(destination.bucket.get('odd' as ObjectKey)?.headers).toEqual(odd);
  });

  test('S13: values of 1 to 60 KiB cost no object; what the destination cannot take of them is told', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    const lengths = { short: 1, long: 2, longer: 16, longest: 60 };
    for (const [name, kib] of Object.entries(lengths)) {
      const headers = { 'content-type': 'a/b', 'x-amz-meta-long': 'm'.repeat(kib * KIB) };
      source.put(name, `content of ${name}`, { headers });
      source.put(`${name}, in parts`, `content of ${name}`, { headers, partBytes: 5 * KIB ** 2 });
    }
    await migration.listKeys();

    const run = await finish(migration, new Invariants(migration), { cores });

    for (const key of source.bucket.keys()) {
      const isLost = !key.startsWith('short');
      const proof = key.endsWith('parts') ? 'etag-parts' : 'md5';
      expect([key, run.outcomes[key]]).toEqual([
        key,
        `copied ${proof}${isLost ? '; lost: metadata' : ''}`,
      ]);
      const { 'x-amz-meta-long': long, ...others } = source.bucket.get(key)?.headers ?? {};
      expect(destination.bucket.get(key)?.headers).toEqual(
        isLost ? others : { ...others, 'x-amz-meta-long': long },
      );
    }
    expect(run.exitCode).toBe(0);
  });
});

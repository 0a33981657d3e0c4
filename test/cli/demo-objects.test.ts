/**
 * The objects of the demo are what makes it worth running.
 */
import { expect, it } from 'vitest';
import { fillSource, putListedObjects } from '../../src/cli/demo-objects.ts';
import { Bucket } from '../../src/s3-server/bucket.ts';

function newBucket(): Bucket {
  return new Bucket({ minPartBytes: 1, now: () => 0 });
}

it('fills the source with the same at every run', () => {
  const [one, other] = [newBucket(), newBucket()];
  fillSource(one);
  fillSource(other);
  expect(one.keys().map((key) => one.get(key)?.etag)).toEqual(
    other.keys().map((key) => other.get(key)?.etag),
  );
});

it('fills the source with some thousand keys of every awkward kind, and large objects with and without parts', () => {
  const bucket = newBucket();
  fillSource(bucket);
  const keys = bucket.keys();
  expect(keys.length).toBeGreaterThan(3_000);
  for (const awkward of [' ', '+', '%', '//', '"', "'", '\\', '\n', '\t', '\xe9.', '\xf0\x9f']) {
    expect(keys.filter((key) => key.includes(awkward))).not.toEqual([]);
  }
  expect(Math.max(...keys.map((key) => key.length))).toBe(1024);
  const large = keys
    .map((key) => bucket.get(key))
    .filter((object) => (object?.body.length ?? 0) > 2 ** 24);
  expect(large.map((object) => object?.parts.length)).toEqual([3, 5, 0, 3]);
});

it('puts other content under keys that the destination has already', () => {
  const [source, destination] = [newBucket(), newBucket()];
  fillSource(source);
  const shared = [...putListedObjects(destination)].filter(
    ([key]) => source.get(key) !== undefined,
  );
  expect(shared.length).toBeGreaterThan(10);
  for (const [key, { etag }] of shared) expect(source.get(key)?.etag).not.toBe(etag);
});

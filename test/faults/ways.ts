/**
 * The ways an object travels, since a fault of the source meets other code in each: collected and sent in one
 * write, passed through as one PUT, or in parts.
 */
import type { NewObject } from '../../src/s3-server/bucket.ts';
import type { Migration } from '../cli/migration.ts';
import type { FaultRule } from '../support/fault-script.ts';

const MIB = 1024 ** 2;

export type Way = 'small' | 'through' | 'parts';

export const WAYS: readonly Way[] = ['small', 'through', 'parts'];

/** Of each part but the last: the least that S3 takes. */
const PART_BYTES = 5 * MIB;

export const OBJECTS: Readonly<Record<Way, NewObject>> = {
  small: { body: bytes(1_000) },
  through: { body: bytes(MIB) },
  parts: { body: bytes(PART_BYTES + 1_000), partBytes: PART_BYTES },
};

/** Bytes that differ from place to place, so that a piece out of its place is noticed. */
export function bytes(length: number): Buffer {
  const body = Buffer.alloc(length);
  for (let at = 0; at < length; at++) body[at] = (at * 31 + (at >> 8) * 7) % 251;
  return body;
}

/** Puts such an object into the source. */
export function giveObject({ source }: Migration, key: string, way: Way): void {
  source.bucket.put(key as never, OBJECTS[way]);
}

/** For the GETs that the object's content comes with: the first one of an object of parts is for its head alone. */
export function onContent({ source }: Migration, key: string, way: Way): FaultRule {
  const rule = source.script.on('GetObject', key);
  return way === 'parts' ? rule.where(({ headers }) => headers.has('range')) : rule;
}

/** What migrate.log says of such an object when all is well. */
export function copiedAs(way: Way): string {
  return way === 'parts' ? 'copied etag-parts' : 'copied md5';
}

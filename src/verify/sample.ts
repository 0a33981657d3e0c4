/**
 * Which keys belong to a sample.
 */
import { hash } from 'node:crypto';
import { keyToBytes, type ObjectKey } from '../object-key.ts';

/**
 * Always the same answer for a key, whoever asks, and the keys of a smaller share are among those of a
 * larger one. Not by the hash that shares the keys out among hosts: a host's keys would be all or none of
 * the sample.
 *
 * @param share from 0, no key, to 1, every key
 */
export function isInSample(key: ObjectKey, share: number): boolean {
  if (share >= 1) return true;
  if (share <= 0) return false;
  return hash('sha1', keyToBytes(key), 'buffer').readUInt32BE(0) < share * 2 ** 32;
}

/**
 * Which host migrates a key: XXH64 with seed 0 of the key's bytes, modulo the number of hosts.
 *
 * Every host of a migration, and every later version of this tool, must agree, or keys are
 * migrated twice or not at all. test/plan/shard.test.ts pins the values.
 */
import xxhash from 'xxhash-wasm';
import { keyToBytes, type ObjectKey } from '../object-key.ts';

/** One host's share of the keys. */
export interface ShardOptions {
  /** Of all hosts together; an integer from 1 to 2^26. */
  readonly count: number;
  /** This host's; an integer from 0 to `count` - 1. */
  readonly value: number;
}

export interface Shard {
  owns(key: ObjectKey): boolean;
}

// oxlint-disable-next-line no-control-regex
const ASCII = /^[\x00-\x7f]*$/;

/** Loads the hash function, once for each shard made. One share of one owns every key. */
export async function createShard({ count, value }: ShardOptions): Promise<Shard> {
  if (count === 1) return { owns: () => true };
  const hasher = await xxhash();
  // A BigInt division for each key would cost as much as the hash: the 64 bits are taken apart into
  // 32-bit halves instead. With count ≤ 2^26 no product is beyond 2^53.
  const hash = new DataView(new ArrayBuffer(8));
  const highWeight = 2 ** 32 % count;
  return {
    owns(key) {
      // h64 hashes a text's UTF-8 bytes: those of the key when it is ASCII, and without a copy.
      hash.setBigUint64(0, ASCII.test(key) ? hasher.h64(key) : hasher.h64Raw(keyToBytes(key)));
      const high = (hash.getUint32(0) % count) * highWeight;
      const low = hash.getUint32(4) % count;
      return (high + low) % count === value;
    },
  };
}

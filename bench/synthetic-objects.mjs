/**
 * The objects the benches copy. Nobody stores them: key, length and content of number i follow from i.
 *
 * Keys ascend with i, so that a listing is arithmetic and needs no index. Every content is the beginning
 * of one endless repetition of the same random MiB. So an ETag is known from a length alone, also that of
 * a part, as all tools cut parts at whole MiB.
 */
import { createHash, hash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const MIB = 1024 ** 2;
const KEYS_A_LIST_FILE = 100_000;
/** Longest object that one PUT makes, so the longest whose ETag is an MD5. */
const MAX_PUT_BYTES = 5 * 1024 ** 3;
/** Longer ones are as if uploaded in parts of this. */
export const PART_BYTES = 16 * MIB;

/** Mixed sizes: log-uniform from 4 KiB to 64 MiB, as buckets of photos and films have them. */
const MIXED_LEAST_BYTES = 4096;
const MIXED_MOST_BYTES = 64 * MIB;
/** And one that goes on when all others are done, unless it is begun in time. */
const MIXED_LONGEST_BYTES = 2 * 1024 ** 3;
const GOLDEN_RATIO = 0.618_033_988_749_894_9;

/** The length of a repetition; what is read from here on at any offset is a slice of it. */
export const PATTERN_BYTES = MIB;
/** Twice the repetition, so that a slice of one can begin anywhere in it. */
export const PATTERN = pattern();

/** Mulberry32: the same bytes in every process. */
function pattern() {
  const once = Buffer.allocUnsafe(PATTERN_BYTES);
  let state = 1;
  for (let at = 0; at < PATTERN_BYTES; at += 4) {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    once.writeInt32LE(t ^ (t >>> 14), at);
  }
  return Buffer.concat([once, once]);
}

export class SyntheticObjects {
  /** How many. */
  count;
  #sizeBytes;

  /** @param sizeBytes of each object, or `mixed` */
  constructor({ count, sizeBytes }) {
    this.count = count;
    this.#sizeBytes = sizeBytes;
  }

  /** Twelve folders, for tools that list folder by folder. */
  key(i) {
    const month = String(Math.floor((i * 12) / this.count)).padStart(2, '0');
    return `photos/2019/${month}/img-${String(i).padStart(8, '0')}.jpg`;
  }

  /** @returns undefined for a key that none of the objects has */
  indexOf(key) {
    const i = Number(/^photos\/2019\/\d\d\/img-(\d{8})\.jpg$/.exec(key)?.[1]);
    return i < this.count && this.key(i) === key ? i : undefined;
  }

  /** The first number whose key comes after this text, or whose key is not before it with `orIs`. */
  firstAfter(text, { orIs = false } = {}) {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const key = this.key(middle);
      if (key > text || (orIs && key === text)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  sizeBytes(i) {
    if (this.#sizeBytes !== 'mixed') return this.#sizeBytes;
    if (i === this.count >> 1) return MIXED_LONGEST_BYTES;
    // A golden-ratio sequence covers the range evenly, however many there are.
    const position = ((i + 1) * GOLDEN_RATIO) % 1;
    return Math.floor(MIXED_LEAST_BYTES * (MIXED_MOST_BYTES / MIXED_LEAST_BYTES) ** position);
  }

  totalBytes() {
    if (this.#sizeBytes !== 'mixed') return this.count * this.#sizeBytes;
    let total = 0;
    for (let i = 0; i < this.count; i++) total += this.sizeBytes(i);
    return total;
  }

  /** The ETag of each length there is: one pass over the longest content gives all. */
  etags() {
    const sizes = new Set();
    if (this.#sizeBytes === 'mixed') {
      for (let i = 0; i < this.count; i++) sizes.add(this.sizeBytes(i));
    } else if (this.count > 0) {
      sizes.add(this.#sizeBytes);
    }
    const etags = new Map();
    const md5 = createHash('md5');
    let hashed = 0;
    for (const size of [...sizes].toSorted((a, b) => a - b)) {
      if (size > MAX_PUT_BYTES) {
        etags.set(size, etagOfLonger(size));
        continue;
      }
      hashContent(md5, { from: hashed, to: size });
      hashed = size;
      etags.set(size, md5.copy().digest('hex'));
    }
    return etags;
  }

  /** Writes the list files of the numbers that `has` says yes to; the folder must not be there. */
  writeLists(folder, has = () => true) {
    mkdirSync(folder, { recursive: true });
    for (let start = 0; start === 0 || start < this.count; start += KEYS_A_LIST_FILE) {
      const lines = [];
      for (let i = start; i < Math.min(start + KEYS_A_LIST_FILE, this.count); i++) {
        if (has(i)) lines.push(`${this.key(i)}\n`);
      }
      const name = `${String(start / KEYS_A_LIST_FILE).padStart(6, '0')}.txt`;
      writeFileSync(join(folder, name), lines.join(''));
    }
  }
}

const known = new Map();

/** MD5, in hex, of the first so many bytes; remembered, as there are few lengths of parts. */
export function md5OfContent(bytes) {
  let digest = known.get(bytes);
  if (digest === undefined) {
    const md5 = createHash('md5');
    hashContent(md5, { from: 0, to: bytes });
    digest = md5.digest('hex');
    known.set(bytes, digest);
  }
  return digest;
}

function hashContent(md5, { from, to }) {
  for (let at = from; at < to; ) {
    const offset = at % PATTERN_BYTES;
    const length = Math.min(PATTERN_BYTES, to - at);
    md5.update(PATTERN.subarray(offset, offset + length));
    at += length;
  }
}

function etagOfLonger(sizeBytes) {
  const whole = Math.floor(sizeBytes / PART_BYTES);
  const md5s = Array.from({ length: whole }, () => md5OfContent(PART_BYTES));
  const rest = sizeBytes % PART_BYTES;
  if (rest > 0) md5s.push(md5OfContent(rest));
  return uploadEtag(md5s);
}

/**
 * The ETag of an upload in parts.
 *
 * @param md5s in hex, in the order of the parts
 */
export function uploadEtag(md5s) {
  const etag = hash('md5', Buffer.from(md5s.join(''), 'hex'), 'hex');
  return `${etag}-${md5s.length}`;
}

/**
 * Reads the directories a walk will come to next, several at once, before it comes to them.
 *
 * That is done where the file system is slow (read-pace.ts); the least unread path is read first. What is held is bounded: no read is begun ahead of the
 * walk while `NAMES_AHEAD` names or `DIRECTORIES_AHEAD` directories wait for it. The directory the
 * walk waits for is read in any case, so the bound cannot stall it.
 */
import type { DirectoryReader, Listing } from './directory-reader.ts';

/** Reads at once; libuv's threads run them (4, unless UV_THREADPOOL_SIZE says more). */
const READS_AT_ONCE = 32;
const NAMES_AHEAD = 50_000;
const DIRECTORIES_AHEAD = 1_000;

/**
 * Subdirectories of one directory of which none is read from `index` on. They follow each other
 * without anything unread of another block between, since a block begins below a directory whose
 * read has begun.
 */
interface Block {
  readonly prefix: string;
  readonly names: readonly string[];
  /** Of the least unread one. */
  index: number;
}

export class ReadAhead {
  readonly #reader: DirectoryReader;
  /** Descending, so that the least unread path is at the end. */
  readonly #unread: Block[] = [];
  /** By the directory's prefix. */
  readonly #begun = new Map<string, Promise<Listing>>();
  #underWay = 0;
  #namesHeld = 0;
  #closed = false;

  constructor(reader: DirectoryReader) {
    this.#reader = reader;
  }

  /** Tells of the directories among the names of a batch; those of whole listings it finds by itself. */
  add(prefix: string, names: readonly string[]): void {
    const index = nextDirectory(names, 0);
    if (index === names.length) return;
    const block: Block = { prefix, names, index };
    const least = leastPath(block);
    let at = this.#unread.length;
    while (at > 0 && leastPath(this.#unread[at - 1] as Block) < least) at--;
    this.#unread.splice(at, 0, block);
    this.#readMore();
  }

  /**
   * The listing of a directory that was told of. Each is to be taken once and in ascending order, so
   * that a directory whose read has not begun is the least unread one.
   */
  async take(prefix: string): Promise<Listing> {
    if (!this.#begun.has(prefix)) this.#readNext();
    const listing = await (this.#begun.get(prefix) as Promise<Listing>);
    this.#begun.delete(prefix);
    this.#namesHeld -= namesHeld(listing);
    this.#readMore();
    return listing;
  }

  #readMore(): void {
    while (
      !this.#closed &&
      this.#reader.isWorthReadingAhead() &&
      this.#unread.length > 0 &&
      this.#underWay < READS_AT_ONCE &&
      this.#begun.size < DIRECTORIES_AHEAD &&
      this.#namesHeld < NAMES_AHEAD
    ) {
      this.#readNext();
    }
  }

  #readNext(): void {
    const block = this.#unread.at(-1) as Block;
    const prefix = leastPath(block);
    block.index = nextDirectory(block.names, block.index + 1);
    if (block.index === block.names.length) this.#unread.pop();
    this.#underWay++;
    const listing = this.#read(prefix);
    // A failure is told by `take`; a walk that ends before that has no use for it.
    listing.catch(() => undefined);
    this.#begun.set(prefix, listing);
  }

  async #read(prefix: string): Promise<Listing> {
    const listing = await this.#reader.read(prefix);
    this.#underWay--;
    this.#namesHeld += namesHeld(listing);
    if (listing.kind === 'whole') this.add(prefix, listing.batch.names);
    this.#readMore();
    return listing;
  }

  /** Ends reading ahead and frees what was read and not taken. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const begun of this.#begun.values()) {
      const listing = await begun.catch(() => undefined);
      if (listing?.kind === 'long') await listing.long.close();
    }
    this.#begun.clear();
  }
}

function leastPath({ prefix, names, index }: Block): string {
  return prefix + (names[index] as string);
}

/** Index of the first directory in a batch's names from `from` on; their number when there is none. */
export function nextDirectory(names: readonly string[], from: number): number {
  let index = from;
  while (index < names.length && !(names[index] as string).endsWith('/')) index++;
  return index;
}

function namesHeld(listing: Listing): number {
  return listing.kind === 'whole' ? listing.batch.names.length : listing.long.namesHeld;
}

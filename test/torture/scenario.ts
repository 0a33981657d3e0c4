/**
 * What a torture run is given: two buckets, their lists, one to three hosts, flags, faults, and the moments at
 * which each start is ended. All of it is drawn from the seed, and is plain data.
 */
import type { Flags } from '../cli/migration.ts';
import { drawKeys } from './awkward-keys.ts';
import { contentOf, Dice } from './dice.ts';
import { drawEnding } from './draw-ending.ts';
import { drawPassingFaults, drawRefusals } from './draw-faults.ts';
import type { Ending } from './ending.ts';
import type { Fault } from './fault-kinds.ts';
import { drawLongObject, drawShortObject, type GivenObject } from './given-object.ts';
import { cutIntoFiles, type ListedFile } from './list-files.ts';

/** Starts of the program that are under way at the same time, and what goes wrong meanwhile. */
export interface Round {
  readonly starts: readonly PlannedStart[];
  readonly faults: readonly Fault[];
}

export interface PlannedStart {
  readonly host: number;
  /** None: it may come to its own end. */
  readonly ending: Ending | undefined;
  /** Those that may be others at each start. */
  readonly flags: Flags;
}

export interface Scenario {
  readonly seed: number;
  readonly source: readonly GivenObject[];
  /** What the destination holds before. */
  readonly destination: readonly GivenObject[];
  /** Keys, ascending, each once. */
  readonly listed: { readonly src: readonly string[]; readonly dest: readonly string[] };
  readonly files: { readonly src: readonly ListedFile[]; readonly dest: readonly ListedFile[] };
  readonly hosts: number;
  readonly flags: Flags;
  /** A key, or one that is in no list. */
  readonly startAfter: string | undefined;
  /** Bodies that a close has cut are kept by the destination where no digest forbids it. */
  readonly keepsTruncated: boolean;
  /** Not tried again, in all rounds and in the starts after them. */
  readonly refusals: readonly Fault[];
  readonly rounds: readonly Round[];
  /** Whether a run that is complete is started once more. */
  readonly startsAgain: boolean;
}

/** What an object that is copied in parts costs: a run in thirty has them. */
const LARGE_RUNS = 0.033;
const SPARSE_RUNS = 0.2;

export function drawScenario(seed: number): Scenario {
  const dice = new Dice(seed);
  const hasLarge = dice.chance(LARGE_RUNS);
  const isSparse = !hasLarge && dice.chance(SPARSE_RUNS);
  const keys = drawKeys(
    dice,
    hasLarge ? dice.whole(1, 12) : dice.of([dice.magnitude(1, 300), dice.whole(20, 150)]),
  );
  const gone = new Set(dice.thinned(keys, dice.chance(0.5) ? 0.06 : 0));
  const present = keys.filter((key) => !gone.has(key));
  const unlisted = new Set(dice.thinned(present, 0.02));
  const source = present.map((key, index) =>
    hasLarge && index < 2 ? drawLongObject(dice, key) : drawShortObject(dice, key),
  );
  const destination = drawDestination(dice, source);
  const filling = isSparse ? drawFilling(dice) : [];
  const listed = {
    src: [...new Set([...keys.filter((key) => !unlisted.has(key)), ...filling])].toSorted(),
    dest: drawDestinationList(dice, { keys, destination, filling }),
  };
  // A source list without a single key is refused.
  if (listed.src.length === 0) listed.src = keys;
  const hosts = dice.of([1, 1, 1, 2, 2, 3]);
  const objects = source.filter(({ key }) => !unlisted.has(key));
  return {
    seed,
    source,
    destination,
    listed,
    files: { src: cutIntoFiles(dice, listed.src), dest: cutIntoFiles(dice, listed.dest) },
    hosts,
    flags: drawFlags(dice, { hasLarge, transfers: keys.length, hosts }),
    startAfter: dice.chance(0.08) ? drawStartAfter(dice, listed.src) : undefined,
    keepsTruncated: dice.chance(0.4),
    refusals: drawRefusals(dice, objects),
    rounds: drawRounds(dice, { objects, hosts, isSparse }),
    startsAgain: dice.chance(0.1),
  };
}

/** Some of the objects are there already: the same, another, a part of it, more than it; and some others. */
function drawDestination(dice: Dice, source: readonly GivenObject[]): GivenObject[] {
  const there = dice.thinned(source, dice.of([0, 0.05, 0.3])).map(({ key, body }) => {
    const other = contentOf(`destination ${key}`, body.length);
    const cut = body.subarray(0, dice.whole(0, body.length));
    return { key, body: dice.of([body, other, cut, Buffer.concat([body, Buffer.from('+')])]) };
  });
  const strange = Array.from({ length: dice.whole(0, 3) }, (_, index) => {
    const key = `theirs/${index}`;
    return { key, body: contentOf(`destination ${key}`, dice.whole(0, 100)) };
  });
  return [...there, ...strange];
}

/** Mostly what is there; a list may be older than the bucket, or name keys that it never had. */
function drawDestinationList(
  dice: Dice,
  {
    keys,
    destination,
    filling,
  }: {
    readonly keys: readonly string[];
    readonly destination: readonly GivenObject[];
    readonly filling: readonly string[];
  },
): string[] {
  const known = dice.thinned(
    destination.map(({ key }) => key),
    0.8,
  );
  const stale = dice.thinned(keys, dice.chance(0.3) ? 0.1 : 0);
  return [...new Set([...known, ...stale, ...filling])].toSorted();
}

/** Keys of both lists that no bucket has: pages and pages in which little is to be done. */
function drawFilling(dice: Dice): string[] {
  return Array.from({ length: dice.whole(4000, 9000) }, (_, index) => {
    const number = String(index).padStart(6, '0');
    return dice.chance(0.5) ? `photos/${index % 10}/${number}` : `z${number}`;
  });
}

function drawFlags(
  dice: Dice,
  { hasLarge, transfers, hosts }: { hasLarge: boolean; transfers: number; hosts: number },
): Flags {
  const large = { 'multipart-threshold': '16MiB', 'part-size': '5MiB' };
  return {
    ...drawPace(dice),
    ...(hasLarge ? large : {}),
    ...(hasLarge && dice.chance(0.5) ? { memory: dice.of(['16MiB', '48MiB']) } : {}),
    ...(dice.chance(0.2) ? { 'part-layout': 'even' } : {}),
    ...(dice.chance(0.1) ? { 'no-skip-detail': true as const } : {}),
    ...(dice.chance(0.1) ? { 'recheck-source': true as const } : {}),
    ...(dice.chance(0.1) ? { 'ahead-disk': dice.of(['1B', '8KiB']) } : {}),
    // At most a few starts more for each host.
    ...(dice.chance(0.08) ? { first: Math.max(1, Math.ceil(transfers / hosts / 2)) } : {}),
  };
}

function drawPace(dice: Dice): Flags {
  // Each thread takes a while to start.
  return { threads: dice.of([1, 2, 4, 8, 16, 64]), cores: dice.chance(0.15) ? 2 : 1 };
}

function drawStartAfter(dice: Dice, listed: readonly string[]): string {
  const key = dice.of(listed.slice(0, Math.ceil(listed.length / 2)));
  return dice.chance(0.5) ? key : `${key.slice(0, 1000)}!`;
}

function drawRounds(
  dice: Dice,
  {
    objects,
    hosts,
    isSparse,
  }: {
    readonly objects: readonly GivenObject[];
    readonly hosts: number;
    readonly isSparse: boolean;
  },
): Round[] {
  const together = dice.chance(0.5);
  const all = Array.from({ length: hosts }, (_, host) => host);
  const starting = together ? [all] : all.map((host) => [host]);
  return starting.flatMap((startingHosts) =>
    Array.from({ length: dice.whole(1, hosts === 1 ? 3 : 2) }, () => {
      const starts = startingHosts.map((host) => ({
        host,
        flags: drawPace(dice),
        ending: dice.chance(0.9)
          ? drawEnding(dice, objects, startingHosts.length === 1)
          : undefined,
      }));
      return { starts, faults: drawPassingFaults(dice, objects, isSparse) };
    }),
  );
}

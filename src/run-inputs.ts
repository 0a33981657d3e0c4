/**
 * What a run works on, be it a migration or a verification: the lists of both sides, this host's share,
 * what makes the run the one it is, and what its end is put down to.
 */
import type { Side } from './domain.ts';
import { MigrateError, messageOf } from './errors.ts';
import { type ListFolder, openListFolder } from './lists/list-folder.ts';
import { displayText } from './object-key.ts';
import { createShard, type Shard, type ShardOptions } from './plan/shard.ts';
import { credentialsToCheck } from './s3/credentials.ts';
import type { ObjectStore } from './s3/object-store.ts';
import { type BucketAddress, flagOf, type OpenBuckets, openBuckets } from './s3/open-store.ts';
import type { WatchedSide } from './s3/refused-side.ts';

/** What the operator has named. */
export interface RunInputs {
  readonly source: BucketAddress;
  readonly destination: BucketAddress;
  /** Folders of list files. */
  readonly sourceLists: string;
  readonly destinationLists: string;
  /** Whether the source's lists may be without keys; by default they must have some. */
  readonly sourceMayBeEmpty?: boolean;
  readonly shard: ShardOptions;
}

/** What a run needs of the world around it. */
export interface Surroundings {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  /** Aborted by the first Ctrl-C, with the signal's name as its reason. */
  readonly signal: AbortSignal;
  /** Told how to leave at once: ends all connections by a reset. */
  readonly onLeave: (leave: () => void) => void;
}

export interface Lists {
  readonly source: ListFolder;
  readonly destination: ListFolder;
  readonly owns: Shard | undefined;
}

/**
 * @returns undefined when the signal was aborted meanwhile
 * @throws MigrateError (2) when a folder cannot be used
 */
export async function openLists(
  { sourceLists, destinationLists, sourceMayBeEmpty = false, shard }: RunInputs,
  signal: AbortSignal,
): Promise<Lists | undefined> {
  try {
    const source = await openListFolder(sourceLists, {
      side: 'source',
      mayBeEmpty: sourceMayBeEmpty,
      signal,
    });
    const destination = await openListFolder(destinationLists, { side: 'destination', signal });
    const owns = shard.count === 1 ? undefined : await createShard(shard);
    return { source, destination, owns };
  } catch (error) {
    if (signal.aborted && error === signal.reason) return undefined;
    throw error;
  }
}

/**
 * Opens both buckets, and tells on `stderr` when one is waited for. The caller closes them.
 *
 * @param patienceMs - see {@link Opening}
 * @returns undefined when the signal was aborted meanwhile
 * @throws MigrateError (3) when a bucket cannot be used
 */
export async function openStores(
  inputs: RunInputs,
  { stderr, signal }: Pick<Surroundings, 'stderr' | 'signal'>,
  patienceMs?: number,
): Promise<OpenBuckets | undefined> {
  const onWait = (message: string): void => void stderr.write(`s3migrate: ${message}\n`);
  try {
    return await openBuckets(inputs, { signal, onWait, patienceMs });
  } catch (error) {
    if (signal.aborted && error === signal.reason) return undefined;
    throw error;
  }
}

/** Both sides, for who watches whether one refuses all. */
export function watchedSides(
  inputs: RunInputs,
  stores: Readonly<Record<Side, ObjectStore>>,
): Readonly<Record<Side, WatchedSide>> {
  const watched = (side: Side): WatchedSide => {
    const { flagPrefix, credentials } = inputs[side];
    return {
      name: `${side} ${displayText(stores[side].name)}`,
      toCheck: credentialsToCheck(credentials, flagOf(flagPrefix)),
      headBucket: () => stores[side].headBucket(),
    };
  };
  return { source: watched('source'), destination: watched('destination') };
}

/** What must be the same for a log folder to be continued, by the names it is told by. */
export function identityOf(inputs: RunInputs, lists: Lists): Record<string, string> {
  const { shard } = inputs;
  return {
    ...placesOf(inputs),
    'source lists': lists.source.fingerprint,
    'destination lists': lists.destination.fingerprint,
    'hash-count': String(shard.count),
    'hash-value': String(shard.value),
  };
}

/** Both buckets, by the names of their flags. */
export function placesOf({
  source,
  destination,
}: Pick<RunInputs, 'source' | 'destination'>): Record<string, string> {
  return {
    'src-url': urlOf(source),
    'src-bucket': source.bucket,
    'dest-url': urlOf(destination),
    'dest-bucket': destination.bucket,
  };
}

/** As in a run's identity. */
export function urlOf({ endpoint }: BucketAddress): string {
  return `${endpoint.tls === undefined ? 'http' : 'https'}://${endpoint.host}:${endpoint.port}`;
}

/** What was thrown, as what stopped the run. */
export function stopping(thrown: unknown): MigrateError {
  if (thrown instanceof MigrateError) return thrown;
  return new MigrateError(`unexpected error: ${messageOf(thrown)}`, {
    exitCode: 3,
    hint: 'This is a defect of s3migrate: keep the logs and report it.',
    cause: thrown,
  });
}

/**
 * The reference model: what may have become of each key once a migration has come to its end, from what was
 * given and what others did meanwhile. Pure, and nothing of the program is in it.
 *
 * Mostly that is one end. A run that was broken off may find its own object again and call it skipped; a source
 * that changes meanwhile may be copied before or after.
 */

import { isLong } from './given-object.ts';

/** Where a key ends in the log, and what the destination then holds. */
export type End =
  /** In no log: before the start, or in the destination's list. */
  | { readonly log: 'nothing'; readonly holds: Buffer | undefined }
  | { readonly log: 'copied'; readonly holds: Buffer }
  | { readonly log: 'skipped-download'; readonly code: string; readonly holds: Buffer | undefined }
  | {
      readonly log: 'skipped-upload';
      /** What there is against the source's bytes; `unknown` where these have changed. */
      readonly compared: 'same' | 'other' | 'unknown';
      readonly holds: Buffer;
    }
  | { readonly log: 'failed'; readonly code: string; readonly holds: Buffer | undefined };

interface Refusal {
  readonly side: 'source' | 'destination';
  readonly code: string;
}

export interface Facts {
  /** All that the source has held at a key, in order; undefined for nothing. A key it never had is not in it. */
  readonly versions: ReadonlyMap<string, readonly (Buffer | undefined)[]>;
  /** What the destination held before. */
  readonly before: ReadonlyMap<string, Buffer>;
  /** What others have written to the destination meanwhile. */
  readonly theirs: ReadonlyMap<string, Buffer>;
  readonly destinationList: ReadonlySet<string>;
  /** Keys up to here are not part of the run; none is empty. */
  readonly startAfter: string;
  /** Keys that one side always refuses. */
  readonly refused: ReadonlyMap<string, Refusal>;
  /** Keys that one side has refused at some time: a later start may have copied them. */
  readonly refusedOnce: ReadonlyMap<string, ReadonlySet<string>>;
  /** Keys whose write was acknowledged with another ETag than that of the bytes. */
  readonly doubted: ReadonlySet<string>;
  /** Whether a start ended before what it had begun: by SIGKILL, or two signals. */
  readonly brokenOff: boolean;
}

/** @returns one end or more, for a key of the source's list */
export function endsOf(key: string, facts: Facts): End[] {
  const { versions: known, before, theirs, startAfter, destinationList, refused } = facts;
  const others = theirs.get(key) ?? before.get(key);
  if (key <= startAfter || destinationList.has(key)) return [{ log: 'nothing', holds: others }];
  const versions = known.get(key) ?? [undefined];
  const refusal = refused.get(key);
  if (refusal !== undefined) return endsOfRefused(key, refusal, facts);
  return [
    ...versions.flatMap((version) => endsOfVersion(key, version, facts)),
    ...[...(facts.refusedOnce.get(key) ?? [])].flatMap((code) => refusals(code, key, facts)),
    ...(facts.doubted.has(key) ? doubtful(versions, others) : []),
  ];
}

/** What comes before the exchange that is refused may be the end already. */
function endsOfRefused(key: string, { side, code }: Refusal, facts: Facts): End[] {
  const others = facts.theirs.get(key) ?? facts.before.get(key);
  const failed: End = { log: 'failed', code, holds: others };
  if (side === 'source') return [failed];
  const versions = facts.versions.get(key) ?? [];
  return [
    failed,
    ...(versions.includes(undefined) ? endsOfVersion(key, undefined, facts) : []),
    ...[...(facts.refusedOnce.get(key) ?? [])].flatMap((once) => refusals(once, key, facts)),
    // Of a large object the destination is asked before anything is written.
    ...versions
      .filter(
        (version) => version !== undefined && others !== undefined && isLong({ body: version }),
      )
      .flatMap((version) => endsOfVersion(key, version, facts)),
  ];
}

function endsOfVersion(key: string, version: Buffer | undefined, facts: Facts): End[] {
  const others = facts.theirs.get(key) ?? facts.before.get(key);
  if (version === undefined) return [{ log: 'skipped-download', code: 'NoSuchKey', holds: others }];
  const changed = (facts.versions.get(key)?.length ?? 0) > 1;
  if (others !== undefined) {
    if (!others.equals(version)) {
      return [{ log: 'skipped-upload', compared: changed ? 'unknown' : 'other', holds: others }];
    }
    return [
      { log: 'skipped-upload', compared: changed ? 'unknown' : 'same', holds: others },
      // After an unclear answer the same bytes of somebody else cannot be told from one's own.
      { log: 'copied', holds: others },
    ];
  }
  const copied: End = { log: 'copied', holds: version };
  // Copied, but the start that did it was broken off before it was in the log.
  const again: End = {
    log: 'skipped-upload',
    compared: changed ? 'unknown' : 'same',
    holds: version,
  };
  const gone: End = { log: 'skipped-download', code: 'NoSuchKey', holds: version };
  if (!facts.brokenOff) return [copied];
  return changed ? [copied, again, gone] : [copied, again];
}

/** One that came once: the source's 404 is no failure. A start before it may have copied the object. */
function refusals(
  code: string,
  key: string,
  { versions, theirs, before, brokenOff }: Facts,
): End[] {
  const others = theirs.get(key) ?? before.get(key);
  const ours = brokenOff && others === undefined ? (versions.get(key) ?? []) : [];
  return [others, ...ours].map((holds) =>
    code === 'NoSuchKey'
      ? { log: 'skipped-download', code, holds }
      : { log: 'failed', code, holds },
  );
}

/** Whether the object with the wrong ETag could be removed again is the destination's to say. */
function doubtful(versions: readonly (Buffer | undefined)[], others: Buffer | undefined): End[] {
  const code = 'wrong-etag';
  const left = versions.filter((version) => version !== undefined);
  return [
    { log: 'failed', code, holds: others },
    ...left.flatMap((holds): End[] => [
      { log: 'failed', code, holds },
      { log: 'skipped-upload', compared: 'unknown', holds },
    ]),
  ];
}

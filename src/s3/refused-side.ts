/**
 * What stops a run when a whole side refuses, in an operator's words.
 */
import { MigrateError } from '../errors.ts';
import { displayText } from '../object-key.ts';
import type { Refusal } from './side-refusals.ts';

/** A side, as it is asked and named. */
export interface WatchedSide {
  /** `source http://host:9000/photos`. */
  readonly name: string;
  /** What to look at when it refuses the credentials, as the beginning of a sentence. */
  readonly toCheck: string;
  /** Asks for the bucket; rejects with a StoreError when it may not be had. */
  readonly headBucket: () => Promise<void>;
}

/** The first objects of a run, all of them refused. */
export interface FirstObjects {
  readonly count: number;
  /** What the credentials are wanted for. */
  readonly may: 'read' | 'write';
  /** What to do where the credentials are right, as a sentence. */
  readonly otherwise?: string;
}

export function denied(
  side: WatchedSide,
  refusal: Refusal,
  { count, may, otherwise }: FirstObjects,
): MigrateError {
  const hint = `${side.toCheck}, that this user may ${may} objects, and this host's clock (date -u).`;
  return stopped(
    `${side.name}: access denied: the first ${count} objects were all refused, ${lastOf(refusal)}`,
    otherwise === undefined ? hint : `${hint} ${otherwise}`,
  );
}

/** @param refused - what was refused besides the bucket, such as `10 objects in a row` */
export function revoked(side: WatchedSide, refusal: Refusal, refused: string): MigrateError {
  return stopped(
    `${side.name}: access denied: ${refused} and the bucket itself, ${lastOf(refusal)}`,
    `Were the credentials revoked? ${side.toCheck}, and this host's clock (date -u).`,
  );
}

export function expired(side: WatchedSide, { code, message }: Refusal): MigrateError {
  return stopped(
    `${side.name}: the credentials have expired (${displayText(code)}: ${displayText(message)})`,
    `${side.toCheck}: new ones are needed. --src-credentials and --dest-credentials name who renews them in time.`,
  );
}

export function full(side: WatchedSide, refusal: Refusal, objects: number): MigrateError {
  return stopped(
    `${side.name}: it has no room: ${objects} objects in a row were refused, ${lastOf(refusal)}`,
    'Make room, or raise the quota: these objects are begun anew then.',
  );
}

function lastOf({ code, status, message }: Refusal): string {
  return `the last with ${displayText(code)} (status ${status}): ${displayText(message)}`;
}

function stopped(message: string, hint: string): MigrateError {
  return new MigrateError(message, { exitCode: 3, hint });
}

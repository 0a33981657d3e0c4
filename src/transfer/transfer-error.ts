/**
 * A store's failure in the middle of a transfer, with the side it happened on.
 */
import type { Side } from '../domain.ts';
import type { FailedAttempt } from '../load/retry.ts';
import type { ObjectKey } from '../object-key.ts';
import { StoreError, type StoreErrorKind } from '../s3/object-store.ts';

export class TransferError extends Error {
  override readonly name = 'TransferError';
  override readonly cause: StoreError;
  readonly side: Side;
  /** How often the exchange was tried before it was given up. */
  readonly attempts: number;

  constructor(side: Side, cause: StoreError, attempts = 1) {
    super(cause.message);
    this.side = side;
    this.cause = cause;
    this.attempts = attempts;
  }

  get kind(): StoreErrorKind {
    return this.cause.kind;
  }

  get code(): string {
    return this.cause.code;
  }

  get stale(): boolean {
    return this.cause.stale;
  }
}

export function failedAttempt(
  key: ObjectKey,
  { side, cause }: TransferError,
  attempt: number,
): FailedAttempt {
  return { key, side, error: cause, attempt };
}

/** Wraps what a store throws with the side it came from. */
export function at<T>(side: Side, exchange: Promise<T>): Promise<T> {
  return exchange.catch((error: unknown) => {
    throw error instanceof StoreError ? new TransferError(side, error) : error;
  });
}

/** There is another version of the source's object than the one that was begun with. */
export function changed(status: number): StoreError {
  return new StoreError('the object changed while it was copied', {
    kind: 'precondition-failed',
    code: 'changed',
    status,
    mayHaveLanded: false,
  });
}

export function wrongEtag(actual: string, expected: string): TransferError {
  const message = `the destination acknowledged ETag ${actual} where ${expected} was sent`;
  return wrongAcknowledgement('wrong-etag', message);
}

export function wrongChecksum(actual: string, expected: string): TransferError {
  const message = `the destination acknowledged CRC32 ${actual} where ${expected} was sent`;
  return wrongAcknowledgement('wrong-checksum', message);
}

/** The parts have made another ETag than the source's have, and were not made an object. */
export function wrongPartEtags(actual: string, expected: string): TransferError {
  const message = `the parts make the ETag ${actual}, and the source's object has ${expected}: these are other bytes, or that is no MD5 (--part-layout even does not compare them)`;
  const options = {
    kind: 'refused',
    code: 'wrong-etag',
    status: 200,
    mayHaveLanded: false,
  } as const;
  return new TransferError('source', new StoreError(message, options));
}

/** What a look after the write has found; of what is not there nothing can be left. */
export function notAsAcknowledged(
  code: 'not-kept' | 'short' | 'changed-after-copy',
  message: string,
): TransferError {
  const mayHaveLanded = code !== 'not-kept';
  const options = { kind: 'refused', code, status: 200, mayHaveLanded } as const;
  return new TransferError('destination', new StoreError(message, options));
}

const WRONG = new Set(['wrong-etag', 'wrong-checksum', 'not-kept', 'short']);

/** Whether something else than the source's bytes had arrived, and is not at the destination any more. */
export function isWithdrawn({ code, cause }: TransferError): boolean {
  return WRONG.has(code) && !cause.mayHaveLanded;
}

function wrongAcknowledgement(code: string, message: string): TransferError {
  const options = { kind: 'refused', code, status: 200, mayHaveLanded: true } as const;
  return new TransferError('destination', new StoreError(message, options));
}

/** What has used up its own attempts must not make the whole object start again as many times. */
export function exhausted({ side, cause }: TransferError, attempts: number): TransferError {
  const { code, status, mayHaveLanded } = cause;
  const options = { kind: 'refused', code, status, mayHaveLanded, cause } as const;
  return new TransferError(side, new StoreError(cause.message, options), attempts);
}

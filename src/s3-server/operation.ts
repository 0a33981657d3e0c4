/**
 * What an operation is given. Operations are plain functions from this to an answer: signature and
 * digests are verified before, sending comes after. They are synchronous, hence atomic.
 */
import type { Answer } from './answer.ts';
import type { Bucket } from './bucket.ts';
import type { Payload } from './payload.ts';
import type { S3Request } from './request.ts';

export interface Call {
  readonly request: S3Request;
  readonly payload: Payload;
  readonly region: string;
  /** The bucket of the request. Throws S3Error NoSuchBucket. */
  readonly bucket: () => Bucket;
  /** Throws S3Error BucketAlreadyOwnedByYou, InvalidBucketName. */
  readonly createBucket: () => void;
}

/** @throws S3Error for what is to be refused */
export type Operation = (call: Call) => Answer;

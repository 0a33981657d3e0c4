/**
 * A part of a large object that is to be copied: plain data, so that another thread than the one that has the
 * object can do it.
 */
import type { PartProof } from '../../domain.ts';
import type { SourceRange } from '../source-range.ts';

export interface PartJob extends SourceRange {
  readonly uploadId: string;
  /** What the upload was begun for. */
  readonly proof: PartProof;
}

/**
 * What an operator wants of every copy, and what is known of the destination: plain data, which goes to
 * worker threads as it is.
 */
import type { Capabilities } from '../s3/probe/capabilities.ts';

/** What belongs to an object besides its bytes and headers, and may not be had at the destination. */
export const LOSS_CLASSES = ['tags', 'lock', 'redirect', 'storage-class', 'metadata'] as const;
export type LossClass = (typeof LOSS_CLASSES)[number];

/** `fail` the object, copy it and say so (`warn`), or copy it without a word (`drop`). */
export type OnLoss = 'fail' | 'warn' | 'drop';

export interface CopyPolicy {
  /**
   * What keeps an object at the destination from being overwritten: `skip` is the condition of the write itself;
   * `head` asks before, which leaves a moment in which another's write is lost; `overwrite` is nothing.
   */
  readonly ifExists: 'skip' | 'head' | 'overwrite';
  readonly onLoss: Readonly<Record<LossClass, OnLoss>>;
  /** Object-lock mode, retain-until date and legal hold are copied. */
  readonly objectLock: boolean;
  /** Of the new objects: the source's own, one by its name, or what the destination takes when none is named. */
  readonly storageClass:
    | { readonly kind: 'keep' }
    | { readonly kind: 'named'; readonly name: string }
    | { readonly kind: 'default' };
  /** Parts as the source's object has them, or even ones of the tool's own. */
  readonly partLayout: 'keep' | 'even';
  /** Objects of which only the length could be compared fail. */
  readonly requireProof: boolean;
  /** A HEAD tells whether what is at the destination is the source's object. */
  readonly skipDetail: boolean;
  /** The destination is asked after the write whether it has the object as it was written. */
  readonly verify: boolean;
  /** The source is asked after the write whether the object is still there. */
  readonly recheckSource: boolean;
  /** Undefined when the destination was not probed. */
  readonly capabilities: Capabilities | undefined;
}

export const DEFAULT_POLICY: CopyPolicy = {
  ifExists: 'skip',
  onLoss: {
    tags: 'warn',
    lock: 'warn',
    redirect: 'warn',
    'storage-class': 'warn',
    metadata: 'warn',
  },
  objectLock: false,
  storageClass: { kind: 'default' },
  partLayout: 'keep',
  requireProof: false,
  skipDetail: true,
  verify: false,
  recheckSource: false,
  capabilities: undefined,
};

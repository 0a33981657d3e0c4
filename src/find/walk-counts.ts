/** What a walk has met so far. The walk adds to it as things happen; whoever shows it samples it. */

/** What a directory can hold that becomes no key. */
export type SkippedKind = 'symlink' | 'socket' | 'fifo' | 'device' | 'other';

export interface WalkCounts {
  /** Entries of any kind read from directories. */
  entries: number;
  /** Regular files handed on. */
  files: number;
  /** Directories read, the top one included. */
  directories: number;
  /** Entries that are neither regular file nor directory; none is followed. */
  skipped: Record<SkippedKind, number>;
  /** Regular files left out because they were modified too long ago. */
  older: number;
  /** Directories that could not be read, and files whose size and time could not. */
  unreadable: number;
  /** Directories and files that were gone when their turn came. */
  vanished: number;
}

export function newWalkCounts(): WalkCounts {
  return {
    entries: 0,
    files: 0,
    directories: 0,
    skipped: { symlink: 0, socket: 0, fifo: 0, device: 0, other: 0 },
    older: 0,
    unreadable: 0,
    vanished: 0,
  };
}

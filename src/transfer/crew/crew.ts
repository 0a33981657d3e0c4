/**
 * What copies the objects of a transfer: this thread alone, or several threads.
 */
import type { LoadState, Outcome } from '../../domain.ts';
import type { OpenPage } from '../open-page.ts';

export interface Crew {
  /** Objects that wait for their turn. */
  readonly waiting: number;
  /** Whether nothing is under way and nothing waits. */
  readonly idle: boolean;
  /** How much each store is asked for at present, and whether it is there. */
  readonly load: LoadState;
  /**
   * Copies the objects at these places of a page, which begin in this order. Each ends in one call of
   * {@link CrewEvents.onOutcome}, unless {@link stop} or a failure comes first.
   */
  copy(page: OpenPage, indices: Iterable<number>): void;
  /** Takes no object any more; those under way, and the few that threads have at hand, are finished. */
  stop(): void;
  /** Ends threads and connections; to be called when it is idle. */
  close(): Promise<void>;
  /** Ends all connections at once, by a reset; returns when that is done. */
  leave(): void;
}

export interface CrewEvents {
  onOutcome(page: OpenPage, index: number, outcome: Outcome): void;
  /** {@link Crew.waiting} has shrunk, or the crew has become idle. */
  onChange(): void;
  /** What the operator should know; the same may be told more than once. */
  onWarning(message: string): void;
  /** What makes every transfer fail. Those under way are finished. */
  onFailure(error: unknown): void;
}

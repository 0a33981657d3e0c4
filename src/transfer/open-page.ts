/**
 * A plan page whose transfers are under way, and the outcome pages it turns into.
 *
 * Transfers begin in key order and end in any. What is done from the page's beginning on can be split
 * off at any time as a page of its own, so that a slow key holds back only what comes after it.
 */
import { Decision, type Outcome, type OutcomePage, type PlanPage } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';

export class OpenPage {
  readonly #plan: PlanPage;
  readonly #outcomes: (Outcome | undefined)[];
  #unfinished = 0;
  /** Keys before this index have been handed on. */
  #emitted = 0;
  #after: ObjectKey;

  constructor(plan: PlanPage) {
    this.#plan = plan;
    this.#outcomes = Array.from({ length: plan.keys.length });
    this.#after = plan.after;
    for (const decision of plan.decisions) {
      if (decision === Decision.transfer) this.#unfinished++;
    }
  }

  get done(): boolean {
    return this.#unfinished === 0;
  }

  /** Indices of the keys to transfer, ascending. */
  *transfers(): Generator<number> {
    const { decisions } = this.#plan;
    for (let index = 0; index < decisions.length; index++) {
      if (decisions[index] === Decision.transfer) yield index;
    }
  }

  keyAt(index: number): ObjectKey {
    return this.#plan.keys[index] as ObjectKey;
  }

  finish(index: number, outcome: Outcome): void {
    this.#outcomes[index] = outcome;
    this.#unfinished--;
  }

  /** The first key that has no outcome yet; undefined when all have. */
  firstUnfinished(): ObjectKey | undefined {
    const index = this.#unfinishedFrom(this.#emitted);
    return index < this.#plan.keys.length ? this.keyAt(index) : undefined;
  }

  /**
   * Splits off the keys that are done, from the first not handed on yet to the last before one that has no
   * outcome.
   *
   * @returns undefined when that is none
   */
  takeDone(): OutcomePage | undefined {
    const { keys, decisions, last: planLast } = this.#plan;
    const end = this.#unfinishedFrom(this.#emitted);
    const whole = end === keys.length;
    if (end === this.#emitted && !whole) return undefined;
    const last = whole ? planLast : this.keyAt(end - 1);
    let ignored = 0;
    let exists = 0;
    const outcomes: Outcome[] = [];
    for (let index = this.#emitted; index < end; index++) {
      const decision = decisions[index];
      if (decision === Decision.ignored) ignored++;
      else if (decision === Decision.exists) exists++;
      else if (decision === Decision.transfer) outcomes.push(this.#outcomes[index] as Outcome);
      this.#outcomes[index] = undefined;
    }
    const page = { after: this.#after, last, ignored, exists, outcomes };
    this.#after = last;
    this.#emitted = end;
    return page;
  }

  /**
   * What is left to hand on once nothing more will be finished: the done keys from the beginning on, as
   * {@link takeDone}, and each run of them with an outcome behind a key that has none.
   */
  *takeRest(): Generator<OutcomePage> {
    const beginning = this.takeDone();
    if (beginning !== undefined) yield beginning;
    while (this.#emitted < this.#plan.keys.length) {
      this.#after = this.keyAt(this.#emitted);
      this.#emitted++;
      const run = this.takeDone();
      if (run !== undefined && run.outcomes.length > 0) yield run;
    }
  }

  #unfinishedFrom(from: number): number {
    const { decisions } = this.#plan;
    let index = from;
    while (index < decisions.length) {
      if (decisions[index] === Decision.transfer && this.#outcomes[index] === undefined) break;
      index++;
    }
    return index;
  }
}

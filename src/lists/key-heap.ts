/** A binary heap of whatever has a least key: the front of a k-way merge. */
import type { ObjectKey } from '../object-key.ts';

export interface HasHead {
  /** The member's least key, or any key below it. */
  head: ObjectKey;
}

/** Members may raise their `head` only while they are `top`, and then `settle` or `remove` is due. */
export class KeyHeap<T extends HasHead> {
  readonly #members: T[];

  constructor(members: readonly T[]) {
    this.#members = members.toSorted((a, b) => (a.head < b.head ? -1 : a.head > b.head ? 1 : 0));
  }

  /** The member with the least head. */
  get top(): T | undefined {
    return this.#members[0];
  }

  /** The least head of all members but the top. */
  get nextHead(): ObjectKey | undefined {
    const left = this.#members[1]?.head;
    const right = this.#members[2]?.head;
    return left === undefined || right === undefined || left <= right ? left : right;
  }

  /** Puts the top where its raised head belongs. */
  settle(): void {
    const members = this.#members;
    const moved = members[0];
    if (moved === undefined) return;
    let at = 0;
    for (;;) {
      const left = members[2 * at + 1];
      const right = members[2 * at + 2];
      if (left === undefined) break;
      const rightIsLess = right !== undefined && right.head < left.head;
      const child = rightIsLess ? right : left;
      if (moved.head <= child.head) break;
      members[at] = child;
      at = 2 * at + (rightIsLess ? 2 : 1);
    }
    members[at] = moved;
  }

  removeTop(): void {
    const lastMember = this.#members.pop();
    if (lastMember === undefined || this.#members.length === 0) return;
    this.#members[0] = lastMember;
    this.settle();
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#members[Symbol.iterator]();
  }
}

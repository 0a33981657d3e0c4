/**
 * Gives the parts of large objects to the workers: each goes to the one with the most free places,
 * whichever has the object, so that one object is copied by all of them.
 */
import type { PartJob } from '../parts/part-job.ts';
import type { PartEnd, ToWorker } from './worker-messages.ts';

/** A worker, as the desk sees it. */
export interface PartCopier {
  /** Parts it copies at once. */
  readonly threads: number;
  /** Does nothing when the worker has died. */
  readonly tell: (message: ToWorker) => void;
}

interface AskedPart {
  readonly asker: PartCopier;
  /** The asker's number for it. */
  readonly askedAs: number;
  readonly job: PartJob;
}

export class PartDesk {
  /** Parts under way, of each worker that may get some. */
  readonly #copiers = new Map<PartCopier, number>();
  readonly #waiting: AskedPart[] = [];
  readonly #underWay = new Map<number, AskedPart & { readonly copier: PartCopier }>();
  #lastId = 0;

  add(copier: PartCopier): void {
    this.#copiers.set(copier, 0);
    this.#handOut();
  }

  /** A worker that has died: what it was copying is told to come to no end, what it had asked for is dropped. */
  remove(copier: PartCopier): void {
    this.#copiers.delete(copier);
    for (let i = this.#waiting.length - 1; i >= 0; i--) {
      if (this.#waiting[i]?.asker === copier) this.#waiting.splice(i, 1);
    }
    for (const [id, part] of this.#underWay) {
      if (part.copier !== copier) continue;
      this.#underWay.delete(id);
      part.asker.tell({ kind: 'part-end', id: part.askedAs, end: { kind: 'run-ending' } });
    }
  }

  ask(asker: PartCopier, askedAs: number, job: PartJob): void {
    this.#waiting.push({ asker, askedAs, job });
    this.#handOut();
  }

  /** Takes back a part that no worker has yet; its asker is told, as of any. */
  drop(asker: PartCopier, askedAs: number): void {
    const at = this.#waiting.findIndex((part) => part.asker === asker && part.askedAs === askedAs);
    if (at < 0) return;
    this.#waiting.splice(at, 1);
    asker.tell({ kind: 'part-end', id: askedAs, end: { kind: 'run-ending' } });
  }

  /** @param id - the number that its copier got it under */
  end(id: number, end: PartEnd): void {
    const part = this.#underWay.get(id);
    if (part === undefined) return;
    this.#underWay.delete(id);
    this.#copiers.set(part.copier, (this.#copiers.get(part.copier) as number) - 1);
    part.asker.tell({ kind: 'part-end', id: part.askedAs, end });
    this.#handOut();
  }

  #handOut(): void {
    for (let part = this.#waiting[0]; part !== undefined; part = this.#waiting[0]) {
      const copier = this.#freest();
      if (copier === undefined) return;
      this.#waiting.shift();
      this.#lastId++;
      this.#underWay.set(this.#lastId, { ...part, copier });
      this.#copiers.set(copier, (this.#copiers.get(copier) as number) + 1);
      copier.tell({ kind: 'copy-part', id: this.#lastId, job: part.job });
    }
  }

  #freest(): PartCopier | undefined {
    let freest: PartCopier | undefined;
    let mostFree = 0;
    for (const [copier, parts] of this.#copiers) {
      if (copier.threads - parts <= mostFree) continue;
      freest = copier;
      mostFree = copier.threads - parts;
    }
    return freest;
  }
}

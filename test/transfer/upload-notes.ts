/**
 * The journal of uploads as a transfer is given it, kept in memory: what an earlier start has left is put in, and
 * what the transfer notes can be looked at.
 */
import type {
  AcknowledgedPart,
  JournalledUpload,
  UploadJournal,
  UploadPlan,
} from '../../src/domain.ts';
import type { ObjectKey } from '../../src/object-key.ts';

export class UploadNotes implements UploadJournal {
  /** Left by an earlier start. */
  left: JournalledUpload[] = [];
  /** What was noted, in order: `1 intended`, `1 created`, `1 part 3`. */
  readonly notes: string[] = [];
  readonly plans = new Map<number, UploadPlan>();
  /** Thrown to whoever wants to note something before it is done. */
  failure: Error | undefined;
  #lastNumber = 100;

  earlier(key: ObjectKey): Promise<readonly JournalledUpload[]> {
    return Promise.resolve(this.left.filter((upload) => upload.key === key));
  }

  async intend(): Promise<number> {
    if (this.failure !== undefined) throw this.failure;
    this.#lastNumber++;
    this.#note(this.#lastNumber, 'intended');
    return Promise.resolve(this.#lastNumber);
  }

  async created(number: number): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    this.#note(number, 'created');
    return Promise.resolve();
  }

  async begin(number: number, plan: UploadPlan): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    this.plans.set(number, plan);
    this.#note(number, 'begun');
    return Promise.resolve();
  }

  resume(number: number): void {
    this.#forget(number);
    this.#note(number, 'resumed');
  }

  acknowledge(number: number, { partNumber }: AcknowledgedPart): void {
    this.#note(number, `part ${partNumber}`);
  }

  completed(number: number): void {
    this.#note(number, 'completed');
  }

  abandon(number: number): void {
    this.#forget(number);
    this.#note(number, 'abandoned');
  }

  over(number: number): void {
    this.#forget(number);
    this.#note(number, 'over');
  }

  #note(number: number, what: string): void {
    this.notes.push(`${number} ${what}`);
  }

  #forget(number: number): void {
    this.left = this.left.filter((upload) => upload.number !== number);
  }
}

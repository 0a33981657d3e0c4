/**
 * The journal of uploads as a worker thread has it: every call goes to the main thread, which keeps it.
 *
 * What must be noted before something is sent is answered; the other notes are told, in order, without waiting.
 */
import type {
  AcknowledgedPart,
  JournalledUpload,
  UploadJournal,
  UploadPlan,
} from '../../domain.ts';
import type { ObjectKey } from '../../object-key.ts';
import { errorOf, type Failure, failureOf } from './worker-failure.ts';

/** Calls of {@link UploadJournal}, which the main thread has: those that are waited for, and those that are not. */
export type JournalQuestion =
  | { readonly call: 'earlier'; readonly key: ObjectKey }
  | { readonly call: 'intend'; readonly key: ObjectKey }
  | { readonly call: 'created'; readonly number: number; readonly uploadId: string }
  | { readonly call: 'begin'; readonly number: number; readonly plan: UploadPlan };
export type JournalNote =
  | { readonly call: 'acknowledge'; readonly number: number; readonly part: AcknowledgedPart }
  | { readonly call: 'completed'; readonly number: number; readonly etag: string }
  | { readonly call: 'resume' | 'abandon' | 'over'; readonly number: number };

type Told = readonly JournalledUpload[] | number | undefined;

export type JournalAnswer =
  | { readonly kind: 'told'; readonly value: Told }
  | { readonly kind: 'failed'; readonly failure: Failure };

/** How a worker reaches the main thread. */
export interface JournalLine {
  readonly ask: (id: number, question: JournalQuestion) => void;
  readonly note: (note: JournalNote) => void;
}

export class RemoteJournal implements UploadJournal {
  readonly #line: JournalLine;
  readonly #asked = new Map<number, (answer: JournalAnswer) => void>();
  #lastAsked = 0;

  constructor(line: JournalLine) {
    this.#line = line;
  }

  async earlier(key: ObjectKey): Promise<readonly JournalledUpload[]> {
    return (await this.#ask({ call: 'earlier', key })) as readonly JournalledUpload[];
  }

  async intend(key: ObjectKey): Promise<number> {
    return (await this.#ask({ call: 'intend', key })) as number;
  }

  async created(number: number, uploadId: string): Promise<void> {
    await this.#ask({ call: 'created', number, uploadId });
  }

  async begin(number: number, plan: UploadPlan): Promise<void> {
    await this.#ask({ call: 'begin', number, plan });
  }

  resume(number: number): void {
    this.#line.note({ call: 'resume', number });
  }

  acknowledge(number: number, part: AcknowledgedPart): void {
    this.#line.note({ call: 'acknowledge', number, part });
  }

  completed(number: number, etag: string): void {
    this.#line.note({ call: 'completed', number, etag });
  }

  abandon(number: number): void {
    this.#line.note({ call: 'abandon', number });
  }

  over(number: number): void {
    this.#line.note({ call: 'over', number });
  }

  /** For the main thread's answer to the question of this number. */
  take(id: number, answer: JournalAnswer): void {
    this.#asked.get(id)?.(answer);
    this.#asked.delete(id);
  }

  async #ask(question: JournalQuestion): Promise<Told> {
    this.#lastAsked++;
    const id = this.#lastAsked;
    const answer = await new Promise<JournalAnswer>((resolve) => {
      this.#asked.set(id, resolve);
      this.#line.ask(id, question);
    });
    if (answer.kind === 'failed') throw errorOf(answer.failure);
    return answer.value;
  }
}

/** For the main thread. */
export async function answerQuestion(
  journal: UploadJournal,
  question: JournalQuestion,
): Promise<JournalAnswer> {
  try {
    return { kind: 'told', value: await ask(journal, question) };
  } catch (error) {
    return { kind: 'failed', failure: failureOf(error) };
  }
}

function ask(journal: UploadJournal, question: JournalQuestion): Promise<Told> {
  switch (question.call) {
    case 'earlier':
      return journal.earlier(question.key);
    case 'intend':
      return journal.intend(question.key);
    case 'created':
      return journal.created(question.number, question.uploadId).then(() => undefined);
    case 'begin':
      return journal.begin(question.number, question.plan).then(() => undefined);
  }
}

/** For the main thread. */
export function takeNote(journal: UploadJournal, note: JournalNote): void {
  switch (note.call) {
    case 'acknowledge':
      journal.acknowledge(note.number, note.part);
      return;
    case 'completed':
      journal.completed(note.number, note.etag);
      return;
    case 'resume':
    case 'abandon':
    case 'over':
      journal[note.call](note.number);
      return;
  }
}

/**
 * A crew of worker threads: each has its own connections, places and memory, so that a transfer has all
 * cores of the host. This thread only hands out keys and takes outcomes in.
 *
 * Threads are started as there is work for them. One that dies, or is stuck and therefore ended, makes the transfer fail:
 * what it was copying has no outcome, and everything else is finished and handed on.
 */
import { Worker } from 'node:worker_threads';
import { startAwakeClock, type TickingClock } from '../../awake-clock.ts';
import {
  type Counters,
  type LoadState,
  SIDES,
  type Side,
  type UploadJournal,
} from '../../domain.ts';
import { MigrateError } from '../../errors.ts';
import { loadOfAll, undisturbed } from '../../load/load-state.ts';
import type { Keyring, TemporaryCredentials } from '../../s3/keyring.ts';
import type { OpenPage } from '../open-page.ts';
import type { Crew, CrewEvents } from './crew.ts';
import { PartDesk } from './part-desk.ts';
import { newPulse, PulseWatch } from './pulse.ts';
import { answerQuestion, takeNote } from './remote-journal.ts';
import { errorOf, failureOf } from './worker-failure.ts';
import {
  type AddedCounts,
  CREW_COUNTERS,
  type CredentialsAnswer,
  type FromWorker,
  type SliceOutcomes,
  type ToWorker,
  type WorkerOptions,
} from './worker-messages.ts';

export interface ThreadCrewOptions
  extends Pick<
    WorkerOptions,
    'source' | 'destination' | 'multipartThresholdBytes' | 'partBytes' | 'policy' | 'maxOutageMs'
  > {
  readonly counters: Counters;
  readonly uploads: UploadJournal;
  /** Of the sides whose credentials are renewed. */
  readonly keyrings: Readonly<Record<Side, Keyring | undefined>>;
  /** Worker threads; at least 1, at most `threads`. */
  readonly cores: number;
  /** Places of all workers together. */
  readonly threads: number;
  /** Of all workers together. */
  readonly memoryBytes: number;
  /** Of all workers together; each has one at least. */
  readonly threadsMin: number;
  /** A worker whose event loop has not turned for so long is ended, in ms; a minute by default. */
  readonly stuckAfterMs?: number;
}

/** Most keys in a message: enough that it costs little for each, few enough that the workers share fairly. */
const MAX_SLICE = 64;
/**
 * Keys that a worker has at hand besides those it has places for: as many as it copies in this time, so that it
 * does not run dry while outcomes are on their way. None where objects take long: then a worker begins
 * nothing that another could begin sooner, and after a Ctrl-C nothing more at all.
 */
const AT_HAND_SECONDS = 0.02;
const MAX_AT_HAND = 128;
/** How long to wait for the workers' resets when the program is left at once. */
const LEAVING_MS = 500;
const STUCK_AFTER_MS = 60_000;
/** A silence of a worker that is over, and is worth telling of. */
const STOOD_STILL_MS = 10_000;
/** How long to wait for a thread that is asked to end, and then is made to; it may wait for a name's lookup. */
const CLOSING_MS = 5_000;

/** Keys of a page that were handed out together. */
interface Slice {
  readonly page: OpenPage;
  readonly indices: readonly number[];
  unfinished: number;
}

/** Places of a page whose keys wait for a worker, from `next` on. */
interface Queued {
  readonly page: OpenPage;
  readonly indices: readonly number[];
  next: number;
}

export class ThreadCrew implements Crew {
  readonly #options: ThreadCrewOptions;
  readonly #events: CrewEvents;
  readonly #members: Member[] = [];
  readonly #desk = new PartDesk();
  readonly #queue: Queued[] = [];
  readonly #left = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  readonly #clock: TickingClock;
  readonly #shownWaiting = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  #waiting = 0;
  #stopping = false;

  constructor(options: ThreadCrewOptions, events: CrewEvents) {
    this.#options = options;
    this.#events = events;
    this.#clock = startAwakeClock((now) => this.#feelPulses(now));
  }

  get waiting(): number {
    return this.#waiting;
  }

  get idle(): boolean {
    return this.#waiting === 0 && this.#members.every((member) => member.idle);
  }

  get load(): LoadState {
    return loadOfAll(this.#members.flatMap(({ load, alive }) => (alive ? [load] : [])));
  }

  copy(page: OpenPage, indices: Iterable<number>): void {
    if (this.#stopping) return;
    const queued = { page, indices: [...indices], next: 0 };
    if (queued.indices.length === 0) return;
    this.#queue.push(queued);
    this.#waiting += queued.indices.length;
    this.#handOut();
  }

  stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#queue.length = 0;
    this.#waiting = 0;
    for (const member of this.#members) member.stop();
  }

  async close(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.close()));
    this.#clock.stop();
  }

  leave(): void {
    const left = new Int32Array(this.#left);
    const alive = this.#members.filter((member) => member.alive);
    for (const member of alive) member.tell({ kind: 'leave' });
    const until = performance.now() + LEAVING_MS;
    for (let seen = 0; seen < alive.length; seen = Atomics.load(left, 0)) {
      const wait = until - performance.now();
      if (wait <= 0) return;
      Atomics.wait(left, 0, seen, wait);
    }
  }

  #handOut(): void {
    for (let queued = this.#queue[0]; queued !== undefined; queued = this.#queue[0]) {
      const member = this.#freest();
      if (member === undefined) break;
      // The last ones in small pieces, so that no worker is left with many while others have none.
      const fair = Math.ceil(this.#waiting / (2 * this.#options.cores));
      const end = queued.next + Math.min(MAX_SLICE, member.room, fair);
      const indices = queued.indices.slice(queued.next, end);
      queued.next += indices.length;
      this.#waiting -= indices.length;
      if (queued.next === queued.indices.length) this.#queue.shift();
      member.copy({ page: queued.page, indices, unfinished: indices.length });
    }
    Atomics.store(this.#shownWaiting, 0, this.#waiting);
    this.#countWorking();
  }

  /** The worker that can take the most keys, a new one while all places are taken; undefined when none can take any. */
  #freest(): Member | undefined {
    let freest: Member | undefined;
    for (const member of this.#members) {
      if (member.room > (freest?.room ?? 0)) freest = member;
    }
    if (freest === undefined || freest.pending >= freest.threads) {
      freest = this.#startOne() ?? freest;
    }
    return freest;
  }

  #countWorking(): void {
    let working = 0;
    for (const member of this.#members) working += member.working;
    this.#options.counters.working = working;
  }

  /** @returns undefined when all have been started */
  #startOne(): Member | undefined {
    const { cores, threads, threadsMin, memoryBytes, keyrings } = this.#options;
    const { multipartThresholdBytes, partBytes, policy, maxOutageMs } = this.#options;
    const number = this.#members.length;
    if (number >= cores) return undefined;
    const options: WorkerOptions = {
      source: this.#storeOf('source'),
      destination: this.#storeOf('destination'),
      renewed: SIDES.filter((side) => keyrings[side] !== undefined),
      multipartThresholdBytes,
      partBytes,
      policy,
      maxOutageMs,
      threadsMin: Math.max(1, Math.floor(threadsMin / cores)),
      threads: Math.floor(threads / cores) + (number < threads % cores ? 1 : 0),
      memoryBytes: Math.floor(memoryBytes / cores),
      partWindow: threads,
      pulse: newPulse(),
      waiting: this.#shownWaiting.buffer,
      left: this.#left,
    };
    const member = new Member(options, this.#clock.now(), {
      onMessage: (message) => this.#onMessage(member, message),
      onDeath: (reason) => this.#onDeath(member, reason),
    });
    this.#members.push(member);
    this.#desk.add(member);
    return member;
  }

  /** With the credentials of now. */
  #storeOf(side: Side): WorkerOptions[Side] {
    const { [side]: store, keyrings } = this.#options;
    return { ...store, credentials: keyrings[side]?.current ?? store.credentials };
  }

  async #giveCredentials(
    member: Member,
    side: Side,
    outdated: TemporaryCredentials,
  ): Promise<void> {
    let answer: CredentialsAnswer;
    try {
      const newer = await this.#options.keyrings[side]?.renew(outdated);
      answer = { kind: 'given', credentials: newer ?? outdated };
    } catch (error) {
      answer = { kind: 'failed', failure: failureOf(error) };
    }
    member.tell({ kind: 'credentials', side, answer });
  }

  #onMessage(member: Member, message: FromWorker): void {
    switch (message.kind) {
      case 'progress':
        this.#add(message.added);
        for (const outcomes of message.outcomes) this.#takeIn(member, outcomes);
        if (!this.#stopping) this.#handOut();
        else this.#countWorking();
        break;
      case 'ask-part':
        while (this.#startOne() !== undefined);
        this.#desk.ask(member, message.id, message.job);
        return;
      case 'drop-part':
        this.#desk.drop(member, message.id);
        return;
      case 'part-end':
        this.#desk.end(message.id, message.end);
        return;
      case 'load':
        member.load = message.load;
        return;
      case 'ask-journal': {
        const { id, question } = message;
        void answerQuestion(this.#options.uploads, question).then((answer) =>
          member.tell({ kind: 'journal-answer', id, answer }),
        );
        return;
      }
      case 'journal-note':
        takeNote(this.#options.uploads, message.note);
        return;
      case 'ask-credentials':
        void this.#giveCredentials(member, message.side, message.outdated);
        return;
      case 'warning':
        this.#events.onWarning(message.message);
        return;
      case 'failure':
        this.#events.onFailure(errorOf(message.failure));
        return;
      case 'stopped':
        this.#countWorking();
        break;
    }
    this.#events.onChange();
  }

  #takeIn(member: Member, { slice: number, copied, others }: SliceOutcomes): void {
    const { page, indices } = member.slice(number);
    for (const [i, at] of copied.at.entries()) {
      const index = indices[at] as number;
      this.#events.onOutcome(page, index, {
        kind: 'copied',
        key: page.keyAt(index),
        bytes: copied.bytes[i] as number,
        etag: copied.etags[i] as string,
        detail: copied.details[i] as string,
      });
    }
    for (const { at, outcome } of others) {
      this.#events.onOutcome(page, indices[at] as number, outcome);
    }
    member.finish(number, copied.at.length + others.length);
  }

  /** Whether this thread stood still itself does not matter: its clock did, too. */
  #feelPulses(now: number): void {
    const { stuckAfterMs = STUCK_AFTER_MS } = this.#options;
    for (const member of this.#members) {
      if (!member.alive) continue;
      const { ms, isOver } = member.pulse.silence(now);
      const seconds = Math.round(ms / 1_000);
      if (!isOver && ms > stuckAfterMs) {
        member.end(`it did not move for ${seconds} s`);
      } else if (isOver && ms > STOOD_STILL_MS) {
        this.#events.onWarning(`a worker thread stood still for ${seconds} s`);
      }
    }
  }

  #onDeath(member: Member, reason: string): void {
    this.#desk.remove(member);
    this.#countWorking();
    this.#events.onFailure(
      new MigrateError(`a worker thread has died: ${reason}`, {
        exitCode: 3,
        hint: 'Give the same command again: it goes on where this run ended. If it happens again, try --cores 1, and report it.',
      }),
    );
    this.#events.onChange();
  }

  #add(added: AddedCounts): void {
    for (const name of CREW_COUNTERS) this.#options.counters[name] += added[name];
  }
}

interface MemberEvents {
  onMessage(message: FromWorker): void;
  /** Once, unless it was closed. */
  onDeath(reason: string): void;
}

/** One worker thread, and what it has to do. */
class Member {
  readonly threads: number;
  /** As it was told last. */
  load: LoadState;
  readonly pulse: PulseWatch;
  readonly #worker: Worker;
  readonly #die: (reason: string) => void;
  readonly #ended: Promise<void>;
  readonly #slices = new Map<number, Slice>();
  #lastSlice = 0;
  #pending = 0;
  #perSecond = 0;
  #rateSince = performance.now();
  #finishedSince = 0;
  #state: 'at-work' | 'stopping' | 'stopped' | 'closing' | 'dead' = 'at-work';

  /** @param now - in ms, of the clock that its pulse is felt by */
  constructor(options: WorkerOptions, now: number, events: MemberEvents) {
    this.threads = options.threads;
    this.pulse = new PulseWatch(options.pulse, now);
    this.load = undisturbed(options.threads);
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: options });
    this.#worker.on('message', (message: FromWorker) => {
      if (message.kind === 'stopped' && this.#state === 'stopping') this.#state = 'stopped';
      events.onMessage(message);
    });
    this.#die = (reason) => {
      if (this.#state === 'dead' || this.#state === 'closing') return;
      this.#state = 'dead';
      events.onDeath(reason);
    };
    this.#ended = new Promise((resolve) => {
      this.#worker.on('error', (error) => this.#die(reasonOf(error)));
      this.#worker.on('exit', (code) => {
        this.#die(`it ended with code ${code}`);
        resolve();
      });
    });
  }

  get alive(): boolean {
    return this.#state !== 'dead';
  }

  /** Whether it has nothing to do, and will not do any more of what it was given. */
  get idle(): boolean {
    switch (this.#state) {
      case 'at-work':
        return this.#pending === 0;
      case 'stopping':
        return false;
      case 'stopped':
      case 'closing':
      case 'dead':
        return true;
    }
  }

  /** Keys it was given that have no outcome yet. */
  get pending(): number {
    return this.#pending;
  }

  /** Objects under way; those it has at hand are not. */
  get working(): number {
    return this.idle ? 0 : Math.min(this.#pending, this.threads);
  }

  /** Keys it can take now. */
  get room(): number {
    if (this.#state !== 'at-work') return 0;
    const atHand = Math.min(MAX_AT_HAND, Math.floor(this.#perSecond * AT_HAND_SECONDS));
    return this.threads + atHand - this.#pending;
  }

  tell(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  copy(slice: Slice): void {
    this.#lastSlice++;
    this.#slices.set(this.#lastSlice, slice);
    this.#pending += slice.indices.length;
    const keys = slice.indices.map((index) => slice.page.keyAt(index));
    this.tell({ kind: 'copy', slice: this.#lastSlice, keys });
  }

  slice(number: number): Slice {
    return this.#slices.get(number) as Slice;
  }

  finish(number: number, objects: number): void {
    const slice = this.slice(number);
    this.#pending -= objects;
    slice.unfinished -= objects;
    if (slice.unfinished === 0) this.#slices.delete(number);
    this.#measure(objects);
  }

  #measure(objects: number): void {
    this.#finishedSince += objects;
    const now = performance.now();
    const seconds = (now - this.#rateSince) / 1000;
    if (seconds < AT_HAND_SECONDS) return;
    this.#perSecond = this.#finishedSince / seconds;
    this.#finishedSince = 0;
    this.#rateSince = now;
  }

  stop(): void {
    if (this.#state !== 'at-work') return;
    this.#state = 'stopping';
    this.tell({ kind: 'stop' });
  }

  /** Ends the thread where it is; it counts as died. */
  end(reason: string): void {
    this.#die(reason);
    void this.#worker.terminate();
  }

  async close(): Promise<void> {
    if (this.#state !== 'dead') {
      this.#state = 'closing';
      this.tell({ kind: 'close' });
      if (await isSettledWithin(this.#ended, CLOSING_MS)) return;
      void this.#worker.terminate();
    }
    await isSettledWithin(this.#ended, CLOSING_MS);
  }
}

/** @returns whether it was settled before that */
async function isSettledWithin(promise: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  const isSettled = await Promise.race([promise.then(() => true), late]);
  clearTimeout(timer);
  return isSettled;
}

function reasonOf(error: Error): string {
  if ('code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY') {
    return "it ran out of memory (Node's heap: see --max-old-space-size)";
  }
  return error.message;
}

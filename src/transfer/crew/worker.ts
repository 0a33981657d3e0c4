/**
 * A worker thread of a transfer: copies what the main thread hands it, over connections of its own.
 *
 * It knows neither lists nor logs. What it was copying when it ends without a word has no outcome, and is begun anew
 * by the next run.
 */
import { setMaxListeners } from 'node:events';
import { isMainThread, type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { type LoadState, newCounters, type Outcome, type Side } from '../../domain.ts';
import { isUndisturbed } from '../../load/load-state.ts';
import { RunEnding, retryPolicy } from '../../load/retry.ts';
import type { ObjectKey } from '../../object-key.ts';
import { Keyring, type TemporaryCredentials } from '../../s3/keyring.ts';
import type { UploadedPart } from '../../s3/object-store.ts';
import { WireObjectStore } from '../../s3/wire-object-store.ts';
import { CopyPool } from '../copy-pool.ts';
import type { PartJob } from '../parts/part-job.ts';
import { beat } from './pulse.ts';
import { RemoteJournal } from './remote-journal.ts';
import { errorOf, failureOf } from './worker-failure.ts';
import {
  type AddedCounts,
  CREW_COUNTERS,
  type CredentialsAnswer,
  type FromWorker,
  type PartEnd,
  partEndOf,
  partOf,
  type SliceOutcomes,
  type ToWorker,
  type WorkerOptions,
} from './worker-messages.ts';

/** Outcomes are told when so many have come together, or after so long; counters as often when they change. */
const TELL_AT_OUTCOMES = 64;
const TELL_AFTER_MS = 10;
const COUNT_EVERY_MS = 100;

/** Another worker's part is wanted until that one says otherwise to the main thread. */
const NEVER = new AbortController().signal;

class TransferWorker {
  readonly #options: WorkerOptions;
  readonly #tell: (message: FromWorker) => void;
  readonly #onClosed: () => void;
  readonly #source: WireObjectStore;
  readonly #destination: WireObjectStore;
  readonly #counters = newCounters();
  readonly #ending = new AbortController();
  readonly #pool: CopyPool;
  readonly #waiting: Int32Array;
  readonly #uploads: RemoteJournal;
  #told: AddedCounts = countsOf(this.#counters);
  /** Undefined when it was told last that both stores take all they are asked for. */
  #toldLoad: LoadState | undefined;
  #outcomes = new Map<number, SliceOutcomes>();
  #outcomeCount = 0;
  #telling: NodeJS.Timeout | undefined;
  readonly #counting: NodeJS.Timeout;
  readonly #asked = new Map<number, (end: PartEnd) => void>();
  #lastAsked = 0;
  readonly #askedCredentials = new Map<Side, (answer: CredentialsAnswer) => void>();

  constructor(options: WorkerOptions, port: MessagePort) {
    this.#options = options;
    this.#waiting = new Int32Array(options.waiting);
    this.#tell = (message) => port.postMessage(message);
    this.#onClosed = () => port.close();
    this.#source = new WireObjectStore(options.source, this.#keyringOf('source'));
    this.#destination = new WireObjectStore(options.destination, this.#keyringOf('destination'));
    this.#uploads = new RemoteJournal({
      ask: (id, question) => this.#tell({ kind: 'ask-journal', id, question }),
      note: (note) => this.#tell({ kind: 'journal-note', note }),
    });
    this.#pool = new CopyPool(
      {
        source: this.#source,
        destination: this.#destination,
        counters: this.#counters,
        threads: options.threads,
        memoryBytes: options.memoryBytes,
        threadsMin: options.threadsMin,
        maxOutageMs: options.maxOutageMs,
        multipartThresholdBytes: options.multipartThresholdBytes,
        partBytes: options.partBytes,
        policy: options.policy,
        uploads: this.#uploads,
        othersWait: () => Atomics.load(this.#waiting, 0) > 0,
        warn: (text) => this.#tell({ kind: 'warning', message: text }),
        retry: retryPolicy(this.#ending.signal),
        now: Date.now,
      },
      {
        copyPart: (job, unwanted) => this.#askForPart(job, unwanted),
        partWindow: options.partWindow,
      },
    );
    this.#counting = setInterval(() => this.#tellCounts(), COUNT_EVERY_MS);
  }

  take(message: ToWorker): void {
    switch (message.kind) {
      case 'copy':
        for (const [at, key] of message.keys.entries()) void this.#copy(key, message.slice, at);
        return;
      case 'copy-part':
        void this.#copyPart(message.id, message.job);
        return;
      case 'part-end':
        this.#asked.get(message.id)?.(message.end);
        return;
      case 'journal-answer':
        this.#uploads.take(message.id, message.answer);
        return;
      case 'credentials':
        this.#askedCredentials.get(message.side)?.(message.answer);
        return;
      case 'stop':
        this.#ending.abort();
        // What waits for its turn is finished where that is a moment's work.
        if (!isUndisturbed(this.#pool.load)) this.#pool.clear();
        this.#endWhenIdle();
        return;
      case 'close':
        this.#pool.close();
        this.#closeStores();
        clearInterval(this.#counting);
        this.#onClosed();
        return;
      case 'leave': {
        this.#closeStores();
        const left = new Int32Array(this.#options.left);
        Atomics.add(left, 0, 1);
        Atomics.notify(left, 0);
        return;
      }
    }
  }

  #closeStores(): void {
    this.#source.close();
    this.#destination.close();
  }

  async #copy(key: ObjectKey, slice: number, at: number): Promise<void> {
    try {
      this.#keep(slice, at, await this.#pool.copy(key));
    } catch (error) {
      // Its key has no outcome, like those that were not begun.
      if (!(error instanceof RunEnding)) this.#tell({ kind: 'failure', failure: failureOf(error) });
    }
    this.#endWhenIdle();
  }

  async #copyPart(id: number, job: PartJob): Promise<void> {
    let end: PartEnd;
    try {
      end = { kind: 'copied', part: await this.#pool.copyPart(job, NEVER) };
    } catch (error) {
      end = partEndOf(error);
    }
    this.#tell({ kind: 'part-end', id, end });
    this.#endWhenIdle();
  }

  /** Has a part copied by whichever worker has a place for it. */
  async #askForPart(job: PartJob, unwanted: AbortSignal): Promise<UploadedPart> {
    unwanted.throwIfAborted();
    this.#lastAsked++;
    const id = this.#lastAsked;
    const drop = (): void => this.#tell({ kind: 'drop-part', id });
    unwanted.addEventListener('abort', drop);
    try {
      const end = await new Promise<PartEnd>((resolve) => {
        this.#asked.set(id, resolve);
        this.#tell({ kind: 'ask-part', id, job });
      });
      return partOf(end);
    } finally {
      this.#asked.delete(id);
      unwanted.removeEventListener('abort', drop);
    }
  }

  /** One whose provider is the main thread. */
  #keyringOf(side: Side): Keyring | undefined {
    const { renewed, [side]: store } = this.#options;
    if (!renewed.includes(side)) return undefined;
    const ask = async (outdated: TemporaryCredentials): Promise<TemporaryCredentials> => {
      const answer = await new Promise<CredentialsAnswer>((resolve) => {
        this.#askedCredentials.set(side, resolve);
        this.#tell({ kind: 'ask-credentials', side, outdated });
      });
      if (answer.kind === 'failed') throw errorOf(answer.failure);
      return answer.credentials;
    };
    return new Keyring(store.credentials, { ask, now: Date.now });
  }

  #keep(slice: number, at: number, outcome: Outcome): void {
    let outcomes = this.#outcomes.get(slice);
    if (outcomes === undefined) {
      outcomes = { slice, copied: { at: [], bytes: [], etags: [], details: [] }, others: [] };
      this.#outcomes.set(slice, outcomes);
    }
    if (outcome.kind === 'copied') {
      const { copied } = outcomes;
      copied.at.push(at);
      copied.bytes.push(outcome.bytes);
      copied.etags.push(outcome.etag);
      copied.details.push(outcome.detail);
    } else {
      outcomes.others.push({ at, outcome });
    }
    this.#outcomeCount++;
    if (this.#outcomeCount >= TELL_AT_OUTCOMES) this.#tellProgress();
    else this.#telling ??= setTimeout(() => this.#tellProgress(), TELL_AFTER_MS);
  }

  #tellCounts(): void {
    this.#tellLoad();
    if (CREW_COUNTERS.some((name) => this.#counters[name] !== this.#told[name]))
      this.#tellProgress();
  }

  #tellLoad(): void {
    const { load } = this.#pool;
    const wasQuiet = this.#toldLoad === undefined;
    this.#toldLoad = isUndisturbed(load) ? undefined : load;
    if (!wasQuiet || this.#toldLoad !== undefined) this.#tell({ kind: 'load', load });
  }

  #tellProgress(): void {
    clearTimeout(this.#telling);
    this.#telling = undefined;
    const counts = countsOf(this.#counters);
    const added = { ...counts };
    for (const name of CREW_COUNTERS) added[name] -= this.#told[name];
    this.#told = counts;
    this.#tell({ kind: 'progress', outcomes: [...this.#outcomes.values()], added });
    this.#outcomes = new Map();
    this.#outcomeCount = 0;
  }

  #endWhenIdle(): void {
    if (!this.#ending.signal.aborted || !this.#pool.idle) return;
    this.#tellProgress();
    this.#tell({ kind: 'stopped' });
  }
}

function countsOf(counters: AddedCounts): Record<(typeof CREW_COUNTERS)[number], number> {
  const { downloaded, downloadedBytes, uploadedBytes, retries } = counters;
  return { downloaded, downloadedBytes, uploadedBytes, retries };
}

// As in the main thread: what is under way all listens to one signal, and that is no leak.
setMaxListeners(0);
if (isMainThread || parentPort === null) throw new Error('this is the code of a worker thread');
beat((workerData as WorkerOptions).pulse);
const worker = new TransferWorker(workerData as WorkerOptions, parentPort);
parentPort.on('message', (message: ToWorker) => worker.take(message));

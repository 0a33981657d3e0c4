/**
 * A store whose exchanges begin when its {@link SideLoad} lets them, and tell it how they went.
 *
 * At the destination only writes tell whether the store is at work: it may answer every question and take nothing.
 */
import type { ObjectKey } from '../object-key.ts';
import type {
  CompletedUpload,
  GetOptions,
  GetResult,
  ListedPart,
  ObjectHead,
  ObjectStore,
  PartDigest,
  PartHead,
  PartResult,
  PartUpload,
  PutOptions,
  PutResult,
  StoreAnswer,
  StoreRequest,
  UploadedPart,
  UploadListing,
} from '../s3/object-store.ts';
import { StoreError } from '../s3/object-store.ts';
import type { Tags } from '../s3/tagging.ts';
import type { Header } from '../wire/signature.ts';
import { isStoreTrouble } from './retry.ts';
import type { SideLoad } from './side-load.ts';

/** Up to this length the time an answer takes is the store's, and not that of the bytes. */
const SMALL_BYTES = 256 * 1024;

/** What an answer says about the store: that it is at work, also how fast it answers, or nothing. */
type Says = 'at-work' | 'at-work-and-how-fast' | 'nothing';

/** What a run relies on a store for: only that tells whether it is at work. */
export type Use = 'reading' | 'writing';

export class PacedStore implements ObjectStore {
  readonly name: string;
  readonly #store: ObjectStore;
  readonly #load: SideLoad;
  /** What reading says. */
  readonly #reading: Says;

  constructor(store: ObjectStore, load: SideLoad, use: Use) {
    this.name = store.name;
    this.#store = store;
    this.#load = load;
    this.#reading = use === 'reading' ? 'at-work' : 'nothing';
  }

  /** Not paced: it is how a store is asked whether it is there. */
  headBucket(): Promise<void> {
    return this.#store.headBucket();
  }

  head(key: ObjectKey): Promise<ObjectHead> {
    return this.#exchange(key, this.#reading, () => this.#store.head(key));
  }

  headPart(
    key: ObjectKey,
    part: { partNumber: number; ifMatch: string },
  ): Promise<PartHead | undefined> {
    return this.#exchange(key, this.#reading, () => this.#store.headPart(key, part));
  }

  get(key: ObjectKey, options: GetOptions): Promise<GetResult> {
    return this.#exchange(key, this.#reading, (begunAt) => {
      if (options.range !== undefined) return this.#store.get(key, options);
      const receive: GetOptions['receive'] = (object) => {
        this.#load.measured(this.#load.now - begunAt);
        return options.receive(object);
      };
      return this.#store.get(key, { ...options, receive });
    });
  }

  getTagging(key: ObjectKey): Promise<Tags> {
    return this.#exchange(key, this.#reading, () => this.#store.getTagging(key));
  }

  putNew(key: ObjectKey, options: PutOptions): Promise<PutResult> {
    const says = options.body.length <= SMALL_BYTES ? 'at-work-and-how-fast' : 'at-work';
    return this.#exchange(key, says, () => this.#store.putNew(key, options));
  }

  createMultipartUpload(
    key: ObjectKey,
    metadata: readonly Header[],
    algorithm?: PartDigest['algorithm'],
  ): Promise<string> {
    return this.#exchange(key, 'at-work', () =>
      this.#store.createMultipartUpload(key, metadata, algorithm),
    );
  }

  uploadPart(key: ObjectKey, part: PartUpload): Promise<PartResult> {
    return this.#exchange(key, 'at-work', () => this.#store.uploadPart(key, part));
  }

  completeNew(
    key: ObjectKey,
    upload: { uploadId: string; parts: readonly UploadedPart[] },
  ): Promise<CompletedUpload> {
    return this.#exchange(key, 'at-work', () => this.#store.completeNew(key, upload));
  }

  listParts(key: ObjectKey, uploadId: string): Promise<readonly ListedPart[]> {
    return this.#exchange(key, 'nothing', () => this.#store.listParts(key, uploadId));
  }

  listUploads(key: ObjectKey): Promise<UploadListing> {
    return this.#exchange(key, 'nothing', () => this.#store.listUploads(key));
  }

  abortMultipartUpload(key: ObjectKey, uploadId: string): Promise<void> {
    return this.#exchange(key, 'nothing', () => this.#store.abortMultipartUpload(key, uploadId));
  }

  deleteObject(key: ObjectKey, options?: { ifMatch?: string }): Promise<void> {
    return this.#exchange(key, 'nothing', () => this.#store.deleteObject(key, options));
  }

  send(request: StoreRequest): Promise<StoreAnswer> {
    return this.#store.send(request);
  }

  close(): void {
    this.#store.close();
  }

  #exchange<T>(key: ObjectKey, says: Says, exchange: (begunAt: number) => Promise<T>): Promise<T> {
    const turn = this.#load.admit();
    if (turn === undefined) return this.#begin(key, says, exchange);
    return turn.then(() => this.#begin(key, says, exchange));
  }

  // One `then` and no async function: this runs twice for every object.
  #begin<T>(key: ObjectKey, says: Says, exchange: (begunAt: number) => Promise<T>): Promise<T> {
    const load = this.#load;
    const begunAt = load.begin();
    return exchange(begunAt).then(
      (result) => {
        if (says === 'nothing') load.ended();
        else load.succeeded(says === 'at-work' ? undefined : begunAt);
        return result;
      },
      (error: unknown) => {
        if (error instanceof StoreError && isStoreTrouble(error)) load.failed(key, error, begunAt);
        else if (says !== 'nothing' && isAnswer(error)) load.succeeded();
        else load.ended();
        throw error;
      },
    );
  }
}

/** Whether it is a refusal that only a store at work gives. */
function isAnswer(error: unknown): boolean {
  return error instanceof StoreError && error.status !== 0 && error.kind !== 'not-s3';
}

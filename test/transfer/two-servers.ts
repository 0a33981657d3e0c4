/**
 * A source and a destination on embedded servers, and what a copy between them works with.
 */
import { expect } from 'vitest';
import { type Counters, newCounters, type Outcome } from '../../src/domain.ts';
import type { RetryPolicy } from '../../src/load/retry.ts';
import type { ObjectKey } from '../../src/object-key.ts';
import { WireObjectStore } from '../../src/s3/wire-object-store.ts';
import type { Bucket } from '../../src/s3-server/bucket.ts';
import { type S3Server, type S3ServerOptions, startS3Server } from '../../src/s3-server/server.ts';
import { ContentBuffers } from '../../src/transfer/content-buffers.ts';
import type { CopyContext } from '../../src/transfer/copy-context.ts';
import { copyLargeObject, copyObject } from '../../src/transfer/copy-object.ts';
import { DEFAULT_POLICY } from '../../src/transfer/copy-policy.ts';
import type { FailureLimits } from '../../src/transfer/failure-watch.ts';
import { MemoryBudget } from '../../src/transfer/memory-budget.ts';
import { copyPart } from '../../src/transfer/parts/copy-part.ts';
import { PartBuffers } from '../../src/transfer/parts/part-buffers.ts';
import { MIN_PART_BYTES } from '../../src/transfer/parts/part-plan.ts';
import type { TimeLimits } from '../../src/wire/connection.ts';
import { type FaultScript, faults } from '../support/fault-script.ts';
import { UploadNotes } from './upload-notes.ts';

const CREDENTIALS = { accessKey: 'AKIDTEST', secret: 'wonderful/secret+key' };
const BUCKET = 'photos';
/** When every failure of these tests happened. */
export const NOW = Date.UTC(2026, 10, 24);

export class Side {
  readonly server: S3Server;
  readonly script: FaultScript;
  readonly store: WireObjectStore;

  constructor(server: S3Server, limits?: TimeLimits) {
    this.server = server;
    this.script = faults(server);
    this.store = new WireObjectStore({
      endpoint: { host: '127.0.0.1', port: server.port, tls: undefined },
      bucket: BUCKET,
      region: 'us-east-1',
      credentials: CREDENTIALS,
      addressing: 'path',
      limits,
    });
  }

  /** Direct access, past the sockets. */
  get bucket(): Bucket {
    return this.server.bucket(BUCKET);
  }

  bodyOf(key: ObjectKey): Buffer | undefined {
    return this.bucket.get(key)?.body;
  }

  async close(): Promise<void> {
    this.store.close();
    await this.server.close();
  }
}

/** Whoever starts it closes it. */
export async function startSide(
  options: Partial<S3ServerOptions> = {},
  limits?: TimeLimits,
): Promise<Side> {
  const server = await startS3Server({
    accessKey: CREDENTIALS.accessKey,
    secretKey: CREDENTIALS.secret,
    buckets: [BUCKET],
    ...options,
  });
  return new Side(server, limits);
}

export class TwoServers {
  readonly source: Side;
  readonly destination: Side;
  readonly counters: Counters = newCounters();
  readonly warnings: string[] = [];
  readonly uploads = new UploadNotes();
  /** The waits between attempts, in ms; none of them is really waited. */
  readonly waits: number[] = [];
  readonly retry: RetryPolicy = {
    maxAttempts: 4,
    baseMs: 100,
    capMs: 1000,
    random: () => 0.5,
    sleep: (ms) => {
      this.waits.push(ms);
      return Promise.resolve();
    },
  };

  constructor(source: Side, destination: Side) {
    this.source = source;
    this.destination = destination;
  }

  context(changes: Partial<CopyContext> = {}): CopyContext {
    const context: CopyContext = {
      source: this.source.store,
      destination: this.destination.store,
      counters: this.counters,
      budget: new MemoryBudget(256 * 1024 ** 2),
      contentBuffers: new ContentBuffers(),
      partBuffers: new PartBuffers(),
      policy: DEFAULT_POLICY,
      retry: this.retry,
      outlast: () => Promise.resolve(false),
      warn: (message) => this.warnings.push(message),
      multipartThresholdBytes: MIN_PART_BYTES,
      copyPart: (job) => copyPart(job, context),
      partWindow: 4,
      uploads: this.uploads,
      now: () => NOW,
      learnt: { sourceEtags: 'untried' },
      ...changes,
    };
    return context;
  }

  copy(key: ObjectKey, changes: Partial<CopyContext> = {}): Promise<Outcome> {
    return this.copyIn(this.context(changes), key);
  }

  /** For several copies that share what is learnt. */
  async copyIn(context: CopyContext, key: ObjectKey): Promise<Outcome> {
    const end = await copyObject(key, context);
    return end.kind === 'large' ? copyLargeObject(end, context) : end;
  }

  async close(): Promise<void> {
    await this.source.close();
    await this.destination.close();
  }
}

/** Whoever starts them closes them. */
export async function startTwoServers(): Promise<TwoServers> {
  return new TwoServers(await startSide(), await startSide());
}

/** What the stage of these is to hold its failures against. */
export function failureLimits({ source, destination }: TwoServers): FailureLimits {
  const watched = (name: string, { store }: Side) => ({
    name,
    toCheck: `Check the keys of the ${name}`,
    headBucket: () => store.headBucket(),
  });
  return {
    sides: {
      source: watched('source', source),
      destination: watched('destination', destination),
    },
    hasWorked: false,
  };
}

/** How a copy is expected to have failed. */
export function failureOf(key: ObjectKey, failure: object): object {
  return { kind: 'failed', key, failure: expect.objectContaining({ at: NOW, ...failure }) };
}

/** How a copy is expected to have met another client's object. */
export function otherObjectAt(key: ObjectKey): object {
  return { kind: 'skipped-upload', key, detail: 'exists-differs' };
}

/**
 * Many faults of a destination in one run of the program: each has a key of its own, and what became of it is
 * told by that key. So a wait between two attempts is waited once for all of them.
 *
 * The run is made by the first test that asks for it, and checked against the invariants there; its servers go away
 * with that test, what it has found stays for the others.
 */
import { expect, test } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import type { Answer } from '../../src/s3-server/answer.ts';
import type { NewObject } from '../../src/s3-server/bucket.ts';
import { type Flags, type Migration, prepareMigration, type Side } from '../cli/migration.ts';
import type { FaultScript, SeenRequest } from '../support/fault-script.ts';
import type { Ended } from '../support/run-s3migrate.ts';
import { Invariants, type Logs } from './invariants.ts';

/** The ways of an object: collected and sent in one write, passed through as one PUT, copied in parts. */
export const KINDS = ['small', 'through', 'parts'] as const;
export type Kind = (typeof KINDS)[number];

const MIB = 1024 ** 2;
/** The least that a part may have, but the last. */
const PART_BYTES = 5 * MIB;
const BYTES: Readonly<Record<Kind, number>> = {
  small: 1000,
  through: 300 * 1024,
  parts: PART_BYTES + 1000,
};

/** The proof in migrate.log of an object that was copied without an incident. */
export const PROOF: Readonly<Record<Kind, string>> = {
  small: 'md5',
  through: 'md5',
  parts: 'etag-parts',
};

/** The operation that makes the object. */
export const MAKING = {
  small: 'PutObject',
  through: 'PutObject',
  parts: 'CompleteMultipartUpload',
} as const satisfies Record<Kind, string>;

export const LOST_ANSWER = 'found after a lost answer';

/** An object of this kind as no other key has it. */
export function objectOf(kind: Kind, key: string): NewObject {
  const body = Buffer.alloc(BYTES[kind], `${key}. `);
  return kind === 'parts' ? { body, partBytes: PART_BYTES } : { body };
}

/** What another client writes. */
export const THEIRS = 'a newer one, of another client';

/** A page of whoever stands before the store, as a change of an answer. */
export function page(status: number): (answer: Answer) => Answer {
  const body = Buffer.from(`<html><body><h1>${status}</h1></body></html>`);
  return () => ({ status, headers: { 'content-type': 'text/html' }, body });
}

/** An error document of S3's, as a change of an answer. */
export function errorDocument(status: number, code: string): (answer: Answer) => Answer {
  const body = Buffer.from(`<Error><Code>${code}</Code><Message>no</Message></Error>`);
  return () => ({ status, headers: { 'content-type': 'application/xml' }, body });
}

/** Of a part of an object, not of the few bytes that a run sends to find out which digests are verified. */
export function isPartOfObject({ headers }: SeenRequest): boolean {
  return Number(headers.get('content-length')) > 500;
}

/** What has become of a key. */
export interface Fate {
  /** As migrate.log has it: outcome and detail. */
  readonly logged: string;
  /** What the destination holds there. */
  readonly there: 'ours' | 'theirs' | 'nothing';
  /** Its line of failed.log: code, status, attempts. */
  readonly failure?: string;
}

export function copied(detail: string): Fate {
  return { logged: `copied, ${detail}`, there: 'ours' };
}

export function skipped(detail: string): Fate {
  return { logged: `skipped-upload, ${detail}`, there: 'theirs' };
}

/** Nothing is at its key. */
export function failed(code: string, status: number, attempts: number): Fate {
  return {
    logged: `failed, ${code}`,
    there: 'nothing',
    failure: `${code}, ${status}, ${attempts} attempts`,
  };
}

/** Where a fault is to happen. */
export interface Spot {
  /** Of the destination. */
  readonly script: FaultScript;
  readonly key: string;
  /** What makes the object. */
  readonly making: 'PutObject' | 'CompleteMultipartUpload';
  readonly destination: Side;
  /** Another client writes the key at the destination; {@link THEIRS} unless told otherwise. */
  readonly othersWrite: (body?: Buffer) => void;
}

/** One fault, and what it must lead to. */
export interface Variant {
  /** Of design/faults.md. */
  readonly row: string;
  readonly kind: Kind;
  /** What goes wrong; with the row and the kind it is the object's key. */
  readonly fault: string;
  readonly given: (spot: Spot) => void;
  readonly fate: Fate;
  /** How often the operations of these names were asked for, for this key. */
  readonly asked?: Readonly<Record<string, number>>;
}

/** The same fault for objects of several kinds; `fate` and `asked` may differ. */
export function ofKinds(
  kinds: readonly Kind[],
  variant: (kind: Kind) => Omit<Variant, 'kind'>,
): Variant[] {
  return kinds.map((kind) => ({ ...variant(kind), kind }));
}

interface SceneEnd {
  readonly ended: Ended;
  readonly logs: Logs;
  readonly fates: ReadonlyMap<string, Fate>;
  readonly requests: readonly SeenRequest[];
}

export interface SceneOptions {
  readonly flags?: Flags;
  readonly timeoutMs?: number;
  /** Done before the faults of the variants are scripted: an imitation of a store, for the probe too. */
  readonly given?: (migration: Migration) => void;
  /** How the program is run, where not as it is. */
  readonly run?: (migration: Migration, flags: Flags) => Promise<Ended>;
  /** Uploads that must be left over: none, but where their abort is what fails. */
  readonly uploadsLeft?: number;
}

/**
 * A test for each variant, over one run of the program with all of them.
 *
 * @param note - in brackets behind the title of each test: what is special about this run
 * @returns the run's end, for tests of what it said
 */
export function testTogether(
  note: string,
  variants: readonly Variant[],
  options: SceneOptions = {},
): () => Promise<SceneEnd> {
  let running: Promise<SceneEnd> | undefined;
  const end = (): Promise<SceneEnd> => {
    running ??= run(variants, options);
    return running;
  };
  for (const variant of variants) {
    const title = titleOf(variant);
    test(`${title} (${note})`, { timeout: options.timeoutMs ?? 60_000 }, async () => {
      const { fates, requests } = await end();
      expect(fates.get(title)).toEqual(variant.fate);
      for (const [operation, times] of Object.entries(variant.asked ?? {})) {
        const asked = requests.filter((seen) => seen.key === title && seen.operation === operation);
        expect([operation, asked.length]).toEqual([operation, times]);
      }
    });
  }
  return end;
}

function titleOf({ row, kind, fault }: Pick<Variant, 'row' | 'kind' | 'fault'>): string {
  return `${row}: ${kind}: ${fault}`;
}

async function run(
  variants: readonly Variant[],
  { flags = {}, given, run: runWith, uploadsLeft = 0 }: SceneOptions,
): Promise<SceneEnd> {
  const migration = await prepareMigration();
  if (uploadsLeft > 0) migration.uploadsMayBeLeft = 'nothing could end them';
  const { source, destination } = migration;
  const titles = variants.map(titleOf);
  expect(new Set(titles).size).toBe(variants.length);
  for (const { kind, ...variant } of variants) {
    const key = titleOf({ kind, ...variant });
    source.bucket.put(key as ObjectKey, objectOf(kind, key));
  }
  await migration.listKeys();
  const invariants = new Invariants(migration);
  given?.(migration);
  for (const variant of variants) {
    const key = titleOf(variant);
    const othersWrite = (body: Buffer = Buffer.from(THEIRS)): void => {
      destination.bucket.put(key as ObjectKey, { body });
      invariants.noteForeign(key);
    };
    const making = MAKING[variant.kind];
    variant.given({ script: destination.script, key, making, destination, othersWrite });
  }

  const ended = await (runWith?.(migration, flags) ?? migration.run(flags));

  const logs = await invariants.expectComplete();
  const hasFailed = logs.migrate.some(({ outcome }) => outcome === 'failed');
  expect(ended, ended.stderr).toMatchObject({ exitCode: hasFailed ? 1 : 0 });
  expect(ended.stderr).toContain('every listed key is accounted for');
  expect(destination.bucket.uploads()).toHaveLength(uploadsLeft);
  const fates = new Map(titles.map((key) => [key, fateOf(key, migration, logs)]));
  return { ended, logs, fates, requests: destination.script.requests };
}

function fateOf(key: string, { source, destination }: Migration, { migrate, failed }: Logs): Fate {
  const line = migrate.find((one) => one.key === key);
  const why = failed.find((one) => one.key === key);
  return {
    logged: `${line?.outcome}, ${line?.detail}`,
    there: whatIsThere(key, source, destination),
    ...(why !== undefined && { failure: `${why.code}, ${why.status}, ${why.attempts} attempts` }),
  };
}

function whatIsThere(key: string, source: Side, destination: Side): Fate['there'] {
  const there = destination.bucket.get(key as ObjectKey)?.body;
  if (there === undefined) return 'nothing';
  return source.bucket.get(key as ObjectKey)?.body.equals(there) === true ? 'ours' : 'theirs';
}

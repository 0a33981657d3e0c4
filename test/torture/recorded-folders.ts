/**
 * Log folders that the real program has left behind, for the power-loss model: with failures, skipped keys, keys
 * that need quotes and escapes, pages that were done ahead of their turn, of one start and of several.
 */
import { cp, mkdir, readdir, readFile, rm, watch } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import type { StoredObject } from '../../src/s3-server/bucket.ts';
import { type Flags, gate, type Migration, prepareMigration, utf8 } from '../cli/migration.ts';
import { Invariants } from '../faults/invariants.ts';
import { contentOf } from './dice.ts';

/** What becomes of a key, however often the run was broken off. */
export type Fate = 'copied' | 'skipped-download' | 'skipped-upload' | 'failed';

/** A folder as it was at some moment, and the destination with it. */
export interface Recorded {
  readonly name: string;
  readonly migration: Migration;
  readonly invariants: Invariants;
  /** A copy that nobody writes to, without the lock. */
  readonly folder: string;
  /** What the destination held at that moment. */
  readonly stored: ReadonlyMap<ObjectKey, StoredObject>;
}

export const FLAGS: Flags = {
  threads: 8,
  cores: 1,
  'multipart-threshold': '16MiB',
  'part-size': '5MiB',
};

/** The digit tells about which page the key is on. */
const FATE_OF: Readonly<Record<string, Fate>> = {
  'k0/first': 'copied',
  'k0/"quoted", with a comma': 'copied',
  'k0/denied': 'failed',
  'k1/back\\slash': 'copied',
  'k1/line\nfeed': 'copied',
  'k1/there': 'skipped-upload',
  'k2/denied, too': 'failed',
  'k2/gone': 'skipped-download',
  'k2/large': 'copied',
  [`k2/${utf8('é')}`]: 'copied',
  'k3/\xff\xfe': 'copied',
  'k4/denied': 'failed',
  'k4/empty': 'copied',
  'k5/gone "as well"': 'skipped-download',
  'k5/last': 'copied',
};

/** By key, ascending. */
export const FATES: ReadonlyMap<string, Fate> = new Map(
  Object.entries(FATE_OF).toSorted(([a], [b]) => (a < b ? -1 : 1)),
);

const KEYS = [...FATES.keys()];
const FIRST = KEYS[0] as string;
/** In parts: the program may keep a journal of them. */
const LARGE = 'k2/large';
const LARGE_BYTES = 17 * 1024 ** 2;
/** Keys that both lists have, on five pages. */
const FILLING = Array.from(
  { length: 10_000 },
  (_, index) => `k${Math.floor(index / 1700)}/${String(index).padStart(5, '0')}`,
);

/** Three moments of one run: early pages alone, some of all, the end. */
export async function recordFolders(): Promise<Recorded[]> {
  const migration = await givenFates();
  const invariants = new Invariants(migration);
  const keep = async (name: string): Promise<Recorded> => {
    const folder = migration.path(name);
    await cp(migration.logFolder, folder, { recursive: true });
    await rm(join(folder, 'migrate.lock'), { force: true });
    return {
      name,
      migration,
      invariants,
      folder,
      stored: objectsAt(migration),
    };
  };
  await killWhile(migration, [hangFirst(migration), hangLarge(migration)], aheadOf(migration, 2));
  const early = await keep('early pages');
  await killWhile(migration, [hangLarge(migration)], logged(migration, 4));
  const some = await keep('several starts');
  expect(await migration.run(FLAGS)).toMatchObject({ exitCode: 1 });
  return [early, some, await keep('complete')];
}

async function givenFates(): Promise<Migration> {
  const migration = await prepareMigration();
  const { source, destination } = migration;
  for (const [key, fate] of FATES) {
    if (fate !== 'skipped-download') source.put(key, contentOf(key, bytesOf(key)));
    if (fate === 'skipped-upload') destination.put(key, 'bytes of somebody else');
    if (fate === 'failed') refuse(migration, key);
  }
  const listed = [...FILLING, ...KEYS].toSorted();
  const rows = listed.map((key) => `"${escaped(key)}"\n`);
  await migration.writeList('src', 'all.csv', `key\n${rows.join('')}`);
  await migration.listKeys('dest', FILLING);
  await mkdir(join(migration.logFolder, 'migrate.ahead'), { recursive: true, mode: 0o700 });
  return migration;
}

function bytesOf(key: string): number {
  if (key === LARGE) return LARGE_BYTES;
  return key.endsWith('empty') ? 0 : key.length;
}

function refuse({ source }: Migration, key: string): void {
  source.script.on('GetObject', key).status(403, { code: 'AccessDenied', message: `no "${key}"` });
}

function escaped(key: string): string {
  return key.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '""');
}

function hangFirst({ source }: Migration): Promise<void> {
  const { opened, open } = gate();
  source.script.on('GetObject', FIRST).times(1).before(open).hang();
  return opened;
}

/** In the last of its parts; the others are there. */
function hangLarge({ destination }: Migration): Promise<void> {
  const { opened, open } = gate();
  const rule = destination.script.on('UploadPart', LARGE).times(1);
  rule
    .where(({ query }) => query.get('partNumber') === '4')
    .before(open)
    .hang();
  return opened;
}

/** Starts the program, and kills it when all of this has come. */
async function killWhile(
  migration: Migration,
  hanging: readonly Promise<void>[],
  moment: Promise<void>,
): Promise<void> {
  const program = migration.start(FLAGS);
  for (const event of [...hanging, moment]) await program.reaches(event);
  program.kill('SIGKILL');
  expect(await program.ended).toMatchObject({ signal: 'SIGKILL' });
}

/** So many pages are in migrate.ahead/. */
async function aheadOf(migration: Migration, pages: number): Promise<void> {
  const folder = join(migration.logFolder, 'migrate.ahead');
  for await (const _ of watch(folder)) {
    const names = await readdir(folder);
    if (names.filter((name) => name.endsWith('.page')).length >= pages) return;
  }
}

/** So many lines are in migrate.log. */
async function logged(migration: Migration, lines: number): Promise<void> {
  for await (const _ of watch(migration.logFolder)) {
    const text = await readFile(join(migration.logFolder, 'migrate.log'), 'latin1').catch(() => '');
    if (text.split('\n').length - 2 >= lines) return;
  }
}

function objectsAt({ destination: { bucket } }: Migration): ReadonlyMap<ObjectKey, StoredObject> {
  return new Map(bucket.keys().map((key) => [key, bucket.get(key) as StoredObject]));
}

/** The destination holds again what it held at that moment. */
export function restoreDestination({ migration, stored }: Recorded): void {
  const { bucket } = migration.destination;
  for (const key of bucket.keys()) bucket.delete(key);
  for (const [key, { body, headers, etag }] of stored) bucket.put(key, { body, headers, etag });
}

/** Paths of all files below a folder, relative to it. */
export async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .toSorted();
}

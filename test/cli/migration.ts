/**
 * What an operator has before a migration: two S3 servers, a folder of lists for each side, a log folder,
 * and the command. Everything goes away with the test.
 */
import { hash } from 'node:crypto';
import { on } from 'node:events';
import { watch } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { keyFromText, type ObjectKey } from '../../src/object-key.ts';
import type { Bucket, NewObject } from '../../src/s3-server/bucket.ts';
import { type S3Server, type S3ServerOptions, startS3Server } from '../../src/s3-server/server.ts';
import { type FaultScript, faults } from '../support/fault-script.ts';
import {
  type Ended,
  type RunningProgram,
  type RunOptions,
  runProgram,
  startProgram,
} from '../support/run-s3migrate.ts';

/** One side of a migration. */
export class Side {
  readonly server: S3Server;
  readonly script: FaultScript;
  readonly bucketName: string;
  readonly accessKey: string;
  readonly secret: string;

  constructor(server: S3Server, { bucket, accessKey, secret }: SideNames) {
    this.server = server;
    this.script = faults(server);
    this.bucketName = bucket;
    this.accessKey = accessKey;
    this.secret = secret;
  }

  get bucket(): Bucket {
    return this.server.bucket(this.bucketName);
  }

  /** @param key a byte string */
  put(key: string, body: string | Buffer, more: Omit<NewObject, 'body'> = {}): void {
    this.bucket.put(key as ObjectKey, { body: Buffer.from(body), ...more });
  }

  /** All objects as text, by key. */
  contents(): Record<string, string> {
    return Object.fromEntries(
      this.bucket.keys().map((key) => [key, this.bucket.get(key)?.body.toString('latin1') ?? '']),
    );
  }
}

/** What all objects hold, by key, in a form that a failing test can print. */
export function digestsOf({ bucket }: Side): Record<string, string> {
  return Object.fromEntries(
    bucket.keys().map((key) => [key, hash('sha256', bucket.get(key)?.body ?? '')]),
  );
}

interface SideNames {
  readonly bucket: string;
  readonly accessKey: string;
  readonly secret: string;
}

const SOURCE = { bucket: 'photos', accessKey: 'source-user', secret: 'source-s3cret' };
const DESTINATION = { bucket: 'archive', accessKey: 'destination-user', secret: 'dest-s3cret' };

export interface MigrationOptions {
  readonly source?: Partial<S3ServerOptions>;
  readonly destination?: Partial<S3ServerOptions>;
}

/** Two empty buckets, and two empty list folders. */
export async function prepareMigration(options: MigrationOptions = {}): Promise<Migration> {
  const root = await mkdtemp(join(tmpdir(), 's3migrate-cli-'));
  onTestFinished(() => rm(root, { recursive: true }));
  const source = new Side(await startServer(SOURCE, options.source), SOURCE);
  const destination = new Side(await startServer(DESTINATION, options.destination), DESTINATION);
  for (const side of ['src', 'dest']) await mkdir(join(root, 'lists', side), { recursive: true });
  const migration = new Migration(root, source, destination);
  onTestFinished(() => {
    if (migration.uploadsMayBeLeft !== undefined) return;
    const left = destination.bucket.uploads().map(({ key, uploadId }) => ({ key, uploadId }));
    expect(left, 'uploads left at the destination').toEqual([]);
  });
  return migration;
}

async function startServer(
  { bucket, accessKey, secret }: SideNames,
  more: Partial<S3ServerOptions> = {},
): Promise<S3Server> {
  const server = await startS3Server({
    accessKey,
    secretKey: secret,
    buckets: [bucket, 'other'],
    ...more,
  });
  onTestFinished(() => server.close());
  return server;
}

/** Flags by name without dashes; true is a flag without a value, undefined leaves one out. */
export type Flags = Readonly<Record<string, string | number | true | undefined>>;

export class Migration {
  /** A temporary folder; the default working directory of the program. */
  readonly root: string;
  readonly source: Side;
  readonly destination: Side;
  /** Why the test leaves multipart uploads at the destination; else there must be none at its end. */
  uploadsMayBeLeft: string | undefined;

  constructor(root: string, source: Side, destination: Side) {
    this.root = root;
    this.source = source;
    this.destination = destination;
  }

  /** Where the command keeps its logs, unless told otherwise. */
  get logFolder(): string {
    return this.path('logs');
  }

  path(...names: string[]): string {
    return join(this.root, ...names);
  }

  /** Writes a list file; a string is written as latin1, one char a byte. */
  async writeList(side: 'src' | 'dest', name: string, content: string | Buffer): Promise<void> {
    await writeFile(this.path('lists', side, name), content, 'latin1');
  }

  /** A plain list of these keys: all of the source, unless told otherwise. */
  async listKeys(side: 'src' | 'dest' = 'src', keys?: readonly string[]): Promise<void> {
    const listed = keys ?? (side === 'src' ? this.source : this.destination).bucket.keys();
    await this.writeList(side, '00000.txt', listed.map((key) => `${key}\n`).join(''));
  }

  /** Objects of a few bytes in the source, `photos/0000.jpg` and so on, and their list. */
  async givenPhotos(count: number): Promise<string[]> {
    const keys = Array.from({ length: count }, (_, i) => photo(i));
    for (const key of keys) this.source.put(key, `bytes of ${key}`);
    await this.listKeys();
    return keys;
  }

  /** The arguments of the whole command, with some flags changed. */
  args(changes: Flags = {}): string[] {
    return argumentsOf({ ...this.flags(), ...changes });
  }

  flags(): Flags {
    const { source, destination } = this;
    return {
      'src-url': source.server.url,
      'src-bucket': source.bucketName,
      'src-key': source.accessKey,
      'src-secret': source.secret,
      'src-folder': this.path('lists', 'src'),
      'dest-url': destination.server.url,
      'dest-bucket': destination.bucketName,
      'dest-key': destination.accessKey,
      'dest-secret': destination.secret,
      'dest-folder': this.path('lists', 'dest'),
      'log-folder': this.logFolder,
    };
  }

  run(changes: Flags = {}, options: RunOptions = {}): Promise<Ended> {
    return runProgram(this.args(changes), { cwd: this.root, ...options });
  }

  /** Runs `s3migrate cleanup` for the destination and the log folder. */
  cleanUp(changes: Flags = {}): Promise<Ended> {
    const flags = Object.entries(this.flags()).filter(
      ([name]) => name.startsWith('dest-') && name !== 'dest-folder',
    );
    const given = { ...Object.fromEntries(flags), 'log-folder': this.logFolder, ...changes };
    return runProgram(['cleanup', ...argumentsOf(given)], { cwd: this.root });
  }

  start(changes: Flags = {}, options: RunOptions = {}): RunningProgram {
    return startProgram(this.args(changes), { cwd: this.root, ...options });
  }

  /** The lines of migrate.log after its header, as byte strings. */
  migrateLog(folder = this.logFolder): Promise<string[]> {
    return linesAfterHeader(join(folder, 'migrate.log'), 'key,outcome,bytes,etag,detail');
  }

  /** The lines of failed.log after its header, as byte strings. */
  failedLog(folder = this.logFolder): Promise<string[]> {
    return linesAfterHeader(join(folder, 'failed.log'), 'key,at,code,status,attempts,message');
  }

  /** The journal of multipart uploads. */
  get uploadsFile(): string {
    return join(this.logFolder, 'migrate.uploads');
  }

  /** Resolves when the journal of uploads satisfies the predicate. */
  async uploadsNote(holds: (journal: string) => boolean): Promise<void> {
    await mkdir(this.logFolder, { recursive: true });
    const watcher = watch(this.logFolder);
    try {
      const read = (): Promise<string> => readFile(this.uploadsFile, 'latin1').catch(() => '');
      const changes = on(watcher, 'change')[Symbol.asyncIterator]();
      while (!holds(await read())) await changes.next();
    } finally {
      watcher.close();
    }
  }

  /** Requests that could have changed the destination. */
  writesSeen(): number {
    const { script } = this.destination;
    return script.count('PUT') + script.count('POST') + script.count('DELETE');
  }
}

export function argumentsOf(flags: Flags): string[] {
  return Object.entries(flags).flatMap(([name, value]) => {
    if (value === undefined) return [];
    return value === true ? [`--${name}`] : [`--${name}`, String(value)];
  });
}

export function photo(number: number): string {
  return `photos/${String(number).padStart(4, '0')}.jpg`;
}

export function utf8(text: string): string {
  return keyFromText(text);
}

/** The keys of log lines whose keys need no quotes. */
export function keysIn(lines: readonly string[]): string[] {
  return lines.map((line) => line.slice(0, line.indexOf(',')));
}

async function linesAfterHeader(path: string, header: string): Promise<string[]> {
  const [first, ...lines] = (await readFile(path, 'latin1')).split('\n');
  if (first !== header || lines.pop() !== '') throw new Error(`${path} is not whole`);
  return lines;
}

/** A promise and what resolves it: an event that a test waits for or brings about. */
export function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

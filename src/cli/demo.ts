/**
 * `s3migrate demo`: a whole migration between two S3 servers of its own, with a `kill -9` in the
 * middle, and the proof that nothing was lost, doubled or overwritten.
 *
 * Everything but the servers is the real thing: the commands it shows are run as processes of their
 * own, over sockets. It needs no network, no terminal and nothing on the disk but a folder of its own
 * in the temporary folder, which it removes, unless something differs.
 */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { ExitCode } from '../errors.ts';
import { displayKey, displayText, type ObjectKey } from '../object-key.ts';
import { formatBytes, formatCount } from '../report/quantities.ts';
import type { Bucket, StoredObject } from '../s3-server/bucket.ts';
import { operationOf } from '../s3-server/routing.ts';
import { type S3Server, startS3Server } from '../s3-server/server.ts';
import {
  type CommandEnd,
  commandText,
  type DemoCommand,
  type StartedCommand,
  startCommand,
} from './demo-command.ts';
import { type Check, checkMigration, recordsOf } from './demo-compare.ts';
import { exampleKeys, fillSource, putListedObjects, putUnlistedObjects } from './demo-objects.ts';
import { exitCodeOf, watchSignals } from './signals.ts';

const BUCKET = 'photos';
const ACCESS_KEY = 'demo';
/** Share of the objects after which the run is killed: enough that its first page is in the log. */
const KILL_AT = 0.6;
const MOST_PROBLEMS_SHOWN = 5;

/** One of the two buckets, and how the commands reach it. */
interface Side {
  readonly flag: 'src' | 'dest';
  readonly lists: string;
  readonly server: S3Server;
  readonly secret: string;
  readonly bucket: Bucket;
}

/** @returns 0 all is as it should be, 1 something is not, 130 or 143 interrupted */
export async function demo(): Promise<ExitCode> {
  const interruption = watchSignals();
  const folder = await mkdtemp(join(tmpdir(), 's3migrate-demo-'));
  interruption.onLeave(() => rmSync(folder, { recursive: true, force: true }));
  const sides: Side[] = [];
  let verdict: Verdict | undefined;
  try {
    sides.push(await startSide('src'), await startSide('dest'));
    const [source, destination] = sides as [Side, Side];
    verdict = await play({ source, destination, folder, signal: interruption.signal });
    return verdict === 'passed' ? 0 : 1;
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
    return exitCodeOf(interruption.signal.reason as 'SIGINT' | 'SIGTERM');
  } finally {
    for (const { server } of sides) await server.close();
    if (verdict === 'failed') say(`The logs and lists are kept in ${displayText(folder)}`);
    else await rm(folder, { recursive: true, force: true });
    interruption.end();
  }
}

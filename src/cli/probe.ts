/**
 * `s3migrate probe`: what stores do with what a migration relies upon. One bucket, or the sides of a migration
 * as the migration itself is told of them: the source is then only read.
 */
import { randomBytes } from 'node:crypto';
import { type ExitCode, MigrateError } from '../errors.ts';
import { displayText } from '../object-key.ts';
import type { ObjectStore } from '../s3/object-store.ts';
import { type BucketAddress, openBucket } from '../s3/open-store.ts';
import {
  type ConditionProblem,
  capabilityTable,
  conditionProblem,
  sourceTable,
} from '../s3/probe/capability-table.ts';
import { type ProbeOptions, probeDestination, probeSource } from '../s3/probe/probe.ts';
import { parseProbePrefix } from '../s3/probe/probe-prefix.ts';
import { warnOfInsecure } from './insecure.ts';
import {
  bucketAddress,
  isGiven,
  keyFlags,
  type RawOptions,
  requireFlags,
  usageError,
} from './options.ts';
import { exitCodeOf, watchSignals } from './signals.ts';
import { PATIENCE_OF_A_PERSON_MS, tellingOfWaits } from './waiting.ts';

/** A bucket to be probed. */
interface Asked {
  readonly address: BucketAddress;
  /** By writes, as a destination; or by reading alone. */
  readonly by: 'writing' | 'reading';
}

/** What was found out about a bucket. */
interface Report {
  readonly table: string;
  readonly json: unknown;
  /** What makes it unfit to be a destination. */
  readonly problem: ConditionProblem | undefined;
}

/**
 * Findings go to stdout, what they mean to stderr.
 *
 * @returns 0 fit to be a destination, or asked by reading alone; 3 conditional writes are not honoured, or it
 *   could not be found out; 130 or 143 interrupted, with everything removed
 * @throws MigrateError
 */
export async function probeBuckets(raw: RawOptions): Promise<ExitCode> {
  const prefix = parseProbePrefix(String(raw['probePrefix']));
  const asked = bucketsAsked(raw);
  warnOfInsecure(asked.map(({ address }) => address));
  const interruption = watchSignals();
  const { signal } = interruption;
  const options = { prefix, random: randomName, now: Date.now, signal };
  let stores: readonly ObjectStore[] = [];
  try {
    stores = await openAll(asked, signal);
    for (const { name } of stores) {
      process.stderr.write(`s3migrate: probing ${displayText(name)}\n`);
    }
    const reports = await allToTheirEnd(
      asked.map(({ by }, i) => probe(stores[i] as ObjectStore, by, options)),
    );
    return tell(raw, asked, reports);
  } catch (error) {
    if (!signal.aborted || error instanceof MigrateError) throw error;
    process.stderr.write('s3migrate: interrupted; what the probe wrote is removed\n');
    return exitCodeOf(signal.reason as 'SIGINT' | 'SIGTERM');
  } finally {
    interruption.end();
    for (const store of stores) store.close();
  }
}

const SIDES = [
  { prefix: '--src', name: 'src', side: 'source', by: 'reading' },
  { prefix: '--dest', name: 'dest', side: 'destination', by: 'writing' },
] as const;

/** The one bucket, or the source and the destination, in that order, as far as they are named. */
function bucketsAsked(raw: RawOptions): Asked[] {
  const readOnly = raw['readOnly'] === true;
  const sides = SIDES.filter(({ name }) => isGiven(raw, `${name}-url`));
  const [first] = sides;
  if (!isGiven(raw, 'url') && first === undefined) {
    throw usageError(
      'missing --url, or --src-url, --dest-url or both',
      'Name one bucket with --url, --bucket, --key and --secret, or the sides of a migration by its own flags (--src-url and so on, --dest-url and so on).',
    );
  }
  if (first === undefined) {
    requireFlags(raw, ['bucket', ...keyFlags(raw, '-')]);
    const address = bucketAddress(raw, { prefix: '-', side: 'bucket' });
    return [{ address, by: readOnly ? 'reading' : 'writing' }];
  }
  if (isGiven(raw, 'url')) {
    throw usageError(
      `--url and ${first.prefix}-url exclude each other`,
      'Name one bucket with --url, or the sides of a migration with --src-url and --dest-url; look into the environment too (S3MIGRATE_URL).',
    );
  }
  requireFlags(
    raw,
    sides.flatMap(({ name, prefix }) => [`${name}-bucket`, ...keyFlags(raw, prefix)]),
  );
  return sides.map(({ prefix, side, by }) => ({
    address: bucketAddress(raw, { prefix, side }),
    by: readOnly ? 'reading' : by,
  }));
}

/** All at once; none stays open when another cannot be opened. */
async function openAll(asked: readonly Asked[], signal: AbortSignal): Promise<ObjectStore[]> {
  const opened = await Promise.allSettled(
    asked.map(async ({ address }) => {
      const opening = tellingOfWaits(signal, PATIENCE_OF_A_PERSON_MS);
      return (await openBucket(address, opening)).store;
    }),
  );
  const stores = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const refused = opened.find((one) => one.status === 'rejected');
  if (refused === undefined) return stores;
  for (const store of stores) store.close();
  throw refused.reason;
}

function randomName(): string {
  return randomBytes(16).toString('hex');
}

async function probe(store: ObjectStore, by: Asked['by'], options: ProbeOptions): Promise<Report> {
  if (by === 'reading') {
    const findings = await probeSource(store, options);
    return { table: sourceTable(findings), json: findings, problem: undefined };
  }
  const capabilities = await probeDestination(store, options);
  const problem = conditionProblem(capabilities);
  return {
    table: capabilityTable(capabilities),
    json: { usable: problem === undefined, ...capabilities },
    problem,
  };
}

/** As `Promise.all`, but never before the last has ended: a probe that was broken off removes what it wrote. */
async function allToTheirEnd<T>(work: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(work);
  return Promise.all(work);
}

function tell(raw: RawOptions, asked: readonly Asked[], reports: readonly Report[]): ExitCode {
  process.stdout.write(raw['json'] === true ? jsonOf(asked, reports) : tablesOf(asked, reports));
  const problem = reports.find((report) => report.problem !== undefined)?.problem;
  if (problem === undefined) return 0;
  process.stderr.write(`s3migrate: ${problem.message}\n  ${problem.hint}\n`);
  return 3;
}

/** One line: the findings of the one bucket, or those of each side by its name. */
function jsonOf(asked: readonly Asked[], reports: readonly Report[]): string {
  const json = isOneBucket(asked)
    ? reports[0]?.json
    : Object.fromEntries(asked.map(({ address }, i) => [address.side, reports[i]?.json]));
  // In ASCII: what a store has said may hold what a terminal would not show as it is.
  return `${JSON.stringify(json).replace(/[\x7f-\uffff]/g, escapedUnit)}\n`;
}

function escapedUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function tablesOf(asked: readonly Asked[], reports: readonly Report[]): string {
  if (isOneBucket(asked)) return reports.map(({ table }) => table).join('');
  return reports.map(({ table }, i) => `${headingOf(asked[i] as Asked)}\n${table}`).join('\n');
}

function headingOf({ address: { side, bucket }, by }: Asked): string {
  return `${side} ${displayText(bucket)}, ${by === 'reading' ? 'by reading alone' : 'by writing'}:`;
}

function isOneBucket([first]: readonly Asked[]): boolean {
  return first?.address.flagPrefix === '-';
}

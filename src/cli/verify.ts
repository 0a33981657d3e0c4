/**
 * `s3migrate verify`: whether both buckets hold the same, object by object.
 */
import type { ExitCode } from '../errors.ts';
import { displayText } from '../object-key.ts';
import type { RunInputs } from '../run-inputs.ts';
import { type VerifyOptions, type VerifyResult, verify } from '../verification.ts';
import { warnOfInsecure } from './insecure.ts';
import { prefixOf } from './list.ts';
import { listBoth } from './list-both.ts';
import { withinOpenFiles } from './open-files.ts';
import {
  bucketsAndShard,
  isGiven,
  loadLimits,
  type RawOptions,
  threadsOf,
  usageError,
} from './options.ts';
import { exitCodeOf, watchSignals } from './signals.ts';

/**
 * @returns 0 no difference, 1 differences or errors found, 3 stopped or keys not accounted for, 130 or 143
 *   interrupted
 * @throws MigrateError before anything is started, or when a bucket cannot be listed
 */
export async function verifyBuckets(raw: RawOptions, version: string): Promise<ExitCode> {
  const given = givenLists(raw);
  const prefix = prefixOf(raw);
  const options = withinOpenFiles(verifyOptions(raw, version));
  warnOfInsecure([options.source, options.destination]);
  const { stdout, stderr } = process;
  const interruption = watchSignals();
  const { signal } = interruption;
  try {
    const lists = given ?? (await listBoth({ ...options, prefix, signal }));
    return exitCodeAfter(
      await verify({ ...options, ...lists }, { ...interruption, stdout, stderr }),
    );
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error;
    stderr.write(
      's3migrate: interrupted while the buckets were listed. Give the same command again.\n',
    );
    return exitCodeOf(signal.reason as 'SIGINT' | 'SIGTERM');
  } finally {
    interruption.end();
  }
}

type GivenLists = Pick<RunInputs, 'sourceLists' | 'destinationLists'>;

/**
 * @returns undefined when both buckets are to be listed
 * @throws MigrateError (2) for lists of one side only, and for a prefix where nothing is listed
 */
function givenLists(raw: RawOptions): GivenLists | undefined {
  const source = isGiven(raw, 'src-folder');
  if (source !== isGiven(raw, 'dest-folder')) {
    const [there, missing] = source ? ['src', 'dest'] : ['dest', 'src'];
    throw usageError(
      `--${there}-folder is given without --${missing}-folder`,
      'Give the lists of both sides, or of neither: then both buckets are listed.',
    );
  }
  if (!source) return undefined;
  if (isGiven(raw, 'prefix')) {
    throw usageError(
      '--prefix is for buckets that are listed here, and lists are given',
      'Leave out --src-folder and --dest-folder, or make the lists with s3migrate list --prefix.',
    );
  }
  return {
    sourceLists: String(raw['srcFolder']),
    destinationLists: String(raw['destFolder']),
  };
}

function verifyOptions(
  raw: RawOptions,
  toolVersion: string,
): Omit<VerifyOptions, keyof GivenLists> {
  const threads = threadsOf(raw);
  return {
    ...bucketsAndShard(raw),
    threads,
    ...loadLimits(raw, threads),
    metadata: raw['metadata'] === true,
    contentShare: contentShare(raw['content']),
    tellSame: raw['all'] === true,
    oneWay: raw['oneWay'] === true,
    logFolder: String(raw['logFolder']),
    toolVersion,
  };
}

function contentShare(given: RawOptions[string]): number {
  if (given === undefined) return 0;
  if (given === 'all') return 1;
  const percent = /^sample=([0-9]{1,3}(?:\.[0-9]{1,9})?)%$/.exec(String(given))?.[1];
  const share = Number(percent) / 100;
  if (share > 0 && share <= 1) return share;
  throw usageError(
    `--content "${displayText(String(given))}" is neither all nor a sample of 0% to 100%`,
    'For example --content all, or --content sample=1%.',
  );
}

function exitCodeAfter({ end, error, atFault, conserved }: VerifyResult): ExitCode {
  switch (end.kind) {
    case 'stopped':
      return error?.exitCode ?? 3;
    case 'interrupted':
      return exitCodeOf(end.signal);
    case 'complete':
      if (!conserved) return 3;
      return atFault > 0 ? 1 : 0;
  }
}

/**
 * `s3migrate verify`: whether both buckets hold the same, object by object.
 */
import type { ExitCode } from '../errors.ts';
import { displayText } from '../object-key.ts';
import { type VerifyOptions, type VerifyResult, verify } from '../verification.ts';
import { warnOfInsecure } from './insecure.ts';
import { type RawOptions, runInputs, threadsOf, usageError } from './options.ts';
import { exitCodeOf, watchSignals } from './signals.ts';

/**
 * @returns 0 no difference, 1 differences or errors found, 3 stopped or keys not accounted for, 130 or 143
 *   interrupted
 * @throws MigrateError before anything is started
 */
export async function verifyBuckets(raw: RawOptions, version: string): Promise<ExitCode> {
  const options = verifyOptions(raw, version);
  warnOfInsecure([options.source, options.destination]);
  const { stdout, stderr } = process;
  const interruption = watchSignals();
  try {
    return exitCodeAfter(await verify(options, { ...interruption, stdout, stderr }));
  } finally {
    interruption.end();
  }
}

function verifyOptions(raw: RawOptions, toolVersion: string): VerifyOptions {
  return {
    ...runInputs(raw),
    threads: threadsOf(raw),
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

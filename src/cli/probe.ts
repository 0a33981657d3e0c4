/**
 * `s3migrate probe`: what one bucket's store does with what a migration relies upon.
 */

import { randomBytes } from 'node:crypto';
import { type ExitCode, MigrateError } from '../errors.ts';
import { displayText } from '../object-key.ts';
import { openBucket } from '../s3/open-store.ts';
import { capabilityTable, conditionProblem, sourceTable } from '../s3/probe/capability-table.ts';
import { type ProbeOptions, probeDestination, probeSource } from '../s3/probe/probe.ts';
import { parseProbePrefix } from '../s3/probe/probe-prefix.ts';
import { warnOfInsecure } from './insecure.ts';
import { bucketAddress, type RawOptions, requireFlags } from './options.ts';
import { exitCodeOf, watchSignals } from './signals.ts';

/**
 * Findings go to stdout, what they mean to stderr.
 *
 * @returns 0 fit to be a destination, or asked by reading alone; 3 conditional writes are not honoured, or it
 *   could not be found out; 130 or 143 interrupted, with everything removed
 * @throws MigrateError
 */
export async function probeBucket(raw: RawOptions): Promise<ExitCode> {
  requireFlags(raw, ['url', 'bucket', 'key', 'secret']);
  const prefix = parseProbePrefix(String(raw['probePrefix']));
  const address = bucketAddress(raw, { prefix: '-', side: 'bucket' });
  warnOfInsecure([address]);
  const { store } = await openBucket(address);
  const interruption = watchSignals();
  const options = { prefix, random: randomName, now: Date.now, signal: interruption.signal };
  const json = raw['json'] === true;
  try {
    process.stderr.write(`s3migrate: probing ${displayText(store.name)}\n`);
    if (raw['readOnly'] === true) {
      const findings = await probeSource(store, options);
      process.stdout.write(json ? `${JSON.stringify(findings)}\n` : sourceTable(findings));
      return 0;
    }
    return await asDestination(store, options, json);
  } catch (error) {
    if (!interruption.signal.aborted || error instanceof MigrateError) throw error;
    process.stderr.write('s3migrate: interrupted; what the probe wrote is removed\n');
    return exitCodeOf(interruption.signal.reason as 'SIGINT' | 'SIGTERM');
  } finally {
    interruption.end();
    store.close();
  }
}

function randomName(): string {
  return randomBytes(16).toString('hex');
}

async function asDestination(
  store: Parameters<typeof probeDestination>[0],
  options: ProbeOptions,
  json: boolean,
): Promise<ExitCode> {
  const capabilities = await probeDestination(store, options);
  const problem = conditionProblem(capabilities);
  process.stdout.write(
    json
      ? `${JSON.stringify({ usable: problem === undefined, ...capabilities })}\n`
      : capabilityTable(capabilities),
  );
  if (problem === undefined) return 0;
  process.stderr.write(`s3migrate: ${problem.message}\n  ${problem.hint}\n`);
  return 3;
}

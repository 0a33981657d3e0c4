/**
 * What the destination really does, found out before a run writes its first listed key, and what
 * follows from it for every copy.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { MigrateError } from './errors.ts';
import type { ObjectKey } from './object-key.ts';
import type { ObjectStore } from './s3/object-store.ts';
import type { Capabilities } from './s3/probe/capabilities.ts';
import { conditionProblem, describeCapabilities } from './s3/probe/capability-table.ts';
import { probeDestination } from './s3/probe/probe.ts';
import { CONDITIONAL_WRITES, type ConditionalWrite } from './s3/wire-object-store.ts';
import type { CopyPolicy } from './transfer/copy-policy.ts';

export interface ProbedPolicyOptions {
  readonly destination: ObjectStore;
  readonly policy: CopyPolicy;
  readonly probePrefix: ObjectKey;
  /** Begins the random name below it; see `RunFolder.run`. */
  readonly run: string;
  /** Whether an earlier start of the run may have been killed in its probe: what that wrote is removed first. */
  readonly resumed: boolean;
  readonly signal: AbortSignal;
  /** Told that the store was in trouble while it was probed, so that it will be probed once more. */
  readonly onRepeat: (reason: string) => void;
  /** Told the findings, in lines for the operator, as soon as they are there. */
  readonly onFindings: (findings: Capabilities, lines: readonly string[]) => void;
}

/**
 * @returns the policy with what is known now
 * @throws MigrateError (3) when the destination would let objects be overwritten that are not to be; the
 *   signal's reason when it was aborted meanwhile. What the probe has written is removed by then
 */
export async function probedPolicy(options: ProbedPolicyOptions): Promise<CopyPolicy> {
  const { policy, onFindings } = options;
  const capabilities = await probePatiently(options);
  onFindings(capabilities, describeCapabilities(capabilities));
  const problem = conditionProblem(capabilities);
  if (problem !== undefined && policy.ifExists === 'skip') {
    throw new MigrateError(problem.message, {
      exitCode: 3,
      hint: `${problem.hint} No listed key was written. Choices: --if-exists head looks before each write, and overwrites what a client writes in the moment between; --if-exists overwrite overwrites everything listed.`,
    });
  }
  return { ...policy, capabilities };
}

/** As often as the store's trouble keeps from being found out what counts, and so often at most. */
const PROBES = 4;
const BETWEEN_PROBES_MS = 1_000;

async function probePatiently({
  destination,
  probePrefix,
  run,
  resumed,
  signal,
  onRepeat,
}: ProbedPolicyOptions): Promise<Capabilities> {
  for (let probe = 1; ; probe++) {
    let isTroubled = false;
    const capabilities = await probeDestination(destination, {
      prefix: probePrefix,
      random: () => `${run}${randomBytes(8).toString('hex')}`,
      ...((resumed || probe > 1) && { abandoned: `${probePrefix}${run}` as ObjectKey }),
      now: Date.now,
      signal,
      onTrouble: () => {
        isTroubled = true;
      },
    });
    const findings = CONDITIONAL_WRITES.map((write) => capabilities[FINDING_OF[write]]);
    const unknown = findings.find((finding) => finding.kind === 'unknown');
    if (unknown === undefined || !isTroubled || probe === PROBES) return capabilities;
    onRepeat(unknown.reason);
    await delay(BETWEEN_PROBES_MS * 2 ** (probe - 1), undefined, { signal }).catch(() =>
      signal.throwIfAborted(),
    );
  }
}

const FINDING_OF = {
  PutObject: 'putCondition',
  CompleteMultipartUpload: 'completeCondition',
} as const satisfies Record<ConditionalWrite, keyof Capabilities>;

/** The writes that go without a condition: as asked, or after a look where the destination knows none. */
export function unconditionalWrites({
  ifExists,
  capabilities,
}: CopyPolicy): readonly ConditionalWrite[] {
  switch (ifExists) {
    case 'skip':
      return [];
    case 'head':
      return CONDITIONAL_WRITES.filter(
        (write) => capabilities?.[FINDING_OF[write]].kind !== 'honoured',
      );
    case 'overwrite':
      return CONDITIONAL_WRITES;
  }
}

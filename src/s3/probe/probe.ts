/**
 * The probe: what a store really does, asked before it is relied upon. Version strings cannot be trusted.
 *
 * A destination is probed by writes below a random name, never by a listed key: a store that ignores the
 * condition would overwrite it. All that was written is removed, also when the probe is broken off. What
 * cannot be asked is `unknown`, with the reason; nothing here stops a run. That is for who reads the findings.
 */
import { hash } from 'node:crypto';
import { MigrateError } from '../../errors.ts';
import { displayKey, type ObjectKey } from '../../object-key.ts';
import type { ObjectStore, StoreAnswer, StoreRequest } from '../object-store.ts';
import type {
  Capabilities,
  ClockFinding,
  SourceFindings,
  Unknown,
  YesOrNo,
} from './capabilities.ts';
import {
  type AssembledFindings,
  probeAssembled,
  probeDeleteCondition,
  probePutCondition,
  probeRace,
} from './conditions.ts';
import { DIGEST_NAMES, probePartDigests, probePutDigests } from './digests.ts';
import { KEY_RULES, keysHardToList, probeKeys } from './key-rules.ts';
import { METADATA_NAMES, probeMetadata } from './metadata-fidelity.ts';
import {
  answerText,
  etagOf,
  isDone,
  type OpenedSite,
  orUnknown,
  ProbeSite,
  unknown,
} from './probe-site.ts';

/** Differences of the clocks below this are the time of the request, and the fraction that Date leaves out. */
const CLOCK_NOISE_MS = 2_000;

export interface ProbeOptions {
  /** Below it everything is written; from `parseProbePrefix`. */
  readonly prefix: ObjectKey;
  /** A name that nobody else has: 32 lower-case hex digits, new with each call. */
  readonly random: () => string;
  /** What begins like this was written by probes that were killed, and is removed first. */
  readonly abandoned?: ObjectKey;
  /** Ms since the epoch. */
  readonly now: () => number;
  /** Once aborted nothing more is asked; what was written is removed, and its reason thrown. */
  readonly signal: AbortSignal;
  /** Told when the store's trouble has kept something from being found out, so that another probe may tell more. */
  readonly onTrouble?: (() => void) | undefined;
}

/**
 * Writes, looks and removes: about 170 small requests, some ten of them one after another.
 *
 * @throws the signal's reason, after everything was removed; MigrateError (3) naming what could not be
 */
export async function probeDestination(
  store: ObjectStore,
  { prefix, random, abandoned, now, signal, onTrouble }: ProbeOptions,
): Promise<Capabilities> {
  const abandonedLeft =
    abandoned === undefined ? [] : await removeAbandoned(store, abandoned, signal);
  const base = `${prefix}${random()}/` as ObjectKey;
  const site = new ProbeSite(store, { base, signal, onTrouble });
  const found = await findingsOf(site, now).catch(async (reason: unknown) => {
    const left = await site.removeAll();
    throw left.length === 0 ? reason : leftBehind(left, reason);
  });
  return { ...found, leftovers: [...abandonedLeft, ...(await site.removeAll())] };
}

/**
 * @param begin - what the random names of these probes begin with, below the prefix
 * @returns keys that may still be there
 */
async function removeAbandoned(
  store: ObjectStore,
  begin: ObjectKey,
  signal: AbortSignal,
): Promise<ObjectKey[]> {
  const site = new ProbeSite(store, { base: begin, signal });
  // The keys with a slash before them too.
  const rooted = new ProbeSite(store, { base: `/${begin}` as ObjectKey, signal });
  const bases = new Set(
    (await site.listedKeys())
      .filter((key) => key.includes('/', begin.length))
      .map((key) => key.slice(0, key.indexOf('/', begin.length) + 1)),
  );
  await Promise.all(
    [...bases].flatMap((base) => keysHardToList(base as ObjectKey)).map((key) => site.find(key)),
  );
  return (await Promise.all([site.removeAll(), rooted.removeAll()])).flat();
}

function leftBehind(keys: readonly ObjectKey[], cause: unknown): MigrateError {
  return new MigrateError('the probe was broken off and could not remove what it wrote', {
    exitCode: 3,
    hint: `Delete by hand: ${keys.map(displayKey).join(', ')}`,
    cause,
  });
}

type Findings = Omit<Capabilities, 'leftovers'>;

async function findingsOf(site: ProbeSite, now: () => number): Promise<Findings> {
  const probedAt = now();
  const opened = await orUnknown(() => site.open());
  if (opened.kind === 'unknown') return nothingKnown(probedAt, opened);
  const clock = clockOf(opened.written, now());
  const asked = [
    orUnknown(() => probePutCondition(site, opened)),
    orUnknown(() => probeAssembled(site)),
    orUnknown(() => probeRace(site)),
    orUnknown(() => probeDeleteCondition(site)),
    probePutDigests(site),
    probePartDigests(site),
    probeMetadata(site),
    probeKeys(site),
  ] as const;
  // Each comes to its end, also when another is broken off.
  await Promise.allSettled(asked);
  const [putCondition, assembled, race, deleteCondition, putDigests, partDigests, metadata, keys] =
    await Promise.all(asked);
  return {
    probedAt,
    putCondition,
    ...ofAssembled(assembled),
    race,
    deleteCondition,
    etagIsMd5: etagIsMd5(opened),
    putDigests,
    partDigests,
    metadata,
    keys,
    clock,
  };
}

function ofAssembled(
  findings: AssembledFindings | Unknown,
): Pick<Findings, keyof AssembledFindings> {
  if (!('kind' in findings)) return findings;
  return { completeCondition: findings, multipartEtag: findings, partNumberHead: findings };
}

/** Nothing can be written below the prefix, so everything else is moot. */
function nothingKnown(probedAt: number, why: Unknown): Findings {
  const forEach = <Name extends string>(names: readonly Name[]): Record<Name, Unknown> =>
    Object.fromEntries(names.map((name) => [name, why])) as Record<Name, Unknown>;
  return {
    probedAt,
    putCondition: why,
    completeCondition: why,
    race: why,
    deleteCondition: why,
    etagIsMd5: why,
    multipartEtag: why,
    putDigests: forEach(DIGEST_NAMES),
    partDigests: forEach(DIGEST_NAMES),
    partNumberHead: why,
    metadata: forEach(METADATA_NAMES),
    keys: KEY_RULES.map((rule) => ({ rule, handling: why })),
    clock: why,
  };
}

function etagIsMd5({ written, body }: OpenedSite): YesOrNo {
  const etag = etagOf(written) ?? 'no ETag';
  return etag === hash('md5', body) ? { kind: 'yes' } : { kind: 'no', answer: etag };
}

function clockOf({ headers }: StoreAnswer, nowMs: number): ClockFinding {
  const date = Date.parse(headers.get('date') ?? '');
  if (Number.isNaN(date)) return unknown('the answer has no Date');
  // Date counts whole seconds, and is half a second behind on average.
  const aheadMs = date + 500 - nowMs;
  return { kind: 'measured', aheadMs: Math.abs(aheadMs) < CLOCK_NOISE_MS ? 0 : aheadMs };
}

/**
 * What can be found out about a source by reading: two requests at once, for a key that is not there and for
 * a page of one key.
 */
export async function probeSource(
  store: ObjectStore,
  { prefix, random, now }: Pick<ProbeOptions, 'prefix' | 'random' | 'now'>,
): Promise<SourceFindings> {
  const probedAt = now();
  const query = [
    ['list-type', '2'],
    ['max-keys', '1'],
  ] as const;
  const missing = `${prefix}${random()}` as ObjectKey;
  const ask = (
    request: StoreRequest,
  ): Promise<{ kind: 'answered'; answer: StoreAnswer } | Unknown> =>
    orUnknown(async () => ({ kind: 'answered', answer: await store.send(request) }));
  const [head, listing] = await Promise.all([
    ask({ method: 'HEAD', key: missing }),
    ask({ method: 'GET', key: '' as ObjectKey, query }),
  ]);
  return {
    probedAt,
    tellsMissing: head.kind === 'unknown' ? head : yesIf(head.answer.status === 404, head.answer),
    listing: listing.kind === 'unknown' ? listing : yesIf(isDone(listing.answer), listing.answer),
    clock: head.kind === 'unknown' ? head : clockOf(head.answer, now()),
  };
}

function yesIf(yes: boolean, answer: StoreAnswer): YesOrNo {
  return yes ? { kind: 'yes' } : { kind: 'no', answer: answerText(answer) };
}

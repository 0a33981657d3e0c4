/**
 * One key, looked up on both sides at once: what it is on each, and everything that differs.
 *
 * Only what the stores answer counts, never what a list says. The content is the same when its bytes are,
 * or when ETags say so that are made of it; where neither tells, the key is `unproven`.
 */
import type { Side } from '../domain.ts';
import type { Finding, KeyState, VerifiedKey } from '../findings.ts';
import { keyFromText, type ObjectKey } from '../object-key.ts';
import { type ObjectHead, StoreError } from '../s3/object-store.ts';
import { ContentError, firstDifference } from './compare-content.ts';
import { compareEtags } from './compare-etags.ts';
import { compareMetadata, compareTags } from './compare-metadata.ts';
import { type Asked, type Comparison, patiently } from './comparison.ts';
import { isInSample } from './sample.ts';

const SAME: VerifiedKey = { state: 'same', findings: [] };
const UNPROVEN: VerifiedKey = { state: 'unproven', findings: [] };
const GONE: VerifiedKey = { state: 'gone', findings: [] };

/** How often a key may be looked up: once more when its object changes under the comparison. */
const MAX_LOOKS = 2;

/**
 * @throws MigrateError when no key could be compared; the signal's reason, or what ended the waiting, when
 *   the run ends
 */
export async function compareKey(key: ObjectKey, comparison: Comparison): Promise<VerifiedKey> {
  for (let look = 1; ; look++) {
    try {
      return await compareOnce(key, comparison);
    } catch (error) {
      if (!(error instanceof ContentError)) throw error;
      const { kind } = error.cause;
      const changed = kind === 'precondition-failed' || kind === 'not-found';
      if (!changed || look === MAX_LOOKS) return failed([errorFinding(error.side, error.cause)]);
      comparison.counters.retries++;
    }
  }
}

async function compareOnce(key: ObjectKey, comparison: Comparison): Promise<VerifiedKey> {
  const [source, destination] = await Promise.all([
    lookUp({ key, side: 'source' }, comparison),
    lookUp({ key, side: 'destination' }, comparison),
  ]);
  if (source instanceof StoreError || destination instanceof StoreError) {
    const findings: Finding[] = [];
    if (source instanceof StoreError) findings.push(errorFinding('source', source));
    if (destination instanceof StoreError) findings.push(errorFinding('destination', destination));
    return failed(findings);
  }
  if (source !== undefined && destination !== undefined) {
    return compareObjects(key, source, destination, comparison);
  }
  if (source !== undefined) {
    const finding = { symbol: '+', what: 'missing', source: String(source.bytes), destination: '' };
    return { state: 'missingOnDestination', findings: [finding as Finding] };
  }
  if (destination !== undefined) {
    const there = String(destination.bytes);
    const finding = { symbol: '-', what: 'missing', source: '', destination: there };
    return { state: 'missingOnSource', findings: [finding as Finding] };
  }
  return GONE;
}

/** @returns undefined when there is no such object, the error when it cannot be told */
async function lookUp(
  asked: Asked,
  comparison: Comparison,
): Promise<ObjectHead | StoreError | undefined> {
  const { key, side } = asked;
  try {
    const head = await patiently(asked, () => comparison[side].head(key), comparison);
    comparison.watches[side].worked();
    return head;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    if (error.kind !== 'not-found') return error;
    comparison.watches[side].worked();
    return undefined;
  }
}

/** How it is known that the content is the same. */
type Proof = 'empty' | 'etag' | 'content';

async function compareObjects(
  key: ObjectKey,
  source: ObjectHead,
  destination: ObjectHead,
  comparison: Comparison,
): Promise<VerifiedKey> {
  const { findings, proof } = await compareContents(key, source, destination, comparison);
  if (comparison.metadata) {
    findings.push(...compareMetadata(source.metadata, destination.metadata));
    findings.push(...(await compareTags(key, comparison, errorFinding)));
  }
  if (findings.length > 0) return { state: worstOf(findings), findings };
  if (!comparison.tellSame) return proof === undefined ? UNPROVEN : SAME;
  const what = proof ?? 'unproven';
  return {
    state: proof === undefined ? 'unproven' : 'same',
    findings: [{ symbol: '=', what, source: '', destination: '' }],
  };
}

async function compareContents(
  key: ObjectKey,
  source: ObjectHead,
  destination: ObjectHead,
  comparison: Comparison,
): Promise<{ findings: Finding[]; proof?: Proof }> {
  if (source.bytes !== destination.bytes) {
    return { findings: [different('size', String(source.bytes), String(destination.bytes))] };
  }
  if (source.bytes === 0) return { findings: [], proof: 'empty' };
  // Where the bytes are read they decide: many a store has ETags that only look like digests.
  if (isInSample(key, comparison.contentShare)) {
    const offset = await firstDifference(key, { source, destination }, comparison);
    if (offset === undefined) return { findings: [], proof: 'content' };
    return { findings: [different('content', `from byte ${offset} on`, `from byte ${offset} on`)] };
  }
  switch (compareEtags(source, destination)) {
    case 'same':
      return { findings: [], proof: 'etag' };
    case 'different':
      return { findings: [different('etag', source.etag, destination.etag)] };
    case 'incomparable':
      return { findings: [] };
  }
}

function different(what: string, source: string, destination: string): Finding {
  return { symbol: '*', what, source, destination };
}

function errorFinding(side: Side, { code, message }: StoreError): Finding {
  const told = keyFromText(message);
  return {
    symbol: '!',
    what: keyFromText(code),
    source: side === 'source' ? told : '',
    destination: side === 'destination' ? told : '',
  };
}

function failed(findings: readonly Finding[]): VerifiedKey {
  return { state: 'error', findings };
}

function worstOf(findings: readonly Finding[]): KeyState {
  return findings.some(({ symbol }) => symbol === '*') ? 'differ' : 'error';
}

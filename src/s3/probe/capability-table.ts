/**
 * A probe's findings for the person who reads them: three lines for the start of a run, a table for
 * `s3migrate probe`, and the one finding that makes a destination unfit.
 */
import { displayKey, displayText } from '../../object-key.ts';
import type {
  Capabilities,
  ClockFinding,
  ConditionFinding,
  DigestFinding,
  DigestName,
  KeyHandling,
  KeyRule,
  MetadataFinding,
  MetadataName,
  RaceFinding,
  SourceFindings,
  YesOrNo,
} from './capabilities.ts';
import { aliasText, keyRuleWords } from './key-rules.ts';

export interface ConditionProblem {
  /** A sentence without a full stop: what the destination does. */
  readonly message: string;
  readonly hint: string;
}

const METADATA_WORDS: Readonly<Record<MetadataName, string>> = {
  'ordinary-headers': 'Content-Type and the like',
  'content-encoding': 'Content-Encoding gzip',
  'content-encodings': 'Content-Encoding zstd, custom',
  'expires-not-a-date': 'Expires that is no date',
  'metadata-utf8': 'metadata in UTF-8',
  'metadata-latin1': 'metadata not in UTF-8',
  'metadata-rfc2047': 'metadata as RFC 2047 words',
  'website-redirect': 'website redirect',
  tags: 'tags',
};

/**
 * Why objects must not be written to this destination as they are by default: it does not keep what is
 * there, or that could not be found out.
 *
 * @returns undefined for a destination that honours the condition on both ways of writing
 */
export function conditionProblem({
  putCondition,
  completeCondition,
}: Capabilities): ConditionProblem | undefined {
  for (const [operation, finding] of [
    ['PutObject', putCondition],
    ['CompleteMultipartUpload', completeCondition],
  ] as const) {
    if (finding.kind !== 'honoured') return problemOf(operation, finding);
  }
  return undefined;
}

function problemOf(
  operation: string,
  finding: Exclude<ConditionFinding, { kind: 'honoured' }>,
): ConditionProblem {
  if (finding.kind === 'unknown') {
    return {
      message: `it could not be found out whether the destination honours If-None-Match on ${operation}: ${displayText(finding.reason)}`,
      hint: 'Let this user write and delete below --probe-prefix, or give a prefix where it may. Where the reason passes, give the same command again.',
    };
  }
  return {
    message: `the destination does not honour If-None-Match on ${operation}: ${conditionText(finding)}`,
    hint:
      finding.kind === 'ignored'
        ? 'What clients write there while a migration runs would be overwritten by older objects.'
        : 'No object can be written there on the condition that it is not there yet.',
  };
}

/** Three lines; a fourth when something could not be removed. */
export function describeCapabilities(c: Capabilities): string[] {
  const keys = c.keys.filter(({ handling }) => handling.kind !== 'kept');
  const lost = namesOf(c.metadata).filter((name) => c.metadata[name].kind !== 'kept');
  const lostWords = lost.map(
    (name) => `${shortName(name, c.metadata[name])} (${c.metadata[name].kind})`,
  );
  return [
    `conditions: PutObject ${conditionText(c.putCondition)}, CompleteMultipartUpload ${conditionText(c.completeCondition)}, DeleteObject ${conditionText(c.deleteCondition)}; race: ${raceText(c.race)}`,
    `digests: ${verifiedText(c.putDigests)}; ETag is the MD5: ${yesOrNoText(c.etagIsMd5)}; of parts: ${yesOrNoText(c.multipartEtag)}; HEAD by part: ${yesOrNoText(c.partNumberHead)}; clock ${clockText(c.clock)}`,
    `not kept: ${shortList(lostWords)}; keys: ${shortList(keys.map(shortRule), 'all kept')}`,
    ...leftoverLines(c),
  ];
}

/** Of the ordinary headers, the one that it is about. */
function shortName(name: MetadataName, finding: MetadataFinding): string {
  const isOfOne = name === 'ordinary-headers' && 'header' in finding;
  return isOfOne ? finding.header : METADATA_WORDS[name];
}

function shortRule({ rule, handling }: KeyRule): string {
  return `${keyRuleWords(rule)} (${handling.kind === 'alias' ? aliasText(handling) : handling.kind})`;
}

function shortList(items: readonly string[], none = 'nothing'): string {
  return items.length === 0 ? none : items.join(', ');
}

function verifiedText(digests: Capabilities['putDigests']): string {
  const verified = namesOf(digests).filter((name) => digests[name].kind === 'verified');
  return verified.length === 0 ? 'none verified' : `${verified.join(', ')} verified`;
}

function leftoverLines({ leftovers }: Capabilities): string[] {
  if (leftovers.length === 0) return [];
  return [`could not be removed, delete by hand: ${leftovers.map(displayKey).join(', ')}`];
}

/** All findings, a line each; ends with a line feed. */
export function capabilityTable(c: Capabilities): string {
  const rows: [string, string][] = [
    ['If-None-Match on PutObject', conditionText(c.putCondition)],
    ['If-None-Match on CompleteMultipartUpload', conditionText(c.completeCondition)],
    ['four conditional PUTs at once', raceText(c.race)],
    ['If-Match on DeleteObject', conditionText(c.deleteCondition)],
    ['ETag is the MD5', yesOrNoText(c.etagIsMd5)],
    ['ETag of parts is that of their MD5s', yesOrNoText(c.multipartEtag)],
    ['HEAD with partNumber', yesOrNoText(c.partNumberHead)],
    ...namesOf(c.putDigests).map((name): [string, string] => [
      `${digestWords(name)} on PutObject, UploadPart`,
      `${digestText(c.putDigests[name])}, ${digestText(c.partDigests[name])}`,
    ]),
    ...namesOf(c.metadata).map((name): [string, string] => [
      METADATA_WORDS[name],
      metadataText(c.metadata[name]),
    ]),
    ...c.keys.map(({ rule, handling }): [string, string] => [
      keyRuleWords(rule),
      handlingText(handling),
    ]),
    ['clock', clockText(c.clock)],
  ];
  return [formatRows(rows), ...leftoverLines(c).map((line) => `${line}\n`)].join('');
}

/** As {@link capabilityTable}, of what is known by reading alone. */
export function sourceTable({ tellsMissing, listing, clock }: SourceFindings): string {
  return formatRows([
    ['404 for a key that is not there', yesOrNoText(tellsMissing)],
    ['may be listed', yesOrNoText(listing)],
    ['clock', clockText(clock)],
  ]);
}

function formatRows(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([what]) => what.length));
  return rows.map(([what, finding]) => `${what.padEnd(width)}  ${finding}\n`).join('');
}

function digestWords(name: DigestName): string {
  return name === 'content-md5' ? 'Content-MD5' : name.toUpperCase();
}

function conditionText(finding: ConditionFinding): string {
  switch (finding.kind) {
    case 'honoured':
      return `honoured (${finding.status})`;
    case 'ignored':
      return 'IGNORED: carried out all the same';
    case 'not-modified':
      return 'not known: answered with 304';
    case 'not-implemented':
      return 'not implemented (501)';
    case 'refused':
      return `refused (${displayText(finding.answer)})`;
    case 'unknown':
      return unknownText(finding.reason);
  }
}

function raceText(finding: RaceFinding): string {
  switch (finding.kind) {
    case 'one-wins':
      return 'exactly one wins';
    case 'several-win':
      return `${finding.winners} WIN: a write at the very same time may be lost`;
    case 'unknown':
      return unknownText(finding.reason);
  }
}

function yesOrNoText(finding: YesOrNo): string {
  switch (finding.kind) {
    case 'yes':
      return 'yes';
    case 'no':
      return `no (${displayText(finding.answer)})`;
    case 'unknown':
      return unknownText(finding.reason);
  }
}

function digestText(finding: DigestFinding): string {
  switch (finding.kind) {
    case 'verified':
      return 'verified';
    case 'ignored':
      return 'IGNORED';
    case 'refused':
      return `refused (${displayText(finding.answer)})`;
    case 'unknown':
      return unknownText(finding.reason);
  }
}

function metadataText(finding: MetadataFinding): string {
  switch (finding.kind) {
    case 'kept':
      return 'kept';
    case 'dropped':
      return `DROPPED: ${finding.header}`;
    case 'changed': {
      const to = displayText(Buffer.from(finding.to, 'latin1').toString('utf8'));
      return `CHANGED: ${finding.header} comes back as "${to}"`;
    }
    case 'refused':
      return `refused (${displayText(finding.answer)})`;
    case 'unknown':
      return unknownText(finding.reason);
  }
}

function handlingText(handling: KeyHandling): string {
  switch (handling.kind) {
    case 'kept':
      return 'kept';
    case 'refused':
      return `refused (${displayText(handling.answer)})`;
    case 'alias':
      return `ANOTHER NAME: ${aliasText(handling)}`;
    case 'lost':
      return `LOST: acknowledged, then ${displayText(handling.answer)}`;
    case 'unknown':
      return unknownText(handling.reason);
  }
}

function clockText(finding: ClockFinding): string {
  if (finding.kind === 'unknown') return unknownText(finding.reason);
  const seconds = Math.round(finding.aheadMs / 1000);
  if (seconds === 0) return "agrees with this host's";
  return `${Math.abs(seconds)} s ${seconds > 0 ? 'ahead of' : 'behind'} this host's`;
}

function unknownText(reason: string): string {
  return `unknown (${displayText(reason)})`;
}

function namesOf<Name extends string>(findings: Readonly<Record<Name, unknown>>): Name[] {
  return Object.keys(findings) as Name[];
}

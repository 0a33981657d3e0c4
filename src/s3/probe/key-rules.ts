/**
 * Keys that stores are known to refuse, or to keep under another name: what becomes of an example of each
 * kind, and which keys are of that kind.
 *
 * Where two keys are one object, one of them is in the form that the store makes of both. The other is the
 * one told of here, so of any two keys that would meet at least one has a problem.
 */
import { isUtf8 } from 'node:buffer';
import {
  displayKey,
  displayText,
  keyFromText,
  keyToBytes,
  MAX_KEY_BYTES,
  type ObjectKey,
} from '../../object-key.ts';
import type { Capabilities, KeyHandling, KeyRule, KeyRuleName } from './capabilities.ts';
import { answerText, etagOf, isDone, orUnknown, type ProbeSite, unknown } from './probe-site.ts';

/** Names of files, which some stores make of the parts of keys, are no longer than this. */
const MAX_PART_BYTES = 255;

interface Example {
  /** Byte string, below the base; `/` and the base go before it where `rooted`. */
  readonly sent: string;
  /** Below the base: what the same object would be called where the two are taken for one. */
  readonly others: readonly string[];
  readonly rooted?: true;
  readonly content?: Buffer;
  /** Written before: the example is about having both. */
  readonly beside?: { readonly key: string; readonly content: Buffer };
}

const EMPTY = Buffer.alloc(0);
const CONTENT = Buffer.from('kept under this very name');

/** @param base what goes before, for the keys whose length counts */
function examplesOf(base: ObjectKey): Readonly<Record<KeyRuleName, Example>> {
  const long = longName(MAX_KEY_BYTES - base.length);
  const longPart = 'p'.repeat(MAX_PART_BYTES);
  return {
    'leading-slash': { sent: 'lead', others: ['lead'], rooted: true },
    'double-slash': { sent: 'twice//x', others: ['twice/x'] },
    'dot-segment': { sent: 'dot/./y', others: ['dot/y'] },
    'dot-dot-segment': { sent: 'dots/../z', others: ['z'] },
    'trailing-slash': { sent: 'marker/', others: ['marker'], content: EMPTY },
    'trailing-slash-with-content': { sent: 'filled/', others: ['filled'] },
    'beside-folder': { sent: 'folder', others: [], beside: { key: 'folder/', content: EMPTY } },
    'above-key': { sent: 'stem', others: [], beside: { key: 'stem/leaf', content: CONTENT } },
    decomposed: { sent: utf8('u\u0308mlaut'), others: [utf8('\u00fcmlaut')] },
    'upper-case': { sent: 'CASE', others: ['case'] },
    plus: { sent: 'a+plus', others: ['a plus'] },
    'percent-escape': { sent: 'escape%41', others: ['escapeA'] },
    'control-characters': {
      sent: 'control\x01\t\n\r\x1f\x7f.',
      others: ['control\x02\t\n\r\x1f\x7f.', 'control.', 'control??????.'],
    },
    'not-utf8': {
      sent: 'byte\xff',
      // Another stray byte, U+FFFD, and the byte read as Latin-1.
      others: ['byte\xfe', 'byte\xef\xbf\xbd', 'byte\xc3\xbf'],
    },
    'long-key': { sent: `${long}d`, others: [`${long}e`, long] },
    'long-part': { sent: `${longPart}d`, others: [`${longPart}e`, longPart] },
  };
}

/** One byte short of so many, in parts that no store minds. */
function longName(bytes: number): string {
  return `${'d'.repeat(127)}/`
    .repeat(9)
    .slice(0, bytes - 1)
    .replace(/\/$/, 'd');
}

function utf8(text: string): string {
  return keyFromText(text);
}

/** Below a probe's base: keys that it may have written and that a listing may show under another name. */
export function keysHardToList(base: ObjectKey): ObjectKey[] {
  const examples = examplesOf(base);
  return [examples['control-characters'], examples['not-utf8']].map(
    ({ sent }) => `${base}${sent}` as ObjectKey,
  );
}

export async function probeKeys(site: ProbeSite): Promise<KeyRule[]> {
  const examples = Object.entries(examplesOf(site.base)) as [KeyRuleName, Example][];
  return Promise.all(
    examples.map(async ([rule, example]) => ({
      rule,
      handling: await orUnknown(() => probeExample(site, example)),
    })),
  );
}

async function probeExample(site: ProbeSite, example: Example): Promise<KeyHandling> {
  const { sent, others, rooted, content = CONTENT, beside } = example;
  if (beside !== undefined) {
    const first = await site.put(site.key(beside.key), { body: beside.content });
    if (!isDone(first)) return unknown(`${beside.key}: ${answerText(first)}`);
  }
  const key = `${rooted ? '/' : ''}${site.key(sent)}` as ObjectKey;
  const written = await site.put(key, { body: content });
  if (!isDone(written)) return notWritten(written.status, answerText(written));
  const [own, ...found] = await Promise.all([
    site.head(key),
    ...others.map((other) => site.head(site.key(other))),
  ]);
  const etag = etagOf(written);
  const of = others.find((_, index) => {
    const head = found[index];
    return head !== undefined && isDone(head) && etagOf(head) === etag;
  });
  if (of !== undefined) {
    const below = `${rooted ? '/' : ''}${sent}`;
    return { kind: 'alias', sent: below as ObjectKey, of: of as ObjectKey };
  }
  if (own.status === 403 || own.status >= 500) return unknown(`HEAD: ${answerText(own)}`);
  if (!isDone(own)) return { kind: 'lost', answer: answerText(own) };
  if (own.headers.get('content-length') !== String(content.length)) {
    return { kind: 'lost', answer: `${own.headers.get('content-length') ?? 'no'} bytes` };
  }
  if (beside === undefined) return { kind: 'kept' };
  const still = await site.head(site.key(beside.key));
  return isDone(still)
    ? { kind: 'kept' }
    : { kind: 'lost', answer: `${answerText(still)} for ${beside.key}` };
}

/** Ordinary keys can be written, so it is the key; 5xx too, but for those that pass. */
function notWritten(status: number, answer: string): KeyHandling {
  return status === 503 || status === 429 ? unknown(answer) : { kind: 'refused', answer };
}

interface Kind {
  /** In the plural, for messages and for the table. */
  readonly words: string;
  /** Undefined where it takes two keys to tell. */
  readonly includes?: (key: ObjectKey) => boolean;
  /** Whether a store that refuses the example refuses every key of the kind. */
  readonly refusedAsAKind: boolean;
}

const KINDS: Readonly<Record<KeyRuleName, Kind>> = {
  'leading-slash': {
    words: 'keys that begin with a slash',
    includes: (key) => key.startsWith('/'),
    refusedAsAKind: true,
  },
  'double-slash': {
    words: 'keys with two slashes in a row',
    includes: (key) => key.includes('//'),
    refusedAsAKind: true,
  },
  'dot-segment': {
    words: 'keys with a part that is "."',
    includes: (key) => /(?:^|\/)\.(?:\/|$)/.test(key),
    refusedAsAKind: true,
  },
  'dot-dot-segment': {
    words: 'keys with a part that is ".."',
    includes: (key) => /(?:^|\/)\.\.(?:\/|$)/.test(key),
    refusedAsAKind: true,
  },
  'trailing-slash': {
    words: 'keys that end with a slash',
    includes: (key) => key.endsWith('/'),
    refusedAsAKind: true,
  },
  'trailing-slash-with-content': {
    words: 'objects with content whose key ends with a slash',
    includes: (key) => key.endsWith('/'),
    // Empty ones may be taken, and the key does not tell.
    refusedAsAKind: false,
  },
  'beside-folder': { words: '"folder" beside "folder/"', refusedAsAKind: false },
  'above-key': { words: '"a" beside "a/b"', refusedAsAKind: false },
  decomposed: {
    words: 'keys with letters in decomposed form (NFD)',
    includes: (key) => textDiffers(key, (text) => text.normalize('NFC')),
    refusedAsAKind: false,
  },
  'upper-case': {
    words: 'keys with upper-case letters',
    includes: (key) => /[A-Z]/.test(key) || textDiffers(key, (text) => text.toLowerCase()),
    refusedAsAKind: false,
  },
  plus: { words: 'keys with a plus', includes: (key) => key.includes('+'), refusedAsAKind: true },
  'percent-escape': {
    words: 'keys that hold an escape such as "%41"',
    includes: (key) => /%[0-9A-Fa-f]{2}/.test(key),
    refusedAsAKind: true,
  },
  'control-characters': {
    words: 'keys with control characters',
    // oxlint-disable-next-line no-control-regex
    includes: (key) => /[\x00-\x1f\x7f]/.test(key),
    // The example holds several; which of them was minded is not known.
    refusedAsAKind: false,
  },
  'not-utf8': {
    words: 'keys that are not UTF-8',
    // oxlint-disable-next-line no-control-regex
    includes: (key) => !/^[\x00-\x7f]*$/.test(key) && !isUtf8(keyToBytes(key)),
    refusedAsAKind: true,
  },
  'long-key': {
    words: 'keys of 1,024 bytes',
    includes: (key) => key.length >= MAX_KEY_BYTES,
    refusedAsAKind: true,
  },
  'long-part': {
    words: `keys with more than ${MAX_PART_BYTES} bytes between slashes`,
    includes: (key) =>
      key.length > MAX_PART_BYTES && key.split('/').some((part) => part.length > MAX_PART_BYTES),
    refusedAsAKind: true,
  },
};

export const KEY_RULES = Object.keys(KINDS) as readonly KeyRuleName[];

/** False for keys that are not UTF-8: stores that fold text leave those alone, or refuse them. */
function textDiffers(key: ObjectKey, folded: (text: string) => string): boolean {
  // oxlint-disable-next-line no-control-regex
  if (/^[\x00-\x7f]*$/.test(key)) return false;
  const bytes = keyToBytes(key);
  if (!isUtf8(bytes)) return false;
  const text = bytes.toString('utf8');
  return folded(text) !== text;
}

/** What the keys of a rule have in common, in the plural. */
export function keyRuleWords(rule: KeyRuleName): string {
  return KINDS[rule].words;
}

/**
 * Why a key must not be written to this destination: it would be refused, or would be one object with
 * another key, whose later write would then be taken for "exists". To be asked before each write; some
 * tens of nanoseconds for a store that keeps all keys apart.
 *
 * What two keys only do to each other (`a` beside `a/b`), and what depends on the content, no key tells.
 *
 * @returns one sentence without a full stop, or undefined when the key may be written
 */
export function aliasProblem(key: ObjectKey, { keys }: Capabilities): string | undefined {
  for (const { rule, handling } of keys) {
    if (handling.kind === 'kept' || handling.kind === 'unknown') continue;
    const { words, includes, refusedAsAKind } = KINDS[rule];
    if (handling.kind === 'refused' && !refusedAsAKind) continue;
    if (includes?.(key) === true) return `the destination ${doing(handling)} ${words}`;
  }
  return undefined;
}

function doing(handling: Exclude<KeyHandling, { kind: 'kept' | 'unknown' }>): string {
  switch (handling.kind) {
    case 'refused':
      return `refuses (${displayText(handling.answer)})`;
    case 'alias':
      return `keeps under another name (${aliasText(handling)})`;
    case 'lost':
      return `acknowledges and then does not show (${displayText(handling.answer)})`;
  }
}

/** `"/lead" as "lead"`. */
export function aliasText({ sent, of }: Extract<KeyHandling, { kind: 'alias' }>): string {
  return `"${displayKey(sent)}" as "${displayKey(of)}"`;
}

/**
 * aliasProblem: of any key, whether a store that was probed would refuse it or take it for another.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyFromText, keyToBytes, type ObjectKey } from '../../src/object-key.ts';
import type { Capabilities, KeyHandling, KeyRuleName } from '../../src/s3/probe/capabilities.ts';
import { aliasProblem, KEY_RULES } from '../../src/s3/probe/key-rules.ts';

/** Of what a probe finds only the keys matter here. */
function storeWhere(unusual: Partial<Record<KeyRuleName, KeyHandling>>): Capabilities {
  const keys = KEY_RULES.map((rule) => ({ rule, handling: unusual[rule] ?? { kind: 'kept' } }));
  return { keys } as unknown as Capabilities;
}

const alias = (sent = 'sent', of = 'of'): KeyHandling => ({
  kind: 'alias',
  sent: sent as ObjectKey,
  of: of as ObjectKey,
});
const utf8 = (text: string): string => keyFromText(text);

describe('a store that aliases a kind of keys has a problem with each of it, and with no other:', () => {
  it.each<[rule: KeyRuleName, of: readonly string[], not: readonly string[]]>([
    ['leading-slash', ['/', '/a', '//a'], ['a/', 'a/b', 'a//b']],
    ['double-slash', ['a//b', '//a', 'a//'], ['/a', 'a/b/', 'a/ /b']],
    ['dot-segment', ['.', './a', 'a/.', 'a/./b'], ['..', '.a', 'a.', 'a/.b/c', 'a/../b']],
    ['dot-dot-segment', ['..', '../a', 'a/..', 'a/../b'], ['.', '...', 'a..', 'a/..b', 'a/./b']],
    ['trailing-slash', ['/', 'a/', 'a/b/'], ['/a', 'a/b']],
    ['trailing-slash-with-content', ['a/'], ['/a', 'a/b']],
    ['decomposed', [utf8('u\u0308')], [utf8('\u00fc'), 'u', '\xff', 'u\xcc']],
    ['upper-case', ['A', 'a/B.jpg', utf8('\u00dc')], ['a', '0/_', utf8('\u00fc')]],
    ['plus', ['a+b', '+'], ['a b', 'a%2Bb']],
    ['percent-escape', ['%41', 'a%2fb'], ['%', '100%', '%4', '%zz']],
    ['control-characters', ['\x01', 'a\nb', 'a\x7f'], ['a b', '\x80', utf8('\u0080')]],
    ['not-utf8', ['\xff', 'a\x80b', '\xc3', '\xed\xa0\x80'], ['a', utf8('\u00fc\u{1f600}')]],
    ['long-key', ['d'.repeat(1024)], ['d'.repeat(1023)]],
    ['long-part', ['p'.repeat(256), `a/${'p'.repeat(256)}/b`], ['p'.repeat(255), 'p/'.repeat(400)]],
    ['beside-folder', [], ['folder', 'folder/']],
    ['above-key', [], ['a', 'a/b']],
  ])('%s', (rule, of, not) => {
    const store = storeWhere({ [rule]: alias() });
    for (const key of of)
      expect([key, aliasProblem(key as ObjectKey, store)]).toEqual([key, expect.any(String)]);
    for (const key of not)
      expect([key, aliasProblem(key as ObjectKey, store)]).toEqual([key, undefined]);
  });
});

it('says why, with the example of the probe', () => {
  const store = storeWhere({
    'leading-slash': alias('/lead', 'lead'),
    'double-slash': { kind: 'refused', answer: '400 XMinioInvalidObjectName' },
    'trailing-slash': { kind: 'lost', answer: '404' },
  });
  const problem = (key: string) => aliasProblem(key as ObjectKey, store);
  expect(problem('/a')).toBe(
    'the destination keeps under another name ("/lead" as "lead") keys that begin with a slash',
  );
  expect(problem('a//b')).toBe(
    'the destination refuses (400 XMinioInvalidObjectName) keys with two slashes in a row',
  );
  expect(problem('a/')).toBe(
    'the destination acknowledges and then does not show (404) keys that end with a slash',
  );
});

it('takes what could not be found out for no problem', () => {
  const unknown = { kind: 'unknown', reason: '503 SlowDown' } as const;
  const store = storeWhere(Object.fromEntries(KEY_RULES.map((rule) => [rule, unknown])));
  fc.assert(fc.property(anyKey(), (key) => aliasProblem(key, store) === undefined));
});

it('leaves to the store to refuse what only some keys of a kind are refused for', () => {
  const refused = { kind: 'refused', answer: '400' } as const;
  const store = storeWhere({
    'control-characters': refused,
    'trailing-slash-with-content': refused,
  });
  expect(aliasProblem('a\tb' as ObjectKey, store)).toBeUndefined();
  expect(aliasProblem('a/' as ObjectKey, store)).toBeUndefined();
});

/** What stores are known to make of keys, each of one kind. */
const FOLDS: Partial<Record<KeyRuleName, (key: string) => string>> = {
  'leading-slash': (key) => key.replace(/^\/+/, ''),
  'double-slash': (key) => key.replace(/\/\/+/g, '/'),
  'dot-segment': (key) =>
    key
      .split('/')
      .filter((part) => part !== '.')
      .join('/'),
  'trailing-slash': (key) => key.replace(/\/+$/, ''),
  decomposed: (key) => ofText(key, (text) => text.normalize('NFC')),
  'upper-case': (key) => ofText(key, (text) => text.toLowerCase()),
  plus: (key) => key.replaceAll('+', ' '),
  'not-utf8': (key) => utf8(keyToBytes(key as ObjectKey).toString('utf8')),
};

function ofText(key: string, change: (text: string) => string): string {
  const text = keyToBytes(key as ObjectKey).toString('utf8');
  return utf8(text) === key ? utf8(change(text)) : key;
}

it.each(Object.entries(FOLDS))(
  'of two keys that are one object at least one has a problem: %s',
  (rule, fold) => {
    const store = storeWhere({ [rule]: alias() });
    fc.assert(
      fc.property(anyKey(), (key) => {
        const folded = fold(key) as ObjectKey;
        // The form that the store makes of both is without a problem, unless it is folded further.
        return folded === key || aliasProblem(key, store) !== undefined;
      }),
    );
  },
);

function anyKey(): fc.Arbitrary<ObjectKey> {
  const piece = fc.constantFrom(
    '/',
    '/',
    '.',
    'a',
    'B',
    '+',
    '%41',
    utf8('u\u0308'),
    utf8('\u00dc'),
    '\xff',
  );
  return fc
    .array(piece, { minLength: 1, maxLength: 12 })
    .map((pieces) => pieces.join('') as ObjectKey);
}

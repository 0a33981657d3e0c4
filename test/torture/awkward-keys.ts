/**
 * Keys that something on the way might stumble over (faults.md, L7): the shell's, XML's, CSV's, URL's and
 * path's own characters, bytes that are not UTF-8, the longest ones.
 */
import { utf8 } from '../cli/migration.ts';
import type { Dice } from './dice.ts';

const LONGEST = 1024;

/** Byte strings. No NUL, which no list can hold. */
const AWKWARD: readonly string[] = [
  '/',
  '//',
  '/lead',
  'trail/',
  'a//b',
  '.',
  '..',
  './a',
  '../a',
  'a/./b',
  'a/../b',
  'a/..',
  '+',
  'a+b c',
  '%',
  '%2F',
  '%00',
  '%zz',
  '?',
  'a?b=c&d',
  '#',
  'a#b',
  '&amp;',
  '<key>',
  ']]>',
  ' ',
  ' lead',
  'trail ',
  '   ',
  "it's",
  '"quoted"',
  '"',
  ',',
  'a,b',
  '\\',
  'a\\nb',
  '\\x41',
  'key',
  '=1+1',
  '-',
  '--',
  '~',
  '*',
  ':',
  ';',
  '|',
  '$HOME',
  '`id`',
  'con\x01trol\x1b[31m',
  '\x7f',
  'tab\tin it',
  '\r',
  'cr\rin it',
  'crlf\r\nin it',
  '\n',
  'line\nfeed',
  utf8('é'),
  utf8('e\u0301'),
  utf8('\u{1F600}'),
  utf8('\uFF5E'),
  utf8('\u202Eevil'),
  utf8('\u200B'),
  utf8('\uFEFFmark'),
  '\xff',
  '\xff\xfe',
  '\x80alone',
  '\xc3',
  '\xed\xa0\x80',
  'a'.repeat(LONGEST),
  '\xe9'.repeat(LONGEST),
  `${'long/'.repeat(204)}%+ \n`,
];

const PIECES: readonly string[] = [
  ...AWKWARD.filter(({ length }) => length < 8),
  'photos',
  '2019',
  'a',
  'b',
  'z',
  '0',
  '/',
  '/',
];

/** @returns so many different keys, ascending; the awkward ones of the list among them */
export function drawKeys(dice: Dice, count: number): string[] {
  const keys = new Set<string>(dice.some(AWKWARD, Math.ceil(count * 0.4)));
  for (let number = 0; keys.size < count; number++) keys.add(drawKey(dice, number));
  return [...keys].slice(0, count).toSorted();
}

function drawKey(dice: Dice, number: number): string {
  if (dice.chance(0.5)) return `photos/${dice.whole(0, 9)}/${String(number).padStart(5, '0')}.jpg`;
  const pieces = Array.from({ length: dice.whole(1, 5) }, () => dice.of(PIECES));
  return pieces.join('').slice(0, LONGEST);
}

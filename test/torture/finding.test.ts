/** The torture finds what it is there to find: a comparison that lets something pass would make it worthless. */
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { compare } from './compare.ts';
import { contentOf } from './dice.ts';
import { endsOf, type Facts } from './model.ts';
import { drawScenario, type Scenario } from './scenario.ts';
import { Tally } from './tally.ts';
import { World } from './world.ts';

const KEYS = ['a', 'b', 'c', 'd'];
const DENIED = 'd';

const SCENARIO: Scenario = {
  seed: 0,
  source: KEYS.map((key) => ({ key, body: contentOf(key, 100) })),
  destination: [],
  listed: { src: KEYS, dest: [] },
  files: { src: [{ name: 'all', content: Buffer.from('a\nb\nc\nd\n') }], dest: [] },
  hosts: 1,
  flags: { cores: 1 },
  startAfter: undefined,
  keepsTruncated: false,
  refusals: [{ kind: 'refused: denied', side: 'source', operation: 'GetObject', key: DENIED }],
  rounds: [],
  startsAgain: false,
};

describe('after a run without a violation', () => {
  let world: World;
  let tally: Tally;
  beforeEach(() => {
    tally = new Tally();
  });

  async function givenRun(): Promise<void> {
    world = await World.prepare(SCENARIO, tally);
    world.calm();
    expect(await world.migration.run(SCENARIO.flags)).toMatchObject({ exitCode: 1 });
  }

  const comparison = (): Promise<void> =>
    compare(SCENARIO, world, [world.migration.logFolder], tally);

  it('nothing is found, and what was done is counted', async () => {
    await givenRun();
    await comparison();
    expect(tally.numbers).toMatchObject({
      listed: 4,
      copied: 3,
      bytes: 300,
      skipped: 0,
      failed: 1,
    });
    expect(tally.faults.toJSON()).toEqual({ 'GetObject: refused: denied': 1 });
  });

  it.each<[string, string, (bucket: World['migration']['destination']) => void]>([
    ['an object that is lost', '"b" is copied', ({ bucket }) => bucket.delete('b' as ObjectKey)],
    ['one that was cut', '"b" is copied', (side) => side.put('b', contentOf('b', 99))],
    [
      'one with the bytes of another',
      '"b" is copied',
      (side) => side.put('b', contentOf('a', 100)),
    ],
    ['one that nobody listed', 'nobody has put "e" there', (side) => side.put('e', '')],
    ['one of a key that failed', '"d" is failed', (side) => side.put('d', contentOf('d', 100))],
    [
      'an upload that was left open',
      '1 uploads are left over',
      ({ bucket }) => void bucket.createUpload('a' as ObjectKey, { headers: {}, tags: new Map() }),
    ],
  ])('%s is found', async (_, message, harm) => {
    await givenRun();
    world.migration.uploadsMayBeLeft = 'it is the test that begins one';
    harm(world.migration.destination);
    await expect(comparison()).rejects.toThrow(message);
  });

  it.each<[string, string, string, string | RegExp, string]>([
    ['a line that is lost', '"b" is in no log', 'migrate.log', /^b,.*\n/m, ''],
    ['a key that nobody listed', '"bb" is logged', 'migrate.log', /^c,/m, 'bb,'],
    [
      'a wrong outcome',
      '"b" is skipped-upload',
      'migrate.log',
      /^b,.*$/m,
      'b,skipped-upload,,,exists',
    ],
    ['no proof', '"b" is copied', 'migrate.log', /^(b,.*),md5$/m, '$1,believed'],
    ['another reason', '"d" is failed', 'failed.log', 'AccessDenied', 'SlowDown'],
    ['a failure without its line', '"d" is failed', 'failed.log', /^d,.*\n/m, ''],
    ['a wrong count', 'migrate.run.json says', 'migrate.run.json', '"copied": 3', '"copied": 4'],
    [
      'a wrong length',
      'migrate.run.json says',
      'migrate.run.json',
      '"logBytes": ',
      '"logBytes": 1',
    ],
    ['another end', 'migrate.run.json says', 'migrate.run.json', '"complete"', '"stopped"'],
    [
      'a key counted elsewhere',
      'the hosts count',
      'migrate.run.json',
      '"exists": 0',
      '"exists": 1',
    ],
  ])('%s is found', async (_, message, file, there, instead) => {
    await givenRun();
    const path = `${world.migration.logFolder}/${file}`;
    const before = await readFile(path, 'latin1');
    const after = before.replace(there, instead);
    expect(after).not.toBe(before);
    await writeFile(path, after, 'latin1');
    await expect(comparison()).rejects.toThrow(message);
  });

  it('a key in the logs of two hosts is found, and a file that is left over', async () => {
    await givenRun();
    const { logFolder } = world.migration;
    const twice = compare(SCENARIO, world, [logFolder, logFolder], tally);
    await expect(twice).rejects.toThrow('"a" is in the logs of two hosts');
    await appendFile(`${logFolder}/migrate.run.json.part`, '');
    await expect(comparison()).rejects.toThrow('migrate.run.json.part');
  });
});

describe('the model', () => {
  const facts: Facts = {
    versions: new Map([['k', [Buffer.from('ours')]]]),
    before: new Map(),
    theirs: new Map(),
    destinationList: new Set(),
    startAfter: '',
    refused: new Map(),
    refusedOnce: new Map(),
    doubted: new Set(),
    brokenOff: false,
  };
  const logs = (changes: Partial<Facts>): string[] =>
    endsOf('k', { ...facts, ...changes }).map(
      ({ log, holds }) => `${log}: ${holds?.toString() ?? 'nothing'}`,
    );

  it('leaves one end where nothing has happened', () => {
    expect(logs({})).toEqual(['copied: ours']);
    expect(logs({ versions: new Map() })).toEqual(['skipped-download: nothing']);
    const refused = new Map([['k', { side: 'source', code: 'AccessDenied' } as const]]);
    expect(logs({ refused })).toEqual(['failed: nothing']);
    expect(logs({ destinationList: new Set(['k']) })).toEqual(['nothing: nothing']);
    expect(logs({ startAfter: 'k' })).toEqual(['nothing: nothing']);
    const theirs = new Map([['k', Buffer.from('theirs')]]);
    expect(logs({ before: theirs })).toEqual(['skipped-upload: theirs']);
    expect(logs({ theirs })).toEqual(['skipped-upload: theirs']);
  });

  it('knows that the same bytes of somebody else may be taken for the own ones', () => {
    const theirs = new Map([['k', Buffer.from('ours')]]);
    expect(logs({ theirs })).toEqual(['skipped-upload: ours', 'copied: ours']);
  });

  it('knows that a run which was broken off may find its own object', () => {
    expect(logs({ brokenOff: true })).toEqual(['copied: ours', 'skipped-upload: ours']);
  });

  it('knows that a refusal which came once may be the end of it', () => {
    const refusedOnce = new Map([['k', new Set(['AccessDenied'])]]);
    expect(logs({ refusedOnce })).toEqual(['copied: ours', 'failed: nothing']);
  });
});

it('a torture in which nothing was killed, copied or resumed proves nothing', () => {
  const tally = new Tally();
  expect(tally.unproven).toEqual([
    'nothing was killed',
    'nothing was copied',
    'nothing was resumed',
  ]);
  tally.endings.add('SIGINT at a time');
  tally.numbers.copied = 1;
  tally.numbers.resumes = 1;
  expect(tally.unproven).toEqual(['nothing was killed']);
  tally.endings.add('SIGKILL at a time');
  expect(tally.unproven).toEqual([]);
});

it('tallies are added up', () => {
  const sum = new Tally();
  for (const seed of [1, 2]) {
    const tally = new Tally();
    tally.numbers.copied = 10;
    tally.faults.add('GetObject: 503', seed);
    tally.violations.push(`seed ${seed}: lost`);
    sum.add(JSON.parse(JSON.stringify(tally)));
  }
  expect(sum.summary()).toContain('copied 20 (0 bytes)');
  expect(sum.summary()).toContain('  3 GetObject: 503\n');
  expect(sum.violations).toEqual(['seed 1: lost', 'seed 2: lost']);
});

it('the same seed draws the same scenario, another one another', () => {
  // Large objects are compared as bytes, not one element after another.
  expect(isDeepStrictEqual(drawScenario(7), drawScenario(7))).toBe(true);
  expect(isDeepStrictEqual(drawScenario(7), drawScenario(8))).toBe(false);
});

it('content repeats neither itself nor that of another label', () => {
  const [one, other] = [contentOf('one', 4096), contentOf('other', 4096)];
  const pieces = [one, other].flatMap((bytes) =>
    Array.from({ length: 256 }, (_, index) => bytes.toString('hex', index * 16, index * 16 + 16)),
  );
  expect(new Set(pieces).size).toBe(512);
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Counters, newCounters } from '../../src/domain.ts';
import { keyFromBytes, keyFromText } from '../../src/object-key.ts';
import { conservation } from '../../src/report/conservation.ts';
import { FailureGroups } from '../../src/report/failures.ts';
import { formatSummary, type SummaryInput } from '../../src/report/summary.ts';

const COUNTERS: Counters = {
  ...newCounters(),
  objects: 1234,
  ignored: 56,
  exists: 89,
  skippedUpload: 4,
  downloaded: 1089,
  downloadedBytes: 1_234_567_890,
  uploaded: 1085,
  uploadedBytes: 1_200_000_000,
};

const CLEAN: SummaryInput = {
  end: { kind: 'complete' },
  counters: COUNTERS,
  elapsedMs: 100_000,
  failures: new FailureGroups().digest(),
  logFolder: 'logs',
  failOnMissing: false,
};

/** The summary as lines, to be compared with an indented literal. */
function summary(change: Partial<SummaryInput>): string[] {
  const text = formatSummary({ ...CLEAN, ...change });
  expect(text.endsWith('\n')).toBe(true);
  return text.slice(0, -1).split('\n');
}

it('takes six lines for a clean run', () => {
  expect(summary({})).toEqual([
    's3migrate: complete in 1m:40s',
    '  objects   obj 1,234 = ign 56 + exist 89 + skip 4 (dn 0, up 4) + fail 0 + upld 1,085',
    '            every listed key is accounted for',
    '  download  1,089 objects, 1.2GB (10.9/s, 12MB/s on average)',
    '  upload    1,085 objects, 1.2GB (10.8/s, 12MB/s on average)',
    '  logs      logs: migrate.log, failed.log, migrate.run.json',
  ]);
});

it('tells failures by kind with examples, what the source lacks, and how to retry', () => {
  const failures = new FailureGroups();
  const failure = { status: 403, attempts: 1, at: 0 };
  failures.add({
    kind: 'failed',
    key: keyFromText('photos/a b.jpg'),
    failure: { ...failure, code: 'AccessDenied', side: 'source', message: 'Access\nDenied' },
  });
  for (const key of ['v/1', 'v/2', 'v/3', 'v/4']) {
    failures.add({
      kind: 'failed',
      key: keyFromText(key),
      failure: { ...failure, code: 'timeout', side: 'destination', message: 'No answer in 60 s' },
    });
  }
  failures.add({
    kind: 'skipped-download',
    key: keyFromBytes(Buffer.from('gone\x1b\xff', 'latin1')),
    detail: '404',
  });
  const counters = {
    ...COUNTERS,
    failed: 5,
    skippedDownload: 1,
    uploaded: 1079,
    retries: 17,
  };
  expect(summary({ counters, failures: failures.digest(), logFolder: "my logs/it's" })).toEqual([
    's3migrate: complete in 1m:40s, with 5 FAILED',
    '  objects   obj 1,234 = ign 56 + exist 89 + skip 5 (dn 1, up 4) + fail 5 + upld 1,079',
    '            every listed key is accounted for',
    '  download  1,089 objects, 1.2GB (10.9/s, 12MB/s on average)',
    '  upload    1,079 objects, 1.2GB (10.8/s, 12MB/s on average)',
    '  retries   17',
    '  NOT FOUND 1 listed object not in the source (404), not copied: deleted since the list was made?',
    '      gone\\x1B\\xFF',
    '  FAILED    5 objects, each with its reason in failed.log:',
    '    4 timeout (destination)',
    '      v/1: No answer in 60 s',
    '      v/2: No answer in 60 s',
    '      v/3: No answer in 60 s',
    '      and 1 more',
    '    1 AccessDenied (source)',
    '      photos/a b.jpg: Access Denied',
    "  logs      my logs/it's: migrate.log, failed.log, migrate.run.json",
    "  next      s3migrate --failed-to-folder DIR --log-folder 'my logs/it'\\''s'",
    '  then      the same command with --src-folder DIR --log-folder NEW retries just those',
  ]);
});

it('says what objects were copied without', () => {
  const losing = new FailureGroups();
  const key = keyFromText('k');
  for (const detail of ['md5; lost: tags', 'md5; lost: tags redirect']) {
    losing.add({ kind: 'copied', key, bytes: 1, etag: 'e', detail });
  }
  expect(summary({ failures: losing.digest() })).toContain(
    '  LOST      not all that belongs to 2 objects was kept, see "lost:" in migrate.log: tags 2, redirect 1',
  );
});

it('sums the kinds of failures it has no room for and shortens endless messages', () => {
  const failures = new FailureGroups();
  for (let i = 0; i < 20; i++) {
    failures.add({
      kind: 'failed',
      key: keyFromText(`k${i}`),
      failure: {
        code: `E${i}`,
        status: 500,
        attempts: 1,
        message: `<html>${'x'.repeat(1000)}`,
        side: 'source',
        at: 0,
      },
    });
  }
  const lines = summary({ counters: { ...COUNTERS, failed: 20 }, failures: failures.digest() });
  expect(lines).toContain('    4 of other kinds');
  expect(lines).toContain(`      k0: <html>${'x'.repeat(194)}...`);
});

describe('the end of a run', () => {
  it.each([
    ['SIGINT', 's3migrate: interrupted by Ctrl-C after 1m:40s'],
    ['SIGTERM', 's3migrate: interrupted by SIGTERM after 1m:40s'],
  ] as const)('by %s asks for the same command again', (signal, headline) => {
    const lines = summary({ end: { kind: 'interrupted', signal } });
    expect(lines[0]).toBe(headline);
    expect(lines.at(-1)).toBe(
      '  next      give the same command again: it goes on where this run ended',
    );
  });

  it('by a cause tells the cause, what to do about it, and the same command', () => {
    const end = { kind: 'stopped', cause: 'disk full', hint: 'Free some space' } as const;
    const lines = summary({ end });
    expect(lines[0]).toBe('s3migrate: STOPPED after 1m:40s: disk full');
    expect(lines.slice(-2)).toEqual([
      '  next      Free some space',
      '  then      give the same command again: it goes on where this run ended',
    ]);
  });

  it('by a cause without a hint asks for the same command', () => {
    const lines = summary({ end: { kind: 'stopped', cause: 'disk full' } });
    expect(lines.at(-1)).toBe(
      '  next      give the same command again: it goes on where this run ended',
    );
  });

  it('by --first tells how to copy the rest', () => {
    const lines = summary({ end: { kind: 'first-reached', first: 1000 } });
    expect(lines[0]).toBe('s3migrate: stopped after the first 1,000 (--first), in 1m:40s');
    expect(lines.at(-1)).toBe('  next      the same command without --first copies the rest');
  });
});

describe('uploads at the destination', () => {
  const uploads = (change: object) =>
    summary({ uploads: { kept: 0, left: 0, unanswered: 0, ...change } }).slice(5, -1);

  it('are not told of where there are none', () => {
    expect(uploads({})).toEqual([]);
  });

  it('that the next run goes on with are no trouble', () => {
    expect(uploads({ kept: 2 })).toEqual([
      '  uploads   2 unfinished uploads kept: the next run goes on with what is there',
    ]);
  });

  it('that should not be there are told of with the command that shows them', () => {
    expect(uploads({ left: 1, unanswered: 2 })).toEqual([
      '  UPLOADS   1 upload could not be aborted: room at the destination is taken up for nothing',
      '  UPLOADS   2 uploads may be left at the destination: no answer came to their creation',
      '            s3migrate cleanup --log-folder logs, with the --dest flags of this command, shows them',
    ]);
  });
});

describe('what an earlier run has done', () => {
  it('is named apart', () => {
    const lines = summary({
      earlier: {
        kind: 'earlier-runs',
        uploaded: 5000,
        uploadedBytes: 7_000_000,
        skipped: 3,
        failed: 2,
      },
    });
    expect(lines).toContain(
      '  before    earlier runs: upld 5,000 (7.0MB), skip 3, fail 2: not counted above',
    );
  });

  it('is named by its last key when the operator gave one', () => {
    const lines = summary({ earlier: { kind: 'start-after', key: keyFromText('a\nb') } });
    expect(lines).toContain('  before    --start-after a\\nb: not counted');
  });
});

describe('conservation', () => {
  const KINDS = [
    'ignored',
    'exists',
    'skippedDownload',
    'skippedUpload',
    'failed',
    'uploaded',
  ] as const;

  it('holds exactly when the states add up to the objects', () => {
    fc.assert(
      fc.property(
        fc.tuple(...KINDS.map(() => fc.nat(1_000_000))),
        fc.integer({ min: -1000, max: 1000 }),
        (counts, missing) => {
          const counters = newCounters();
          for (const [i, kind] of KINDS.entries()) counters[kind] = counts[i] ?? 0;
          counters.objects = counts.reduce((sum, count) => sum + count, 0) + missing;
          expect(conservation(counters)).toEqual({ ok: missing === 0, missing });
        },
      ),
    );
  });

  it('is shouted about when a whole run lost keys', () => {
    const lines = summary({ counters: { ...COUNTERS, objects: 1236 } });
    expect(lines[2]).toBe('            NOT ACCOUNTED FOR: 2 listed keys without a result');
    expect(lines.slice(-2)).toEqual([
      '  next      keep these logs: this is a defect of s3migrate or a list changed under it',
      '  then      the same command with a new --log-folder; what was copied is not overwritten',
    ]);
  });

  it('is shouted about when keys were counted twice', () => {
    const lines = summary({ counters: { ...COUNTERS, objects: 1233 } });
    expect(lines[2]).toBe('            NOT ACCOUNTED FOR: 1 result more than listed keys');
  });

  it('leaves keys that an interrupted run had read to the next one', () => {
    const lines = summary({
      end: { kind: 'interrupted', signal: 'SIGINT' },
      counters: { ...COUNTERS, objects: 1334 },
    });
    expect(lines[2]).toBe('            100 keys read but not handled: left for the next run');
  });
});

it('has finite rates for a run that took no time', () => {
  const counters = { ...COUNTERS, downloaded: 0, downloadedBytes: 0 };
  expect(summary({ counters, elapsedMs: 0 })[3]).toBe(
    '  download  0 objects, 0B (0.0/s, 0B/s on average)',
  );
});

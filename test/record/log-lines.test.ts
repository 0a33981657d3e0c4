import fc from 'fast-check';
import { parseString } from 'fast-csv';
import { describe, expect, it } from 'vitest';
import type { Outcome, OutcomePage } from '../../src/domain.ts';
import { escapeKey, keyFromText, type ObjectKey } from '../../src/object-key.ts';
import {
  FAILED_HEADER,
  formatPage,
  LOG_HEADER,
  MAX_LINE_BYTES,
  parseFailedLine,
  parseLogLine,
  recordsAfter,
} from '../../src/record/log-lines.ts';
import { A_TIME, anyKey, copied, failed, key, page } from './model-run.ts';

const anyText = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.constantFrom(
    'a,b',
    '"',
    'two\nlines',
    '\0\x1b[31m',
    '\\x41',
    ' ',
    '\u3000',
    '\u{1f600}',
    '=cmd()',
  ),
);

function anyOutcome(name: ObjectKey): fc.Arbitrary<Outcome> {
  return fc.oneof(
    fc
      .tuple(fc.nat(), anyText, anyText)
      .map(
        ([bytes, etag, detail]): Outcome => ({ kind: 'copied', key: name, bytes, etag, detail }),
      ),
    fc
      .tuple(fc.constantFrom('skipped-download' as const, 'skipped-upload' as const), anyText)
      .map(([kind, detail]): Outcome => ({ kind, key: name, detail })),
    fc.tuple(anyText, anyText, fc.nat(599), fc.nat(9)).map(
      ([code, message, status, attempts]): Outcome => ({
        kind: 'failed',
        key: name,
        failure: { code, message, status, attempts, side: 'source', at: A_TIME },
      }),
    ),
  );
}

const anyPage: fc.Arbitrary<OutcomePage> = fc
  .uniqueArray(anyKey(), { minLength: 1, maxLength: 12 })
  .chain((keys) => fc.tuple(...keys.toSorted().map(anyOutcome)))
  .map((outcomes) => ({
    after: '' as ObjectKey,
    last: outcomes.at(-1)?.key ?? ('' as ObjectKey),
    ignored: 0,
    exists: 0,
    outcomes,
  }));

function asRead(text: string): string {
  return Buffer.from(keyFromText(text), 'latin1').toString('utf8');
}

function readCsv(text: string): Promise<string[][]> {
  return new Promise((resolve, reject) => {
    const rows: string[][] = [];
    parseString<string[], string[]>(text)
      .on('error', reject)
      .on('data', (row: string[]) => rows.push(row))
      .on('end', () => resolve(rows));
  });
}

function lines(text: string): string[] {
  return text.split('\n').slice(0, -1);
}

describe('lines of the logs', () => {
  it('give back what was written, one physical line a record, printable to the last byte', () => {
    fc.assert(
      fc.property(anyPage, (written) => {
        const { logLines, failedLines } = formatPage(written);
        // oxlint-disable-next-line no-control-regex
        expect(logLines + failedLines).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f]/);
        expect(lines(logLines).map(parseLogLine)).toEqual(
          written.outcomes.map((outcome) => ({
            key: outcome.key,
            kind: outcome.kind,
            bytes: outcome.kind === 'copied' ? outcome.bytes : 0,
            detail: asRead(outcome.kind === 'failed' ? outcome.failure.code : outcome.detail),
          })),
        );
        expect(lines(failedLines).map(parseFailedLine)).toEqual(
          written.outcomes.flatMap((outcome) =>
            outcome.kind === 'failed'
              ? {
                  key: outcome.key,
                  code: asRead(outcome.failure.code),
                  message: asRead(outcome.failure.message),
                }
              : [],
          ),
        );
      }),
    );
  });

  it('are CSV to fast-csv, field by field', async () => {
    await fc.assert(
      fc.asyncProperty(anyPage, async (written) => {
        const { logLines, failedLines } = formatPage(written);
        const rows = await readCsv(LOG_HEADER + logLines);
        expect(rows.map((row) => row.length)).toEqual(rows.map(() => 5));
        expect(rows.map((row) => row[0])).toEqual([
          'key',
          ...written.outcomes.map(({ key: name }) => escapeKey(name)),
        ]);
        const failedRows = await readCsv(FAILED_HEADER + failedLines);
        expect(failedRows.map((row) => row.length)).toEqual(failedRows.map(() => 6));
        const details = written.outcomes.map((outcome) =>
          outcome.kind === 'failed' ? outcome.failure.code : outcome.detail,
        );
        expect(rows.slice(1).map((row) => row[4])).toEqual(
          details.map((detail) => escapeKey(keyFromText(detail))),
        );
      }),
    );
  });

  it('look as docs/formats.md shows them', () => {
    const outcomes: Outcome[] = [
      copied(key('2019/a, b.jpg')),
      { kind: 'skipped-upload', key: key('2019/ä\n.jpg'), detail: 'exists' },
      failed('z\xff', 'no "way", sorry\n'),
    ];
    const { logLines, failedLines } = formatPage({
      ...page('', 'z'),
      last: 'z\xff' as ObjectKey,
      outcomes,
    });
    expect(Buffer.from(logLines, 'latin1').toString('utf8')).toBe(
      '"2019/a, b.jpg",copied,10,e1,md5\n' +
        '2019/ä\\n.jpg,skipped-upload,,,exists\n' +
        'z\\xFF,failed,,,AccessDenied\n',
    );
    expect(failedLines).toBe(
      'z\\xFF,2024-05-01T12:00:00.000Z,AccessDenied,403,2,"no ""way"", sorry\\n"\n',
    );
  });

  it('stay within the longest line however long a key or a message is', () => {
    const worst = '\x01'.repeat(1024) as ObjectKey;
    for (const message of ['\x01'.repeat(1e6), '"'.repeat(1e6), '€'.repeat(1e6)]) {
      const { failedLines } = formatPage(page('', '\x02', [failed(worst, message)]));
      expect(failedLines.length).toBeLessThan(MAX_LINE_BYTES);
    }
  });

  it.each([
    'a,copied,10,e1',
    'a,copied,1x,e1,md5',
    'a,copied,,e1,md5',
    'a,moved,10,e1,md5',
    ',copied,10,e1,md5',
    'a,failed,10,,x',
    'a\\,copied,10,e1,md5',
    'a,copied,10,e1,m\0',
    '"a,copied,10,e1,md5',
    '"a"b,copied,10,e1,md5',
    'a"b,copied,10,e1,md5',
  ])('are not taken for one of migrate.log when torn or foreign: %j', (line) => {
    expect(parseLogLine(line)).toBeUndefined();
  });

  it.each([
    'a,yesterday,x,0,1,m',
    'a,2024-05-01T12:00:00.000Z,x,0,1',
    'a,2024-05-01T12:00:00.000Z,x,,1,m',
  ])('are not taken for one of failed.log when torn or foreign: %j', (line) => {
    expect(parseFailedLine(line)).toBeUndefined();
  });
});

describe('a page of outcomes', () => {
  it('is refused when its keys are not ascending inside its range', () => {
    expect(() => formatPage(page('', 'z', [copied('b'), copied('a')]))).toThrow('out of order');
    expect(() => formatPage(page('', 'z', [copied('a'), copied('a')]))).toThrow('out of order');
    expect(() => formatPage(page('b', 'z', [copied('b')]))).toThrow('out of order');
    expect(() => formatPage(page('', 'a', [copied('b')]))).toThrow('out of order');
  });

  it('is the page of the later keys alone when cut at any key', () => {
    fc.assert(
      fc.property(anyPage, fc.nat(), (written, at) => {
        const floor = written.outcomes[at % written.outcomes.length]?.key as ObjectKey;
        const later = written.outcomes.filter(({ key: name }) => name > floor);
        const cut = recordsAfter(floor, formatPage(written));
        const alone = formatPage({ ...written, after: floor, outcomes: later });
        expect({ ...cut, errors: [] }).toEqual({ ...alone, errors: [] });
        expect(cut.errors.map(({ count }) => count)).toEqual(
          alone.errors.map(({ count }) => count),
        );
      }),
    );
  });
});

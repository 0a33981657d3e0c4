/**
 * The keys of a block of lines, in the plain and the `.csv` format (docs/formats.md), every one
 * verified: not empty, no NUL, not too long, ascending. The first problem ends the block; what to
 * do about it is left to the caller. Equal neighbours are one key.
 */
import { messageOf } from '../errors.ts';
import { displayText, MAX_KEY_BYTES, type ObjectKey, unescapeKey } from '../object-key.ts';
import { type LineProblem, problemOf } from './line-problem.ts';
import type { ListFormat } from './list-file.ts';
import { LINE_LIMIT_BYTES } from './whole-lines.ts';

interface VerifiedLines {
  /** Strictly ascending, all after `previous`. */
  readonly keys: readonly ObjectKey[];
  /** How many lines were read, header and repeated keys included; the problem's line is the last. */
  readonly lines: number;
  /** What is wrong with the line after the last of `keys`. */
  readonly problem?: LineProblem;
}

/** Takes the blocks of one file in their order. */
export interface LineParser {
  /**
   * @param bytes whole lines; only the file's last may lack its LF
   * @param previous the last key before this block
   */
  parse(bytes: Buffer, previous: ObjectKey): Promise<VerifiedLines>;
}

export function lineParser(format: ListFormat): LineParser {
  switch (format) {
    case 'plain':
      return { parse: async (bytes, previous) => plainKeys(bytes, previous) };
    case 'csv':
      return new CsvParser();
  }
}

function linesOf(text: string): string[] {
  const lines = text.split('\n');
  if (text.endsWith('\n')) lines.pop();
  return lines;
}

function plainKeys(bytes: Buffer, previous: ObjectKey): VerifiedLines {
  // One decoding and one split for the block: the keys are slices of it, a quarter of the cost of
  // decoding each. They keep the block's text alive as long as any of them is.
  const lines = linesOf(bytes.toString('latin1')) as ObjectKey[];
  const holdsNul = bytes.includes(0);
  let count = 0;
  let last = previous;
  for (let i = 0; i < lines.length; i++) {
    const key = lines[i] as ObjectKey;
    if (key > last && key.length <= MAX_KEY_BYTES && !holdsNul) {
      lines[count++] = key;
      last = key;
      continue;
    }
    const problem = problemOf(key, last);
    if (problem !== undefined) return { keys: lines.slice(0, count), lines: i + 1, problem };
    if (key === last) continue;
    lines[count++] = key;
    last = key;
  }
  const read = lines.length;
  lines.length = count;
  return { keys: lines, lines: read };
}

/** Where the key stands in a row, and how many fields every row has. */
interface Header {
  readonly keyColumn: number;
  readonly columns: number;
}

/** The fields of one line, or what keeps it from having any. */
type Row = readonly string[] | LineProblem;

/** Columns other than `key` are not looked at, whatever their names. */
class CsvParser implements LineParser {
  #header: Header | undefined;

  async parse(bytes: Buffer, previous: ObjectKey): Promise<VerifiedLines> {
    const rows = await rowsOf(linesOf(bytes.toString('latin1')));
    const keys: ObjectKey[] = [];
    let last = previous;
    for (const [i, row] of rows.entries()) {
      if (this.#header === undefined) {
        const header = headerOf(row);
        if ('kind' in header) return { keys, lines: i + 1, problem: header };
        this.#header = header;
        continue;
      }
      const key = keyOf(row, this.#header);
      const problem = typeof key === 'string' ? problemOf(key, last) : key;
      if (problem !== undefined) return { keys, lines: i + 1, problem };
      if (key !== last) keys.push((last = key as ObjectKey));
    }
    return { keys, lines: rows.length };
  }
}

function headerOf(row: Row): Header | LineProblem {
  if ('kind' in row) return row;
  const keyColumn = row.indexOf('key');
  if (keyColumn === -1) return malformed('the header row names no column "key"');
  if (row.includes('key', keyColumn + 1)) return malformed('the header row names "key" twice');
  return { keyColumn, columns: row.length };
}

function keyOf(row: Row, header: Header): ObjectKey | LineProblem {
  if ('kind' in row) return row;
  if (row.length !== header.columns) {
    return malformed(`${row.length} fields, but the header row has ${header.columns}`);
  }
  const escaped = row[header.keyColumn] ?? '';
  return unescapeKey(escaped) ?? malformed(`malformed escape in "${displayText(escaped)}"`);
}

/** One row a line, in order. A problem in one does not keep the others from being read. */
async function rowsOf(lines: readonly string[]): Promise<Row[]> {
  const rows: Row[] = [];
  const quoted: { readonly at: number; readonly line: string }[] = [];
  for (const [at, raw] of lines.entries()) {
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    // Without a quote a comma is a comma. fast-csv would also lose keys made of spaces only here.
    if (line.includes('"')) quoted.push({ at, line });
    rows.push(unfit(line) ?? line.split(','));
  }
  const fit = quoted.filter(({ at }) => !('kind' in (rows[at] as Row)));
  const parsed = await quotedRows(fit.map(({ line }) => line));
  for (const [i, { at }] of fit.entries()) rows[at] = parsed[i] as Row;
  return rows;
}

/** What keeps a line from being one record by itself. */
function unfit(line: string): LineProblem | undefined {
  if (line.length >= LINE_LIMIT_BYTES)
    return malformed(`a line of ${LINE_LIMIT_BYTES} bytes or more`);
  if (line.includes('\r')) return malformed('a CR within a line, to be written as \\r');
  if (line.split('"').length % 2 === 0) return malformed('unbalanced quotes');
  return undefined;
}

async function quotedRows(lines: readonly string[]): Promise<Row[]> {
  if (lines.length === 0) return [];
  try {
    const rows = await parsedCsv(lines.join('\n'));
    // Fewer rows than lines: a quote was left open, and the record went on in the next line.
    if (rows.length === lines.length) return rows;
  } catch {
    // Which line it was, fast-csv does not tell.
  }
  return Promise.all(lines.map(quotedRow));
}

async function quotedRow(line: string): Promise<Row> {
  try {
    const [row] = await parsedCsv(line);
    return row ?? malformed('not a record');
  } catch (error) {
    return malformed(displayText(messageOf(error)));
  }
}

/** Few lists have quotes at all: what reads them is loaded only then. */
async function parsedCsv(text: string): Promise<string[][]> {
  const { parse } = await import('fast-csv');
  return new Promise((resolve, reject) => {
    const rows: string[][] = [];
    parse<string[], string[]>({ encoding: 'latin1' })
      .on('error', reject)
      .on('data', (row: string[]) => rows.push(row))
      .on('end', () => resolve(rows))
      .end(Buffer.from(text, 'latin1'));
  });
}

function malformed(why: string): LineProblem {
  return { kind: 'malformed', why };
}

/**
 * The lines of migrate.log and failed.log: outcomes to lines, and lines back to what resuming needs.
 *
 * One record is one physical line of RFC 4180 CSV, its key first. Keys and text are escaped before
 * they are quoted, so no line feed and no other control byte is ever inside a record: `tail -1`,
 * `grep` and the search for a torn tail can trust the line feed. Lines are byte strings (one char a
 * byte): text is UTF-8 in them, and they are written as latin1. docs/formats.md is the specification.
 *
 * Formatting runs on the main thread for every object, so it works on whole pages and has a fast
 * path for what needs no escape.
 */
import type { Outcome, OutcomePage } from '../domain.ts';
import { escapeKey, keyFromText, type ObjectKey, unescapeKey } from '../object-key.ts';
import { type ErrorClass, ErrorTally, NO_TOTALS, type RunTotals } from './totals.ts';

export const LOG_HEADER = 'key,outcome,bytes,etag,detail\n';
export const FAILED_HEADER = 'key,at,code,status,attempts,message\n';

/** No line of ours is longer, in bytes: a key makes at most 8 KiB, a text field at most 16 KiB. */
export const MAX_LINE_BYTES = 64 * 1024;
/** Text is cut here, in UTF-16 units: an error page of a proxy says nothing new after this. */
const MAX_TEXT_LENGTH = 4000;

/** The records of one page, or of a part of it: what goes to the logs, and what it counts as. */
export interface PageRecords {
  /** Every key K with `after` < K ≤ `last`. */
  readonly after: ObjectKey;
  readonly last: ObjectKey;
  /** Lines of migrate.log, each with its line feed, as a byte string. */
  readonly logLines: string;
  /** Lines of failed.log for the failed ones among them. */
  readonly failedLines: string;
  /** Keys of the last line of each; undefined when there is none. */
  readonly lastLogged: ObjectKey | undefined;
  readonly lastFailed: ObjectKey | undefined;
  /** The lines by outcome; `ignored` and `exists` are 0. */
  readonly totals: RunTotals;
  readonly errors: readonly ErrorClass[];
}

/** Fields with no control byte, byte above 7E, quote, comma or backslash, and no space first: they stand for themselves. */
const BARE = /^(?! )[\x20\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]*$/;

function quoteWhereNeeded(field: string): string {
  return field.includes('"') || field.includes(',') || isBlank(field)
    ? `"${field.replaceAll('"', '""')}"`
    : field;
}

/** Readers of CSV, fast-csv among them, take an unquoted field of nothing but white space for an empty one. */
function isBlank(field: string): boolean {
  return field !== '' && Buffer.from(field, 'latin1').toString('utf8').trim() === '';
}

/** A key as a field of a line. */
export function keyField(key: ObjectKey): string {
  return BARE.test(key) ? key : quoteWhereNeeded(escapeKey(key));
}

/** Bytes that came from a store, and may be of any length, as a field of a line. */
export function bytesField(bytes: string): string {
  return keyField(bytes.slice(0, MAX_TEXT_LENGTH) as ObjectKey);
}

function textField(text: string): string {
  const cut = text.length > MAX_TEXT_LENGTH ? text.slice(0, MAX_TEXT_LENGTH) : text;
  return BARE.test(cut) ? cut : quoteWhereNeeded(escapeKey(keyFromText(cut)));
}

/** One line of failed.log. */
export function formatFailedLine(
  key: ObjectKey,
  failure: { at: number; code: string; status: number; attempts: number; message: string },
): string {
  const { at, code, status, attempts, message } = failure;
  return `${keyField(key)},${new Date(at).toISOString()},${textField(code)},${status},${attempts},${textField(message)}\n`;
}

/**
 * Formats a page, once.
 *
 * @throws Error when the outcomes are not strictly ascending inside the page's range: the logs would
 *   not be what they promise, so this is a defect of the caller
 */
export function formatPage(page: OutcomePage): PageRecords {
  let logLines = '';
  let failedLines = '';
  let previous = page.after;
  let lastFailed: ObjectKey | undefined;
  const errors = new ErrorTally();
  const totals = { ...NO_TOTALS };
  for (const outcome of page.outcomes) {
    const { key } = outcome;
    if (key <= previous || key > page.last) {
      throw new Error(`outcome of ${escapeKey(key)} is out of order in its page`);
    }
    previous = key;
    switch (outcome.kind) {
      case 'copied':
        logLines += `${keyField(key)},copied,${outcome.bytes},${textField(outcome.etag)},${textField(outcome.detail)}\n`;
        totals.copied++;
        totals.bytes += outcome.bytes;
        break;
      case 'skipped-download':
        logLines += `${keyField(key)},skipped-download,,,${textField(outcome.detail)}\n`;
        totals.skippedDownload++;
        break;
      case 'skipped-upload':
        logLines += `${keyField(key)},skipped-upload,,,${textField(outcome.detail)}\n`;
        totals.skippedUpload++;
        break;
      case 'failed': {
        const { failure } = outcome;
        logLines += `${keyField(key)},failed,,,${textField(failure.code)}\n`;
        failedLines += formatFailedLine(key, failure);
        lastFailed = key;
        totals.failed++;
        errors.add(failure.code, { key, message: failure.message.slice(0, MAX_TEXT_LENGTH) });
        break;
      }
    }
  }
  return {
    after: page.after,
    last: page.last,
    logLines,
    failedLines,
    lastLogged: page.outcomes.length === 0 ? undefined : previous,
    lastFailed,
    totals,
    errors: errors.classes(),
  };
}

/** The part of a page's records whose keys come after `floor`, which lies inside its range. */
export function recordsAfter(floor: ObjectKey, records: PageRecords): PageRecords {
  let logLines = '';
  let failedLines = '';
  let lastLogged: ObjectKey | undefined;
  let lastFailed: ObjectKey | undefined;
  const totals = { ...NO_TOTALS };
  const errors = new ErrorTally();
  for (const line of linesOf(records.logLines)) {
    const record = parseLogLine(line);
    if (record === undefined || record.key <= floor) continue;
    logLines += `${line}\n`;
    lastLogged = record.key;
    count(totals, record);
  }
  for (const line of linesOf(records.failedLines)) {
    const record = parseFailedLine(line);
    if (record === undefined || record.key <= floor) continue;
    failedLines += `${line}\n`;
    lastFailed = record.key;
    errors.add(record.code, record);
  }
  return {
    after: floor,
    last: records.last,
    logLines,
    failedLines,
    lastLogged,
    lastFailed,
    totals,
    errors: errors.classes(),
  };
}

function linesOf(text: string): string[] {
  return text.split('\n').slice(0, -1);
}

/** What a line of migrate.log says, as far as resuming needs it. */
export interface LogRecord {
  readonly key: ObjectKey;
  readonly kind: Outcome['kind'];
  /** 0 unless `copied`. */
  readonly bytes: number;
  /** Text; a failure's code when `failed`. */
  readonly detail: string;
}

/** What a line of failed.log says, as far as resuming and the summary need it. */
export interface FailedRecord {
  readonly key: ObjectKey;
  readonly code: string;
  readonly message: string;
}

/** Adds one line to totals under construction. */
export function count(
  totals: { -readonly [name in keyof RunTotals]: number },
  { kind, bytes }: LogRecord,
): void {
  switch (kind) {
    case 'copied':
      totals.copied++;
      totals.bytes += bytes;
      break;
    case 'skipped-download':
      totals.skippedDownload++;
      break;
    case 'skipped-upload':
      totals.skippedUpload++;
      break;
    case 'failed':
      totals.failed++;
      break;
  }
}

// oxlint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x1f\x7f]/;

/** @returns undefined for what {@link formatPage} cannot have written: a torn or foreign line */
export function parseLogLine(line: string): LogRecord | undefined {
  const fields = splitLine(line);
  if (fields?.length !== 5) return undefined;
  const [keyText, kind, bytes, , detail] = fields as [string, string, string, string, string];
  const key = unescapeKey(keyText);
  if (key === undefined || key === '') return undefined;
  switch (kind) {
    case 'copied':
      if (!/^\d+$/.test(bytes)) return undefined;
      return { key, kind, bytes: Number(bytes), detail: fieldText(detail) };
    case 'skipped-download':
    case 'skipped-upload':
    case 'failed':
      return bytes === '' ? { key, kind, bytes: 0, detail: fieldText(detail) } : undefined;
    default:
      return undefined;
  }
}

/** @returns undefined for what {@link formatFailedLine} cannot have written: a torn or foreign line */
export function parseFailedLine(line: string): FailedRecord | undefined {
  const fields = splitLine(line);
  if (fields?.length !== 6) return undefined;
  const [keyText, at, code, status, attempts, message] = fields as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  const key = unescapeKey(keyText);
  if (key === undefined || key === '') return undefined;
  if (Number.isNaN(Date.parse(at)) || !/^\d+$/.test(status) || !/^\d+$/.test(attempts)) {
    return undefined;
  }
  return { key, code: fieldText(code), message: fieldText(message) };
}

/** Takes a field of escaped UTF-8 bytes to the text it was made from. */
function fieldText(field: string): string {
  const bytes = unescapeKey(field) ?? field;
  return BARE.test(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString('utf8');
}

/** @returns undefined when a quote is out of place or a control byte is in the line */
function splitLine(line: string): string[] | undefined {
  if (CONTROL.test(line)) return undefined;
  if (!line.includes('"')) return line.split(',');
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    let end: number;
    if (line[at] === '"') {
      end = closingQuote(line, at + 1);
      if (end === -1) return undefined;
      fields.push(line.slice(at + 1, end).replaceAll('""', '"'));
      end++;
    } else {
      end = line.indexOf(',', at);
      if (end === -1) end = line.length;
      const field = line.slice(at, end);
      if (field.includes('"')) return undefined;
      fields.push(field);
    }
    if (end === line.length) return fields;
    if (line[end] !== ',') return undefined;
    at = end + 1;
  }
}

function closingQuote(line: string, from: number): number {
  for (let at = line.indexOf('"', from); at !== -1; at = line.indexOf('"', at + 2)) {
    if (line[at + 1] !== '"') return at;
  }
  return -1;
}

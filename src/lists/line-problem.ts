/**
 * What can be wrong with a line of a list file, and the error that names it with its way out.
 *
 * The hints are commands that can be pasted: they repair the file, or tell what the format wants.
 */
import { basename, dirname, join } from 'node:path';
import { MigrateError } from '../errors.ts';
import { displayKey, displayText, MAX_KEY_BYTES, type ObjectKey } from '../object-key.ts';
import type { ListFile } from './list-file.ts';

export type LineProblem =
  | { readonly kind: 'out-of-order'; readonly key: ObjectKey; readonly previous: ObjectKey }
  | { readonly kind: 'empty' }
  | { readonly kind: 'nul' }
  | { readonly kind: 'too-long'; readonly key: ObjectKey }
  | { readonly kind: 'crlf' }
  | { readonly kind: 'byte-order-mark' }
  | { readonly kind: 'malformed'; readonly why: string };

/** Longest part of an overlong key that a message shows, in bytes. */
const SHOWN_KEY_BYTES = 60;

/**
 * Finds what makes `key` unfit to follow `previous`, other than being the same key.
 *
 * @returns undefined when it is fit
 */
export function problemOf(key: ObjectKey, previous: ObjectKey): LineProblem | undefined {
  if (key === '') return { kind: 'empty' };
  if (key.includes('\0')) return { kind: 'nul' };
  if (key.length > MAX_KEY_BYTES) return { kind: 'too-long', key };
  if (key < previous) return { kind: 'out-of-order', key, previous };
  return undefined;
}

/** @param line counted from 1 */
export function lineError(file: ListFile, line: number, problem: LineProblem): MigrateError {
  return new MigrateError(`${displayText(file.path)}:${line}: ${sentence(problem)}`, {
    exitCode: 2,
    hint: hint(file, problem),
  });
}

function sentence(problem: LineProblem): string {
  switch (problem.kind) {
    case 'out-of-order':
      return `key "${displayKey(problem.key)}" comes before "${displayKey(problem.previous)}"`;
    case 'empty':
      return 'empty key';
    case 'nul':
      return 'a key holds a NUL byte';
    case 'too-long': {
      const start = problem.key.slice(0, SHOWN_KEY_BYTES) as ObjectKey;
      return `key of more than ${MAX_KEY_BYTES} bytes, beginning with "${displayKey(start)}"`;
    }
    case 'crlf':
      return 'lines end in CR LF, and the CR would be part of every key';
    case 'byte-order-mark':
      return 'the file begins with a byte order mark, which would be part of the first key';
    case 'malformed':
      return problem.why;
  }
}

function hint(file: ListFile, problem: LineProblem): string {
  switch (problem.kind) {
    case 'out-of-order':
      return sortHint(file);
    case 'empty':
      return file.format === 'csv'
        ? 'Remove rows without a key.'
        : `Remove empty lines: ${edited(file, "sed '/^$/d'")}`;
    case 'nul':
      return 'A list file is text with one key a line. Move other files out of the folder, or give them a name that begins with a dot.';
    case 'too-long':
      return `S3 takes keys of at most ${MAX_KEY_BYTES} bytes. Remove the line, or move a file that is no key list out of the folder.`;
    case 'crlf':
      return `Remove the CRs: ${edited(file, "sed 's/\\r$//'")} (keys that really end in CR go in a .csv list, as \\r)`;
    case 'byte-order-mark':
      return `Remove it: ${edited(file, "sed '1s/^\\xEF\\xBB\\xBF//'")}`;
    case 'malformed':
      return 'A .csv list begins with a header row that names the column key; every record is one line, and keys are written with \\\\, \\n, \\r, \\t and \\xHH.';
  }
}

function sortHint(file: ListFile): string {
  if (file.format === 'csv') {
    const rows = 'awk \'NR == 1 { print; fflush(); next } { print | "LC_ALL=C sort -t, -k1,1" }\'';
    return `Sort the rows by the bytes of their keys, with the key first: ${edited(file, rows)} (if keys are quoted or escaped, make the list again instead)`;
  }
  if (file.compressed) return `Sort the list by bytes: ${edited(file, 'LC_ALL=C sort -u')}`;
  const path = quoted(file.path);
  return `Sort the list by bytes: LC_ALL=C sort -u -o ${path} ${path}`;
}

/** The command that passes a file through `filter`. The new file is hidden until whole: no run reads it. */
function edited(file: ListFile, filter: string): string {
  const path = quoted(file.path);
  if (!file.compressed && filter.startsWith('sed ')) {
    return filter.replace('sed ', 'sed -i ').concat(` ${path}`);
  }
  const fresh = quoted(join(dirname(file.path), `.${basename(file.path)}.new`));
  const filtered = file.compressed
    ? `gunzip -c ${path} | ${filter} | gzip > ${fresh}`
    : `${filter} ${path} > ${fresh}`;
  return `${filtered} && mv ${fresh} ${path}`;
}

/** A path as one word of a shell command. */
function quoted(path: string): string {
  if (/^[\w@%+=:,./][\w@%+=:,./-]*$/.test(path)) return displayText(path);
  const word = path.startsWith('-') ? `./${path}` : path;
  return displayText(`'${word.replaceAll("'", "'\\''")}'`);
}

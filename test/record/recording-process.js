/**
 * A process that records a run of 4,000 keys, to be killed or kept from writing by a test.
 *
 * node recording-process.js FOLDER record MESSAGE_BYTES: every seventh key fails, with a message of so
 * many bytes; pages end out of order. A line `written` a page on stdout.
 * node recording-process.js FOLDER uploads: begins an upload of 4,000 parts, and notes one after the other.
 * node recording-process.js FOLDER lock: takes the folder, says `locked` and keeps it until stdin ends.
 *
 * What stops it is printed as JSON; the exit code is the error's.
 */
import { once } from 'node:events';
import { openRunFolder } from '../../dist/record/run-folder.js';

const KEYS = 4000;
const PAGE_KEYS = 40;
const REORDERED = 4;

const byBytes = (a, b) => (a < b ? -1 : 1);
const nameOf = (index) => `photo-${String(index).padStart(5, '0')}`;

function outcomeOf(index, messageBytes) {
  const key = nameOf(index);
  if (index % 7 !== 0) return { kind: 'copied', key, bytes: index, etag: 'e1', detail: 'md5' };
  const failure = { code: 'AccessDenied', status: 403, attempts: 1, side: 'source', at: 0 };
  return { kind: 'failed', key, failure: { ...failure, message: 'x'.repeat(messageBytes) } };
}

function pagesOf({ start, doneRanges }, messageBytes) {
  const borders = new Set(doneRanges.flatMap(({ after, last }) => [after, last]));
  for (let index = PAGE_KEYS; index <= KEYS; index += PAGE_KEYS) borders.add(nameOf(index));
  const pages = [];
  let after = start;
  for (const last of [...borders].filter((border) => border > start).toSorted(byBytes)) {
    const outcomes = [];
    if (!doneRanges.some((range) => range.after <= after && last <= range.last)) {
      for (let index = 1; index <= KEYS; index++) {
        if (nameOf(index) > after && nameOf(index) <= last) {
          outcomes.push(outcomeOf(index, messageBytes));
        }
      }
    }
    pages.push({ after, last, ignored: 0, exists: 0, outcomes });
    after = last;
  }
  return pages;
}

async function record(folder, messageBytes) {
  const pages = pagesOf(folder, messageBytes);
  try {
    for (let first = 0; first < pages.length; first += REORDERED) {
      for (const page of pages.slice(first, first + REORDERED).toReversed()) {
        await folder.write(page);
        process.stdout.write('written\n');
      }
    }
  } catch (error) {
    await folder.close({ complete: false }).catch(() => {});
    throw error;
  }
  const totals = await folder.close({ complete: true });
  process.stdout.write(`${JSON.stringify({ totals })}\n`);
}

async function noteUploads(folder) {
  const { uploads, failure } = folder;
  const number = await uploads.intend('film');
  await uploads.created(number, 'id');
  const version = { bytes: KEYS, etag: 'e1', lastModified: '' };
  const partLengths = Array.from({ length: KEYS }, () => 1);
  await uploads.begin(number, { version, headersSha256: '', partLengths, proof: 'md5' });
  for (let partNumber = 1; partNumber <= KEYS && !failure.aborted; partNumber++) {
    const digest = { algorithm: 'md5', base64: 'x'.repeat(24) };
    uploads.acknowledge(number, { partNumber, etag: 'e'.repeat(32), digest });
    if (partNumber % PAGE_KEYS === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await folder.close({ complete: false });
  process.stdout.write(`${JSON.stringify({ uploads: uploads.uploads.length })}\n`);
}

const [, , path, task, messageBytes] = process.argv;
try {
  const folder = await openRunFolder({
    folder: path,
    identity: { 'src-bucket': 'photos' },
    toolVersion: '0.1.0',
    now: Date.now,
  });
  if (task === 'record') {
    await record(folder, Number(messageBytes));
  } else if (task === 'uploads') {
    await noteUploads(folder);
  } else {
    process.stdout.write('locked\n');
    process.stdin.resume();
    await once(process.stdin, 'end');
    await folder.close({ complete: false });
  }
} catch (error) {
  const { message, hint, exitCode } = error;
  process.stdout.write(`${JSON.stringify({ message, hint })}\n`);
  process.exitCode = exitCode ?? 70;
}

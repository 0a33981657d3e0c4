/**
 * What must be true after a round of bench/soak.mjs: every object is the source's, the logs tell of every
 * key once and in order, no upload is left.
 *
 * Contents and uploads are read from the servers themselves. A difference is the server's own only where
 * the proxy's record proves it: every write of that key that has passed was right, and the server was killed
 * during one.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { contentOf, readAll } from './soak-objects.mjs';

/** A server that is killed so soon after its answer may not have finished what it answered. */
const AFTERMATH_MS = 2000;

/**
 * @param source `client`, `bucket`
 * @param destination `client`, `bucket`, `server`, `proxy`
 * @param logs by key, its lines in the logs of the round
 * @returns `objects`, `bytes`, and what differs: `violations`, `serversOwn`, a line each
 */
export async function compareContents({ source, destination, keys, logs }) {
  const wanted = await readAll(source);
  const found = await readAll(destination);
  const result = { objects: 0, bytes: 0, violations: [], serversOwn: [] };
  for (const key of keys) {
    const [there, here] = [wanted.get(key), found.get(key)];
    found.delete(key);
    if (there !== undefined && there.sha256 === here?.sha256) {
      result.objects++;
      result.bytes += here.bytes;
      continue;
    }
    const line =
      `${key}: source has ${described(there)}, destination ${described(here)}; ` +
      `logged ${(logs.get(key) ?? ['nothing']).join(' then ')}`;
    const isProven = there !== undefined && (await isServersOwn({ source, destination, key }));
    result[isProven ? 'serversOwn' : 'violations'].push(line);
  }
  for (const key of found.keys()) result.violations.push(`${key}: only at the destination`);
  return result;
}

function described(object) {
  return object === undefined ? 'nothing' : `${object.bytes} bytes (${object.sha256})`;
}

async function isServersOwn({ source, destination, key }) {
  const { server, proxy, bucket } = destination;
  const writes = proxy.writesOf(bucket, key);
  const content = await contentOf({ ...source, key });
  const wholes = writes.filter(({ method, query }) => method === 'PUT' && !query.has('uploadId'));
  const completes = writes.filter(
    ({ method, query }) => method === 'POST' && query.has('uploadId'),
  );
  const removals = writes.filter(
    ({ method, query }) => method === 'DELETE' && !query.has('uploadId'),
  );
  const wasWritten = wholes.length + completes.length > 0;
  const isRight =
    wholes.every((write) => isOf(write, content)) &&
    completes.every(({ query }) => areItsParts(partsOf(writes, query.get('uploadId')), content));
  const wasKilled = writes.some(({ began, ended }) =>
    server.killedAt.some((at) => at >= began && at <= (ended ?? at) + AFTERMATH_MS),
  );
  return wasWritten && removals.length === 0 && isRight && wasKilled;
}

/** Whole and as it should be; or cut, but with a digest by which the server could tell. */
function isOf({ declared, bytes, md5, md5Header }, content) {
  if (declared !== content.length) return false;
  const right = createHash('md5').update(content).digest();
  return bytes === declared
    ? md5 === right.toString('hex')
    : md5Header === right.toString('base64');
}

/** Those that the server has acknowledged, the last of each number. */
function partsOf(writes, uploadId) {
  const parts = new Map();
  for (const write of writes) {
    const { method, query, status } = write;
    if (method !== 'PUT' || status !== 200 || query.get('uploadId') !== uploadId) continue;
    parts.set(Number(query.get('partNumber')), write);
  }
  return [...parts].toSorted(([a], [b]) => a - b).map(([, write]) => write);
}

function areItsParts(parts, content) {
  let start = 0;
  for (const part of parts) {
    if (!isOf(part, content.subarray(start, start + part.declared))) return false;
    start += part.declared;
  }
  return start === content.length;
}

/**
 * @param keys ascending, those that the run was given
 * @returns `lines` by key, `failed` keys and their `reasons` (lines of failed.log), and `violations`
 */
export async function readLogs(folder, keys) {
  const lines = await logLines(join(folder, 'migrate.log'));
  const logged = lines.map(keyOf);
  const violations = [];
  const unsorted = logged.findIndex(
    (key, index) =>
      index > 0 && Buffer.compare(Buffer.from(logged[index - 1]), Buffer.from(key)) >= 0,
  );
  if (unsorted !== -1) {
    violations.push(`${folder}: migrate.log is not ascending at ${lines[unsorted]}`);
  }
  const listed = new Set(keys);
  const told = new Set(logged);
  const untold = keys.filter((key) => !told.has(key));
  const unlisted = logged.filter((key) => !listed.has(key));
  if (untold.length > 0) {
    violations.push(`${folder}: ${untold.length} listed keys are not logged, such as ${untold[0]}`);
  }
  if (unlisted.length > 0) {
    violations.push(
      `${folder}: ${unlisted.length} keys are logged that no list has, such as ${unlisted[0]}`,
    );
  }
  const failed = lines.filter((line) => line.split(',')[1] === 'failed').map(keyOf);
  const reasons = await logLines(join(folder, 'failed.log'));
  if (failed.join('\n') !== reasons.map(keyOf).join('\n')) {
    violations.push(`${folder}: failed.log has other keys than those that failed in migrate.log`);
  }
  return { lines: new Map(lines.map((line) => [keyOf(line), line])), failed, reasons, violations };
}

/** Without the header; none when there is no such file. */
async function logLines(path) {
  const text = await readFile(path, 'utf8').catch(() => '\n');
  return text.split('\n').slice(1, -1);
}

/** Keys of the soak need no escape and no quotes. */
function keyOf(line) {
  return line.slice(0, line.indexOf(','));
}

/** The uploads that the destination lists: `key`, `uploadId`. */
export async function openUploads({ client, bucket }) {
  const found = [];
  let markers = {};
  do {
    const page = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, ...markers }));
    for (const { Key, UploadId } of page.Uploads ?? [])
      found.push({ key: Key, uploadId: UploadId });
    markers = page.IsTruncated
      ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
      : undefined;
  } while (markers !== undefined);
  return found;
}

/** Whether the server has told the client that this upload is over. */
export function wasEnded({ proxy, bucket }, { key, uploadId }) {
  const writes = proxy.writesOf(bucket, key);
  return writes.some(
    ({ method, query, status }) =>
      method !== 'PUT' && query.get('uploadId') === uploadId && status >= 200 && status < 300,
  );
}

/**
 * From the words of a command line to what the program works with, in one step: nothing below sees a
 * raw flag. Every unfit value is a MigrateError with exit code 2, before anything is started.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { MigrateError, messageOf } from '../errors.ts';
import type { MigrateOptions } from '../migrate.ts';
import { displayText, keyFromText, type ObjectKey, unescapeKey } from '../object-key.ts';
import type { RunInputs } from '../run-inputs.ts';
import {
  type BucketCredentials,
  CREDENTIAL_TEXT,
  type CredentialsProvider,
} from '../s3/credentials.ts';
import { parseEndpoint } from '../s3/endpoint.ts';
import type { BucketAddress } from '../s3/open-store.ts';
import { parseProbePrefix } from '../s3/probe/probe-prefix.ts';
import type { Addressing } from '../s3/wire-object-store.ts';
import {
  type CopyPolicy,
  DEFAULT_POLICY,
  LOSS_CLASSES,
  type OnLoss,
} from '../transfer/copy-policy.ts';
import { type Endpoint, TIME_LIMITS, type TimeLimits } from '../wire/connection.ts';
import { parseDuration } from './duration.ts';
import { formatSize, parseSize } from './size.ts';

/** Values by commander's names (camel case), as given, from the environment, or the default. */
export type RawOptions = Readonly<Record<string, string | boolean | undefined>>;

const MAX_THREADS = 4096;
const MAX_HOSTS = 65_536;
const MAX_CORES = 256;
const THREADS_A_CORE = 4;
/** For each core: a part of a large object must fit. */
const MIN_MEMORY_BYTES = 16 * 1024 ** 2;
/**
 * Four parts at once: more of them would be out of the processor's cache before they are sent (0.76 s of CPU a GB, 0.78 with
 * six), and all that a process of one core needs stays well below 200 MB.
 */
const MEMORY_BYTES_A_CORE = 64 * 1024 ** 2;
const MIN_THRESHOLD_BYTES = 16 * 1024 ** 2;
/** Largest body one PutObject takes. https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html */
const MAX_PUT_BYTES = 5 * 1024 ** 3;
/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */
const MIN_PART_BYTES = 5 * 1024 ** 2;
const MAX_PART_BYTES = 5 * 1024 ** 3;
/** Connections are looked at twice a second, so a shorter limit would mean little. */
const LEAST_TIME_MS = 1_000;
const MOST_TIME_MS = 3_600_000;
const A_MINUTE_MS = 60_000;
const MOST_A_MINUTE_BYTES = 1024 ** 3;

/** In the order in which they are told of. */
function mandatory(raw: RawOptions, more: readonly 'folder'[]): string[] {
  return (['src', 'dest'] as const).flatMap((side) => [
    `${side}-url`,
    `${side}-bucket`,
    ...keyFlags(raw, `--${side}`),
    ...more.map((flag) => `${side}-${flag}`),
  ]);
}

export function migrateOptions(raw: RawOptions, toolVersion: string): MigrateOptions {
  const inputs = runInputs(raw);
  const { sourceLists } = inputs;
  if (resolve(sourceLists) === resolve(inputs.destinationLists)) {
    throw usageError(
      `--src-folder and --dest-folder are the same folder: ${displayText(sourceLists)}`,
      'Give the lists of each side in a folder of its own; an empty one when the destination holds nothing yet.',
    );
  }
  const threads = threadsOf(raw);
  const { cores, memoryBytes } = coresAndMemory(raw, threads);
  return {
    ...inputs,
    threads,
    ...loadLimits(raw, threads),
    cores,
    memoryBytes,
    multipartThresholdBytes: size(raw, 'multipart-threshold', {
      least: MIN_THRESHOLD_BYTES,
      most: MAX_PUT_BYTES,
    }),
    partBytes:
      raw['partSize'] === 'auto'
        ? undefined
        : size(raw, 'part-size', { least: MIN_PART_BYTES, most: MAX_PART_BYTES }),
    policy: copyPolicy(raw),
    probePrefix: parseProbePrefix(text(raw, 'probe-prefix')),
    startAfter: startAfter(raw),
    first:
      raw['first'] === undefined
        ? undefined
        : wholeNumber(raw, 'first', { least: 1, most: Number.MAX_SAFE_INTEGER }),
    failOnMissing: raw['failOnMissing'] === true,
    maxFailures:
      raw['maxFailures'] === undefined
        ? undefined
        : wholeNumber(raw, 'max-failures', { least: 1, most: Number.MAX_SAFE_INTEGER }),
    logFolder: text(raw, 'log-folder'),
    aheadLimitBytes: size(raw, 'ahead-disk', { least: 1 }),
    toolVersion,
  };
}

function runInputs(raw: RawOptions): RunInputs {
  requireFlags(raw, mandatory(raw, ['folder']));
  return {
    ...bucketsAndShard(raw),
    sourceLists: text(raw, 'src-folder'),
    destinationLists: text(raw, 'dest-folder'),
  };
}

/** What a migration and a verification are given alike. */
export function bucketsAndShard(
  raw: RawOptions,
): Pick<RunInputs, 'source' | 'destination' | 'shard'> {
  requireFlags(raw, mandatory(raw, []));
  const source = bucketAddress(raw, { prefix: '--src', side: 'source' });
  const destination = bucketAddress(raw, { prefix: '--dest', side: 'destination' });
  refuseSameBucket(source, destination);
  return { source, destination, shard: shard(raw) };
}

export function threadsOf(raw: RawOptions): number {
  return wholeNumber(raw, 'threads', { least: 1, most: MAX_THREADS });
}

/** How a run fares with stores that refuse or are down. */
export function loadLimits(
  raw: RawOptions,
  threads: number,
): Pick<MigrateOptions, 'threadsMin' | 'maxOutageMs'> {
  return {
    threadsMin: wholeNumber(raw, 'threads-min', { least: 1, most: threads }),
    maxOutageMs: duration(raw, 'max-outage'),
  };
}

/**
 * All cores that this process may run on (taskset, cgroups) unless told otherwise; no more than have something to
 * do, and as much memory as a part of a large object needs. By default each gets several objects at once: one that waits
 * for a single exchange is no use, and costs memory.
 */
function coresAndMemory(raw: RawOptions, threads: number): { cores: number; memoryBytes: number } {
  const wanted =
    raw['cores'] === undefined
      ? Math.min(availableParallelism(), Math.ceil(threads / THREADS_A_CORE))
      : wholeNumber(raw, 'cores', { least: 1, most: MAX_CORES });
  const cores = Math.min(threads, wanted);
  if (raw['memory'] === undefined) return { cores, memoryBytes: MEMORY_BYTES_A_CORE * cores };
  const memoryBytes = size(raw, 'memory', { least: MIN_MEMORY_BYTES });
  return { cores: Math.min(cores, Math.floor(memoryBytes / MIN_MEMORY_BYTES)), memoryBytes };
}

interface SideOfFlags {
  /** `--src`, `--dest`, or `-` where the flags have no prefix. */
  readonly prefix: string;
  readonly side: string;
}

/** @throws MigrateError naming the flag. The flags themselves must be there already: {@link requireFlags}. */
export function bucketAddress(raw: RawOptions, { prefix, side }: SideOfFlags): BucketAddress {
  const name = namesWith(prefix);
  const bucket = text(raw, name('bucket'));
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/.test(bucket)) {
    throw usageError(
      `--${name('bucket')} "${displayText(bucket)}" is no bucket name`,
      'A bucket name has letters, digits, dots and hyphens only.',
    );
  }
  return {
    side,
    flagPrefix: prefix,
    endpoint: endpoint(raw, name),
    bucket,
    credentials: credentials(raw, name),
    region: raw[camelCase(name('region'))] as string | undefined,
    addressing: addressing(raw, name('addressing')),
    limits: timeLimits(raw),
  };
}

/** The name of a flag without dashes: `key` as `src-key`, or as it is where the flags have no prefix. */
function namesWith(prefix: string): (flag: string) => string {
  return (flag) => (prefix === '-' ? flag : `${prefix.slice(2)}-${flag}`);
}

/** Those that hold the keys of a bucket: none where its credentials come from a provider. */
export function keyFlags(raw: RawOptions, prefix: string): string[] {
  const name = namesWith(prefix);
  const from = raw[camelCase(name('credentials'))] ?? GIVEN_KEYS;
  return from === GIVEN_KEYS || from === '' ? [name('key'), name('secret')] : [];
}

/** Names all missing flags in one error, not one after another. */
export function requireFlags(raw: RawOptions, flags: readonly string[]): void {
  const missing = flags.filter((flag) => !isGiven(raw, flag));
  if (missing.length === 0) return;
  throw usageError(
    `missing ${missing.map((flag) => `--${flag}`).join(', ')}`,
    `Give ${missing.length === 1 ? 'it' : 'them'} on the command line or in the environment (${environmentName(missing[0] as string)}); s3migrate --help tells more.`,
  );
}

/** Whether a flag has a value; an empty one counts as none. */
export function isGiven(raw: RawOptions, flag: string): boolean {
  const value = raw[camelCase(flag)];
  return value !== undefined && value !== '';
}

/** `src-secret` is S3MIGRATE_SRC_SECRET. */
export function environmentName(flag: string): string {
  return `S3MIGRATE_${flag.replaceAll('-', '_').toUpperCase()}`;
}

export function usageError(message: string, hint: string): MigrateError {
  return new MigrateError(message, { exitCode: 2, hint });
}

function endpoint(raw: RawOptions, name: (flag: string) => string): Endpoint {
  const url = text(raw, name('url'));
  const parsed = parseEndpoint(url, {
    verify: raw[camelCase(name('insecure'))] !== true,
    ca: certificates(raw, name('ca-file')),
  });
  if (typeof parsed !== 'string') return parsed;
  // What was typed may hold a password.
  const shown = displayText(
    url.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, '$1***@').replace(/[?#].*/s, '?***'),
  );
  throw usageError(
    `--${name('url')} "${shown}" is no endpoint: ${parsed}`,
    `For example --${name('url')} http://storage.example:9000`,
  );
}

function certificates(raw: RawOptions, flag: string): string | undefined {
  const file = raw[camelCase(flag)];
  if (typeof file !== 'string') return undefined;
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw usageError(
      `--${flag} ${displayText(file)} cannot be read: ${messageOf(error)}`,
      'Give a PEM file with the certificate of the authority that signed the server’s.',
    );
  }
}

/** The value of `--credentials` for those that the operator gives by flags. */
export const GIVEN_KEYS = 'keys';
const KEY_FLAGS = ['key', 'secret', 'session-token'] as const;

function credentials(raw: RawOptions, name: (flag: string) => string): BucketCredentials {
  const flag = name('credentials');
  const from = isGiven(raw, flag) ? text(raw, flag) : GIVEN_KEYS;
  if (from !== GIVEN_KEYS) {
    const both = KEY_FLAGS.map(name).find((one) => isGiven(raw, one));
    if (both === undefined) return credentialsProvider(flag, from);
    throw usageError(
      `--${flag} and --${both} exclude each other`,
      `Leave out one of them; look into the environment too (${environmentName(both)}).`,
    );
  }
  return {
    accessKey: credential(raw, name('key')),
    secret: credential(raw, name('secret')),
    sessionToken:
      raw[camelCase(name('session-token'))] === undefined
        ? undefined
        : credential(raw, name('session-token')),
  };
}

function credentialsProvider(flag: string, from: string): CredentialsProvider {
  if (from === 'aws') return { from: 'aws' };
  const [, kind, value = ''] = /^(profile|file)=(.+)$/s.exec(from) ?? [];
  if (kind === 'profile') return { from: 'profile', profile: value };
  if (kind === 'file') return { from: 'file', path: value };
  // What was typed may be a secret.
  throw usageError(
    `--${flag} is given none of its choices`,
    'Give keys (the default), aws, profile=NAME or file=PATH.',
  );
}

/** Credentials go into headers: a line break in one, as pasted text has, must not get there. */
function credential(raw: RawOptions, flag: string): string {
  const value = text(raw, flag);
  if (CREDENTIAL_TEXT.test(value)) return value;
  throw usageError(
    `--${flag} holds a blank, a line break or a character that is not ASCII`,
    'Was something copied along with it?',
  );
}

function addressing(raw: RawOptions, flag: string): Addressing | undefined {
  const value = raw[camelCase(flag)];
  if (value === undefined || value === 'path' || value === 'virtual') return value;
  throw usageError(
    `--${flag} "${displayText(String(value))}" is neither path nor virtual`,
    'path: https://HOST/BUCKET/KEY; virtual: https://BUCKET.HOST/KEY.',
  );
}

function refuseSameBucket(source: BucketAddress, destination: BucketAddress): void {
  if (placeOf(source) !== placeOf(destination)) return;
  throw usageError(
    `source and destination are the same bucket: ${displayText(source.bucket)} at ${source.endpoint.host}:${source.endpoint.port}`,
    'Check --src-url and --src-bucket against --dest-url and --dest-bucket.',
  );
}

function placeOf({ endpoint: { host, port }, bucket }: BucketAddress): string {
  return `${isLoopbackName(host) ? 'loopback' : host}:${port}/${bucket}`;
}

function isLoopbackName(host: string): boolean {
  return host === 'localhost' || host === '127.0.0.1' || host === '::1';
}

function shard(raw: RawOptions): MigrateOptions['shard'] {
  const count = wholeNumber(raw, 'hash-count', { least: 1, most: MAX_HOSTS });
  if (raw['hashValue'] === undefined) {
    if (count === 1) return { count, value: 0 };
    throw usageError(
      `--hash-count ${count} needs --hash-value`,
      `Each of the ${count} hosts has a number of its own, from 0 to ${count - 1}.`,
    );
  }
  const value = wholeNumber(raw, 'hash-value', { least: 0, most: MAX_HOSTS });
  if (value < count) return { count, value };
  throw usageError(
    `--hash-value ${value} is not in 0 to ${count - 1} (--hash-count ${count})`,
    'Hosts are numbered from 0; all of them are given the same --hash-count.',
  );
}

function copyPolicy(raw: RawOptions): CopyPolicy {
  return {
    ifExists: oneOf(raw, 'if-exists', ['skip', 'head', 'overwrite']),
    onLoss: onLoss(text(raw, 'on-loss')),
    objectLock: raw['objectLock'] === true,
    storageClass: storageClass(raw),
    partLayout: oneOf(raw, 'part-layout', ['keep', 'even']),
    requireProof: raw['requireProof'] === true,
    skipDetail: raw['skipDetail'] !== false,
    verify: raw['verify'] === true,
    recheckSource: raw['recheckSource'] === true,
    capabilities: undefined,
  };
}

function oneOf<T extends string>(raw: RawOptions, flag: string, choices: readonly T[]): T {
  const given = text(raw, flag);
  const choice = choices.find((one) => one === given);
  if (choice !== undefined) return choice;
  throw usageError(
    `--${flag} "${displayText(given)}" is none of its choices`,
    `Give one of: ${choices.join(', ')}.`,
  );
}

const ON_LOSS: readonly OnLoss[] = ['fail', 'warn', 'drop'];

/** `warn`, or for some classes another: `warn,tags=fail,lock=fail`. */
function onLoss(given: string): CopyPolicy['onLoss'] {
  let policy = DEFAULT_POLICY.onLoss;
  for (const word of given.split(',')) {
    const [name = '', choice] = word.split('=');
    const asked = ON_LOSS.find((one) => one === (choice ?? name));
    const lossClass = LOSS_CLASSES.find((one) => one === name);
    if (asked === undefined || (choice !== undefined && lossClass === undefined)) {
      throw usageError(
        `--on-loss "${displayText(given)}" is not understood at "${displayText(word)}"`,
        `Give fail, warn or drop for all, and others for some: warn,tags=fail. Classes: ${LOSS_CLASSES.join(', ')}.`,
      );
    }
    policy =
      lossClass === undefined
        ? { tags: asked, lock: asked, redirect: asked, 'storage-class': asked, metadata: asked }
        : { ...policy, [lossClass]: asked };
  }
  return policy;
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html */
const STORAGE_CLASS = /^[A-Z][A-Z0-9_]{0,63}$/;

function storageClass(raw: RawOptions): CopyPolicy['storageClass'] {
  if (raw['storageClass'] === undefined) return { kind: 'default' };
  const name = text(raw, 'storage-class');
  if (name === 'keep') return { kind: 'keep' };
  if (STORAGE_CLASS.test(name)) return { kind: 'named', name };
  throw usageError(
    `--storage-class "${displayText(name)}" is no storage class`,
    'Give its name, such as STANDARD_IA, or keep for the class of each source object.',
  );
}

function startAfter(raw: RawOptions): ObjectKey | undefined {
  const given = raw['startAfter'];
  if (given === undefined) return undefined;
  // Node takes bytes of the command line that are not UTF-8 for this character: which they were is lost.
  if (String(given).includes('\uFFFD')) {
    throw usageError(
      `--start-after "${displayText(String(given))}" holds bytes that are not UTF-8`,
      String.raw`Write them as migrate.log does: \xFF for the byte FF (and \xEF\xBF\xBD for the character U+FFFD).`,
    );
  }
  const key = unescapeKey(keyFromText(String(given)));
  if (key !== undefined) return key;
  throw usageError(
    `--start-after "${displayText(String(given))}" has a malformed escape`,
    String.raw`It takes a key as migrate.log writes it: \\ for a backslash, \n, \r, \t, \xHH for other bytes.`,
  );
}

function wholeNumber(
  raw: RawOptions,
  flag: string,
  { least, most }: { least: number; most: number },
): number {
  const given = text(raw, flag);
  const value = /^[0-9]{1,16}$/.test(given) ? Number(given) : Number.NaN;
  if (value >= least && value <= most) return value;
  const range = most === Number.MAX_SAFE_INTEGER ? `at least ${least}` : `from ${least} to ${most}`;
  throw usageError(
    `--${flag} "${displayText(given)}" is not a whole number ${range}`,
    's3migrate --help tells what each flag takes.',
  );
}

function size(
  raw: RawOptions,
  flag: string,
  { least, most = Number.MAX_SAFE_INTEGER }: { least: number; most?: number },
): number {
  const given = text(raw, flag);
  const bytes = parseSize(given);
  if (bytes !== undefined && bytes >= least && bytes <= most) return bytes;
  const range =
    most === Number.MAX_SAFE_INTEGER
      ? `of at least ${formatSize(least)}`
      : `from ${formatSize(least)} to ${formatSize(most)}`;
  throw usageError(
    `--${flag} "${displayText(given)}" is not a size ${range}`,
    'For example 256MiB or 1GiB.',
  );
}

/**
 * Only those that are given. The window in which the least throughput is looked for is a minute; a shorter one, and as much
 * less in it, where --idle-timeout is short.
 */
function timeLimits(raw: RawOptions): Partial<TimeLimits> {
  const connectMs = time(raw, 'connect-timeout');
  const firstByteMs = time(raw, 'first-byte-timeout');
  const idleMs = time(raw, 'idle-timeout');
  const throughputWindowMs = Math.min(A_MINUTE_MS, 2 * (idleMs ?? TIME_LIMITS.idleMs));
  const aMinuteBytes = isGiven(raw, 'min-throughput')
    ? size(raw, 'min-throughput', { least: 0, most: MOST_A_MINUTE_BYTES })
    : TIME_LIMITS.throughputMinBytes;
  return {
    ...(connectMs !== undefined && { connectMs }),
    ...(firstByteMs !== undefined && {
      firstByteMs,
      completeMs: Math.max(TIME_LIMITS.completeMs, firstByteMs),
    }),
    ...(idleMs !== undefined && { idleMs }),
    throughputWindowMs,
    throughputMinBytes: Math.ceil(aMinuteBytes * (throughputWindowMs / A_MINUTE_MS)),
  };
}

/** @returns ms; undefined when the flag is not given */
function time(raw: RawOptions, flag: string): number | undefined {
  if (!isGiven(raw, flag)) return undefined;
  const ms = parseDuration(text(raw, flag));
  if (ms !== undefined && ms >= LEAST_TIME_MS && ms <= MOST_TIME_MS) return ms;
  throw usageError(
    `--${flag} "${displayText(text(raw, flag))}" is not a duration from 1s to 1h`,
    'For example 10s or 2m.',
  );
}

/** @returns ms */
function duration(raw: RawOptions, flag: string): number {
  const given = text(raw, flag);
  const ms = parseDuration(given);
  if (ms !== undefined) return ms;
  throw usageError(
    `--${flag} "${displayText(given)}" is not a duration`,
    'For example 90s, 15m or 1h; 0 for none.',
  );
}

function text(raw: RawOptions, flag: string): string {
  return String(raw[camelCase(flag)] ?? '');
}

export function camelCase(flag: string): string {
  return flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

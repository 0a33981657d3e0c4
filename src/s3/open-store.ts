/**
 * Opens a bucket: finds its region, asks for it with the real keys, and puts what can be wrong into an
 * operator's words.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Side } from '../domain.ts';
import { MigrateError } from '../errors.ts';
import { displayText } from '../object-key.ts';
import { type Endpoint, TIME_LIMITS, type TimeLimits } from '../wire/connection.ts';
import type { Credentials } from '../wire/signature.ts';
import { speaksTls } from '../wire/speaks-tls.ts';
import {
  type BucketCredentials,
  credentialsToCheck,
  isProvided,
  openKeyring,
} from './credentials.ts';
import { defaultAddressing, regionOfHost } from './endpoint.ts';
import type { Keyring } from './keyring.ts';
import { type ObjectStore, StoreError } from './object-store.ts';
import {
  type Addressing,
  WireObjectStore,
  type WireObjectStoreOptions,
} from './wire-object-store.ts';

export interface BucketAddress {
  /** For messages: `source`, `destination`. */
  readonly side: string;
  /** Prefix of the flags the operator would mend it with: `--src`, `--dest`, `-`. */
  readonly flagPrefix: string;
  readonly endpoint: Endpoint;
  readonly bucket: string;
  readonly credentials: BucketCredentials;
  /** Undefined: from the host name, or from the bucket's own answer, else us-east-1. */
  readonly region: string | undefined;
  /** Undefined: virtual for AWS, path otherwise. */
  readonly addressing: Addressing | undefined;
  /** Those the operator has set; the others are {@link TIME_LIMITS}. */
  readonly limits?: Partial<TimeLimits> | undefined;
}

export interface OpenBucket {
  readonly store: ObjectStore;
  readonly region: string;
  readonly addressing: Addressing;
  /** What the same store can be made of again, in another thread too. */
  readonly settled: WireObjectStoreOptions;
  /** Where the credentials are renewed; undefined for keys that the operator gave. */
  readonly keyring: Keyring | undefined;
}

/** What whoever opens a bucket wants to know of it, and to have a say in. */
export interface Opening {
  /** Ends it: its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  /** Told once, in a line without its end, when a store that is busy is waited for. */
  readonly onWait?: ((message: string) => void) | undefined;
  /** How long such a store may take to serve, in ms; at most the half minute that it gets otherwise. */
  readonly patienceMs?: number | undefined;
}

const DEFAULT_REGION = 'us-east-1';
/** For a store that is there and does not serve (503, 429, connections that break): just started, or too much to do. */
const PATIENCE_MS = 30_000;
/** Between two attempts: at first, doubling, and at most. */
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5_000;
/** A wait is worth telling when this attempt has failed. */
const TELLING_ATTEMPT = 3;
const OPENING_LIMITS: TimeLimits = {
  ...TIME_LIMITS,
  connectMs: 8_000,
  firstByteMs: 8_000,
  idleMs: 8_000,
};

/**
 * The caller closes the store.
 *
 * @throws MigrateError with exit code 3: the side, what is wrong, the likely cause; the signal's reason
 */
export async function openBucket(
  address: BucketAddress,
  opening: Opening = {},
): Promise<OpenBucket> {
  const addressing = address.addressing ?? defaultAddressing(address.endpoint.host);
  const signing = await signingWith(address);
  const region = await answeringRegion(address, { ...signing, addressing }, opening);
  const settled = settledOptions(address, { ...signing, region, addressing });
  const { keyring } = signing;
  return { store: new WireObjectStore(settled, keyring), region, addressing, settled, keyring };
}

interface Signing {
  readonly credentials: Credentials;
  readonly keyring: Keyring | undefined;
}

async function signingWith({ credentials, flagPrefix }: BucketAddress): Promise<Signing> {
  if (!isProvided(credentials)) return { credentials, keyring: undefined };
  const keyring = await openKeyring(credentials, flagOf(flagPrefix)('credentials'));
  return { credentials: keyring.current, keyring };
}

function settledOptions(
  { endpoint, bucket, limits }: BucketAddress,
  {
    credentials,
    region,
    addressing,
  }: Pick<WireObjectStoreOptions, 'credentials' | 'region' | 'addressing'>,
): WireObjectStoreOptions {
  return {
    endpoint,
    bucket,
    credentials,
    region,
    addressing,
    limits: { ...TIME_LIMITS, ...limits },
  };
}

/**
 * Asks for the bucket, once more where it tells a region that nobody had named. With time limits of its
 * own, unless others were set: an operator who waits for a first answer wants to know soon.
 */
async function answeringRegion(
  address: BucketAddress,
  { credentials, keyring, addressing }: Signing & { readonly addressing: Addressing },
  opening: Opening,
): Promise<string> {
  const { signal } = opening;
  let known = address.region ?? regionOfHost(address.endpoint.host);
  for (let region = known ?? DEFAULT_REGION; ; ) {
    const limited = { ...address, limits: { ...OPENING_LIMITS, ...address.limits } };
    const settled = settledOptions(limited, { credentials, region, addressing });
    const asking = new WireObjectStore(settled, keyring);
    const leave = (): void => asking.close();
    signal?.addEventListener('abort', leave);
    try {
      await headPatiently(asking, address, opening);
      return region;
    } catch (error) {
      signal?.throwIfAborted();
      const told = error instanceof StoreError ? error.region : undefined;
      if (known !== undefined || told === undefined || told === region) {
        throw explained(error, address, asking.name);
      }
      known = told;
      region = told;
    } finally {
      signal?.removeEventListener('abort', leave);
      asking.close();
    }
  }
}

async function headPatiently(
  store: ObjectStore,
  { side, endpoint }: BucketAddress,
  { signal, onWait, patienceMs = PATIENCE_MS }: Opening,
): Promise<void> {
  const begunAt = performance.now();
  for (let attempt = 1; ; attempt++) {
    try {
      await store.headBucket();
      return;
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof StoreError) || !isPassing(error)) throw error;
      if (error.code === 'closed' && attempt === 1 && endpoint.tls === undefined) {
        if (await speaksTls(endpoint)) throw error;
        signal?.throwIfAborted();
      }
      const patience = Math.min(patienceMs, PATIENCE_MS);
      const waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (attempt - 1));
      if (performance.now() - begunAt + waitMs > patience) throw error;
      if (attempt === TELLING_ATTEMPT) {
        const seconds = Math.round(patience / 1_000);
        onWait?.(
          `the ${side} does not serve requests at present (${troubleOf(error)}): trying for ${seconds} s before giving up`,
        );
      }
      await delay(waitMs, undefined, { signal }).catch(() => signal?.throwIfAborted());
    }
  }
}

/** Not a connection that cannot be made: at a start that is mostly a flag. */
function isPassing({ kind, code }: StoreError): boolean {
  return kind === 'throttled' || kind === 'unavailable' || code === 'closed';
}

function troubleOf({ status, code, message }: StoreError): string {
  return displayText(status === 0 ? message : `status ${status}: ${code}`);
}

function explained(error: unknown, address: BucketAddress, name: string): unknown {
  if (!(error instanceof StoreError)) return error;
  const { side } = address;
  const [what, hint] = finding(error, address);
  return new MigrateError(`${side} ${displayText(name)}: ${what}`, {
    exitCode: 3,
    hint,
    cause: error,
  });
}

function finding(error: StoreError, { flagPrefix, credentials }: BucketAddress): Finding {
  const flag = flagOf(flagPrefix);
  const status = error.status === 0 ? '' : ` (status ${error.status})`;
  switch (error.kind) {
    case 'denied':
      return [
        `access denied${status}`,
        `${credentialsToCheck(credentials, flag)}, that this user may use the bucket, and this host's clock (date -u).`,
      ];
    case 'not-found':
    case 'no-such-bucket':
      return [`there is no such bucket${status}`, `Check ${flag('bucket')} and ${flag('url')}.`];
    case 'redirected':
      return elsewhere(error, flag);
    case 'unreachable':
      return [unreachable(error), unreachableHint(error, flag)];
    case 'refused':
      // AWS answers a HEAD signed for another region with 400, no body, and the bucket's own region.
      return error.region === undefined ? noS3(error, flag) : elsewhere(error, flag);
    case 'network':
      return [
        error.message,
        `Check ${flag('url')}: is an S3 service listening there, and is http or https right?`,
      ];
    case 'not-s3':
      // A page that sends a browser elsewhere, from http to https for example.
      return error.location === undefined ? noS3(error, flag) : elsewhere(error, flag);
    case 'throttled':
    case 'unavailable':
      return [
        `it does not serve requests at present${status}: ${displayText(error.code)}`,
        `It is busy, or has just been started: give the same command again in a moment. If it stays so, check ${flag('url')}.`,
      ];
    case 'precondition-failed':
    case 'conflict':
    case 'bad-digest':
    case 'full':
    case 'not-implemented':
    case 'no-such-upload':
      return noS3(error, flag);
  }
}

type Finding = [what: string, hint: string];
type Flag = (name: string) => string;

/** The flags of one bucket, by their names without its prefix. */
export function flagOf(prefix: string): Flag {
  return (name) => (prefix === '-' ? `--${name}` : `${prefix}-${name}`);
}

function elsewhere({ status, region, location }: StoreError, flag: Flag): Finding {
  const what = `the bucket is elsewhere (status ${status})`;
  if (region === undefined && location !== undefined) {
    return [
      `${what}: ${displayText(location)}`,
      `Redirects are never followed: give that endpoint with ${flag('url')} if it is the right one.`,
    ];
  }
  const where = region === undefined ? '' : `: in region ${displayText(region)}`;
  return [
    `${what}${where}`,
    `Give the endpoint of the bucket's own region with ${flag('url')}, and ${flag('region')}.`,
  ];
}

function noS3({ code, message }: StoreError, flag: Flag): Finding {
  return [
    `${displayText(code)}: ${displayText(message)}`,
    `Check ${flag('url')}: it must be an S3 endpoint.`,
  ];
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  ETIMEDOUT: 'connection timed out',
  ECONNRESET: 'the connection was reset before it was ready',
  ENOTFOUND: 'the host name is not known',
  EAI_AGAIN: 'the host name cannot be looked up now',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is signed by an unknown authority',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is signed by an unknown authority',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is signed by an unknown authority',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host name',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS: http instead of https?',
  EPROTO: 'it does not speak TLS: http instead of https?',
};

/** Node's code of what is below, where it has one. */
function nodeCode(error: StoreError): string | undefined {
  const { cause } = error;
  const first: unknown = cause instanceof AggregateError ? cause.errors[0] : cause;
  return first instanceof Error && 'code' in first && typeof first.code === 'string'
    ? first.code
    : undefined;
}

function unreachable(error: StoreError): string {
  const code = nodeCode(error);
  if (code === undefined) return displayText(error.message);
  return `${REASONS[code] ?? 'no connection'} (${code})`;
}

function unreachableHint(error: StoreError, flag: Flag): string {
  const code = nodeCode(error) ?? '';
  if (code === 'CERT_HAS_EXPIRED') {
    return `It has to be renewed, if this host's clock is right (date -u); or, knowing what it means, give ${flag('insecure')}.`;
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return `Give the name that it is for with ${flag('url')}, or, knowing what it means, ${flag('insecure')}.`;
  }
  if (/CERT|SIGNED|ISSUER|LEAF/.test(code)) {
    return `Give the certificate of its authority with ${flag('ca-file')}, or, knowing what it means, ${flag('insecure')}.`;
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return `Check the name in ${flag('url')}, and that this host can look names up (getent hosts NAME).`;
  }
  if (/SSL|EPROTO/.test(code)) return `Check the scheme and the port of ${flag('url')}.`;
  return `Check ${flag('url')}, and that the service runs and can be reached from this host.`;
}

export interface OpenBuckets {
  readonly source: ObjectStore;
  readonly destination: ObjectStore;
  /** As {@link OpenBucket.settled}, of both. */
  readonly settled: {
    readonly source: WireObjectStoreOptions;
    readonly destination: WireObjectStoreOptions;
  };
  /** As {@link OpenBucket.keyring}, of both. */
  readonly keyrings: Readonly<Record<Side, Keyring | undefined>>;
}

/**
 * Opens both buckets of a migration; the caller closes their stores.
 *
 * @throws as {@link openBucket}; the source's first. Nothing stays open then
 */
export async function openBuckets(
  addresses: { readonly source: BucketAddress; readonly destination: BucketAddress },
  opening: Opening = {},
): Promise<OpenBuckets> {
  const [source, destination] = await Promise.allSettled([
    openBucket(addresses.source, opening),
    openBucket(addresses.destination, opening),
  ]);
  if (source.status === 'fulfilled' && destination.status === 'fulfilled') {
    return {
      source: source.value.store,
      destination: destination.value.store,
      settled: { source: source.value.settled, destination: destination.value.settled },
      keyrings: { source: source.value.keyring, destination: destination.value.keyring },
    };
  }
  for (const opened of [source, destination]) {
    if (opened.status === 'fulfilled') opened.value.store.close();
  }
  throw source.status === 'rejected'
    ? (source.reason as Error)
    : ((destination as PromiseRejectedResult).reason as Error);
}

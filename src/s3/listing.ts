/**
 * Lists a bucket with ListObjectsV2, in key order, page by page. The control plane's part: over the AWS
 * SDK, loaded only when a listing is asked for.
 */
import { type Readable, Transform } from 'node:stream';
import type { ListObjectsV2CommandOutput, S3Client } from '@aws-sdk/client-s3';
import { MigrateError, messageOf } from '../errors.ts';
import { displayKey, displayText, keyFromText, type ObjectKey } from '../object-key.ts';
import { type Endpoint, TIME_LIMITS, type TimeLimits } from '../wire/connection.ts';
import type { Credentials } from '../wire/signature.ts';
import { withoutCredentials } from './credentials.ts';
import type { Keyring } from './keyring.ts';
import { mayBeOutdated } from './side-refusals.ts';
import type { Addressing } from './wire-object-store.ts';

export interface ListedObject {
  readonly key: ObjectKey;
  readonly bytes: number;
  /** Without quotes. */
  readonly etag: string;
  readonly lastModified: Date | undefined;
}

export interface ListingOptions {
  readonly endpoint: Endpoint;
  readonly bucket: string;
  readonly region: string;
  readonly credentials: Credentials;
  /** Where the credentials are renewed: those above are then not used. */
  readonly keyring?: Keyring | undefined;
  readonly addressing: Addressing;
  /** Only keys that begin with it. */
  readonly prefix: ObjectKey;
  readonly signal: AbortSignal;
  readonly limits?: TimeLimits | undefined;
  /** For one page, whatever keeps it: it may come byte by byte, or be tried again and again. 10 minutes by default. */
  readonly pageWithinMs?: number;
}

/** Requests a page may take; the SDK waits between them with jitter. */
const MAX_ATTEMPTS = 8;
const PAGE_WITHIN_MS = 10 * 60_000;
/** A thousand keys of 1,024 bytes, percent-encoded, with all that is told of each: half of this. */
const MAX_ANSWER_BYTES = 8 * 1024 ** 2;
/** Gateways answer with some, where much was deleted; one that does so for ever has no end. */
const MAX_EMPTY_ANSWERS = 200;

/**
 * Yields the objects of each answer as one array, ascending by key. The next answer is asked for while
 * the last one is used.
 *
 * @throws MigrateError with exit code 3 when the store cannot be listed, or lists out of order
 */
export async function* listObjects(options: ListingOptions): AsyncGenerator<ListedObject[]> {
  const { client, fetchPage } = await openListing(options);
  try {
    let next: Promise<ListObjectsV2CommandOutput> | undefined = fetchPage(undefined);
    let last = '' as ObjectKey;
    let before: string | undefined;
    let empty = 0;
    while (next !== undefined) {
      const answer: ListObjectsV2CommandOutput = await next.catch((error: unknown) => {
        throw listingError(options, error);
      });
      const token = answer.NextContinuationToken;
      if (answer.IsTruncated === true && (token === undefined || token === '')) {
        throw listingError(options, new Error('the answer is cut but has no continuation token'));
      }
      empty = answer.Contents === undefined ? empty + 1 : 0;
      if (answer.IsTruncated === true && (token === before || empty > MAX_EMPTY_ANSWERS)) {
        throw listingError(options, new Error('the listing goes round in circles'));
      }
      before = token;
      next = answer.IsTruncated === true ? fetchPage(token) : undefined;
      // Should the consumer stop before it is awaited.
      next?.catch(() => {});
      const objects = objectsOf(answer);
      for (const { key } of objects) {
        if (key <= last) {
          throw listingError(
            options,
            new Error(`key "${displayKey(key)}" was listed after "${displayKey(last)}"`),
          );
        }
        last = key;
      }
      yield objects;
    }
  } finally {
    client.destroy();
  }
}

async function openListing({
  endpoint,
  bucket,
  region,
  credentials,
  keyring,
  addressing,
  prefix,
  signal,
  limits = TIME_LIMITS,
  pageWithinMs = PAGE_WITHIN_MS,
}: ListingOptions) {
  // Under Node 20 the SDK writes a warning of several lines into the middle of the progress line.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';
  const { ListObjectsV2Command, S3Client } = await import('@aws-sdk/client-s3');
  const { Agent } = await import('node:https');
  const host = endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host;
  const client = new S3Client({
    endpoint: `${endpoint.tls === undefined ? 'http' : 'https'}://${host}:${endpoint.port}`,
    region,
    forcePathStyle: addressing === 'path',
    followRegionRedirects: false,
    maxAttempts: MAX_ATTEMPTS,
    credentials:
      keyring === undefined
        ? sdkIdentity(credentials)
        : // With an expiration the SDK asks for them before each request.
          () => Promise.resolve({ ...sdkIdentity(keyring.current), expiration: new Date() }),
    requestHandler: {
      connectionTimeout: limits.connectMs,
      requestTimeout: limits.firstByteMs,
      throwOnRequestTimeout: true,
      // It counts while the first byte is waited for, too.
      socketTimeout: Math.max(limits.firstByteMs, limits.idleMs),
      ...(endpoint.tls === undefined
        ? {}
        : {
            httpsAgent: new Agent({
              keepAlive: true,
              rejectUnauthorized: endpoint.tls.verify,
              ...(endpoint.tls.ca === undefined ? {} : { ca: endpoint.tls.ca }),
            }),
          }),
    },
  });
  boundAnswers(client);
  const prefixText = Buffer.from(prefix, 'latin1').toString('utf8');
  const send = (
    token: string | undefined,
    abortSignal: AbortSignal,
  ): Promise<ListObjectsV2CommandOutput> =>
    client.send(
      new ListObjectsV2Command({
        Bucket: bucket,
        EncodingType: 'url',
        ...(prefixText === '' ? {} : { Prefix: prefixText }),
        ...(token === undefined ? {} : { ContinuationToken: token }),
      }),
      { abortSignal },
    );
  const sendInTime = async (token: string | undefined): Promise<ListObjectsV2CommandOutput> => {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), pageWithinMs);
    try {
      return await send(token, AbortSignal.any([signal, late.signal]));
    } catch (error) {
      if (!late.signal.aborted) throw error;
      throw new Error(`a page of the listing was not there within ${pageWithinMs / 1000} s`, {
        cause: error,
      });
    } finally {
      clearTimeout(timer);
    }
  };
  const fetchPage = async (token: string | undefined): Promise<ListObjectsV2CommandOutput> => {
    const current = keyring?.current;
    try {
      return await sendInTime(token);
    } catch (error) {
      if (keyring === undefined || current === undefined || !isOutdated(error)) throw error;
      if ((await keyring.renew(current)) === undefined) throw error;
      return sendInTime(token);
    }
  };
  return { client, fetchPage };
}

/** The SDK holds an answer as a whole, however long it is, and reads what no S3 store sends. */
function boundAnswers(client: S3Client): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const response = result.response as { body: Readable };
      const { body } = response;
      const checked = body.pipe(soundAnswer());
      body.once('error', (error) => checked.destroy(error));
      response.body = checked;
      return result;
    },
    // Below the SDK's own, which parses.
    { name: 'soundAnswer', step: 'deserialize', priority: 'low' },
  );
}

const DOCTYPE = '<!DOCTYPE';

function soundAnswer(): Transform {
  let bytes = 0;
  let tail = '';
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      tail += chunk.toString('latin1');
      if (bytes > MAX_ANSWER_BYTES) {
        done(new Error(`an answer is longer than ${MAX_ANSWER_BYTES} bytes`));
      } else if (tail.includes(DOCTYPE)) {
        done(new Error('an answer has a document type, as no S3 store sends'));
      } else {
        tail = tail.slice(1 - DOCTYPE.length);
        done(undefined, chunk);
      }
    },
  });
}

function sdkIdentity({ accessKey, secret, sessionToken }: Credentials) {
  const identity = { accessKeyId: accessKey, secretAccessKey: secret };
  return sessionToken === undefined ? identity : { ...identity, sessionToken };
}

function isOutdated(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { $metadata } = error as { $metadata?: { httpStatusCode?: number } };
  const status = $metadata?.httpStatusCode ?? 0;
  return mayBeOutdated({ code: error.name, status, message: error.message });
}

function objectsOf(answer: ListObjectsV2CommandOutput): ListedObject[] {
  // versitygw answers unencoded and says so by leaving EncodingType out.
  const encoded = answer.EncodingType === 'url';
  return (answer.Contents ?? []).map(({ Key = '', Size = 0, ETag = '', LastModified }) => ({
    key: encoded ? percentDecode(Key) : keyFromText(Key),
    bytes: Size,
    etag: ETag.replace(/^"(.*)"$/, '$1'),
    lastModified: LastModified,
  }));
}

/** Of a listing's key: `+` is a space, `%HH` any byte. */
export function percentDecode(encoded: string): ObjectKey {
  return keyFromText(encoded.replaceAll('+', ' ')).replace(/%([0-9A-Fa-f]{2})/g, (_, hex) =>
    String.fromCharCode(Number.parseInt(hex as string, 16)),
  ) as ObjectKey;
}

function listingError(options: ListingOptions, cause: unknown): MigrateError {
  if (cause instanceof MigrateError) return cause;
  const name = cause instanceof Error && cause.name !== 'Error' ? `${cause.name}: ` : '';
  const signedWith = options.keyring?.current ?? options.credentials;
  const told = displayText(withoutCredentials(name + messageOf(cause), signedWith));
  return new MigrateError(`bucket ${displayText(options.bucket)} cannot be listed: ${told}`, {
    exitCode: 3,
    hint: 'Check that this user may list the bucket (s3:ListBucket), then give the same command again.',
    cause,
  });
}

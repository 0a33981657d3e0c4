/**
 * Lists a bucket with ListObjectsV2, in key order, page by page. The control plane's part: over the AWS
 * SDK, loaded only when a listing is asked for.
 */
import { pipeline, Readable, Transform } from 'node:stream';
import type { ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';
import { MigrateError, messageOf } from '../errors.ts';
import { displayKey, displayText, keyFromText, type ObjectKey } from '../object-key.ts';
import { type Endpoint, TIME_LIMITS, type TimeLimits } from '../wire/connection.ts';
import type { Credentials } from '../wire/signature.ts';
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
/** Of one answer: 1,000 keys of 1,024 bytes, each three times as long when encoded, are 4 MiB with all that is told of them. */
const MAX_ANSWER_BYTES = 32 * 1024 ** 2;
/** Answers without a key in a row; a store that has deleted many may give some. */
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
    let asked: Asked = { token: undefined, emptyAnswers: 0 };
    while (next !== undefined) {
      const answer: ListObjectsV2CommandOutput = await next.catch((error: unknown) => {
        throw listingError(options, error);
      });
      const token = answer.NextContinuationToken;
      const endless = endlessness(answer, asked);
      if (endless !== undefined) throw listingError(options, new Error(endless));
      asked = { token, emptyAnswers: isEmpty(answer) ? asked.emptyAnswers + 1 : 0 };
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

interface Asked {
  /** That the last answer gave to go on with. */
  readonly token: string | undefined;
  /** In a row. */
  readonly emptyAnswers: number;
}

function isEmpty({ Contents: contents }: ListObjectsV2CommandOutput): boolean {
  return contents === undefined || contents.length === 0;
}

/** @returns why the listing would never come to an end, or undefined */
function endlessness(
  answer: ListObjectsV2CommandOutput,
  { token, emptyAnswers }: Asked,
): string | undefined {
  if (answer.IsTruncated !== true) return undefined;
  const next = answer.NextContinuationToken;
  if (next === undefined || next === '') return 'the answer is cut but has no continuation token';
  if (next === token) return 'the answer has the same continuation token as the one before';
  if (isEmpty(answer) && emptyAnswers >= MAX_EMPTY_ANSWERS) {
    return `more than ${MAX_EMPTY_ANSWERS} answers in a row are cut and have no key`;
  }
  return undefined;
}

/** Ends an answer that is longer than any listing is. */
function limited(body: Readable): Readable {
  let bytes = 0;
  const limit = new Transform({
    transform(piece: Buffer, _encoding, done) {
      bytes += piece.length;
      if (bytes <= MAX_ANSWER_BYTES) done(null, piece);
      else done(new Error(`the answer is longer than ${MAX_ANSWER_BYTES} bytes`));
    },
  });
  return pipeline(body, limit, () => {});
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
  client.middlewareStack.add(
    (next) => async (args) => {
      const output = await next(args);
      const response = output.response as { body?: unknown };
      if (response.body instanceof Readable) response.body = limited(response.body);
      return output;
    },
    // The innermost, so that nobody has begun to read.
    { step: 'deserialize', priority: 'low', name: 'limitAnswer' },
  );
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

function listingError({ bucket, credentials }: ListingOptions, cause: unknown): MigrateError {
  if (cause instanceof MigrateError) return cause;
  const name = cause instanceof Error && cause.name !== 'Error' ? `${cause.name}: ` : '';
  const told = displayText((name + messageOf(cause)).replaceAll(credentials.secret, '***'));
  return new MigrateError(`bucket ${displayText(bucket)} cannot be listed: ${told}`, {
    exitCode: 3,
    hint: 'Check that this user may list the bucket (s3:ListBucket), then give the same command again.',
    cause,
  });
}

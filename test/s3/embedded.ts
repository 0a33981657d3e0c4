/**
 * Stores on embedded servers, for the tests of src/s3.
 */
import { readFileSync } from 'node:fs';
import type { Keyring } from '../../src/s3/keyring.ts';
import type { BucketAddress } from '../../src/s3/open-store.ts';
import { type Addressing, WireObjectStore } from '../../src/s3/wire-object-store.ts';
import { type S3Server, type S3ServerOptions, startS3Server } from '../../src/s3-server/server.ts';
import type { Endpoint, TimeLimits } from '../../src/wire/connection.ts';

export const CREDENTIALS = { accessKey: 'AKIDTEST', secret: 'wonderful/secret+key' };
export const BUCKET = 'photos';

const pem = (name: string): string =>
  readFileSync(new URL(`../s3-server/localhost.${name}.pem`, import.meta.url), 'latin1');

/** The certificate of a server that {@link startServer} has made to speak TLS. */
const CERTIFICATE = pem('cert');
export const TLS = { key: pem('key'), cert: CERTIFICATE };

/** Whoever starts it closes it. */
export function startServer(options: Partial<S3ServerOptions> = {}): Promise<S3Server> {
  return startS3Server({
    accessKey: CREDENTIALS.accessKey,
    secretKey: CREDENTIALS.secret,
    buckets: [BUCKET],
    ...options,
  });
}

export function endpointOf(server: S3Server): Endpoint {
  const tls = server.url.startsWith('https:') ? { ca: CERTIFICATE, verify: true } : undefined;
  return { host: '127.0.0.1', port: server.port, tls };
}

export interface StoreOptions {
  bucket?: string;
  secret?: string;
  addressing?: Addressing;
  limits?: TimeLimits;
  keyring?: Keyring;
}

/** Whoever makes it closes it. */
export function storeOn(server: S3Server, options: StoreOptions = {}): WireObjectStore {
  const { bucket = BUCKET, secret = CREDENTIALS.secret, addressing = 'path', limits } = options;
  return new WireObjectStore(
    {
      endpoint: endpointOf(server),
      bucket,
      region: 'us-east-1',
      credentials: { ...CREDENTIALS, secret },
      addressing,
      limits,
    },
    options.keyring,
  );
}

/** The source as an operator would name it. */
export function addressOf(server: S3Server): BucketAddress {
  return {
    side: 'source',
    flagPrefix: '--src',
    endpoint: endpointOf(server),
    bucket: BUCKET,
    credentials: CREDENTIALS,
    region: undefined,
    addressing: undefined,
  };
}

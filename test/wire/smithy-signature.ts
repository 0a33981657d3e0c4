/**
 * The Authorization header as `@smithy/signature-v4` makes it: the other opinion on every signature.
 *
 * The path goes in as it is sent, so that keys which are no text can be signed too.
 */
import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import type { Credentials } from '../../src/wire/signature.ts';

export interface TextRequest {
  readonly method: string;
  /** Percent-encoded. */
  readonly path: string;
  /** Names and values as text, not encoded. */
  readonly query: Readonly<Record<string, string>>;
  /** All headers to be signed as text, Host and x-amz-content-sha256 among them. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface Signatory {
  readonly credentials: Credentials;
  readonly region: string;
  readonly atMs: number;
}

export async function smithyAuthorization(
  { method, path, query, headers }: TextRequest,
  { credentials, region, atMs }: Signatory,
): Promise<string | undefined> {
  const signer = new SignatureV4({
    credentials: {
      accessKeyId: credentials.accessKey,
      secretAccessKey: credentials.secret,
      ...(credentials.sessionToken === undefined ? {} : { sessionToken: credentials.sessionToken }),
    },
    region,
    service: 's3',
    uriEscapePath: false,
    sha256: Sha256,
  });
  const signed = await signer.sign(
    {
      method,
      protocol: 'http:',
      hostname: 'ignored.test',
      path,
      query: { ...query },
      headers: { ...headers },
    },
    // It leaves Cache-Control and some others out unless told.
    { signingDate: new Date(atMs), signableHeaders: new Set(Object.keys(headers)) },
  );
  return signed.headers['authorization'];
}

type Data = string | ArrayBuffer | ArrayBufferView;

/** What the signer asks of a hash: HMAC when it is given a secret. */
class Sha256 {
  readonly #hash: Hash | Hmac;

  constructor(secret?: Data) {
    this.#hash =
      secret === undefined ? createHash('sha256') : createHmac('sha256', bytesOf(secret));
  }

  update(data: Data): void {
    this.#hash.update(bytesOf(data));
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }

  reset(): void {
    throw new Error('a hash is used once');
  }
}

function bytesOf(data: Data): Uint8Array {
  if (typeof data === 'string') return Buffer.from(data, 'utf8');
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
}

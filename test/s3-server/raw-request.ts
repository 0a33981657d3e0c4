/**
 * Requests that the AWS SDK cannot make: any path bytes, any header, bodies that end too soon.
 * Signed by `@smithy/signature-v4`, so that the server's own arithmetic is not its only witness.
 */
import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { SignatureV4 } from '@smithy/signature-v4';
import { type S3Server, startS3Server } from '../../src/s3-server/server.ts';

export const CREDENTIALS = { accessKeyId: 'AKIDTEST', secretAccessKey: 'wonderful/secret+key' };

export function startPhotosServer(
  options: Partial<Parameters<typeof startS3Server>[0]> = {},
): Promise<S3Server> {
  return startS3Server({
    accessKey: CREDENTIALS.accessKeyId,
    secretKey: CREDENTIALS.secretAccessKey,
    buckets: ['photos'],
    multipartMinPartBytes: 5,
    ...options,
  });
}

export interface RawRequest {
  method: string;
  /** As it is to go over the wire, escaped; with the bucket. */
  path: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  body?: Buffer;
  signing?: { accessKeyId?: string; secretAccessKey?: string; region?: string; date?: Date };
}

export interface RawAnswer {
  status: number;
  headers: IncomingMessage['headers'];
  body: Buffer;
  /** The Code of an XML error. */
  code: string | undefined;
}

/** Headers of the request, signed; `UNSIGNED-PAYLOAD` unless they say otherwise. */
export async function sign(server: S3Server, request: RawRequest): Promise<Record<string, string>> {
  const { accessKeyId, secretAccessKey, region = 'us-east-1', date } = request.signing ?? {};
  const signer = new SignatureV4({
    credentials: {
      accessKeyId: accessKeyId ?? CREDENTIALS.accessKeyId,
      secretAccessKey: secretAccessKey ?? CREDENTIALS.secretAccessKey,
    },
    region,
    service: 's3',
    uriEscapePath: false,
    sha256: Sha256,
  });
  const signed = await signer.sign(
    {
      method: request.method,
      protocol: 'http:',
      hostname: '127.0.0.1',
      path: request.path,
      query: request.query ?? {},
      headers: {
        host: `127.0.0.1:${server.port}`,
        'x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
        ...request.headers,
      },
    },
    date === undefined ? {} : { signingDate: date },
  );
  return signed.headers;
}

export async function send(server: S3Server, request: RawRequest): Promise<RawAnswer> {
  return exchange(server, request, await sign(server, request));
}

/** Sends with exactly these headers, signed or not. */
export async function exchange(
  server: S3Server,
  request: RawRequest,
  headers: Record<string, string>,
): Promise<RawAnswer> {
  const outgoing = httpRequest({
    host: '127.0.0.1',
    port: server.port,
    method: request.method,
    path: target(request),
    headers: { ...headers, 'content-length': String(request.body?.length ?? 0) },
    agent: false,
  });
  outgoing.end(request.body);
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
  const body = await buffer(incoming);
  const code = /<Code>(\w+)<\/Code>/.exec(body.toString('latin1'))?.[1];
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, body, code };
}

/** Sends the head and only a part of the body; the caller ends the connection. */
export async function sendPart(
  server: S3Server,
  request: RawRequest & { body: Buffer },
  bytes: number,
): Promise<Socket> {
  const headers = await sign(server, request);
  const socket = connect(server.port, '127.0.0.1');
  await once(socket, 'connect');
  const lines = Object.entries({ ...headers, 'content-length': String(request.body.length) });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.write(`${request.method} ${target(request)} HTTP/1.1\r\n${head}\r\n`, 'latin1');
  await new Promise((resolve) => socket.write(request.body.subarray(0, bytes), resolve));
  return socket;
}

function target({ path, query = {} }: RawRequest): string {
  const pairs = Object.entries(query).map(
    ([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`,
  );
  return pairs.length === 0 ? path : `${path}?${pairs.join('&')}`;
}

/** What the signer asks of a hash: HMAC when it is given a secret. */
class Sha256 {
  readonly #hash: ReturnType<typeof createHash> | ReturnType<typeof createHmac>;

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash =
      secret === undefined
        ? createHash('sha256')
        : createHmac('sha256', typeof secret === 'string' ? secret : bytesOf(secret));
  }

  /** The signer gives UTF-8; Node sends header values as latin1, so that is what must be signed. */
  update(data: string | ArrayBuffer | ArrayBufferView): void {
    const text = typeof data === 'string' ? data : Buffer.from(bytesOf(data)).toString('utf8');
    this.#hash.update(text, 'latin1');
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }

  reset(): void {
    throw new Error('a hash is used once');
  }
}

function bytesOf(data: ArrayBuffer | ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
}

/**
 * An answer as a value: what operations give, interceptors may change, and the server sends.
 */
import type { ServerResponse } from 'node:http';
import type { S3Request } from './request.ts';
import { S3Error } from './s3-error.ts';
import { type Content, element, xmlDocument } from './xml.ts';

export interface Answer {
  readonly status: number;
  /** By lower-case name, values as byte strings. `content-length` is added from the body on sending. */
  readonly headers: Readonly<Record<string, string>>;
  /** For HEAD the body that GET would have: its length is sent, its bytes are not. */
  readonly body: Buffer;
}

export const EMPTY = Buffer.alloc(0);

export function emptyAnswer(status: number, headers: Answer['headers'] = {}): Answer {
  return { status, headers, body: EMPTY };
}

export function xmlAnswer(root: string, content: Content): Answer {
  return {
    status: 200,
    headers: { 'content-type': 'application/xml' },
    body: xmlDocument(root, content),
  };
}

export interface ErrorDescription {
  readonly status: number;
  /** A word in S3's vocabulary: `SlowDown`. */
  readonly code: string;
  readonly message: string;
  readonly details?: Readonly<Record<string, string>>;
}

/** S3's XML error; without a body for HEAD, which cannot have one. */
export function errorAnswer(
  request: Pick<S3Request, 'method' | 'rawPath'>,
  requestId: string,
  error: ErrorDescription,
): Answer {
  if (request.method === 'HEAD' || error.status === 304) return emptyAnswer(error.status);
  return {
    status: error.status,
    headers: { 'content-type': 'application/xml' },
    body: xmlDocument(
      'Error',
      [
        element('Code', error.code),
        element('Message', error.message),
        ...Object.entries(error.details ?? {}).map(([name, value]) => element(name, value)),
        element('Resource', request.rawPath),
        element('RequestId', requestId),
      ],
      '',
    ),
  };
}

/** Anything thrown, as what the client is told. What is no S3Error is a fault of the server. */
export function describeError(thrown: unknown): ErrorDescription {
  if (thrown instanceof S3Error) return thrown;
  const message = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  return { status: 500, code: 'InternalError', message };
}

/** Sends an answer whole, with its Content-Length. */
export function sendAnswer(response: ServerResponse, { status, headers, body }: Answer): void {
  const hasLength = status !== 204 && status !== 304;
  response.writeHead(
    status,
    hasLength ? { ...headers, 'content-length': String(body.length) } : headers,
  );
  response.end(body);
}

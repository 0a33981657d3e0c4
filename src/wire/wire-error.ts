/**
 * Why an exchange has no whole answer, in words that say what may be done about it.
 */

export type WireErrorCode =
  /** No connection: refused, unreachable, name not found, TLS refused. Nothing was sent. */
  | 'connect-failed'
  | 'connect-timeout'
  /** The request is out and nothing came back in time. */
  | 'first-byte-timeout'
  /** Bytes stopped moving in the middle. */
  | 'idle-timeout'
  /** Bytes trickle: fewer than the least throughput for a whole window. */
  | 'too-slow'
  /** The peer ended the connection before the answer was whole. */
  | 'closed'
  /** The answer cannot be read as HTTP, or is not the one that fits the request. */
  | 'malformed'
  /** Refused for the time it was signed for, and it cannot be sent again: the next one has the right time. */
  | 'clock-corrected'
  /** This side ended the exchange: {@link Connection.abort}. */
  | 'aborted';

export interface WireErrorOptions {
  /** Whether bytes of the request may have reached the peer: then it may have been carried out. */
  readonly sent: boolean;
  /**
   * Whether a connection that had served before was closed with nothing of an answer read: most
   * likely the peer had ended it while it was idle.
   */
  readonly stale: boolean;
  readonly cause?: unknown;
}

export class WireError extends Error {
  override readonly name = 'WireError';
  readonly code: WireErrorCode;
  readonly sent: boolean;
  readonly stale: boolean;

  constructor(code: WireErrorCode, message: string, { sent, stale, cause }: WireErrorOptions) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.sent = sent;
    this.stale = stale;
  }
}

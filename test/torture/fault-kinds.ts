/**
 * The faults that a torture run draws from, as plain data that can be printed, and how each is scripted onto
 * a server.
 *
 * Most pass: what they hit is tried again. `refused` ones are answers that are not tried again, and decide
 * what becomes of the key.
 */
import type { OperationName } from '../../src/s3-server/routing.ts';
import type { FaultRule } from '../support/fault-script.ts';

export interface Fault {
  readonly kind: FaultKind;
  readonly side: 'source' | 'destination';
  readonly operation: OperationName;
  /** A byte string; any key when left out. */
  readonly key?: string;
  /** How often; for ever when left out. */
  readonly times?: number;
  /** Requests that pass before the first. */
  readonly skip?: number;
  /** What the kind counts: bytes, or ms. */
  readonly amount?: number;
}

/** What somebody else does to a key in the middle of a request for it. */
export interface Others {
  /** Puts an object of their own at the destination, unless the key is taken. */
  writeFirst(key: string): void;
  /** Gives the source's object other bytes. */
  change(key: string): void;
  /** Removes the source's object. */
  remove(key: string): void;
}

type Scripting = (rule: FaultRule, amount: number, others: Others) => FaultRule;

const WRONG_ETAG = '0123456789abcdef0123456789abcdef';

const KINDS = {
  '503': (rule) => rule.status(503, { code: 'SlowDown' }),
  '503 with Retry-After': (rule) => rule.status(503, { code: 'SlowDown', retryAfter: 0 }),
  '503, body unread': (rule) => rule.status(503, { code: 'SlowDown', unread: 'reset' }),
  '500': (rule) => rule.status(500, { code: 'InternalError' }),
  '429': (rule) => rule.status(429, { code: 'TooManyRequests' }),
  '409': (rule) => rule.status(409, { code: 'ConditionalRequestConflict' }),
  'error in a 200': (rule) => rule.status(200, { code: 'InternalError' }),
  closed: (rule) => rule.disconnect('close'),
  reset: (rule) => rule.disconnect('reset'),
  'cut while it was sent': (rule, amount) => rule.disconnectAfterReading(amount),
  'closed while it was sent': (rule, amount) => rule.disconnectAfterReading(amount, 'close'),
  'body cut by a close': (rule, amount) => rule.truncateAt(amount, 'close'),
  'body cut by a reset': (rule, amount) => rule.truncateAt(amount, 'reset'),
  'body short': (rule, amount) => rule.shorten(amount),
  'body corrupted': (rule, amount) => rule.corrupt(amount),
  'no length': (rule) => rule.withoutLength('chunked'),
  'no length until the end': (rule) => rule.withoutLength('until-close'),
  'upload corrupted': (rule, amount) => rule.corruptUpload(amount),
  'answer lost by a reset': (rule) => rule.loseAnswer('reset'),
  'answer lost by a close': (rule) => rule.loseAnswer('close'),
  'wrong ETag': (rule) => rule.etag(WRONG_ETAG),
  late: (rule, amount) => rule.delay(amount),
  'theirs first': (rule, _, others) => rule.before(({ request }) => others.writeFirst(request.key)),
  'source changed': (rule, _, others) => rule.before(({ request }) => others.change(request.key)),
  'source removed': (rule, _, others) => rule.before(({ request }) => others.remove(request.key)),
  'refused: denied': (rule) => rule.status(403, { code: 'AccessDenied' }),
  'refused: archived': (rule) => rule.status(403, { code: 'InvalidObjectState' }),
  'refused: invalid': (rule) => rule.status(400, { code: 'InvalidRequest' }),
  'refused: missing': (rule) => rule.status(404, { code: 'NoSuchKey' }),
} satisfies Record<string, Scripting>;

export type FaultKind = keyof typeof KINDS;

/** The codes that `failed.log` or a skipped line then has. */
export const CODES: Partial<Record<FaultKind, string>> = {
  'refused: denied': 'AccessDenied',
  'refused: archived': 'InvalidObjectState',
  'refused: invalid': 'InvalidRequest',
  'refused: missing': 'NoSuchKey',
};

/** Makes the rule go wrong in this way. */
export function script(rule: FaultRule, { kind, amount = 0 }: Fault, others: Others): FaultRule {
  return KINDS[kind](rule, amount, others);
}

/** One line for a story. */
export function describe({ kind, side, operation, key, times, skip = 0, amount }: Fault): string {
  const whose = key === undefined ? '' : ` of ${JSON.stringify(key)}`;
  const after = skip === 0 ? '' : `, after ${skip}`;
  const often = times === undefined ? 'always' : `${times} times`;
  return `${side} ${operation}${whose}: ${kind}${amount === undefined ? '' : ` (${amount})`}, ${often}${after}`;
}

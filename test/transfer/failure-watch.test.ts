/**
 * What tells failures of objects from what is wrong with a whole side: by the order in which outcomes come.
 */
import { describe, expect, it } from 'vitest';
import { Decision, type Outcome, type Side, type TransferFailure } from '../../src/domain.ts';
import { MigrateError } from '../../src/errors.ts';
import { keyFromText, type ObjectKey } from '../../src/object-key.ts';
import { StoreError } from '../../src/s3/object-store.ts';
import { type FailureLimits, FailureWatch } from '../../src/transfer/failure-watch.ts';
import { OpenPage } from '../../src/transfer/open-page.ts';
import { gate, planPage } from './plan-pages.ts';

const PAGE = new OpenPage(planPage([[keyFromText('a'), Decision.transfer]]));

const HEAD_DENIED = new StoreError('status 403', {
  kind: 'denied',
  code: 'HTTP 403',
  status: 403,
  mayHaveLanded: false,
});

/** A watch, and what it has said. */
class Watched {
  readonly recorded: string[] = [];
  readonly errors: MigrateError[] = [];
  /** Buckets asked, and how they answer. */
  readonly asked: Side[] = [];
  answer: () => Promise<void> = () => Promise.resolve();
  readonly watch: FailureWatch;
  #answered = gate();
  #taken = 0;

  constructor(changes: Partial<FailureLimits> = {}) {
    const side = (name: Side) => ({
      name: `${name} http://here/bucket`,
      toCheck: `Check --${name}-key`,
      headBucket: () => {
        this.asked.push(name);
        return this.answer();
      },
    });
    const sides = { source: side('source'), destination: side('destination') };
    this.watch = new FailureWatch(
      { sides, hasWorked: false, ...changes },
      {
        onRecord: (page, _, outcome) => {
          expect(page).toBe(PAGE);
          this.recorded.push(outcome.key);
        },
        onStop: (error) => this.errors.push(error),
        onAnswer: () => this.#answered.open(),
      },
    );
  }

  get stopped(): string | undefined {
    return this.errors[0]?.message;
  }

  /** Resolves when a bucket has answered since this was called last. */
  async answered(): Promise<void> {
    await this.#answered.opened;
    this.#answered = gate();
  }

  take(outcome: Outcome, times = 1): void {
    for (let i = 0; i < times; i++) this.watch.take(PAGE, this.#taken++, outcome);
  }
}

const KEY = keyFromText('photos/a.jpg');
const copied = { kind: 'copied', key: KEY, bytes: 1, etag: 'abc', detail: 'md5' } as const;
const missing = { kind: 'skipped-download', key: KEY, detail: 'NoSuchKey' } as const;
const existing = { kind: 'skipped-upload', key: KEY, detail: 'exists' } as const;

function failed(side: Side, changes: Partial<TransferFailure> = {}, key: ObjectKey = KEY): Outcome {
  const failure = { code: 'AccessDenied', status: 403, attempts: 1, message: 'no', side, at: 0 };
  return { kind: 'failed', key, failure: { ...failure, ...changes } };
}

const full = failed('destination', { code: 'QuotaExceeded', status: 403 });
const timeout = (side: Side) => failed(side, { code: 'timeout', status: 0 });

describe.each(['source', 'destination'] as const)('the %s', (side) => {
  const denied = failed(side);

  it('that refuses the first ten stops the run, and these have no outcome', () => {
    const watched = new Watched();
    watched.take(denied, 9);
    expect(watched.stopped).toBeUndefined();
    watched.take(denied);
    expect(watched.stopped).toContain(`${side} http://here/bucket: access denied: the first 10`);
    expect(watched.stopped).toContain('AccessDenied (status 403): no');
    expect(watched.errors[0]).toMatchObject({
      exitCode: 3,
      hint: expect.stringContaining(`Check --${side}-key`),
    });
    watched.take(denied, 5);
    watched.watch.end();
    expect(watched.recorded).toEqual([]);
    expect(watched.asked).toEqual([]);
    expect(watched.errors).toHaveLength(1);
  });

  it.each([
    ['SignatureDoesNotMatch', 403],
    ['InvalidAccessKeyId', 403],
    ['HTTP 401', 401],
    ['RequestTimeTooSkewed', 400],
  ])('is meant by %s as well', (code, status) => {
    const watched = new Watched();
    watched.take(failed(side, { code, status }), 10);
    expect(watched.stopped).toContain(code);
  });

  it('that refuses fewer, before something else comes of it, has refused these objects', () => {
    const watched = new Watched();
    watched.take(denied, 9);
    expect(watched.recorded).toEqual([]);
    watched.take(copied);
    expect(watched.recorded).toHaveLength(10);
    watched.take(denied, 9);
    watched.watch.end();
    expect(watched.recorded).toHaveLength(19);
    expect(watched.stopped).toBeUndefined();
  });

  it('is asked for its bucket when it has worked: an answer makes ten in a row failures', async () => {
    const watched = new Watched();
    watched.take(copied);
    watched.take(denied, 10);
    expect(watched.watch.asking).toBe(true);
    expect(watched.recorded).toHaveLength(1);
    await watched.answered();
    expect(watched.watch.asking).toBe(false);
    expect(watched.recorded).toHaveLength(11);
    expect(watched.asked).toEqual([side]);
    expect(watched.stopped).toBeUndefined();
  });

  it('is asked more and more rarely while the row goes on, and never less than every thousand', async () => {
    const watched = new Watched({ hasWorked: true });
    const asked: number[] = [];
    for (let taken = 1; taken <= 3280; taken++) {
      watched.take(denied);
      if (!watched.watch.asking) continue;
      asked.push(taken);
      await watched.answered();
    }
    expect(asked).toEqual([10, 30, 70, 150, 310, 630, 1270, 2270, 3270]);
    expect(watched.recorded).toHaveLength(3270);
    watched.take(copied);
    watched.take(denied, 10);
    expect(watched.watch.asking).toBe(true);
  });

  it('that refuses its bucket too stops the run, whatever came while it was asked', async () => {
    const watched = new Watched({ hasWorked: true });
    watched.answer = () => Promise.reject(HEAD_DENIED);
    watched.take(denied, 12);
    await watched.answered();
    expect(watched.stopped).toContain('10 objects in a row and the bucket itself');
    expect(watched.recorded).toEqual([]);
  });

  it('that cannot be reached when it is asked has not refused its bucket', async () => {
    const watched = new Watched({ hasWorked: true });
    const lost = { kind: 'network', code: 'closed', status: 0, mayHaveLanded: false } as const;
    watched.answer = () => Promise.reject(new StoreError('lost', lost));
    watched.take(denied, 10);
    await watched.answered();
    expect(watched.stopped).toBeUndefined();
    expect(watched.recorded).toHaveLength(10);
  });

  it('whose credentials cannot be had any more stops the run with what their provider says', async () => {
    const watched = new Watched({ hasWorked: true });
    const error = new MigrateError('no credentials', { exitCode: 3 });
    watched.answer = () => Promise.reject(error);
    watched.take(denied, 10);
    await watched.answered();
    expect(watched.errors).toEqual([error]);
  });

  it('whose credentials have expired stops the run at the first object that says so', () => {
    const watched = new Watched();
    watched.take(copied);
    watched.take(failed(side, { code: 'ExpiredToken', status: 400, message: 'too old' }));
    expect(watched.stopped).toContain('the credentials have expired (ExpiredToken: too old)');
    watched.take(failed(side, { code: 'ExpiredToken', status: 400 }), 3);
    watched.watch.end();
    expect(watched.recorded).toHaveLength(1);
    expect(watched.errors).toHaveLength(1);
  });

  it('is not spoken for by what has not asked it', () => {
    const watched = new Watched();
    const other = side === 'source' ? 'destination' : 'source';
    watched.take(denied, 5);
    watched.take(timeout(side));
    watched.take(timeout(other));
    expect(watched.recorded).toHaveLength(2);
    watched.take(denied, 5);
    expect(watched.stopped).toContain('the first 10');
  });

  it('is not spoken for by an object that was under way before, only by one behind', () => {
    const watched = new Watched();
    const at = (key: string) => failed(side, {}, keyFromText(key));
    for (const key of ['c', 'd', 'e', 'f']) watched.take(at(key));
    watched.take({ ...copied, key: keyFromText('a') });
    expect(watched.recorded).toEqual(['a']);
    watched.take({ ...copied, key: keyFromText('d2') });
    expect(watched.recorded).toEqual(['a', 'c', 'd', 'd2']);
    for (let i = 0; i < 7; i++) watched.take(at(`g${i}`));
    expect(watched.watch.asking).toBe(false);
    watched.take(at('h'));
    expect(watched.watch.asking).toBe(true);
  });

  it('may refuse now and then: what is far apart is no row', () => {
    const watched = new Watched();
    for (let i = 0; i < 12; i++) {
      watched.take(denied);
      watched.take(timeout(side), 1001);
    }
    expect(watched.stopped).toBeUndefined();
    expect(watched.recorded).toHaveLength(12 * 1002);
  });

  it('that says 400 to a HEAD, as to an expired token or an odd key, is asked for its bucket', async () => {
    const head400 = { code: 'HTTP 400', status: 400 };
    const watched = new Watched();
    watched.take(failed(side, head400), 10);
    expect(watched.stopped).toBeUndefined();
    await watched.answered();
    expect(watched.recorded).toHaveLength(10);
    watched.answer = () => Promise.reject(HEAD_DENIED);
    watched.take(failed(side, head400), 20);
    await watched.answered();
    expect(watched.stopped).toContain('and the bucket itself');
  });

  it('may refuse an archived object, and MinIO a key that is not UTF-8', () => {
    const watched = new Watched();
    watched.take(failed(side, { code: 'InvalidObjectState' }), 20);
    const raw = 'photos/\xff' as ObjectKey;
    watched.take(failed(side, { code: 'SignatureDoesNotMatch' }, raw), 20);
    expect(watched.stopped).toBeUndefined();
    expect(watched.recorded).toHaveLength(40);
  });
});

it('takes a key that is not in the source for a source that works, and says nothing of the destination', () => {
  const watched = new Watched();
  watched.take(failed('source'), 9);
  watched.take(missing);
  expect(watched.recorded).toHaveLength(10);
  watched.take(failed('destination'), 9);
  watched.take(missing);
  expect(watched.recorded).toHaveLength(11);
  watched.take(existing);
  expect(watched.recorded).toHaveLength(21);
});

describe('a destination without room', () => {
  it('stops the run after ten in a row, also when much was copied before', () => {
    const watched = new Watched();
    watched.take(copied, 100);
    watched.take(full, 9);
    expect(watched.stopped).toBeUndefined();
    watched.take(full);
    expect(watched.stopped).toMatch(/^destination .*no room: 10 objects in a row .*QuotaExceeded/);
    expect(watched.errors[0]?.hint).toMatch(/^Make room/);
    watched.watch.end();
    expect(watched.recorded).toHaveLength(100);
    expect(watched.asked).toEqual([]);
  });

  it.each([
    { code: 'HTTP 507', status: 507 },
    { code: 'XMinioStorageFull', status: 507 },
    { code: 'InternalError', status: 500, message: 'write /data/x: no space left on device' },
  ])('is meant by $code as well', (answer) => {
    const watched = new Watched();
    watched.take(failed('destination', answer), 10);
    expect(watched.stopped).toContain('no room');
  });

  it('is not contradicted by what exists or is missing, only by what it has stored', () => {
    const watched = new Watched();
    for (let i = 0; i < 5; i++) {
      watched.take(full);
      watched.take(existing);
      watched.take(missing);
    }
    expect(watched.recorded).toHaveLength(10);
    watched.take(copied);
    expect(watched.recorded).toHaveLength(16);
    watched.take(full, 9);
    expect(watched.stopped).toBeUndefined();
  });
});

describe('--max-failures', () => {
  it('stops the run when so many are recorded, and those after it are recorded too', () => {
    const watched = new Watched({ maxFailures: 3 });
    const bad = failed('destination', { code: 'KeyTooLongError', status: 400, message: 'long' });
    watched.take(bad);
    watched.take(copied);
    watched.take(bad);
    expect(watched.stopped).toBeUndefined();
    watched.take(bad, 2);
    expect(watched.stopped).toBe(
      '3 objects failed (--max-failures 3); last: photos/a.jpg: KeyTooLongError long',
    );
    expect(watched.errors[0]?.exitCode).toBe(3);
    expect(watched.recorded).toHaveLength(5);
  });

  it('does not count what is held back', () => {
    const watched = new Watched({ maxFailures: 3 });
    watched.take(failed('source'), 9);
    expect(watched.stopped).toBeUndefined();
    watched.take(copied);
    expect(watched.stopped).toContain('--max-failures 3');
    expect(watched.recorded).toHaveLength(10);
  });
});

describe('what is held when nothing is under way any more', () => {
  it('is recorded after a while, and goes on to count', () => {
    const watched = new Watched();
    watched.take(failed('source'), 6);
    watched.watch.settle();
    expect(watched.recorded).toEqual([]);
    watched.watch.settle();
    expect(watched.recorded).toHaveLength(6);
    watched.take(failed('source'), 4);
    expect(watched.stopped).toContain('the first 10');
    watched.watch.end();
    expect(watched.recorded).toHaveLength(6);
  });

  it('waits for a bucket that was asked', async () => {
    const watched = new Watched({ hasWorked: true });
    const held = gate();
    watched.answer = () => held.opened;
    watched.take(failed('source'), 10);
    watched.watch.settle();
    watched.watch.settle();
    expect(watched.recorded).toEqual([]);
    held.open();
    await watched.answered();
    expect(watched.recorded).toHaveLength(10);
  });
});

it('holds no more than a thousand while a bucket does not answer', async () => {
  const watched = new Watched({ hasWorked: true });
  const held = gate();
  watched.answer = () => held.opened;
  watched.take(failed('source'), 1000);
  expect(watched.recorded).toEqual([]);
  watched.take(failed('source'));
  expect(watched.recorded).toHaveLength(1001);
  held.open();
  await watched.answered();
  expect(watched.stopped).toBeUndefined();
});

it('shows nothing of a server that could deceive a terminal', () => {
  const watched = new Watched();
  watched.take(failed('source', { message: 'no\u001b[2Jthing' }), 10);
  expect(watched.stopped).not.toContain('\u001b');
});

/**
 * When a denied key is an error of its own, and when it stops the verification.
 */
import { expect, it } from 'vitest';
import { retryPolicy } from '../../src/load/retry.ts';
import { StoreError } from '../../src/s3/object-store.ts';
import { SideWatch } from '../../src/verify/side-watch.ts';

function refusal(code: string, status = 403): StoreError {
  return new StoreError('no', { kind: 'denied', code, status, mayHaveLanded: false });
}

const DENIED = refusal('AccessDenied');

/** @param answers - of the bucket, one after another; the last one for ever */
function givenWatch(answers: readonly (StoreError | undefined)[] = [undefined], hasWorked = false) {
  const asked = { count: 0 };
  const headBucket = async (): Promise<void> => {
    const answer = answers[Math.min(asked.count, answers.length - 1)];
    asked.count++;
    if (answer !== undefined) throw answer;
  };
  const side = { name: 'source http://old:9000/photos', toCheck: 'Check --src-key', headBucket };
  const retry = { ...retryPolicy(new AbortController().signal), baseMs: 1 };
  return { watch: new SideWatch({ side, hasWorked, retry }), asked };
}

it('leaves a key that is denied to itself where the side has worked and the bucket answers', async () => {
  const { watch } = givenWatch([undefined], true);
  await watch.judge(DENIED);
});

it('stops when the bucket is refused as well', async () => {
  const { watch } = givenWatch([DENIED], true);
  await expect(watch.judge(DENIED)).rejects.toMatchObject({
    exitCode: 3,
    message: expect.stringMatching(
      /^source http:.* access denied: an object and the bucket itself, the last with AccessDenied/,
    ),
    hint: expect.stringContaining('Check --src-key'),
  });
});

it('asks a bucket again that does not answer', async () => {
  const busy = new StoreError('busy', {
    kind: 'unavailable',
    code: 'HTTP 503',
    status: 503,
    mayHaveLanded: false,
  });
  const { watch, asked } = givenWatch([busy, busy, DENIED], true);
  await expect(watch.judge(DENIED)).rejects.toThrow('the bucket itself');
  expect(asked.count).toBe(3);
});

it('stops at once for credentials that have expired, whatever the bucket says', async () => {
  const { watch, asked } = givenWatch([undefined], true);
  await expect(watch.judge(refusal('ExpiredToken', 400))).rejects.toThrow('have expired');
  expect(asked.count).toBe(0);
});

it('says nothing about failures that are no refusals, and does not ask the bucket for them', async () => {
  const { watch, asked } = givenWatch([DENIED]);
  await watch.judge(
    new StoreError('no', { kind: 'unavailable', code: 'x', status: 500, mayHaveLanded: false }),
  );
  expect(asked.count).toBe(0);
});

it('stops when the first ten keys are denied, all of them, though the bucket answers', async () => {
  const { watch } = givenWatch();
  const judged = await Promise.allSettled(Array.from({ length: 10 }, () => watch.judge(DENIED)));
  expect(judged.map(({ status }) => status)).toEqual(Array(10).fill('rejected'));
  await expect(watch.judge(DENIED)).rejects.toThrow('access denied: the first 11 objects');
});

it('leaves fewer to themselves when something is read, and all after that', async () => {
  const { watch } = givenWatch();
  const judged = Array.from({ length: 9 }, () => watch.judge(DENIED));
  watch.worked();
  await Promise.all(judged);
  await Promise.all(Array.from({ length: 20 }, () => watch.judge(DENIED)));
});

it('leaves fewer to themselves when nothing else happens', async () => {
  const { watch } = givenWatch();
  await Promise.all([watch.judge(DENIED), watch.judge(DENIED)]);
});

it('asks the bucket once for all who ask while it is asked, and never takes an answer to an older question', async () => {
  const { watch, asked } = givenWatch([undefined, DENIED], true);
  const first = watch.judge(DENIED);
  const others = [watch.judge(DENIED), watch.judge(DENIED)];
  await first;
  for (const other of others) await expect(other).rejects.toThrow('the bucket itself');
  expect(asked.count).toBe(2);
});

/**
 * Credentials that are renewed: in time, when a store has refused them, and by one question for all who need it.
 */
import { expect, it } from 'vitest';
import { Keyring, type TemporaryCredentials } from '../../src/s3/keyring.ts';
import { gate } from '../transfer/plan-pages.ts';

const MINUTE = 60_000;

function token(name: string, expiresAtMs?: number): TemporaryCredentials {
  return { accessKey: 'AKIDTEST', secret: 'of', sessionToken: name, expiresAtMs };
}

/** A keyring at a time that a test sets, whose provider gives these in turn, the last for ever. */
function givenKeyring(first: TemporaryCredentials, ...later: (TemporaryCredentials | Error)[]) {
  const asked: TemporaryCredentials[] = [];
  const clock = { now: 0 };
  let answered = Promise.resolve();
  const keyring = new Keyring(first, {
    now: () => clock.now,
    ask: async (outdated) => {
      asked.push(outdated);
      await answered;
      const next = later.length > 1 ? later.shift() : later[0];
      if (next instanceof Error) throw next;
      return next ?? first;
    },
  });
  const hold = () => {
    const held = gate();
    answered = held.opened;
    return held.open;
  };
  return { keyring, asked, clock, hold };
}

/** Lets everything happen that waits for nothing. */
const settled = () => new Promise((resolve) => void setImmediate(resolve));

it('gives the first ones while nobody refuses them, without asking', async () => {
  const first = token('1');
  const { keyring, asked, clock } = givenKeyring(first);
  clock.now = 1e12;
  expect(keyring.current).toBe(first);
  await settled();
  expect(asked).toEqual([]);
});

it('asks once for all who were refused at the same time', async () => {
  const first = token('1');
  const second = token('2');
  const { keyring, asked } = givenKeyring(first, second);
  const renewed = await Promise.all([1, 2, 3].map(() => keyring.renew(first)));
  expect(renewed).toEqual([second, second, second]);
  expect(asked).toEqual([first]);
  expect(keyring.current).toBe(second);
});

it('asks nobody for who was refused with those that were replaced meanwhile', async () => {
  const first = token('1');
  const { keyring, asked } = givenKeyring(first, token('2'));
  await keyring.renew(first);
  expect(await keyring.renew({ ...first })).toEqual(token('2'));
  expect(asked).toHaveLength(1);
});

it('has nothing newer where the provider gives the same again, and leaves it alone for a while', async () => {
  const first = token('1');
  const { keyring, asked, clock } = givenKeyring(first, { ...first }, token('2'));
  expect(await keyring.renew(first)).toBeUndefined();
  expect(await keyring.renew(first)).toBeUndefined();
  expect(asked).toHaveLength(1);
  clock.now = 6_000;
  expect(await keyring.renew(first)).toEqual(token('2'));
});

it('asks five minutes before their end, while the old ones are still in use', async () => {
  const first = token('1', 60 * MINUTE);
  const { keyring, asked, clock, hold } = givenKeyring(first, token('2', 120 * MINUTE));
  const answer = hold();
  clock.now = 54 * MINUTE;
  expect(keyring.current).toBe(first);
  expect(asked).toHaveLength(0);
  clock.now = 55 * MINUTE;
  expect([keyring.current, keyring.current]).toEqual([first, first]);
  answer();
  await settled();
  expect(asked).toHaveLength(1);
  expect(keyring.current.sessionToken).toBe('2');
});

it('asks in the last quarter of the time of those that last less', async () => {
  const { keyring, asked, clock } = givenKeyring(token('1', 4 * MINUTE), token('2', 8 * MINUTE));
  clock.now = 3 * MINUTE - 1;
  expect(keyring.current.sessionToken).toBe('1');
  expect(asked).toHaveLength(0);
  clock.now++;
  expect(keyring.current.sessionToken).toBe('1');
  await settled();
  expect(keyring.current.sessionToken).toBe('2');
});

it('tells of a provider that fails ahead of time, asks again later, and rejects who was refused', async () => {
  const reason = new Error('no metadata service');
  const first = token('1', 60 * MINUTE);
  const { keyring, asked, clock } = givenKeyring(first, reason);
  const troubles: unknown[] = [];
  keyring.onTrouble = (trouble) => troubles.push(trouble);
  clock.now = 56 * MINUTE;
  expect([keyring.current, keyring.current]).toEqual([first, first]);
  await settled();
  expect(keyring.current).toBe(first);
  expect(asked).toHaveLength(1);
  clock.now += 5_000;
  expect(keyring.current).toBe(first);
  await settled();
  expect(troubles).toEqual([reason, reason]);
  await expect(keyring.renew(first)).rejects.toBe(reason);
});

it('is not asked for each request where what it gives has all but expired', async () => {
  const { keyring, asked, clock } = givenKeyring(token('1', 0), token('2', 0));
  clock.now = 1_000;
  expect(keyring.current.sessionToken).toBe('1');
  await settled();
  expect([keyring.current, keyring.current].map(({ sessionToken }) => sessionToken)).toEqual([
    '2',
    '2',
  ]);
  expect(asked).toHaveLength(1);
});

it('lasts as long as the same ones are said to last', async () => {
  const first = token('1', 60 * MINUTE);
  const { keyring, asked, clock } = givenKeyring(first, token('1', 120 * MINUTE));
  clock.now = 55 * MINUTE;
  expect(keyring.current.expiresAtMs).toBe(60 * MINUTE);
  await settled();
  clock.now = 61 * MINUTE;
  expect(keyring.current.expiresAtMs).toBe(120 * MINUTE);
  await settled();
  expect(asked).toHaveLength(1);
});

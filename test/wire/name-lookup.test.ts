/**
 * With a resolver of the test's own in the place of node:dns's.
 */
import dns, { type LookupAddress } from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import { afterEach, expect, it } from 'vitest';
import { TIME_LIMITS } from '../../src/wire/connection.ts';
import { lookUpName } from '../../src/wire/name-lookup.ts';
import { bareGet, connectionTo } from './scripted-server.ts';

type Settle = (error: NodeJS.ErrnoException | null, addresses?: LookupAddress[]) => void;

const own = dns.lookup;
afterEach(() => {
  dns.lookup = own;
  syncBuiltinESMExports();
});

/** The lookups that the resolver was asked for, to be answered by the test. */
function resolver(): { name: string; settle: Settle }[] {
  const asked: { name: string; settle: Settle }[] = [];
  dns.lookup = ((name: string, _: unknown, settle: Settle) => {
    asked.push({ name, settle });
  }) as typeof dns.lookup;
  syncBuiltinESMExports();
  return asked;
}

function lookUp(name: string, all: boolean): Promise<unknown> {
  return new Promise((resolve, reject) => {
    lookUpName(name, { all }, (error, address) => {
      if (error === null) resolve(address);
      else reject(error);
    });
  });
}

const A = { address: '10.0.0.1', family: 4 };
const B = { address: '10.0.0.2', family: 4 };
const SIX = { address: 'fd00::1', family: 6 };

it('asks once for all who ask at the same time, and again later', async () => {
  const asked = resolver();
  const waiting = [lookUp('store.test', true), lookUp('store.test', false)];
  const other = lookUp('other.test', false);
  expect(asked.map(({ name }) => name)).toEqual(['store.test', 'other.test']);
  asked[0]?.settle(null, [A]);
  asked[1]?.settle(null, [B]);
  expect(await Promise.all(waiting)).toEqual([[A], A.address]);
  expect(await other).toBe(B.address);
  const later = lookUp('store.test', false);
  asked[2]?.settle(null, [B]);
  expect(await later).toBe(B.address);
});

it('spreads connections over the addresses of a name, and leaves the other family for last', async () => {
  const asked = resolver();
  const waiting = Array.from({ length: 4 }, () => lookUp('store.test', true));
  asked[0]?.settle(null, [A, SIX, B]);
  const orders = (await Promise.all(waiting)) as LookupAddress[][];
  expect(orders.map((order) => order[2])).toEqual([SIX, SIX, SIX, SIX]);
  expect(orders.filter(([first]) => first === A)).toHaveLength(2);
  expect(orders.filter(([first]) => first === B)).toHaveLength(2);
});

it('tells everybody of a failure', async () => {
  const asked = resolver();
  const waiting = [lookUp('store.test', true), lookUp('store.test', false)];
  asked[0]?.settle(Object.assign(new Error('later'), { code: 'EAI_AGAIN' }));
  for (const one of waiting) await expect(one).rejects.toMatchObject({ code: 'EAI_AGAIN' });
});

it('leaves the limit on connecting to end one that is never answered, and says what it was', async () => {
  resolver();
  const connection = connectionTo({ host: 'store.test', port: 1, tls: undefined });
  const end = connection.exchange(bareGet(TIME_LIMITS), 0);
  connection.watch(TIME_LIMITS.connectMs + 1);
  await expect(end).rejects.toMatchObject({
    code: 'connect-timeout',
    message: 'the host name was not looked up within 10 s',
  });
});

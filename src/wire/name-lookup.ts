/**
 * Looks host names up for connections. Connections that are opened together share one lookup.
 *
 * getaddrinfo takes a thread of libuv's pool for as long as it lasts, and only half of them are for it: with a slow
 * resolver a lookup for each of some dozen connections would let most of them wait beyond any limit.
 */
import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { performance } from 'node:perf_hooks';

type Waiter = (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void;

interface Lookup {
  readonly begunAt: number;
  readonly waiting: Waiter[];
}

/** One that takes longer may never be answered: who comes later asks anew. */
const SHARED_FOR_MS = 5_000;

const underWay = new Map<string, Lookup>();
let turn = 0;

/** For the `lookup` option of node:net. Errors are those of node:dns. */
export const lookUpName: LookupFunction = (name, options, callback) => {
  shared(name, options, (error, addresses) => {
    if (options.all === true) {
      callback(error, inTurn(addresses));
      return;
    }
    const { address = '', family } = inTurn(addresses)[0] ?? {};
    callback(error, address, family);
  });
};

function shared(name: string, { family = 0, hints = 0 }: LookupOptions, waiter: Waiter): void {
  const key = `${name} ${family} ${hints}`;
  const running = underWay.get(key);
  const now = performance.now();
  if (running !== undefined && now - running.begunAt < SHARED_FOR_MS) {
    running.waiting.push(waiter);
    return;
  }
  const begun: Lookup = { begunAt: now, waiting: [waiter] };
  underWay.set(key, begun);
  lookup(name, { family, hints, all: true }, (error, addresses) => {
    if (underWay.get(key) === begun) underWay.delete(key);
    for (const tell of begun.waiting) tell(error, addresses ?? []);
  });
}

/** Each connection begins with another address of the first family, as if it had asked a resolver that turns them. */
function inTurn(addresses: readonly LookupAddress[]): LookupAddress[] {
  const preferred = addresses.filter(({ family }) => family === addresses[0]?.family);
  const others = addresses.filter(({ family }) => family !== addresses[0]?.family);
  const first = preferred.length === 0 ? 0 : turn++ % preferred.length;
  return [...preferred.slice(first), ...preferred.slice(0, first), ...others];
}

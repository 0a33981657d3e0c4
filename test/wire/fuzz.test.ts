/**
 * Answers cut at every byte and corrupted at every byte.
 *
 * Whatever a server sends: the exchange ends; it succeeds only with the bytes that the stream declares,
 * and reads nothing that Node's own parser reads otherwise; the next exchange gets its own answer.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { WireClient } from '../../src/wire/client.ts';
import { TIME_LIMITS } from '../../src/wire/connection.ts';
import { parseLength, type ResponseHead } from '../../src/wire/response-head.ts';
import { WireError } from '../../src/wire/wire-error.ts';
import { runs } from '../support/random-runs.ts';
import {
  ANSWERS,
  BODY,
  type Case,
  declaredBody,
  edited,
  exchangeOfNode,
  FuzzedServer,
  LOCAL,
  type Outcome,
  SPLITS,
} from './fuzzed-server.ts';
import {
  bareGet,
  clientOf,
  connectionTo,
  deferred,
  eventLoopTurns,
  get,
  startScriptedServer,
} from './scripted-server.ts';

/** A GET as the object store makes it: an answer that is no success or has no framing is no object. */
async function exchange(client: WireClient, path: string): Promise<Outcome> {
  const receive = (head: ResponseHead) => {
    const length = parseLength(head.headers.get('content-length') ?? '');
    if (length !== undefined && length <= 1000) {
      return { kind: 'into', buffer: Buffer.alloc(length) } as const;
    }
    if (!head.headers.has('transfer-encoding')) throw new Error('no length');
    return { kind: 'collect', limit: 1000 } as const;
  };
  try {
    const { head, body, whole } = await client.exchange(get(path, { receive }));
    return whole ? { status: head.status, body: body.toString('latin1') } : 'failed';
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return 'failed';
  }
}

/** Makes the exchange of a case and the next one on the same client, and holds them against the laws. */
async function expectSound(
  fuzzer: FuzzedServer,
  client: WireClient,
  fuzzed: Case,
): Promise<Outcome> {
  const { path, sent } = fuzzer.add(fuzzed);
  let over = false;
  const exchanged = exchange(client, path).finally(() => {
    over = true;
  });
  const peer = await sent;
  await eventLoopTurns();
  // Nothing more comes: a client that still waits does so rightly, until a time limit.
  if (!over) peer.end();
  const outcome = await exchanged;
  expect(await exchange(client, '/next')).toEqual({ status: 200, body: 'own /next' });
  if (outcome === 'failed') return outcome;
  expect(outcome.body).toBe(declaredBody(fuzzed.stream));
  const ofNode = await exchangeOfNode(fuzzer, fuzzer.add({ ...fuzzed, ending: 'end' }).path);
  // Node refuses some streams that wire reads: one with bytes after the answer, for example.
  if (ofNode !== 'failed') expect(outcome).toEqual(ofNode);
  return outcome;
}

/** Nothing of a final answer. */
const INTERIM_ONLY = /^(?:HTTP\/1\.1 1(?:(?!\r\n\r\n)[^])*\r\n\r\n)*$/;

const WHOLE: Outcome = { status: 200, body: BODY };

const PLACES = [
  ['', undefined],
  [', over TLS', LOCAL],
] as const;

describe.each(
  PLACES.flatMap(([place, secure]) =>
    ANSWERS.map(([name, stream]) => ({ name: name + place, stream, secure })),
  ),
)('an answer with $name', ({ stream, secure }) => {
  it('that is whole succeeds', async () => {
    const fuzzer = await FuzzedServer.start(secure);
    const client = clientOf(fuzzer.server.endpoint);
    for (const ending of ['end', 'stay'] as const) {
      const whole: Case = { stream, splits: [], ending };
      expect(await expectSound(fuzzer, client, whole)).toEqual(WHOLE);
    }
  });

  it('that is cut anywhere fails, and the next exchange gets its own answer', async () => {
    const fuzzer = await FuzzedServer.start(secure);
    const client = clientOf(fuzzer.server.endpoint);
    for (const ending of ['end', 'reset'] as const) {
      for (let end = 0; end < stream.length; end++) {
        const cut: Case = { stream: stream.slice(0, end), splits: [end >> 1], ending };
        expect(await expectSound(fuzzer, client, cut), `cut at ${end}`).toBe('failed');
      }
    }
  });

  it('that is edited at random ends, and never crosses into the next exchange', async () => {
    const fuzzer = await FuzzedServer.start(secure);
    const client = clientOf(fuzzer.server.endpoint);
    await fc.assert(
      fc.asyncProperty(
        edited(stream),
        SPLITS,
        fc.constantFrom('end', 'reset', 'stay'),
        async (edited, splits, ending) => {
          await expectSound(fuzzer, client, { stream: edited, splits, ending });
        },
      ),
      { numRuns: runs(200) },
    );
  });
});

describe.each(ANSWERS)('an answer with %s', (_, stream) => {
  it('that is cut anywhere and goes on no more is ended by a time limit', async () => {
    for (let end = 0; end < stream.length; end++) {
      const sent = deferred<void>();
      const server = await startScriptedServer(async (peer) => {
        await peer.request();
        await peer.send(stream.slice(0, end));
        sent.resolve();
      });
      const connection = connectionTo(server.endpoint);
      const exchange = connection.exchange(bareGet(TIME_LIMITS), 0);
      await sent.promise;
      connection.watch(1);
      connection.watch(1_000_000);
      const begun = !INTERIM_ONLY.test(stream.slice(0, end));
      await expect(exchange, `cut at ${end}`).rejects.toMatchObject({
        code: begun ? 'idle-timeout' : 'first-byte-timeout',
      });
    }
  });

  it('that is corrupted at any byte is read as Node reads it, or fails', async () => {
    const fuzzer = await FuzzedServer.start();
    const client = clientOf(fuzzer.server.endpoint);
    for (let at = 0; at < stream.length; at++) {
      const original = stream[at] as string;
      const flipped = String.fromCharCode(original.charCodeAt(0) ^ 1);
      for (const byte of new Set([flipped, '\n', ' ', '\0', '0'])) {
        if (byte === original) continue;
        const corrupted = stream.slice(0, at) + byte + stream.slice(at + 1);
        await expectSound(fuzzer, client, { stream: corrupted, splits: [at], ending: 'end' });
      }
    }
  });
});

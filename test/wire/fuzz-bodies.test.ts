/**
 * Requests with bodies, while the answer to them, or the answer that their body comes from, is cut and
 * corrupted.
 *
 * Whatever the two servers do: both exchanges end; a server that gets a whole body gets the right one, and
 * learns of a broken source by a reset; no success is reported for a body that was not sent; the next
 * exchange gets its own answer, with copies side by side that share buffers.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { WireClient } from '../../src/wire/client.ts';
import { CollectedBody } from '../../src/wire/collected-body.ts';
import { Passage } from '../../src/wire/passage.ts';
import { parseLength } from '../../src/wire/response-head.ts';
import { WireError } from '../../src/wire/wire-error.ts';
import { runs } from '../support/random-runs.ts';
import {
  type Arrival,
  type Case,
  declaredBody,
  edited,
  FuzzedServer,
  LOCAL,
  SPLITS,
} from './fuzzed-server.ts';
import { answer, clientOf, eventLoopTurns, get, ok, put } from './scripted-server.ts';

/** More than the kernel's buffers take of a server that does not read. */
const LARGE = Buffer.alloc(24 * 1024 * 1024, 'photo');
/** As the bodies of small objects are. */
function collected(content: Buffer): CollectedBody {
  const memory = Buffer.alloc(CollectedBody.memoryFor(content.length));
  const body = new CollectedBody(memory, content.length);
  content.copy(body.content);
  return body;
}

/** What a store says: to all of a body, or as soon as it has seen the head. */
const STORED = ok('', 'ETag: "b1946ac92492d2347c6235b4d2611184"');
const REFUSED = answer(
  412,
  ['Content-Type: application/xml', 'Content-Length: 46'],
  '<Error><Code>PreconditionFailed</Code></Error>',
);
const UNAVAILABLE = answer(
  503,
  ['Transfer-Encoding: chunked'],
  '5\r\nlater\r\n0\r\nX-Trailer: t\r\n\r\n',
);

type Outcome = { status: number; body: string } | 'failed';

/** Of a promise that must be fulfilled, or rejected with a WireError. */
async function outcomeOf(exchanged: ReturnType<WireClient['exchange']>): Promise<Outcome> {
  try {
    const { head, body, whole } = await exchanged;
    return whole ? { status: head.status, body: body.toString('latin1') } : 'failed';
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return 'failed';
  }
}

async function expectOwnAnswer(client: WireClient): Promise<void> {
  const next = await outcomeOf(client.exchange(get('/next')));
  expect(next).toEqual({ status: 200, body: 'own /next' });
}

const ENDINGS = fc.constantFrom('end' as const, 'reset' as const);

/** Any answer to a PUT, sound or not. */
const ANSWER = fc.oneof(
  fc.constantFrom(STORED, REFUSED, UNAVAILABLE),
  fc.constantFrom(STORED, REFUSED, UNAVAILABLE).chain(edited),
  edited(`HTTP/1.1 100 Continue\r\n\r\n${STORED}`),
);

describe('a body from memory', () => {
  /** Makes the PUT of a case and another exchange, and holds them against the laws. */
  async function expectSound(
    fuzzer: FuzzedServer,
    client: WireClient,
    fuzzed: Case,
    body: Buffer | CollectedBody,
  ) {
    const { path, arrived, sent } = fuzzer.add(fuzzed);
    const outcome = await outcomeOf(client.exchange({ ...put(Buffer.alloc(0)), path, body }));
    // No client can tell what comes behind a whole answer from the next one, once that is asked for.
    if (outcome !== 'failed') await sent;
    await expectOwnAnswer(client);
    if (fuzzed.answers !== 'at-once') {
      const content = body instanceof CollectedBody ? body.content : body;
      expect((await arrived).body?.equals(content)).toBe(true);
    }
    if (outcome === 'failed') return outcome;
    expect(outcome.body).toBe(declaredBody(fuzzed.stream));
    const early = fuzzed.answers === 'at-once' && body.length === LARGE.length;
    if (early) expect(outcome.status).toBeGreaterThanOrEqual(300);
    return outcome;
  }

  it.each([
    ['a short one, after it', Buffer.from('photo'), 'after-body'],
    ['a short one, before it', Buffer.from('photo'), 'at-once'],
    ['a long one, before it has been sent', LARGE, 'at-once'],
  ] as const)('fails when the answer to %s is cut anywhere', async (_, body, answers) => {
    const fuzzer = await FuzzedServer.start();
    const client = clientOf(fuzzer.server.endpoint);
    for (const stream of [STORED, REFUSED, UNAVAILABLE]) {
      for (let end = 0; end < stream.length; end++) {
        const cut: Case = {
          stream: stream.slice(0, end),
          splits: [end >> 1],
          ending: 'end',
          answers,
        };
        expect(await expectSound(fuzzer, client, cut, body), `cut at ${end}`).toBe('failed');
      }
    }
  });

  it.each([
    ['as it is', LARGE],
    ['with room for its head', collected(LARGE)],
  ])('fails when a success comes before it has been sent, %s', async (_, body) => {
    const fuzzer = await FuzzedServer.start();
    const client = clientOf(fuzzer.server.endpoint);
    const early: Case = { stream: STORED, splits: [], ending: 'end', answers: 'at-once' };
    expect(await expectSound(fuzzer, client, early, body)).toBe('failed');
  });

  it.each([
    ['', undefined],
    [', over TLS', LOCAL],
  ] as const)('is never stored by an answer that is no success%s', async (_, secure) => {
    const fuzzer = await FuzzedServer.start(secure);
    const client = clientOf(fuzzer.server.endpoint);
    const buffers = [1, 16_384, 16_385, 200_000].map((bytes) => LARGE.subarray(0, bytes));
    const bodies = [...buffers, ...buffers.map(collected)];
    const whatever = { stream: ANSWER, splits: SPLITS, ending: ENDINGS };
    const anyTime = fc.constantFrom('after-body' as const, 'at-once' as const);
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          { weight: 9, arbitrary: fc.tuple(fc.constantFrom(...bodies), anyTime) },
          // A server that waits for all of that tells nothing new, and takes long.
          { weight: 1, arbitrary: fc.tuple(fc.constant(LARGE), fc.constant('at-once' as const)) },
        ),
        fc.record(whatever),
        async ([body, answers], fuzzed) => {
          await expectSound(fuzzer, client, { ...fuzzed, answers }, body);
        },
      ),
      { numRuns: runs(150) },
    );
  });
});

interface Copy {
  readonly source: Case;
  readonly destination: Case;
  /** Whether it takes turns of the event loop to decide where the source's body goes. */
  readonly late: boolean;
}

/** Two servers, and a client of each. */
class Pair {
  readonly from: FuzzedServer;
  readonly into: FuzzedServer;
  readonly source: WireClient;
  readonly destination: WireClient;

  private constructor(from: FuzzedServer, into: FuzzedServer) {
    this.from = from;
    this.into = into;
    this.source = clientOf(from.server.endpoint);
    this.destination = clientOf(into.server.endpoint);
  }

  static async start(...[from, into]: Parameters<typeof FuzzedServer.start>[]): Promise<Pair> {
    return new Pair(
      await FuzzedServer.start(...(from ?? [])),
      await FuzzedServer.start(...(into ?? [])),
    );
  }

  /** Copies, and holds what came of it against the laws. */
  async expectSound(
    copy: Copy,
  ): Promise<{ got: Outcome; stored: Outcome; arrival?: Arrival | undefined }> {
    const from = this.from.add(copy.source);
    const into = this.into.add(copy.destination);
    let putting: Promise<Outcome> | undefined;
    const getting = this.source.exchange(
      get(from.path, {
        receive: (head) => {
          const length = parseLength(head.headers.get('content-length') ?? '');
          if (length === undefined || length > 1_000_000) throw new Error('no object');
          const begin = () => {
            const passage = new Passage(length, () => {});
            const request = { ...put(Buffer.alloc(0)), path: into.path, body: passage };
            putting = outcomeOf(this.destination.exchange(request));
            return { kind: 'pass', passage } as const;
          };
          return copy.late ? eventLoopTurns().then(begin) : begin();
        },
      }),
    );
    const got = await outcomeOf(getting);
    const content = declaredBody(copy.source.stream);
    if (putting === undefined) {
      expect(got).toBe('failed');
      return { got, stored: 'failed' };
    }
    const stored = await putting;
    if (got !== 'failed') await from.sent;
    if (stored !== 'failed') await into.sent;
    if (stored !== 'failed') {
      expect(stored.body).toBe(declaredBody(copy.destination.stream));
      // Success is believed only once the whole body has been given away.
      if (stored.status < 300) expect(content).toBeDefined();
    }
    if (copy.destination.answers === 'at-once') return { got, stored };
    // A PUT whose source breaks off at once may end before the server hears of it.
    const arrival = await Promise.race([into.arrived, this.#afterNextExchange()]);
    if (arrival?.body === undefined) {
      expect(stored).toBe('failed');
      if (arrival !== undefined) expect(await arrival.peer.ended).toBe('reset');
    } else {
      expect(arrival.body.toString('latin1')).toBe(content);
    }
    return { got, stored, arrival };
  }

  async #afterNextExchange(): Promise<undefined> {
    await expectOwnAnswer(this.destination);
  }

  async expectOwnAnswersNext(): Promise<void> {
    await expectOwnAnswer(this.source);
    await expectOwnAnswer(this.destination);
    this.from.forget();
    this.into.forget();
  }
}

/** Text whose bytes tell the copy and the place. */
function content(copy: number, bytes: number): string {
  const line = `copy ${copy} ${'.'.repeat(50)}\n`;
  return Array.from({ length: Math.ceil(bytes / 70) }, (_, at) => `${at} ${line}`)
    .join('')
    .slice(0, bytes);
}

const WAYS = [
  ['http to http', undefined, undefined],
  ['https to http', LOCAL, undefined],
  ['http to https', undefined, LOCAL],
  ['https to https', LOCAL, LOCAL],
] as const;

describe.each(WAYS)('a body that passes through, %s', (_, sourceTls, destinationTls) => {
  const whole = ok(content(0, 100));

  it('never arrives short when its source is cut anywhere', async () => {
    const pair = await Pair.start([sourceTls], [destinationTls]);
    const destination: Case = { stream: STORED, splits: [], ending: 'stay' };
    for (let end = 0; end < whole.length; end++) {
      const source: Case = { stream: whole.slice(0, end), splits: [end >> 1], ending: 'end' };
      const { got, stored, arrival } = await pair.expectSound({ source, destination, late: false });
      expect([got, stored, arrival?.body], `cut at ${end}`).toEqual([
        'failed',
        'failed',
        undefined,
      ]);
      await pair.expectOwnAnswersNext();
    }
  });

  it('is not stored when the answer to it is cut anywhere', async () => {
    const pair = await Pair.start([sourceTls], [destinationTls]);
    const source: Case = { stream: whole, splits: [], ending: 'stay' };
    for (const answers of ['after-body', 'at-once'] as const) {
      for (let end = 0; end < STORED.length; end++) {
        const stream = STORED.slice(0, end);
        const destination: Case = { stream, splits: [end >> 1], ending: 'end', answers };
        const { stored } = await pair.expectSound({ source, destination, late: false });
        expect(stored, `cut at ${end}`).toBe('failed');
        await pair.expectOwnAnswersNext();
      }
    }
  });

  it('arrives whole or not at all, whatever the two servers do, beside others', async () => {
    const pair = await Pair.start([sourceTls], [destinationTls]);
    const lengths = fc.constantFrom(0, 1, 300, 70_000, 400_000);
    const copy = fc.integer({ min: 0, max: 9 }).chain((number) =>
      fc.record({
        source: lengths.chain((bytes) => {
          const stream = ok(content(number, bytes));
          return fc.record({
            stream: fc.oneof(
              fc.constant(stream),
              edited(stream),
              fc.nat(stream.length).map((end) => stream.slice(0, end)),
            ),
            splits: SPLITS,
            ending: ENDINGS,
          });
        }),
        destination: fc.record({
          stream: ANSWER,
          splits: SPLITS,
          ending: ENDINGS,
          answers: fc.constantFrom('after-body' as const, 'at-once' as const),
        }),
        late: fc.boolean(),
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(copy, { minLength: 1, maxLength: 4 }), async (copies) => {
        await Promise.all(copies.map((one) => pair.expectSound(one)));
        await pair.expectOwnAnswersNext();
      }),
      { numRuns: runs(100) },
    );
  });
});

/**
 * No hang, ever: rows S10, T18 and P14 of the fault list, with limits made short by their flags.
 */
import { expect, test } from 'vitest';
import type { Exchange } from '../../src/s3-server/server.ts';
import {
  type Flags,
  gate,
  keysIn,
  type Migration,
  photo,
  prepareMigration,
} from '../cli/migration.ts';
import type { FaultRule } from '../support/fault-script.ts';
import type { Ended } from '../support/run-s3migrate.ts';
import { ownNames } from '../support/system-faults.ts';
import { Invariants } from './invariants.ts';

const SHORT: Flags = {
  'connect-timeout': '1s',
  'first-byte-timeout': '1s',
  'idle-timeout': '1s',
  threads: 4,
};
/** Bytes that a trickle brings each time, and how often: 10 a second. */
const TRICKLE = { bytes: 1, everyMs: 100 };
/** More than the kernel's buffers of both ends hold. */
const LARGE_BYTES = 16 * 1024 ** 2;
/** Beyond it the program says that it stood still. */
const STOPPED_MS = 6_000;

interface Given {
  readonly migration: Migration;
  readonly invariants: Invariants;
  readonly keys: readonly string[];
}

async function given(photos: number): Promise<Given> {
  const migration = await prepareMigration();
  const keys = await migration.givenPhotos(photos);
  return { migration, invariants: new Invariants(migration), keys };
}

/** One object of so many bytes, beside a few small ones. */
async function givenLarge(bytes: number): Promise<Given & { readonly large: string }> {
  const migration = await prepareMigration();
  const large = 'films/large.mp4';
  migration.source.put(large, Buffer.alloc(bytes, 'deep water, '));
  const keys = await migration.givenPhotos(5);
  return { migration, invariants: new Invariants(migration), keys: [large, ...keys], large };
}

async function expectAllCopied(ended: Ended, { invariants, keys }: Given): Promise<void> {
  expect([ended.exitCode, ended.stderr]).toEqual([0, expect.stringContaining('COMPLETE')]);
  const { migrate, failed } = await invariants.expectComplete();
  expect(failed).toEqual([]);
  expect(migrate.map(({ key, outcome }) => [key, outcome])).toEqual(
    keys.map((key) => [key, 'copied']),
  );
}

/** Writes an answer's head byte by byte, and never comes to its end. */
function trickleHead({ incoming: { socket } }: Exchange): Promise<never> {
  socket.write('HTTP/1.1 200 OK\r\nx-filler: ');
  return endless(socket, () => void socket.write('x'));
}

/** Takes a request's body in byte by byte. */
function readByteByByte({ incoming }: Exchange): Promise<never> {
  incoming.on('readable', () => {});
  return endless(incoming.socket, () => void incoming.read(1));
}

function endless(socket: Exchange['incoming']['socket'], step: () => void): Promise<never> {
  const timer = setInterval(step, TRICKLE.everyMs);
  socket.once('close', () => clearInterval(timer));
  return new Promise(() => {});
}

const SOURCE_HANGS: readonly [string, (rule: FaultRule) => FaultRule][] = [
  ['hangs before its headers', (rule) => rule.hang()],
  ['hangs in a body', (rule) => rule.stallAt(5)],
  ['trickles a body', (rule) => rule.trickle(TRICKLE)],
  ['trickles its headers', (rule) => rule.before(trickleHead)],
  ['trickles a refusal', (rule) => rule.trickle(TRICKLE).status(503)],
];

test.concurrent.each(SOURCE_HANGS)('S10: a source that %s is asked again', async (_, fault) => {
  const scene = await givenLarge(1_000_000);
  const { migration, large } = scene;
  fault(migration.source.script.on('GetObject', large)).times(1);
  await expectAllCopied(await migration.run(SHORT), scene);
  expect(migration.source.script.count('GetObject', large)).toBe(2);
});

const DESTINATION_HANGS: readonly [string, (rule: FaultRule) => FaultRule][] = [
  ['does not answer', (rule) => rule.hang()],
  ['trickles its headers', (rule) => rule.before(trickleHead)],
  ['takes an object in byte by byte', (rule) => rule.before(readByteByByte)],
];

test.concurrent.each(DESTINATION_HANGS)(
  'S10: a destination that %s is asked again',
  async (_, fault) => {
    const scene = await givenLarge(LARGE_BYTES);
    const { migration, large } = scene;
    fault(migration.destination.script.on('PutObject', large)).times(1);
    await expectAllCopied(await migration.run(SHORT), scene);
    expect(migration.destination.script.count('PutObject', large)).toBe(2);
  },
);

test.concurrent('S10: a part that the destination takes in byte by byte is sent again', async () => {
  const scene = await givenLarge(2 * LARGE_BYTES);
  const { migration } = scene;
  const { script } = migration.destination;
  script.on('UploadPart').where(isLong).before(readByteByByte).times(1);
  const flags = { ...SHORT, 'multipart-threshold': '16MiB' };
  await expectAllCopied(await migration.run(flags), scene);
  expect(script.requests.filter(isLong).length).toBe(3);
});

function isLong({
  operation,
  headers,
}: {
  operation: string | undefined;
  headers: ReadonlyMap<string, string>;
}): boolean {
  return operation === 'UploadPart' && Number(headers.get('content-length')) === LARGE_BYTES;
}

const SLOW_COMPLETES: readonly [string, (exchange: Exchange) => void][] = [
  ['in silence', () => {}],
  [
    'with blanks meanwhile',
    ({ response }) => {
      response.writeHead(200, { 'content-type': 'application/xml' });
      const blanks = setInterval(() => response.write(' '), 200);
      response.once('close', () => clearInterval(blanks));
      setTimeout(() => clearInterval(blanks), COMPLETE_MS);
    },
  ],
];
/** Longer than any limit of {@link SHORT}. */
const COMPLETE_MS = 4_000;

test.concurrent.each(SLOW_COMPLETES)('S10: a Complete may take long, %s', async (_, meanwhile) => {
  const scene = await givenLarge(LARGE_BYTES + 1);
  const { migration } = scene;
  const { script } = migration.destination;
  script
    .on('CompleteMultipartUpload')
    .before(({ incoming }) => void incoming)
    .before(meanwhile)
    .delay(COMPLETE_MS)
    .times(1);
  await expectAllCopied(await migration.run({ ...SHORT, 'multipart-threshold': '16MiB' }), scene);
  expect(script.count('CompleteMultipartUpload')).toBe(1);
});

test.concurrent('S10: a server that does not answer at all stops the start', async () => {
  const { migration } = await given(3);
  migration.source.script.on('HEAD').hang();
  const { exitCode, stderr } = await migration.run(SHORT);
  expect([exitCode, stderr]).toEqual([3, expect.stringContaining('no answer within 1 s')]);
});

test.concurrent('T18: a host name that is not known stops the start, and is told of', async () => {
  const { migration } = await given(3);
  const names = await ownNames(migration.root);
  const flags = { 'dest-url': migration.destination.server.url.replace('127.0.0.1', 'store.test') };
  const { exitCode, stderr } = await migration.run(flags, names);
  expect([exitCode, stderr]).toEqual([
    3,
    expect.stringMatching(
      /^s3migrate: destination http:\/\/store\.test:\d+\/archive: the host name cannot be looked up now \(EAI_AGAIN\)\n {2}Check the name in --dest-url, /,
    ),
  ]);
});

test.concurrent('T18: a port where nobody listens stops the start, and is told of', async () => {
  const { migration } = await given(3);
  const { exitCode, stderr } = await migration.run({ 'src-url': 'http://127.0.0.1:1' });
  expect([exitCode, stderr]).toEqual([3, expect.stringContaining('connection refused')]);
});

test.concurrent.each([1, 2])(
  'T18: a host name that cannot be looked up for a while costs no object (--cores %i)',
  async (cores) => {
    const scene = await given(200);
    const { migration } = scene;
    const names = await ownNames(migration.root);
    await names.know('store.test');
    const { script, server } = migration.destination;
    // Every exchange has a connection of its own, and each looks the name up.
    script.on('PUT').header('connection', 'close');
    const flags = { 'dest-url': server.url.replace('127.0.0.1', 'store.test'), cores, threads: 4 };
    const program = migration.start(flags, names);
    await program.reaches(script.seen('PutObject', 50));
    await names.know('other.test');
    await program.until('stderr', (printed) => printed.includes('destination does not answer'));
    await names.know('store.test');
    await expectAllCopied(await program.ended, scene);
  },
);

test.concurrent.each([1, 2])(
  'P14: the time that the program was stopped for is not put down to a server (--cores %i)',
  async (cores) => {
    const scene = await given(100);
    const { migration, keys } = scene;
    const { script } = migration.destination;
    const goOn = gate();
    script.on('PutObject', photo(50)).before(() => goOn.opened);
    const program = migration.start({ ...SHORT, 'first-byte-timeout': '4s', cores });
    await program.reaches(script.seen('PutObject', 51));
    await stopFor(program, STOPPED_MS);
    await program.until('stderr', (printed) => printed.includes('stood still'));
    goOn.open();
    const ended = await program.ended;
    await expectAllCopied(ended, scene);
    expect(ended.stderr.match(/s3migrate stood still for \d+ s \(suspended, /g)).toHaveLength(1);
    expect(script.count('PutObject')).toBe(keys.length);
    expect(migration.source.script.count('GetObject')).toBe(keys.length);
  },
);

test.concurrent.each([1, 2])(
  'P14: servers that have given up meanwhile are asked again, and nothing is there twice (--cores %i)',
  async (cores) => {
    const scene = await given(100);
    const { migration, keys } = scene;
    const sockets = new Set<Exchange['incoming']['socket']>();
    const stopped = gate();
    for (const { script } of [migration.source, migration.destination]) {
      script
        .on(script === migration.source.script ? 'GetObject' : 'PutObject')
        .skip(40)
        .before(({ incoming }) => {
          sockets.add(incoming.socket);
          return stopped.opened;
        });
    }
    const program = migration.start({ ...SHORT, 'first-byte-timeout': '10s', cores });
    await program.reaches(migration.source.script.seen('GetObject', 44));
    await stopFor(program, 1_000, () => {
      for (const socket of sockets) socket.resetAndDestroy();
      stopped.open();
    });
    await expectAllCopied(await program.ended, scene);
    const log = await migration.migrateLog();
    expect(keysIn(log)).toEqual(keys);
  },
);

async function stopFor(
  program: { readonly kill: (signal: NodeJS.Signals) => void },
  ms: number,
  meanwhile: () => void = () => {},
): Promise<void> {
  program.kill('SIGSTOP');
  // How long it stands still is what these tests are about: there is no event to wait for.
  await new Promise((resolve) => setTimeout(resolve, ms));
  meanwhile();
  program.kill('SIGCONT');
}

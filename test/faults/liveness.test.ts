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
  threads: 16,
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

async function givenObjects(keys: readonly string[], bytes: number): Promise<Given> {
  const migration = await prepareMigration();
  for (const key of keys) migration.source.put(key, Buffer.alloc(bytes, `${key}, `));
  await migration.listKeys();
  return { migration, invariants: new Invariants(migration), keys: keys.toSorted() };
}

async function expectAllCopied(ended: Ended, { invariants, keys }: Given): Promise<void> {
  expect([ended.exitCode, ended.stderr]).toEqual([0, ended.stderr]);
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

/** Writes chunks of one byte without an end. */
function trickleChunks({ incoming: { socket } }: Exchange): Promise<never> {
  socket.write('HTTP/1.1 200 OK\r\netag: "a"\r\ntransfer-encoding: chunked\r\n\r\n');
  return endless(socket, () => void socket.write('1\r\nx\r\n'));
}

/** Says again and again that it is at work. */
function trickleInterim({ incoming: { socket } }: Exchange): Promise<never> {
  return endless(socket, () => void socket.write('HTTP/1.1 102 Processing\r\n\r\n'));
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

const SOURCE_HANGS: Readonly<Record<string, (rule: FaultRule) => FaultRule>> = {
  'hangs before its headers': (rule) => rule.hang(),
  'hangs in a body': (rule) => rule.stallAt(5),
  'trickles a body': (rule) => rule.trickle(TRICKLE),
  'trickles a body without a length': (rule) => rule.before(trickleChunks),
  'trickles its headers': (rule) => rule.before(trickleHead),
  'trickles interim answers': (rule) => rule.before(trickleInterim),
  'trickles a refusal': (rule) => rule.trickle(TRICKLE).status(503),
};

test.each([
  ['short', 100_000, {}],
  ['long', 1_000_000, {}],
  ['large', LARGE_BYTES + 1, { 'multipart-threshold': '16MiB' }],
] as const)(
  'S10: a source that hangs or trickles is asked again (%s objects)',
  async (size, bytes, more) => {
    const names = Object.keys(SOURCE_HANGS);
    const scene = await givenObjects(names, bytes);
    const { script } = scene.migration.source;
    // The first request for a large object only tells that it is one; two parts follow.
    const inParts = size === 'large';
    for (const name of names) {
      SOURCE_HANGS[name]?.(script.on('GetObject', name).skip(inParts ? 1 : 0)).times(1);
    }
    await expectAllCopied(await scene.migration.run({ ...SHORT, ...more }), scene);
    for (const name of names) {
      expect([name, script.count('GetObject', name)]).toEqual([name, inParts ? 4 : 2]);
    }
  },
);

const DESTINATION_HANGS: Readonly<Record<string, (rule: FaultRule) => FaultRule>> = {
  'does not answer': (rule) => rule.hang(),
  'trickles its headers': (rule) => rule.before(trickleHead),
  'takes an object in byte by byte': (rule) => rule.before(readByteByByte),
};

test('S10: a destination that hangs or trickles, in either direction, is asked again', async () => {
  const names = Object.keys(DESTINATION_HANGS);
  const scene = await givenObjects(names, LARGE_BYTES);
  const { script } = scene.migration.destination;
  for (const name of names) DESTINATION_HANGS[name]?.(script.on('PutObject', name)).times(1);
  await expectAllCopied(await scene.migration.run(SHORT), scene);
  for (const name of names) expect([name, script.count('PutObject', name)]).toEqual([name, 2]);
});

test('S10: a part that the destination takes in byte by byte is sent again', async () => {
  const scene = await givenObjects(['film'], 2 * LARGE_BYTES);
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

/** Longer than any limit of {@link SHORT}. */
const COMPLETE_MS = 4_000;

test('S10: a Complete may take long, in silence or with blanks meanwhile', async () => {
  const scene = await givenObjects(['blanks', 'silence'], LARGE_BYTES + 1);
  const { script } = scene.migration.destination;
  script.on('CompleteMultipartUpload', 'blanks').blanksFirst({ forMs: COMPLETE_MS, everyMs: 200 });
  script.on('CompleteMultipartUpload', 'silence').delay(COMPLETE_MS);
  const flags = { ...SHORT, 'multipart-threshold': '16MiB' };
  await expectAllCopied(await scene.migration.run(flags), scene);
  expect(script.count('CompleteMultipartUpload')).toBe(2);
});

test('S10: a server that does not answer at all stops the start', async () => {
  const { migration } = await given(3);
  migration.source.script.on('HEAD').hang();
  const { exitCode, stderr } = await migration.run(SHORT);
  expect([exitCode, stderr]).toEqual([3, expect.stringContaining('no answer within 1 s')]);
});

test('T18: a host name that is not known stops the start, and is told of', async () => {
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

test('T18: a port where nobody listens stops the start, and is told of', async () => {
  const { migration } = await given(3);
  const { exitCode, stderr } = await migration.run({ 'src-url': 'http://127.0.0.1:1' });
  expect([exitCode, stderr]).toEqual([3, expect.stringContaining('connection refused')]);
});

// An object that was refused again and again waits up to sixteen seconds before its next attempt.
test('T18: a host name that cannot be looked up for a while costs no object', {
  timeout: 60_000,
}, async () => {
  const scene = await given(200);
  const { migration } = scene;
  const names = await ownNames(migration.root);
  await names.know('store.test');
  const { script, server } = migration.destination;
  // Every exchange has a connection of its own, and each looks the name up.
  script.on('PUT').header('connection', 'close');
  const flags = { 'dest-url': server.url.replace('127.0.0.1', 'store.test'), threads: 4 };
  const program = migration.start(flags, names);
  await program.reaches(script.seen('PutObject', 50));
  await names.know('other.test');
  await program.until('stderr', (printed) => printed.includes('destination does not answer'));
  await names.know('store.test');
  await expectAllCopied(await program.ended, scene);
});

test.each([1, 2])(
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
    expect(ended.stderr.match(/s3migrate stood still for \d+s \(suspended, /g)).toHaveLength(1);
    expect(script.count('PutObject')).toBe(keys.length);
    expect(migration.source.script.count('GetObject')).toBe(keys.length);
  },
);

test.each([1, 2])(
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

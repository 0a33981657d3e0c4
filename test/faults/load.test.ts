/**
 * A store that is down for a while, or refuses more than so many requests: the run asks for less, waits, and
 * goes on with nothing failed.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { type Flags, type Migration, prepareMigration } from '../cli/migration.ts';
import type { RunningProgram } from '../support/run-s3migrate.ts';
import { Invariants } from './invariants.ts';

const PHOTOS = 600;

interface Outage {
  readonly begin: () => void;
  readonly end: () => void;
}

/** Answers all that is asked of a side, or only what writes, with 503, from `begin` to `end`. */
function refusals(
  migration: Migration,
  what: 'all' | 'writes',
  on: 'source' | 'destination',
): Outage {
  let isDown = false;
  const { script } = migration[on];
  for (const method of what === 'all' ? (['GET', 'HEAD', 'PUT'] as const) : (['PUT'] as const)) {
    script
      .on(method)
      .where(() => isDown)
      .status(503, { code: 'SlowDown' });
  }
  return {
    begin: () => {
      isDown = true;
    },
    end: () => {
      isDown = false;
    },
  };
}

/** In front of a server; while it is down, connections are refused and those there were are reset. */
class Door {
  readonly #to: number;
  readonly #sockets = new Set<Socket>();
  #server: Server;
  port = 0;

  constructor(url: string) {
    this.#to = Number(new URL(url).port);
    this.#server = this.#listen(0);
    onTestFinished(() => this.close());
  }

  async ready(): Promise<string> {
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as { port: number }).port;
    return `http://127.0.0.1:${this.port}`;
  }

  #listen(port: number): Server {
    return createServer((socket) => {
      const through = connect(this.#to, '127.0.0.1');
      for (const [one, other] of [
        [socket, through],
        [through, socket],
      ] as const) {
        this.#sockets.add(one);
        one.on('error', () => other.destroy());
        one.on('close', () => this.#sockets.delete(one));
        one.pipe(other);
      }
    }).listen(port, '127.0.0.1');
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  open(): void {
    this.#server = this.#listen(this.port);
  }
}

interface Given {
  readonly migration: Migration;
  readonly invariants: Invariants;
}

async function givenPhotos(): Promise<Given> {
  const migration = await prepareMigration();
  await migration.givenPhotos(PHOTOS);
  return { migration, invariants: new Invariants(migration) };
}

/** Starts it, brings the outage about in the middle, and ends it once the run has told of it. */
async function sitOut(
  { migration }: Given,
  { begin, end }: Outage,
  flags: Flags,
): Promise<RunningProgram> {
  const program = migration.start({ threads: 8, ...flags });
  await program.reaches(migration.destination.script.seen('PutObject', PHOTOS / 3));
  begin();
  await program.until('stderr', (printed) => printed.includes('does not answer'));
  end();
  return program;
}

async function expectNothingFailed(program: RunningProgram, { invariants }: Given): Promise<void> {
  const { exitCode, stderr } = await program.ended;
  expect([exitCode, stderr]).toEqual([0, expect.stringContaining('answers again, after')]);
  const { failed, migrate } = await invariants.expectComplete();
  expect(failed).toEqual([]);
  expect(migrate.length).toBe(PHOTOS);
}

test.each([
  ['source', 'all', 1],
  ['destination', 'all', 2],
  ['destination', 'writes', 1],
] as const)(
  'S9: a %s that refuses %s for a while costs no object (--cores %i)',
  async (side, what, cores) => {
    const given = await givenPhotos();
    const outage = refusals(given.migration, what, side);
    await expectNothingFailed(await sitOut(given, outage, { cores }), given);
  },
);

test('S9: a destination that is gone for a while, so that connections are refused, costs no object', async () => {
  const given = await givenPhotos();
  const door = new Door(given.migration.destination.server.url);
  const url = await door.ready();
  const outage = { begin: () => door.close(), end: () => door.open() };
  await expectNothingFailed(await sitOut(given, outage, { 'dest-url': url }), given);
});

test('S9: an outage longer than --max-outage stops the run, with nothing failed, and the same command goes on', async () => {
  const given = await givenPhotos();
  const { migration, invariants } = given;
  const outage = refusals(migration, 'all', 'destination');
  const program = migration.start({ threads: 8, 'max-outage': '4s' });
  await program.reaches(migration.destination.script.seen('PutObject', PHOTOS / 3));
  outage.begin();
  const { exitCode, stderr } = await program.ended;
  expect([exitCode, stderr]).toEqual([
    3,
    expect.stringMatching(/STOPPED .*the destination has not answered for \d+ s \(503 SlowDown\)/),
  ]);
  expect((await invariants.expectSound()).failed).toEqual([]);
  outage.end();
  expect((await migration.run()).exitCode).toBe(0);
  expect((await invariants.expectComplete()).migrate.length).toBe(PHOTOS);
});

test('S9: a key that alone is refused for ever fails, and the others are copied', {
  timeout: 150_000,
}, async () => {
  const { migration, invariants } = await givenPhotos();
  const key = migration.source.bucket.keys()[7] as string;
  migration.destination.script.on('PutObject', key).status(503, { code: 'SlowDown' });
  expect((await migration.run()).exitCode).toBe(1);
  const { failed } = await invariants.expectComplete();
  expect(failed.map((line) => [line.key, line.code, line.status])).toEqual([
    [key, 'SlowDown', '503'],
  ]);
});

test('S9: Ctrl-C in an outage ends the run within seconds, with nothing failed', async () => {
  const given = await givenPhotos();
  const outage = refusals(given.migration, 'all', 'destination');
  const program = given.migration.start({ threads: 8 });
  await program.reaches(given.migration.destination.script.seen('PutObject', PHOTOS / 3));
  outage.begin();
  await program.until('stderr', (printed) => printed.includes('does not answer'));
  program.kill('SIGINT');
  expect((await program.ended).exitCode).toBe(130);
  expect((await given.invariants.expectSound()).failed).toEqual([]);
});

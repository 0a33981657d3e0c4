/**
 * The stores' troubles while a verification goes on: what they cost is time, and no key.
 */
import { expect, test } from 'vitest';
import { photo } from '../cli/migration.ts';
import { prepareVerification, type Verification } from '../cli/verification.ts';

const PHOTOS = 300;

async function givenPhotos(): Promise<Verification> {
  const verification = await prepareVerification();
  for (let i = 0; i < PHOTOS; i++) verification.putBoth(photo(i), `photo ${i}`);
  await verification.listBoth();
  return verification;
}

/** Answers nothing but 503 from `begin` to `end`. */
function outageOf({ script }: Verification['source']) {
  let isDown = false;
  for (const method of ['GET', 'HEAD'] as const) {
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

test.each(['source', 'destination'] as const)(
  'S9: a %s that is down for a while costs a verification no key',
  async (side) => {
    const verification = await givenPhotos();
    const outage = outageOf(verification[side]);
    const program = verification.start({ threads: 8, all: true });
    await program.reaches(verification[side].script.seen('HeadObject', PHOTOS / 3));
    outage.begin();
    await program.until('stderr', (printed) => printed.includes(`the ${side} does not answer`));
    outage.end();
    const { exitCode, stderr } = await program.ended;
    expect([exitCode, stderr]).toEqual([0, expect.stringContaining('answers again, after')]);
    const log = await verification.log();
    expect(log.filter((line) => line.endsWith(',=,etag,,'))).toHaveLength(PHOTOS);
  },
);

test('S9: an outage longer than --max-outage stops a verification, and the same command goes on', async () => {
  const verification = await givenPhotos();
  const { source } = verification;
  const outage = outageOf(source);
  const program = verification.start({ threads: 8, 'max-outage': '4s' });
  await program.reaches(source.script.seen('HeadObject', PHOTOS / 3));
  outage.begin();
  const { exitCode, stderr } = await program.ended;
  expect([exitCode, stderr]).toEqual([
    3,
    expect.stringMatching(/the source has not answered for \d+ s \(HTTP 503\)/),
  ]);
  outage.end();
  expect((await verification.run()).exitCode).toBe(0);
  expect(await verification.log()).toEqual([]);
});

test('S9: Ctrl-C in an outage ends a verification within seconds, and the same command goes on', async () => {
  const verification = await givenPhotos();
  const { destination } = verification;
  const outage = outageOf(destination);
  const program = verification.start({ threads: 8 });
  await program.reaches(destination.script.seen('HeadObject', PHOTOS / 3));
  outage.begin();
  await program.until('stderr', (printed) => printed.includes('does not answer'));
  program.kill('SIGINT');
  expect((await program.ended).exitCode).toBe(130);
  outage.end();
  expect((await verification.run()).exitCode).toBe(0);
  expect(await verification.log()).toEqual([]);
});

test('T13: credentials that are revoked on the way stop a verification, and no key is an error for it', async () => {
  const verification = await givenPhotos();
  const { script } = verification.destination;
  let isRevoked = false;
  for (const method of ['GET', 'HEAD'] as const) {
    script
      .on(method)
      .where(() => isRevoked)
      .status(403, { code: 'AccessDenied' });
  }
  const program = verification.start({ threads: 8 });
  await program.reaches(script.seen('HeadObject', PHOTOS / 3));
  isRevoked = true;
  const { exitCode, stderr } = await program.ended;
  expect([exitCode, stderr]).toEqual([
    3,
    expect.stringMatching(
      /destination http\S+: access denied: an object and the bucket itself[^]*Were the credentials revoked\?/,
    ),
  ]);
  isRevoked = false;
  expect((await verification.run()).exitCode).toBe(0);
  expect(await verification.log()).toEqual([]);
});

test('S7: a verification that may read no object stops with the cause', async () => {
  const verification = await givenPhotos();
  const { script } = verification.source;
  script.on('HeadObject').status(403);
  const { exitCode, stderr } = await verification.run();
  expect([exitCode, stderr]).toEqual([
    3,
    expect.stringMatching(/source http\S+: access denied: the first 10 objects were all refused/),
  ]);
  script.clear();
  expect((await verification.run()).exitCode).toBe(0);
  expect(await verification.log()).toEqual([]);
});

test('S7: a key alone that may not be read is an error of that key', async () => {
  const verification = await givenPhotos();
  verification.source.script.on('HeadObject', photo(7)).status(403);
  expect((await verification.run()).exitCode).toBe(1);
  expect(await verification.log()).toEqual([expect.stringMatching(`^${photo(7)},!,HTTP 403,`)]);
});

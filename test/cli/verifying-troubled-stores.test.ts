/**
 * `s3migrate verify` with a store that is down for a while, has enough, or takes the credentials no more: that is put
 * down to the store, and no key is told of as one that cannot be read.
 */
import { describe, expect, it, test } from 'vitest';
import type { Ended } from '../support/run-s3migrate.ts';
import { type Flags, photo } from './migration.ts';
import { prepareVerification, type Verification } from './verification.ts';

const PHOTOS = 200;
const SIDES = ['source', 'destination'] as const;
type SideName = (typeof SIDES)[number];
const FLAGS = { source: '--src', destination: '--dest' } as const;

async function givenPhotos(): Promise<Verification> {
  const verification = await prepareVerification();
  for (let i = 0; i < PHOTOS; i++) verification.putBoth(photo(i), `bytes of ${photo(i)}`);
  await verification.listBoth();
  return verification;
}

interface Outage {
  readonly side: SideName;
  /** Keys that it answers for before it answers nothing any more. */
  readonly after: number;
}

/** @returns what ends it */
function goesDown(verification: Verification, { side, after }: Outage): () => void {
  let isDown = true;
  const { script } = verification[side];
  for (const method of ['GET', 'HEAD'] as const) {
    script
      .on(method)
      .where(() => isDown && script.count('HeadObject') > after)
      .status(503, { code: 'SlowDown' });
  }
  return () => {
    isDown = false;
  };
}

/** Nothing that was recorded is a failure, and the same command verifies all that is left. */
async function expectCompletedBySameCommand(
  verification: Verification,
  flags: Flags = {},
): Promise<void> {
  expect(await verification.log()).toEqual([]);
  for (const side of SIDES) verification[side].script.clear();
  await expectNoDifference(verification, await verification.run(flags));
}

async function expectNoDifference(verification: Verification, ended: Ended): Promise<void> {
  expect([ended.exitCode, ended.stderr]).toEqual([
    0,
    expect.stringContaining(`obj ${PHOTOS}: ign 0, same ${PHOTOS},`),
  ]);
  expect(await verification.log()).toEqual([]);
}

describe('a store that is down', () => {
  it.each([
    ['source', {}],
    ['destination', {}],
    ['source', { content: 'all' }],
  ] as const)('for a while costs time and no key: the %s, %o', async (side, flags) => {
    const verification = await givenPhotos();
    const end = goesDown(verification, { side, after: PHOTOS / 3 });
    const program = verification.start({ threads: 4, ...flags });
    await program.until('stderr', (printed) => printed.includes('does not answer'));
    // It waits for the bucket, which the start has asked for once, and not for the attempts of each key.
    await program.reaches(verification[side].script.seen('HeadBucket', 2));
    end();
    const ended = await program.ended;
    expect(ended.stderr).toMatch(
      new RegExp(
        `^s3migrate: the ${side} does not answer \\((?:HTTP 503|503 SlowDown)\\): waiting for it, up to 1h:00m:00s \\(--max-outage\\)$`,
        'm',
      ),
    );
    expect(ended.stderr).toMatch(
      new RegExp(`^s3migrate: the ${side} answers again, after \\ds$`, 'm'),
    );
    await expectNoDifference(verification, ended);
  });

  it('for longer than --max-outage stops it; the line says so, and the same command goes on', async () => {
    const verification = await givenPhotos();
    goesDown(verification, { side: 'destination', after: PHOTOS / 3 });
    const { exitCode, stderr } = await verification.run({ threads: 8, 'max-outage': '3s' });
    expect(stderr).toMatch(
      /^obj=.* !0 .* :: destination not answering for \ds \(HTTP 503\), waiting up to 3s$/m,
    );
    expect(stderr).toMatch(
      /^s3migrate: STOPPED .*the destination has not answered for \d s \(HTTP 503\)$/m,
    );
    expect(stderr).toMatch(/^ {2}next .*--max-outage/m);
    expect(exitCode).toBe(3);
    await expectCompletedBySameCommand(verification);
  });

  it('does not keep it from ending within seconds of Ctrl-C, with no key told of', async () => {
    const verification = await givenPhotos();
    goesDown(verification, { side: 'source', after: PHOTOS / 3 });
    const program = verification.start({ threads: 8 });
    await program.until('stderr', (printed) => printed.includes('does not answer'));
    program.kill('SIGINT');
    expect((await program.ended).exitCode).toBe(130);
    await expectCompletedBySameCommand(verification);
  });
});

test.each(SIDES)('a %s that refuses some is asked for less, and the line says so', async (side) => {
  const verification = await givenPhotos();
  verification[side].script.on('HeadObject').skip(100).times(20).status(503, { code: 'SlowDown' });
  const ended = await verification.run();
  expect(ended.stderr).toMatch(
    new RegExp(`^obj=.* :: ${side} takes \\d+ of 64 at once, \\d+ requests/s$`, 'm'),
  );
  await expectNoDifference(verification, ended);
});

describe('a side that denies everything', () => {
  it.each(SIDES)('on the way stops it, and no key is told of: the %s', async (side) => {
    const verification = await givenPhotos();
    const { script } = verification[side];
    script
      .on('HeadObject')
      .where(({ key }) => key >= photo(80))
      .status(403);
    script.on('HeadBucket').skip(1).status(403);
    const { exitCode, stderr } = await verification.run({ threads: 8 });
    expect(stderr).toMatch(
      new RegExp(
        `^s3migrate: STOPPED .*: ${side} http://\\S+: access denied: an object and the bucket itself, the last with HTTP 403`,
        'm',
      ),
    );
    expect(stderr).toMatch(
      new RegExp(`^ {2}next +Were the credentials revoked\\? Check ${FLAGS[side]}-key`, 'm'),
    );
    expect(stderr).toContain('same 80,');
    expect(exitCode).toBe(3);
    await expectCompletedBySameCommand(verification);
  });

  it('is found even when its bucket does not answer at once', async () => {
    const verification = await givenPhotos();
    const { script } = verification.source;
    script.on('HeadObject').skip(80).status(403);
    script.on('HeadBucket').skip(1).times(2).status(503);
    script.on('HeadBucket').skip(1).status(403);
    const { exitCode, stderr } = await verification.run({ threads: 8 });
    expect(stderr).toContain('Were the credentials revoked?');
    expect(exitCode).toBe(3);
    await expectCompletedBySameCommand(verification);
  });

  it('because its token has expired stops it too, whatever the bucket says', async () => {
    const verification = await givenPhotos();
    const message = 'The provided token has expired.';
    verification.destination.script
      .on('GetObject', photo(80))
      .status(400, { code: 'ExpiredToken', message });
    const { exitCode, stderr } = await verification.run({ content: 'all', threads: 8 });
    expect(stderr).toMatch(
      /STOPPED .*destination http:\S+: the credentials have expired \(ExpiredToken: The provided token has expired\.\)/,
    );
    expect(exitCode).toBe(3);
    await expectCompletedBySameCommand(verification, { content: 'all' });
  });

  it('from the first key on stops it, though its bucket answers', async () => {
    const verification = await givenPhotos();
    verification.source.script.on('HeadObject').status(403);
    const { exitCode, stderr } = await verification.run();
    expect(stderr).toMatch(/source http\S+: access denied: the first \d+ objects were all refused/);
    expect(exitCode).toBe(3);
    await expectCompletedBySameCommand(verification);
  });

  it('but for its bucket does not: each key is told of', async () => {
    const verification = await givenPhotos();
    const { script } = verification.source;
    script
      .on('HeadObject')
      .where(({ key }) => key >= photo(180))
      .status(403);
    const { exitCode, stderr } = await verification.run({ threads: 8 });
    expect(await verification.log()).toEqual(
      Array.from({ length: 20 }, (_, i) => `${photo(180 + i)},!,HTTP 403,status 403,`),
    );
    expect(stderr).toContain('every listed key is accounted for');
    expect(script.count('HeadBucket')).toBeGreaterThan(1);
    expect(exitCode).toBe(1);
  });
});

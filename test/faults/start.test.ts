/**
 * A run that starts in the middle of a storm: it waits a little for a store that is there and does not serve yet.
 */
import { expect, test } from 'vitest';
import { prepareMigration } from '../cli/migration.ts';
import { runProgram } from '../support/run-s3migrate.ts';
import { Invariants } from './invariants.ts';

async function given() {
  const migration = await prepareMigration();
  await migration.givenPhotos(20);
  return { migration, invariants: new Invariants(migration) };
}

test.each(['source', 'destination'] as const)(
  'S9: a start waits for a %s that refuses all for a while, and says so once',
  async (side) => {
    const { migration, invariants } = await given();
    migration[side].script.on('HeadBucket').status(503, { code: 'SlowDown' }).times(4);
    const { exitCode, stderr } = await migration.run();
    expect(exitCode).toBe(0);
    const said = new RegExp(
      `the ${side} does not serve requests at present \\(status 503: [^)]+\\): trying for 30 s`,
      'g',
    );
    expect(stderr.match(said)).toHaveLength(1);
    expect((await invariants.expectComplete()).failed).toEqual([]);
  },
);

test('S9: a start waits for a store that breaks connections', async () => {
  const { migration, invariants } = await given();
  migration.source.script.on('HeadBucket').disconnect().times(4);
  const { exitCode, stderr } = await migration.run();
  expect([exitCode, stderr]).toEqual([
    0,
    expect.stringMatching(
      /the source does not serve requests at present \(HEAD: the connection was/,
    ),
  ]);
  expect((await invariants.expectComplete()).failed).toEqual([]);
});

test('S9: a store that goes on refusing stops the start, no later than --max-outage', async () => {
  const { migration } = await given();
  migration.destination.script.on('HeadBucket').status(503);
  const { exitCode, stderr } = await migration.run({ 'max-outage': '1s' });
  expect(exitCode).toBe(3);
  expect(stderr).toMatch(
    /^s3migrate: destination http\S+: it does not serve requests at present \(status 503\)/m,
  );
  expect(stderr).toMatch(/give the same command again/);
  expect(migration.writesSeen()).toBe(0);
});

test('S9: Ctrl-C ends a start that waits, and the same command goes on', async () => {
  const { migration, invariants } = await given();
  let isDown = true;
  migration.source.script
    .on('HeadBucket')
    .where(() => isDown)
    .status(503);
  const program = migration.start();
  await program.until('stderr', (printed) => printed.includes('does not serve requests'));
  program.kill('SIGINT');
  expect((await program.ended).exitCode).toBe(130);
  expect(migration.writesSeen()).toBe(0);
  isDown = false;
  expect((await migration.run()).exitCode).toBe(0);
  await invariants.expectComplete();
});

test('S9: Ctrl-C ends a start at once whose first question is not answered', async () => {
  const { migration } = await given();
  migration.source.script.on('HeadBucket').hang();
  const program = migration.start({ 'first-byte-timeout': '1h' });
  await program.reaches(migration.source.script.seen('HeadBucket', 1));
  program.kill('SIGINT');
  expect((await program.ended).exitCode).toBe(130);
});

test.each(['list', 'probe --read-only', 'probe'])('S9: so does s3migrate %s', async (words) => {
  const [command = '', ...flags] = words.split(' ');
  const { migration } = await given();
  const { source } = migration;
  source.script.on('HeadBucket').status(503).times(4);
  const where = ['--url', source.server.url, '--bucket', source.bucketName];
  const keys = ['--key', source.accessKey, '--secret', source.secret];
  const folder = command === 'list' ? [migration.path('made')] : [];
  const { exitCode, stderr } = await runProgram([command, ...where, ...keys, ...flags, ...folder]);
  expect([exitCode, stderr]).toEqual([
    0,
    expect.stringContaining('s3migrate: the bucket does not serve requests at present'),
  ]);
});

test.each([
  ['broken', (rule: Rule) => rule.disconnect().times(2)],
  ['lost', (rule: Rule) => rule.loseAnswer().times(2)],
  ['refused as too many', (rule: Rule) => rule.status(503, { code: 'SlowDown' }).times(9)],
] as const)(
  'T+: a probe whose first writes are %s is made once more, and leaves nothing',
  async (_, spoil) => {
    const { migration, invariants } = await given();
    const { bucket, script } = migration.destination;
    spoil(script.seeProbe().on('PutObject'));
    const { exitCode, stderr } = await migration.run();
    expect([exitCode, stderr]).toEqual([
      0,
      expect.stringMatching(/s3migrate: the destination could not be probed \(.+\): trying again/),
    ]);
    expect(bucket.keys().filter((key) => key.startsWith('.s3migrate-probe/'))).toEqual([]);
    await invariants.expectComplete();
  },
);

type Rule = ReturnType<Awaited<ReturnType<typeof prepareMigration>>['destination']['script']['on']>;

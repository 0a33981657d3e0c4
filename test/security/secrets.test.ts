/**
 * Secrets stay where they were given: nobody reads them from the process list, the logs, the screen, or what an
 * error leaves behind.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { gate, type Migration, prepareMigration } from '../cli/migration.ts';
import { commandLine, runProgram, startCommand } from '../support/run-s3migrate.ts';

/** Of all files below a folder, by path. */
async function filesBelow(folder: string): Promise<Record<string, string>> {
  const names = await readdir(folder, { recursive: true });
  const files: Record<string, string> = {};
  for (const name of names) {
    const path = join(folder, name);
    if ((await stat(path)).isFile()) files[name] = await readFile(path, 'latin1');
  }
  return files;
}

function secretsOf({ source, destination }: Migration): string[] {
  return [source.secret, destination.secret];
}

function expectNone(text: string, secrets: readonly string[]): void {
  for (const secret of secrets) expect(text).not.toContain(secret);
}

test.each([
  ['few', {}],
  ['many, as long as they may be', { 'start-after': 'k'.repeat(100_000) }],
])(
  'no secret is in the process list once the program runs, with arguments that are %s',
  async (_, more) => {
    const migration = await prepareMigration();
    await migration.givenPhotos(1);
    const asked = gate();
    const answered = gate();
    migration.source.script
      .seeProbe()
      .on('HEAD')
      .before(() => {
        asked.open();
        return answered.opened;
      });
    const program = migration.start(more);
    await program.reaches(asked.opened);
    const listed = await readFile(`/proc/${program.pid}/cmdline`, 'latin1');
    answered.open();
    await program.ended;
    expect(listed).toContain('s3migrate');
    expectNone(listed, secretsOf(migration));
  },
);

test('what a server says of the secret is not told, neither on the screen nor in a log', async () => {
  const migration = await prepareMigration();
  const [key] = await migration.givenPhotos(3);
  for (const side of [migration.source, migration.destination]) {
    side.script
      .on(side === migration.source ? 'GetObject' : 'PutObject', key)
      .where(() => side === migration.destination || migration.destination.script.count('PUT') > 0)
      .status(400, {
        code: 'InvalidRequest',
        message: `your secret is ${side.secret}, is it not?`,
      });
  }
  const { exitCode, stdout, stderr } = await migration.run();
  expect(exitCode).toBe(1);
  const told = [stdout, stderr, ...Object.values(await filesBelow(migration.logFolder))].join('\n');
  expect(told).toContain('your secret is ***, is it not?');
  expectNone(told, secretsOf(migration));
});

test('no file of a run has a secret in it, nor what is printed of one that is refused', async () => {
  const migration = await prepareMigration();
  await migration.givenPhotos(3);
  const token = 'session-t0ken-of-the-source';
  const flags = { 'src-session-token': token };
  const first = await migration.run(flags);
  const refused = await migration.run({ ...flags, 'hash-count': 2, 'hash-value': 1 });
  const told = [
    ...[first, refused].flatMap(({ stdout, stderr }) => [stdout, stderr]),
    ...Object.values(await filesBelow(migration.logFolder)),
  ].join('\n');
  expectNone(told, [...secretsOf(migration), token]);
});

test('--help shows no secret that the environment holds', async () => {
  const env = { S3MIGRATE_SRC_SECRET: 's3cret-one', S3MIGRATE_DEST_SESSION_TOKEN: 's3cret-two' };
  for (const args of [
    ['--help'],
    ['list', '--help'],
    ['verify', '--help'],
    ['cleanup', '--help'],
  ]) {
    const { stdout, stderr } = await runProgram(args, { env });
    expect(stdout).toContain('Usage');
    expectNone(stdout + stderr, Object.values(env));
  }
});

test.each([
  [['--src-secert=s3cret-one']],
  [['--src-secret', 's3cret one']],
  [['--src-url', 'http://user:s3cret-one@127.0.0.1:9000', '--src-secret', 'x']],
])('a mistyped flag does not show what came with it: %j', async (args) => {
  const migration = await prepareMigration();
  const { exitCode, stderr } = await runProgram([
    ...migration.args({ 'src-secret': undefined, 'src-url': undefined }),
    ...args,
  ]);
  expect(exitCode).toBe(2);
  expectNone(stderr, ['s3cret-one', 's3cret one']);
});

test('an error that nobody expected, and a report of Node about the process, show no secret', async () => {
  const migration = await prepareMigration();
  await migration.givenPhotos(1);
  const env = {
    NODE_OPTIONS: '--report-uncaught-exception --report-on-signal --report-signal=SIGUSR2',
    S3MIGRATE_SRC_SECRET: migration.source.secret,
    S3MIGRATE_DEST_SECRET: migration.destination.secret,
  };
  const asked = gate();
  const answered = gate();
  migration.source.script.on('GetObject').before(() => {
    asked.open();
    return answered.opened;
  });
  const args = migration.args({ 'src-secret': undefined, 'dest-secret': undefined });
  const program = startCommand(commandLine(args, 's3migrate'), { cwd: migration.root, env });
  await program.reaches(asked.opened);
  program.kill('SIGUSR2');
  await program.until('stderr', (printed) => printed.includes('Node.js report completed'));
  answered.open();
  await program.ended;
  const files = await filesBelow(migration.root);
  const reports = Object.entries(files).filter(([name]) => name.startsWith('report.'));
  expect(reports.length).toBeGreaterThan(0);
  for (const [, report] of reports) expectNone(report, secretsOf(migration));
});

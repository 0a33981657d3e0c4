/**
 * Secrets stay where they were given: the attacks are whoever lists processes, whoever reads logs and reports, a
 * server that repeats what it was sent, and an operator who mistypes a flag.
 */
import { execFileSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type Flags, gate, type Migration, photo, prepareMigration } from '../cli/migration.ts';
import { type RunningProgram, runProgram } from '../support/run-s3migrate.ts';

const PLANTED = pathToFileURL(join(import.meta.dirname, 'planted-children.js')).href;
const DEFECT = pathToFileURL(join(import.meta.dirname, '../support/planted-defect.js')).href;
const TOKEN = 'session-s3cret-token';
/** In each secret of these migrations, and nowhere else. */
const SECRET = /s3cret/;

/** All that is below a folder, names and contents. */
async function everythingIn(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const texts = entries.map(async (entry) => {
    const path = join(entry.parentPath, entry.name);
    return entry.isFile() ? `${path}\n${await readFile(path, 'latin1')}` : path;
  });
  return (await Promise.all(texts)).join('\n');
}

/** A run that has begun, with secrets in arguments and environment, and stands still until it is let go on. */
async function givenRunUnderWay(changes: Flags = {}, env: Readonly<Record<string, string>> = {}) {
  const migration = await prepareMigration();
  await migration.givenPhotos(2);
  const { opened, open } = gate();
  migration.source.script.on('GetObject').before(() => opened);
  const program = migration.start(
    { 'src-session-token': TOKEN, 'dest-secret': undefined, ...changes },
    { env: { S3MIGRATE_DEST_SECRET: migration.destination.secret, ...env } },
  );
  await program.reaches(migration.source.script.seen('GetObject', 2));
  return { migration, program, goOn: open };
}

async function expectWell(program: RunningProgram): Promise<void> {
  const { exitCode, stdout, stderr } = await program.ended;
  expect(stdout + stderr).not.toMatch(SECRET);
  expect(exitCode).toBe(0);
}

describe('whoever looks at the process', () => {
  test.each([
    ['a short command line', {}],
    ['a command line of 100,000 bytes', { 'start-after': `0${'x'.repeat(100_000)}` }],
  ])('sees no secret in %s', async (_, changes) => {
    const { program, goOn } = await givenRunUnderWay(changes);
    const commandLine = await readFile(`/proc/${program.pid}/cmdline`, 'utf8');
    const listed = execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(program.pid)], {
      encoding: 'utf8',
    });
    goOn();
    expect(commandLine).toMatch(/^s3migrate\0/);
    expect(commandLine + listed).not.toMatch(SECRET);
    await expectWell(program);
  });

  test('finds no diagnostic report, for it would show the command line', async () => {
    const { migration, program, goOn } = await givenRunUnderWay(
      {},
      { NODE_OPTIONS: '--report-on-signal --report-uncaught-exception --report-on-fatalerror' },
    );
    // Without the switch Node writes its report on this signal; nobody else listens to it.
    const listening = Number.parseInt(caughtSignals(program.pid), 16) & (1 << 11);
    goOn();
    expect(listening).toBe(0);
    await expectWell(program);
    expect(await everythingIn(migration.root)).not.toMatch(SECRET);
  });

  test('children, worker threads and the arguments of the process have none', async () => {
    const { migration, program, goOn } = await givenRunUnderWay(
      { cores: 2 },
      { NODE_OPTIONS: `--import ${PLANTED}`, PLANTED_FILE: 'seen.txt' },
    );
    program.kill('SIGUSR2');
    const seen = await fileWith(migration, 'seen.txt', 'over\n');
    goOn();
    await expectWell(program);
    expect(seen).toContain('PLANTED_FILE=seen.txt');
    expect(seen).not.toMatch(SECRET);
  });
});

/** The mask of signals that the process has taken into its own hands, in hex; proc_pid_status(5). */
function caughtSignals(pid: number): string {
  const status = execFileSync('cat', [`/proc/${pid}/status`], { encoding: 'utf8' });
  return /^SigCgt:\t[0-9a-f]*([0-9a-f]{8})$/m.exec(status)?.[1] ?? '';
}

async function fileWith(migration: Migration, name: string, end: string): Promise<string> {
  for (;;) {
    const text = await readFile(migration.path(name), 'utf8').catch(() => '');
    if (text.endsWith(end)) return text;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('a store that repeats what it was sent', () => {
  const echo = (migration: Migration): string =>
    `${migration.source.secret} ${migration.destination.secret} ${TOKEN}`;

  test('gets no secret into a log, a state file or onto the screen', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(3);
    const { source, destination } = migration;
    source.script
      .on('GetObject', photo(0))
      .status(400, { code: `Bad${TOKEN}`, message: `no: ${echo(migration)}` });
    destination.script
      .on('PutObject', photo(1))
      .status(400, { code: 'InvalidRequest', message: `no: ${destination.secret}` });

    const { exitCode, stdout, stderr } = await migration.run({ 'src-session-token': TOKEN });

    expect(exitCode).toBe(1);
    expect(await migration.failedLog()).toEqual([
      expect.stringMatching(/,Bad\*\*\*,400,1,"?no: \*\*\* /),
      expect.stringMatching(/,InvalidRequest,400,1,no: \*\*\*$/),
    ]);
    // The source's store was never given the destination's secret.
    const own = new RegExp(`${source.secret}|${TOKEN}`);
    expect(await everythingIn(migration.root)).not.toMatch(own);
    expect(stdout + stderr).not.toMatch(SECRET);
  });

  test('gets none out of verify, list and probe', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(2);
    const { source } = migration;
    const answer = { code: 'InvalidRequest', message: `no: ${source.secret} ${TOKEN}` };
    source.script.on('HeadObject').status(400, answer);
    source.script.on('GetObject').status(400, answer);
    source.script.on('ListObjectsV2').status(400, answer);
    const both = migration.args({ 'src-session-token': TOKEN });
    const bucket = ['--url', source.server.url, '--bucket', source.bucketName];
    const keys = ['--key', source.accessKey, '--secret', source.secret, '--session-token', TOKEN];
    const ends = [
      await runProgram(['verify', ...both, '--content', 'all']),
      await runProgram(['list', ...bucket, ...keys, migration.path('made')]),
      await runProgram(['probe', ...bucket, ...keys, '--read-only']),
    ];
    for (const { stdout, stderr } of ends) expect(stdout + stderr).not.toMatch(SECRET);
    expect(ends[1]?.stderr).toContain('no: *** ***');
    expect(ends.map(({ exitCode }) => exitCode)).toEqual([1, 3, 0]);
    expect(await everythingIn(migration.root)).not.toMatch(SECRET);
  });
});

describe('a defect', () => {
  test.each([
    ['exception', 1],
    ['rejection', 1],
    ['worker', 2],
  ])('whose message holds secrets (%s) is told without them', async (kind, cores) => {
    const secrets = `source-s3cret dest-s3cret ${TOKEN}`;
    const { migration, program } = await givenRunUnderWay(
      // One object for each worker thread: all of them are there when the defect shows.
      { cores, threads: 2 },
      { NODE_OPTIONS: `--import ${DEFECT}`, PLANTED_DEFECT: kind, PLANTED_MESSAGE: secrets },
    );
    program.kill('SIGUSR2');
    const { exitCode, stdout, stderr } = await program.ended;
    expect(stderr).toContain('*** *** ***');
    expect(stdout + stderr).not.toMatch(SECRET);
    expect(await everythingIn(migration.root)).not.toMatch(SECRET);
    expect(exitCode).toBe(3);
  });
});

describe('an operator who mistypes', () => {
  const ENV = { S3MIGRATE_SRC_SECRET: 'env-s3cret', S3MIGRATE_SECRET: 'env-s3cret' };

  test.each([
    [['--src-secrt=s3cret']],
    [['--src-secrt', 's3cret']],
    [['-src-secret=s3cret']],
    [['--src-secret:s3cret']],
    [['--src-secrets3cret']],
    [['-ssecrets3cret']],
    [['--src-secret', 'the first', 's3cret']],
    [['--src-secret=the', 's3cret']],
    [['--src-credentials', 's3cret']],
    [['--src-url', 'http://user:s3cret@host:9000']],
    [['--src-url', 'http://user:a/s3cret@host:9000']],
    [['--src-url', 'http://user:a@s3cret@host']],
    [['--src-url', 'user:s3cret@host']],
    [['--src-url', 'https://host/?X-Amz-Signature=s3cret']],
    [['--src-secret', 's3cret with a blank']],
    [['list', '--secrt=s3cret', 'folder']],
    [['list', '--secret', 'one', 's3cret', 'folder']],
  ])('is not shown the secret again: %j', async (args) => {
    const given = args[0] === 'list' ? args : [...args, ...REST.filter((_, i) => !named(args, i))];
    const { exitCode, stdout, stderr } = await runProgram(given);
    expect(stdout + stderr).not.toMatch(SECRET);
    expect(stderr).toMatch(/^s3migrate: \S/);
    expect(exitCode).toBe(2);
  });

  test.each([[['--help']], [['list', '--help']], [['verify', '--help']], [['probe', '--help']]])(
    'sees no value from the environment in %j',
    async (args) => {
      const { exitCode, stdout, stderr } = await runProgram(args, { env: ENV });
      expect(stdout).toContain('S3MIGRATE_');
      expect(stdout + stderr).not.toMatch(SECRET);
      expect(exitCode).toBe(0);
    },
  );
});

/** The other flags of a whole command, each with its value. */
const REST = [
  ['--src-url', 'http://127.0.0.1:9'],
  ['--src-bucket', 'photos'],
  ['--src-key', 'user'],
  ['--src-secret', 'other'],
  ['--src-folder', 'src'],
  ['--dest-url', 'http://127.0.0.1:10'],
  ['--dest-bucket', 'archive'],
  ['--dest-key', 'user'],
  ['--dest-secret', 'other'],
  ['--dest-folder', 'dest'],
].flat();

/** Whether the flag at this place of {@link REST}, or the one of this value, is among the arguments. */
function named(args: readonly string[], index: number): boolean {
  return args.some((arg) => arg.split('=')[0] === REST[index - (index % 2)]);
}

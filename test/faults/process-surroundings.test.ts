/**
 * P8: what is around the process: few open files, a reader that leaves, a terminal that is closed or made smaller.
 * None of it costs an object.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { watch, writeFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { expect, test } from 'vitest';
import { type Flags, gate, type Migration, photo, prepareMigration } from '../cli/migration.ts';
import { commandLine, type RunningProgram, startCommand } from '../support/run-s3migrate.ts';
import { needs } from '../support/system-faults.ts';
import { Invariants } from './invariants.ts';

async function givenPhotos(
  count: number,
): Promise<{ migration: Migration; invariants: Invariants }> {
  const migration = await prepareMigration();
  await migration.givenPhotos(count);
  return { migration, invariants: new Invariants(migration) };
}

async function expectAllCopied(migration: Migration, invariants: Invariants): Promise<void> {
  const { migrate } = await invariants.expectComplete();
  expect(migrate.map(({ key, outcome }) => [key, outcome])).toEqual(
    migration.source.bucket.keys().map((key) => [key, 'copied']),
  );
}

test.each([
  [80, 1],
  [120, 2],
  [200, 2],
])(
  'P8: of %i open files at most, fewer connections are made, with a warning',
  async (files, cores) => {
    needs('prlimit');
    const { migration, invariants } = await givenPhotos(400);
    migration.source.script.on('GetObject').delay(5);
    const under = ['prlimit', `--nofile=${files}:${files}`];
    const { exitCode, stderr } = await migration.run({ threads: 128, cores }, { under });
    expect(stderr).toMatch(
      new RegExp(
        `^s3migrate: warning: this process may open ${files} files only: --threads \\d+ instead of 128`,
      ),
    );
    expect(stderr).not.toContain('EMFILE');
    expect(stderr).not.toMatch(/^ {2}retries/m);
    expect(exitCode).toBe(0);
    await expectAllCopied(migration, invariants);
  },
);

test('P8: as many open files as are needed are no matter for a warning', async () => {
  needs('prlimit');
  const { migration, invariants } = await givenPhotos(5);
  const under = ['prlimit', '--nofile=400:400'];
  const { stderr } = await migration.run({ threads: 64, cores: 2 }, { under });
  expect(stderr).not.toContain('warning');
  await expectAllCopied(migration, invariants);
});

test.each(['| head -1', '| true', '2>&1 | head -1', '2>&1 | true'])(
  'P8: a reader that leaves (%s) ends nothing',
  async (pipe) => {
    const { migration, invariants } = await givenPhotos(50);
    const shell = `{ "$@"; echo "exit code $?" >&3; } ${pipe}`;
    const command = commandLine(migration.args(), 's3migrate');
    const { stderr } = await startCommand(['sh', '-c', `exec 3>&2; ${shell}`, 'sh', ...command])
      .ended;
    expect(stderr).toContain('exit code 0');
    expect(stderr).not.toMatch(/EPIPE|Error:|^ +at /m);
    await expectAllCopied(migration, invariants);
  },
);

/** On a terminal of its own, made by script(1), which says the exit code of the command inside. */
function onTerminal(migration: Migration, prepare: string, flags: Flags = {}): RunningProgram {
  needs('script');
  const quoted = commandLine(migration.args({ cores: 1, ...flags }), 's3migrate').map(
    (word) => `'${word}'`,
  );
  const inside = `${prepare}; exec ${quoted.join(' ')}`;
  return startCommand(['script', '-qec', inside, '/dev/null'], { env: { TERM: 'xterm' } });
}

test('P8: a terminal that is closed asks the run to end: what is under way is recorded, and it can go on', async () => {
  // Some seconds of work, of which the run is to leave most.
  const { migration, invariants } = await givenPhotos(400);
  const { script } = migration.destination;
  script.on('PutObject').delay(20);
  const terminal = onTerminal(migration, 'true', { threads: 2 });
  await terminal.reaches(script.seen('PutObject', 4));
  const unlocked = gone(migration.path('logs', 'migrate.lock'));
  // The terminal goes with it, and the session of the command is hung up.
  terminal.kill('SIGKILL');
  await terminal.ended;
  await unlocked;
  const { migrate } = await invariants.expectSound();
  expect(migrate.length).toBeGreaterThanOrEqual(4);
  expect(migrate.length).toBeLessThan(200);
  script.clear();
  expect(await migration.run()).toMatchObject({ exitCode: 0 });
  await expectAllCopied(migration, invariants);
});

/** Resolves when a file that is there now is removed. */
async function gone(path: string): Promise<void> {
  for await (const { filename } of watch(dirname(path))) {
    if (filename === basename(path) && !existsSync(path)) return;
  }
}

test.each([
  [20, 5],
  [1, 1],
  [500, 50],
])(
  'P8: a terminal made %i columns wide and %i rows high in the middle is drawn on as it is',
  async (columns, rows) => {
    const { migration, invariants } = await givenPhotos(8);
    const { opened, open } = gate();
    migration.source.script.on('GetObject', photo(7)).before(() => opened);
    const asked = migration.path('resize');
    execFileSync('mkfifo', [asked]);
    // It waits to be asked, on the terminal of the command.
    const resizing = `{ read -r _ < '${asked}'; stty cols ${columns} rows ${rows} < /dev/tty; echo resized > /dev/tty; } &`;
    const terminal = onTerminal(migration, `stty cols 100 rows 24; ${resizing} true`);
    await terminal.until('stdout', (printed) => printed.split('obj=').length > 2);
    await writeFile(asked, 'now\n');
    await terminal.until('stdout', (printed) => printed.includes('resized'));
    open();
    const { exitCode, stdout } = await terminal.ended;
    expect(exitCode).toBe(0);
    expect(stdout).not.toMatch(/Error:|^ +at /m);
    // oxlint-disable-next-line no-control-regex
    const drawn = stdout.slice(stdout.lastIndexOf('resized')).match(/obj=[^\x1b\r\n]*/g) ?? [];
    expect(drawn.filter((line) => line.length >= columns)).toEqual([]);
    await expectAllCopied(migration, invariants);
  },
);

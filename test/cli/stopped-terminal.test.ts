/**
 * A terminal that takes nothing, as one after Ctrl-S or behind a dead ssh, holds nothing up.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { commandLine, type RunningProgram, startCommand } from '../support/run-s3migrate.ts';
import { argumentsOf, digestsOf, keysIn, prepareMigration } from './migration.ts';

const UNREAD_TERMINAL = join(import.meta.dirname, '../support/unread-terminal.py');
const TERMINAL = pathToFileURL(join(import.meta.dirname, '../../dist/cli/terminal.js')).href;

/** Takes nothing until {@link GO_ON} is typed. */
function onStoppedTerminal(command: readonly string[]): RunningProgram {
  return startCommand(['python3', UNREAD_TERMINAL, ...command], { env: { TERM: 'xterm' } });
}

const GO_ON = '\n';

it('each command comes to its end, and ends with its own exit code', async () => {
  const [migration, compared] = await Promise.all([prepareMigration(), prepareMigration()]);
  await migration.givenPhotos(300);
  await compared.givenPhotos(3);
  const bucket = argumentsOf({
    url: compared.source.server.url,
    bucket: compared.source.bucketName,
    key: compared.source.accessKey,
    secret: compared.source.secret,
  });

  const ended = await Promise.all(
    [
      commandLine(migration.args(), 's3migrate'),
      commandLine(['list', compared.path('listed'), ...bucket], 's3migrate'),
      commandLine(['verify', ...compared.args()], 's3migrate'),
      commandLine([compared.path('lists'), compared.path('found')], 's3find'),
    ].map((command) => onStoppedTerminal(command).ended),
  );

  // The destination of the second one has nothing.
  expect(ended.map(({ exitCode }) => exitCode)).toEqual([0, 0, 1, 0]);
  expect(digestsOf(migration.destination)).toEqual(digestsOf(migration.source));
  expect(keysIn(await migration.migrateLog())).toEqual(migration.source.bucket.keys());
});

it('what was said meanwhile is shown in its order when the terminal goes on', async () => {
  const migration = await prepareMigration();
  await migration.givenPhotos(40);
  const program = onStoppedTerminal(commandLine(migration.args(), 's3migrate'));
  await program.reaches(migration.destination.script.seen('PutObject', 40));
  program.type(GO_ON);

  const { exitCode, stdout } = await program.ended;

  expect(exitCode).toBe(0);
  const said = ['s3migrate: destination: ', 'obj=40 :: ', 's3migrate: complete in', 'logs '];
  const at = said.map((text) => stdout.indexOf(text));
  expect(at).not.toContain(-1);
  expect(at).toEqual(at.toSorted((a, b) => a - b));
  expect(stdout).not.toContain('left out');
});

it('what was asked for is shown to its last line, however much waits', async () => {
  const migration = await prepareMigration();
  await migration.listKeys(
    'src',
    Array.from({ length: 30_000 }, (_, i) => `${'long-'.repeat(10)}${String(i).padStart(5, '0')}`),
  );
  const program = onStoppedTerminal(commandLine([...migration.args(), '--dry-run'], 's3migrate'));
  await program.reaches(migration.destination.script.seen('HeadBucket', 1));
  program.type(GO_ON);

  const { exitCode, stdout } = await program.ended;

  expect(exitCode).toBe(0);
  expect(stdout.split('transfer long-')).toHaveLength(30_001);
  expect(stdout).toContain('30000 to transfer');
  expect(stdout).not.toContain('left out');
});

it('beyond a mebibyte the earlier messages are left out, and it is said how many', async () => {
  const lines = 40_000;
  const program = `
    const { releaseTerminal } = await import('${TERMINAL}');
    const settled = releaseTerminal();
    for (let i = 0; i < ${lines}; i++) process.stderr.write('message ' + i + ' '.repeat(40) + '\\n');
    process.stdout.write('bounded: ' + (process.stderr.writableLength <= 2 ** 20) + '\\n');
    await settled();`;
  const terminal = onStoppedTerminal([process.execPath, '--input-type=module', '--eval', program]);
  terminal.type(GO_ON);
  const { stdout } = await terminal.ended;
  const shown = [...stdout.matchAll(/message (\d+)/g)].map(([, number]) => Number(number));
  const leftOut = [...stdout.matchAll(/\((\d+) lines are left out here/g)].map(([, n]) =>
    Number(n),
  );
  expect(leftOut).toHaveLength(1);
  expect(shown).toHaveLength(lines - (leftOut[0] as number));
  expect(shown).toEqual(shown.toSorted((a, b) => a - b));
  expect(shown.at(-1)).toBe(lines - 1);
  expect(stdout).toContain('bounded: true');
});

/**
 * The progress line as an operator sees it: on a terminal, and in a file.
 */
import { describe, expect, it } from 'vitest';
import { Screen } from '../report/screen.ts';
import { commandLine, startCommand } from '../support/run-s3migrate.ts';
import { gate, photo, prepareMigration } from './migration.ts';

const LINE =
  /^obj=\d+ :: ign=\d+ exist=\d+ work=\d+ \[\d+% ~\S+\] :: fail=\d+ skip\(dn=\d+ up=\d+\) dnld=\d+ \(\d+\.\d\/s\) dl\.byt=\S+ \(\S+\/s\) upld=\d+ \(\d+\.\d\/s\) ul\.byt=\S+ \(\S+\/s\)$/;

/** Ctrl-S and Ctrl-Q. */
const STOP = '\x13';
const GO_ON = '\x11';

/** The command on a terminal of its own, made by script(1) of util-linux. */
function onTerminal(args: readonly string[], columns: number) {
  const quoted = commandLine(args, 's3migrate').map((word) => `'${word}'`);
  const inside = `stty cols ${columns} rows 24; exec ${quoted.join(' ')}`;
  return startCommand(['script', '-qec', inside, '/dev/null'], { env: { TERM: 'xterm' } });
}

describe('in a file or a pipe', () => {
  it('is a plain line at the end, with the counts and 100%', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(5);
    await migration.listKeys('dest', [photo(2)]);
    const { stderr, stdout } = await migration.run();
    const first = stderr.split('\n').find((line) => line.startsWith('obj=')) ?? '';
    expect(first).toMatch(LINE);
    expect(first).toMatch(/^obj=5 :: ign=0 exist=1 work=0 \[100% ~0s\] :: fail=0 /);
    expect(first).toContain('upld=4 ');
    // oxlint-disable-next-line no-control-regex
    expect(stderr).not.toMatch(/[\r\x1b]/);
    expect(stdout).toBe('');
  });
});

describe('on a terminal', () => {
  it.each([60, 80, 200])('is one line of %i columns, redrawn in place', async (columns) => {
    const migration = await prepareMigration();
    await migration.givenPhotos(4);
    const { opened, open } = gate();
    migration.source.script.on('GetObject').before(() => opened);
    const program = onTerminal(migration.args(), columns);
    const drawings = (printed: string) => printed.split('obj=').length - 1;
    await program.until('stdout', (printed) => drawings(printed) >= 3);
    open();

    const { exitCode, stdout } = await program.ended;

    expect(exitCode).toBe(0);
    const screen = new Screen({ columns, rows: 24 });
    screen.write(stdout.replaceAll('\r\n', '\n'));
    const lines = screen.rows.filter((row) => row.startsWith('obj='));
    expect(lines).toHaveLength(1);
    expect(lines[0]?.length).toBeLessThan(columns);
    expect(lines[0]).toMatch(/^obj=4 :: ign=0 exist=0 work=0 \[100% /);
    if (columns === 200) expect(lines[0]).toMatch(LINE);
    expect(screen.rows.join('\n')).toContain('s3migrate: complete in');
  });

  it('lets the message about Ctrl-C stand above it', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(3);
    const { opened, open } = gate();
    migration.source.script.on('GetObject').before(() => opened);
    const program = onTerminal(migration.args({ threads: 1 }), 200);
    await program.reaches(migration.source.script.seen('GetObject', 1));
    program.type('\x03');
    await program.until('stdout', (printed) => printed.includes('stopping:'));
    open();
    const { stdout, exitCode } = await program.ended;
    expect(exitCode).toBe(130);
    const screen = new Screen({ columns: 200, rows: 24 });
    screen.write(stdout.replaceAll('\r\n', '\n').replace('^C', ''));
    const rows = screen.rows.filter((row) => /^(obj=|s3migrate: (?!destination: ))/.test(row));
    expect(rows).toEqual([
      expect.stringMatching(/^s3migrate: stopping: 1 objects under way/),
      expect.stringMatching(/^obj=\d+ :: /),
      expect.stringMatching(/^s3migrate: interrupted by Ctrl-C/),
    ]);
  });

  it('shows what it has missed once it goes on after Ctrl-S', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(40);
    // Some seconds, and so several drawings.
    migration.source.script.on('GetObject').delay(100);
    const program = onTerminal(migration.args({ threads: 2, cores: 1 }), 200);
    await program.until('stdout', (printed) => printed.includes('obj='));
    program.type(STOP);
    await program.reaches(migration.destination.script.seen('PutObject', 40));
    program.type(GO_ON);
    const { stdout, exitCode } = await program.ended;
    expect(exitCode).toBe(0);
    const screen = new Screen({ columns: 200, rows: 24 });
    screen.write(stdout.replaceAll('\r\n', '\n'));
    expect(screen.rows.filter((row) => row.startsWith('obj='))).toEqual([
      expect.stringMatching(/^obj=40 :: .* \[100% /),
    ]);
    expect(screen.rows.join('\n')).toContain('every listed key is accounted for');
  });
});

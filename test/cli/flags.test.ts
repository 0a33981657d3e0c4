/**
 * The flags: where they are told of, where their values come from, and what keeps a secret secret.
 */
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runProgram, startProgram } from '../support/run-s3migrate.ts';
import { gate, keysIn, photo, prepareMigration } from './migration.ts';

const CERTIFICATE = join(import.meta.dirname, '../s3-server/localhost.cert.pem');

/** `src-url` is S3MIGRATE_SRC_URL. */
function variableOf(flag: string): string {
  return `S3MIGRATE_${flag.replaceAll('-', '_').toUpperCase()}`;
}

/** What a table or the help says of each flag: `--threads` to its environment variable. */
type FlagTable = Readonly<Record<string, string | undefined>>;

async function flagsInHelp(command: readonly string[]): Promise<FlagTable> {
  const { stdout, exitCode } = await runProgram([...command, '--help']);
  expect(exitCode).toBe(0);
  const options = stdout.split('Options:\n')[1]?.split('\n\n')[0] ?? '';
  const entries = options.split(/\n(?= {2}-)/).map((entry) => {
    const flag = /--[a-z-]+/.exec(entry)?.[0] ?? '';
    return [flag, /S3MIGRATE_\w+/.exec(entry)?.[0]] as const;
  });
  return Object.fromEntries(entries.filter(([, variable]) => variable !== undefined));
}

/** The rows of README's tables under `## Every flag`: | flag | environment | default | meaning |. */
async function flagsInReadme(): Promise<FlagTable> {
  const readme = await readFile(join(import.meta.dirname, '../../README.md'), 'utf8');
  const section = /^## Every flag\n([\s\S]*?)(?=^## |(?![\s\S]))/m.exec(readme)?.[1] ?? '';
  const rows = section.split('\n').filter((line) => /^\|\s*`?--[a-z]/.test(line));
  return Object.fromEntries(
    rows.map((row) => {
      const [, flagCell = '', environmentCell = ''] = row.split('|');
      return [/--[a-z-]+/.exec(flagCell)?.[0], /S3MIGRATE_\w+/.exec(environmentCell)?.[0]];
    }),
  ) as FlagTable;
}

describe('every flag', () => {
  it('of s3migrate and its commands is in the README, and none else', async () => {
    const [migrate, list, probe, verify, cleanup] = await Promise.all(
      [[], ['list'], ['probe'], ['verify'], ['cleanup']].map((command) => flagsInHelp(command)),
    );
    expect(Object.keys(migrate ?? {}).length).toBeGreaterThan(20);
    expect(Object.keys(list ?? {}).length).toBeGreaterThan(10);
    expect(Object.keys(verify ?? {}).length).toBeGreaterThan(20);
    expect(Object.keys(probe ?? {}).length).toBeGreaterThan(10);
    expect(Object.keys(cleanup ?? {}).length).toBeGreaterThan(10);
    expect(await flagsInReadme()).toEqual({ ...migrate, ...list, ...probe, ...verify, ...cleanup });
  });

  it('may come from an environment variable of its name', async () => {
    for (const command of [[], ['list'], ['probe'], ['verify'], ['cleanup']]) {
      for (const [flag, variable] of Object.entries(await flagsInHelp(command))) {
        expect(variable).toBe(variableOf(flag.slice(2)));
      }
    }
  });

  it('may come from there alone, and the command line counts more', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(3);
    const flags = { ...migration.flags(), first: 1, 'dest-bucket': 'other' };
    const env = Object.fromEntries(
      Object.entries(flags).map(([flag, value]) => [variableOf(flag), String(value)]),
    );
    const ended = await runProgram(['--dest-bucket', 'archive'], { env });
    expect(ended.stderr).toContain('stopped after the first 1 (--first)');
    expect(ended.exitCode).toBe(0);
    expect(migration.destination.bucket.keys()).toEqual([photo(0)]);
  });

  it.each([
    ['1', true],
    ['true', true],
    ['0', false],
    ['false', false],
    ['', false],
  ])('without a value is on or off by its variable: S3MIGRATE_DRY_RUN=%s', async (value, on) => {
    const migration = await prepareMigration();
    await migration.givenPhotos(1);
    const env = { S3MIGRATE_DRY_RUN: value };
    expect(await migration.run({}, { env })).toMatchObject({ exitCode: 0 });
    expect(migration.destination.bucket.keys()).toEqual(on ? [] : [photo(0)]);
  });

  it('without a value is refused with a variable that says neither', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(1);
    const env = { S3MIGRATE_DEST_INSECURE: 'perhaps' };
    const { exitCode, stderr } = await migration.run({}, { env });
    expect(stderr).toMatch(/^s3migrate: S3MIGRATE_DEST_INSECURE "perhaps" .*\n {2}\S.*\n$/);
    expect(exitCode).toBe(2);
    expect(migration.destination.script.requests).toEqual([]);
  });

  it('that is empty counts as not given', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(1);
    const env = { S3MIGRATE_FIRST: '', S3MIGRATE_SRC_REGION: '', S3MIGRATE_THREADS: '' };
    expect(await migration.run({}, { env })).toMatchObject({ exitCode: 0 });
  });
});

describe('--help and --version', () => {
  it('name the commands and the exit codes, and show no value of the environment', async () => {
    const env = { S3MIGRATE_SRC_SECRET: 's3cret-of-mine', S3MIGRATE_SRC_KEY: 'key-of-mine' };
    const { exitCode, stdout, stderr } = await runProgram(['--help'], { env });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^ {2}list /m);
    expect(stdout).toMatch(/^ {2}demo /m);
    expect(stdout).toContain('Exit codes: 0 ');
    expect(stdout + stderr).not.toContain('of-mine');
  });

  it('tell the version of the package', async () => {
    const manifest = await readFile(join(import.meta.dirname, '../../package.json'), 'utf8');
    const { version } = JSON.parse(manifest) as { version: string };
    expect(await runProgram(['--version'])).toMatchObject({ exitCode: 0, stdout: `${version}\n` });
  });
});

describe('a secret', () => {
  it('is not in the list of processes while the run goes on', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(1);
    const { opened, open } = gate();
    migration.source.script.on('GetObject').before(() => opened);
    const program = migration.start();
    await program.reaches(migration.source.script.seen('GetObject', 1));
    const listed = execFileSync('ps', ['-o', 'args=', '-p', String(program.pid)], {
      encoding: 'utf8',
    });
    const commandLine = await readFile(`/proc/${program.pid}/cmdline`, 'utf8');
    open();
    expect(await program.ended).toMatchObject({ exitCode: 0 });
    expect(listed).toContain('s3migrate');
    expect(listed + commandLine).not.toMatch(/s3cret/);
  });

  it('is in no log, no run file and no output', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(2);
    migration.source.script.on('GetObject', photo(0)).status(403, { code: 'AccessDenied' });
    const token = 'session-s3cret';
    const { stdout, stderr } = await migration.run({ 'src-session-token': token });
    const files = ['migrate.log', 'failed.log', 'migrate.run.json'];
    const contents = await Promise.all(
      files.map((name) => readFile(join(migration.logFolder, name), 'utf8')),
    );
    expect([stdout, stderr, ...contents].join('\n')).not.toMatch(/s3cret/);
  });

  it('is not repeated by a message about a mistyped flag', async () => {
    const { exitCode, stderr } = await runProgram(['--src-secrt=s3cret', '--src-secrt', 's3cret']);
    expect(stderr).toMatch(/^s3migrate: unknown option '--src-secrt'/);
    expect(stderr).not.toMatch(/s3cret/);
    expect(exitCode).toBe(2);
  });
});

describe('what a flag does', () => {
  it('--threads: so many objects are under way at once, and no more', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(12);
    const { destination } = migration;
    let underWay = 0;
    let most = 0;
    const { opened, open } = gate();
    destination.script
      .on('PutObject')
      .where(({ key }) => key.startsWith('photos/'))
      .before(async () => {
        underWay++;
        most = Math.max(most, underWay);
        if (underWay === 3) open();
        await opened;
      })
      .after(() => {
        underWay--;
      });
    expect(await migration.run({ threads: 3 })).toMatchObject({ exitCode: 0 });
    expect(most).toBe(3);
  });

  it('--src-region and --dest-region: by default as the buckets tell', async () => {
    const migration = await prepareMigration({
      source: { region: 'eu-west-7' },
      destination: { region: 'moon-1' },
    });
    await migration.givenPhotos(1);
    // As AWS does, also where it refuses.
    migration.source.script.on('HeadBucket').header('x-amz-bucket-region', 'eu-west-7');
    migration.destination.script.on('HeadBucket').header('x-amz-bucket-region', 'moon-1');
    expect(await migration.run({ first: 1 })).toMatchObject({ exitCode: 0 });
    const told = { 'src-region': 'eu-west-7', 'dest-region': 'moon-1' };
    expect(await migration.run(told)).toMatchObject({ exitCode: 0 });
    const { exitCode, stderr } = await migration.run({
      'dest-region': 'eu-west-7',
      'log-folder': migration.path('new'),
    });
    expect(stderr).toMatch(/^s3migrate: destination .*the bucket is elsewhere.*in region moon-1\n/);
    expect(stderr).toContain('--dest-region');
    expect(exitCode).toBe(3);
  });

  it('--src-addressing and --dest-addressing: the bucket in the path or in the host name', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(1);
    const { source, destination } = migration;
    const flags = {
      'src-url': `http://localhost:${source.server.port}`,
      'src-addressing': 'virtual',
      'dest-addressing': 'path',
    };
    expect(await migration.run(flags)).toMatchObject({ exitCode: 0 });
    const hosts = new Set(source.script.requests.map(({ headers }) => headers.get('host')));
    expect([...hosts]).toEqual([`photos.localhost:${source.server.port}`]);
    expect(destination.contents()).toEqual(source.contents());
  });

  it('--src-session-token: is sent, signed, with every request', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(1);
    const { source, destination } = migration;
    expect(await migration.run({ 'src-session-token': 'of-the-day' })).toMatchObject({
      exitCode: 0,
    });
    for (const { headers } of source.script.requests) {
      expect(headers.get('x-amz-security-token')).toBe('of-the-day');
      expect(headers.get('authorization')).toMatch(/SignedHeaders=[^,]*x-amz-security-token/);
    }
    for (const { headers } of destination.script.requests) {
      expect(headers.has('x-amz-security-token')).toBe(false);
    }
  });

  it('--src-ca-file trusts an authority, --dest-insecure anybody, with a warning', async () => {
    const cert = await readFile(CERTIFICATE);
    const key = await readFile(join(import.meta.dirname, '../s3-server/localhost.key.pem'));
    const tls = { tls: { cert, key } };
    const migration = await prepareMigration({ source: tls, destination: tls });
    await migration.givenPhotos(2);
    const { exitCode, stderr } = await migration.run({
      'src-ca-file': CERTIFICATE,
      'dest-insecure': true,
    });
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(/^s3migrate: WARNING: --dest-insecure: /m);
    expect(stderr).not.toContain('--src-insecure');
    expect(migration.destination.contents()).toEqual(migration.source.contents());
  });

  it('--memory and --ahead-disk take sizes with units', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(2);
    const flags = { memory: '16MiB', 'ahead-disk': '1.5g' };
    expect(await migration.run(flags)).toMatchObject({ exitCode: 0 });
  });

  it('--log-folder is made, with the folders above it', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(1);
    const folder = migration.path('new', 'logs of today');
    expect(await migration.run({ 'log-folder': folder })).toMatchObject({ exitCode: 0 });
    expect(keysIn(await migration.migrateLog(folder))).toEqual([photo(0)]);
  });
});

it('a flag may be written --name=value too', async () => {
  const migration = await prepareMigration();
  await migration.givenPhotos(1);
  const args = Object.entries(migration.flags()).map(([name, value]) => `--${name}=${value}`);
  expect(await startProgram(args).ended).toMatchObject({ exitCode: 0 });
});

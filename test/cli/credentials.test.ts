/**
 * Where the credentials of a bucket come from: flags, the AWS SDK's places, a profile, a file. And what is said when
 * they come from nowhere, or from two places.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { runProgram } from '../support/run-s3migrate.ts';
import {
  argumentsOf,
  type Flags,
  type Migration,
  prepareMigration,
  type Side,
} from './migration.ts';

async function givenMigration(): Promise<Migration> {
  const migration = await prepareMigration();
  await migration.givenPhotos(3);
  return migration;
}

/** Leaves the keys of a side out. */
function without(side: 'src' | 'dest', credentials: string): Flags {
  return {
    [`${side}-key`]: undefined,
    [`${side}-secret`]: undefined,
    [`${side}-credentials`]: credentials,
  };
}

async function expectCopied(migration: Migration, flags: Flags, env: Record<string, string> = {}) {
  const { exitCode, stderr } = await migration.run(flags, { env });
  expect(stderr).toContain('s3migrate: complete');
  expect(exitCode).toBe(0);
  expect(migration.destination.contents()).toEqual(migration.source.contents());
  expect(stderr).not.toMatch(/s3cret|warning/i);
}

function jsonOf({ accessKey, secret }: Side): string {
  return JSON.stringify({ Version: 1, AccessKeyId: accessKey, SecretAccessKey: secret });
}

describe('credentials of a side', () => {
  it('come from the variables that the AWS SDK knows', async () => {
    const migration = await givenMigration();
    const { accessKey, secret } = migration.source;
    const env = {
      AWS_ACCESS_KEY_ID: accessKey,
      AWS_SECRET_ACCESS_KEY: secret,
      AWS_SESSION_TOKEN: 'token-of-mine',
    };
    await expectCopied(migration, without('src', 'aws'), env);
    const [seen] = migration.source.script.requests;
    expect(seen?.headers.get('x-amz-security-token')).toBe('token-of-mine');
  });

  it('come from a profile, whatever the variables say', async () => {
    const migration = await givenMigration();
    const { accessKey, secret } = migration.destination;
    const file = migration.path('aws-credentials');
    await writeFile(
      file,
      `[archive]\naws_access_key_id = ${accessKey}\naws_secret_access_key = ${secret}\n`,
    );
    const env = {
      AWS_SHARED_CREDENTIALS_FILE: file,
      AWS_CONFIG_FILE: '/dev/null',
      AWS_ACCESS_KEY_ID: 'another',
      AWS_SECRET_ACCESS_KEY: 'another',
    };
    await expectCopied(migration, without('dest', 'profile=archive'), env);
  });

  it('come from a file, on both sides', async () => {
    const migration = await givenMigration();
    await writeFile(migration.path('src.json'), jsonOf(migration.source));
    await writeFile(migration.path('dest.json'), jsonOf(migration.destination));
    await expectCopied(migration, {
      ...without('src', 'file=src.json'),
      ...without('dest', 'file=dest.json'),
    });
  });

  it('may be named by the environment', async () => {
    const migration = await givenMigration();
    await writeFile(migration.path('src.json'), jsonOf(migration.source));
    const flags = { 'src-key': undefined, 'src-secret': undefined };
    const env = { S3MIGRATE_SRC_CREDENTIALS: 'file=src.json' };
    await expectCopied(migration, flags, env);
  });

  it('come from where they are said to for verify, probe and list too', async () => {
    const migration = await givenMigration();
    const { source } = migration;
    await writeFile(migration.path('src.json'), jsonOf(source));
    await expectCopied(migration, without('src', 'file=src.json'));
    const { 'src-folder': _s, 'dest-folder': _d, ...sides } = migration.flags();
    const cwd = migration.root;
    const verified = await runProgram(
      [
        'verify',
        ...argumentsOf({ ...sides, ...without('src', 'file=src.json'), 'log-folder': 'verified' }),
      ],
      { cwd },
    );
    expect(verified).toMatchObject({ exitCode: 0 });
    const bucket = argumentsOf({
      url: source.server.url,
      bucket: source.bucketName,
      credentials: 'file=src.json',
    });
    expect(await runProgram(['probe', '--read-only', ...bucket], { cwd })).toMatchObject({
      exitCode: 0,
    });
    expect(await runProgram(['list', ...bucket, 'listed'], { cwd })).toMatchObject({ exitCode: 0 });
    const [list = ''] = await readdir(migration.path('listed'));
    expect(await readFile(migration.path('listed', list), 'utf8')).toBe(
      `${source.bucket.keys().join('\n')}\n`,
    );
  });
});

describe('are refused before anything is asked', () => {
  it.each<[string, Flags, RegExp]>([
    [
      'from two places',
      { 'src-credentials': 'aws' },
      /^s3migrate: --src-credentials and --src-key exclude each other\n {2}.*S3MIGRATE_SRC_KEY/,
    ],
    [
      'with a session token beside a profile',
      { ...without('dest', 'profile=x'), 'dest-session-token': 't' },
      /^s3migrate: --dest-credentials and --dest-session-token exclude each other/,
    ],
    [
      'from a place that is none',
      without('src', 'my-s3cret'),
      /^s3migrate: --src-credentials is given none of its choices\n {2}.*profile=NAME/,
    ],
    ['without a name', without('src', 'profile='), /^s3migrate: --src-credentials is given none/],
    [
      'from flags that are not there',
      without('src', 'keys'),
      /^s3migrate: missing --src-key, --src-secret\n/,
    ],
  ])('%s', async (_, flags, message) => {
    const migration = await givenMigration();
    const { exitCode, stderr } = await migration.run(flags);
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain('s3cret');
    expect(exitCode).toBe(2);
    expect(migration.source.script.requests).toEqual([]);
  });

  it('from a profile that is not there', async () => {
    const migration = await givenMigration();
    const env = { AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null' };
    const { exitCode, stderr } = await migration.run(without('src', 'profile=nobody'), { env });
    expect(stderr).toMatch(
      /^s3migrate: no credentials from --src-credentials profile=nobody: .*\[nobody\].*\n {2}\S.*\n$/,
    );
    expect(exitCode).toBe(3);
    expect(migration.source.script.requests).toEqual([]);
  });
});

it('credentials of a file that a store refuses are told of by its flag', async () => {
  const migration = await givenMigration();
  const wrong = { AccessKeyId: 'nobody', SecretAccessKey: 'wr0ng-s3cret' };
  await writeFile(migration.path('src.json'), JSON.stringify(wrong));
  const { exitCode, stderr } = await migration.run(without('src', 'file=src.json'));
  expect(stderr).toMatch(
    /^s3migrate: source \S+: access denied.*\n {2}Check the credentials of --src-credentials file=src\.json, /,
  );
  expect(stderr).not.toContain('s3cret');
  expect(exitCode).toBe(3);
});

it.each(['0', '-1', 'many', '1.5'])('--max-failures %s is refused', async (value) => {
  const migration = await givenMigration();
  const { exitCode, stderr } = await migration.run({ 'max-failures': value });
  expect(stderr).toContain(`--max-failures "${value}" is not a whole number at least 1`);
  expect(exitCode).toBe(2);
});

/**
 * Rows S7, T12 and T13, and what belongs to them: a side that refuses everything, is full, or whose credentials come
 * to their end, in the middle of a run or from its first object on. Each with the built program.
 */
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { type Migration, photo, prepareMigration, type Side } from '../cli/migration.ts';
import type { SeenRequest } from '../support/fault-script.ts';
import type { Ended } from '../support/run-s3migrate.ts';
import { Invariants } from './invariants.ts';

const DENIED = { code: 'AccessDenied', message: 'Access Denied.' };
const EXPIRED = { code: 'ExpiredToken', message: 'The provided token has expired.' };

async function givenPhotos(
  count: number,
): Promise<{ migration: Migration; invariants: Invariants }> {
  const migration = await prepareMigration();
  await migration.givenPhotos(count);
  return { migration, invariants: new Invariants(migration) };
}

/** Ended by exit code 3, with the cause and what to do; nothing of what it hung on is recorded. */
function expectStopped({ exitCode, stderr }: Ended, cause: RegExp, hint: RegExp): void {
  const lines = stderr.split('\n');
  const headline = lines.find((line) => line.startsWith('s3migrate: STOPPED'));
  expect(headline ?? stderr).toMatch(cause);
  expect(stderr).toMatch(hint);
  expect(stderr).not.toMatch(/s3cret/);
  expect(exitCode).toBe(3);
}

/** The fault is gone: the same command does all that is left, and nothing has failed. */
async function expectCompletedBySameCommand(
  { migration, invariants }: { migration: Migration; invariants: Invariants },
  flags: Parameters<Migration['run']>[0] = {},
  options: Parameters<Migration['run']>[1] = {},
): Promise<void> {
  migration.source.script.clear();
  migration.destination.script.clear();
  const again = await migration.run(flags, options);
  expect(again).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('accounted for') });
  const { migrate, failed } = await invariants.expectComplete();
  expect(failed).toEqual([]);
  expect(migrate.map(({ key }) => key)).toEqual(migration.source.bucket.keys());
  expect(migration.destination.contents()).toEqual(migration.source.contents());
}

function isFrom(number: number): (seen: SeenRequest) => boolean {
  return ({ key }) => key >= photo(number);
}

const TWO_CORES = { cores: 2, threads: 8 };
const CORES = [{ cores: 1, threads: 4 }, TWO_CORES];

describe.each(CORES)('with $cores cores', (flags) => {
  it('S7: a source that denies all from the first key on stops the run, and nothing is recorded', async () => {
    const given = await givenPhotos(60);
    const { migration, invariants } = given;
    migration.source.script.on('GetObject').status(403, DENIED);
    expectStopped(
      await migration.run(flags),
      /source http:\S+\/photos: access denied: the first 10 objects .*AccessDenied \(status 403\): Access Denied\./,
      /^ {2}\S+ +Check --src-key and --src-secret, that this user may read objects/m,
    );
    expect(await invariants.expectSound()).toEqual({ migrate: [], failed: [] });
    expect(migration.source.script.count('GetObject')).toBeLessThan(40);
    await expectCompletedBySameCommand(given, flags);
  });

  it('S7: credentials that are revoked in the middle stop the run; what came before is recorded', async () => {
    const given = await givenPhotos(80);
    const { migration, invariants } = given;
    const { script } = migration.source;
    script.on('GetObject').where(isFrom(20)).status(403, DENIED);
    script.on('HeadBucket').skip(1).status(403);
    expectStopped(
      await migration.run(flags),
      /source .*access denied: 10 objects in a row and the bucket itself/,
      /Were the credentials revoked\? Check --src-key/,
    );
    const { migrate, failed } = await invariants.expectSound();
    expect(failed).toEqual([]);
    expect(migrate).toHaveLength(20);
    await expectCompletedBySameCommand(given, flags);
  });

  it('T12: a destination that gets full stops the run; once there is room the same command copies the rest', async () => {
    const given = await givenPhotos(60);
    const { migration, invariants } = given;
    migration.destination.script
      .on('PutObject')
      .where(isFrom(20))
      .status(507, { code: 'QuotaExceeded', message: 'no more than 1 TB' });
    expectStopped(
      await migration.run(flags),
      /destination .*no room: 10 objects in a row .*QuotaExceeded \(status 507\): no more than 1 TB/,
      /Make room, or raise the quota/,
    );
    const { migrate, failed } = await invariants.expectSound();
    expect(failed).toEqual([]);
    expect(migrate).toHaveLength(20);
    await expectCompletedBySameCommand(given, flags);
  });
});

it('S7: a single key that is denied is a failure of that key', async () => {
  const { migration, invariants } = await givenPhotos(30);
  migration.source.script.on('GetObject', photo(0)).status(403, DENIED);
  migration.source.script.on('GetObject', photo(20)).status(403, DENIED);
  const { exitCode } = await migration.run({ threads: 4 });
  expect(exitCode).toBe(1);
  const { migrate, failed } = await invariants.expectComplete();
  expect(failed.map(({ key, code }) => [key, code])).toEqual([
    [photo(0), 'AccessDenied'],
    [photo(20), 'AccessDenied'],
  ]);
  expect(migrate).toHaveLength(30);
});

it('S7: fewer keys than could tell, all denied, are failures of these keys', async () => {
  const { migration, invariants } = await givenPhotos(9);
  migration.source.script.on('GetObject').status(403, DENIED);
  const { exitCode, stderr } = await migration.run();
  expect(exitCode).toBe(1);
  expect(stderr).toContain('every listed key is accounted for');
  expect((await invariants.expectComplete()).failed).toHaveLength(9);
});

it('S7: a folder that nobody may read is passed, its keys failed, also by a run that begins inside it', async () => {
  const { migration, invariants } = await givenPhotos(90);
  const isSecret = ({ key }: SeenRequest) => key >= photo(10) && key < photo(70);
  const { script } = migration.source;
  script.on('GetObject').where(isSecret).status(403, DENIED);
  const flags = { threads: 4, cores: 1 };
  // So that a run ends in the middle of the folder.
  expect((await migration.run({ ...flags, first: 40 })).exitCode).toBe(1);
  expect(await migration.migrateLog()).toHaveLength(40);
  const { exitCode, stderr } = await migration.run(flags);
  expect(exitCode).toBe(1);
  expect(stderr).toContain('every listed key is accounted for');
  const { failed } = await invariants.expectComplete();
  expect(failed.map(({ key }) => key)).toEqual(migration.source.bucket.keys().slice(10, 70));
  // Once at each start, and once or twice for the 30 keys of each half.
  expect(script.count('HeadBucket')).toBeGreaterThanOrEqual(2 + 2);
  expect(script.count('HeadBucket')).toBeLessThanOrEqual(2 + 4);
});

it('T12: an object that finds no room for a moment is tried again', async () => {
  const { migration, invariants } = await givenPhotos(3);
  migration.destination.script.on('PutObject', photo(1)).status(507).times(2);
  expect((await migration.run()).exitCode).toBe(0);
  expect((await invariants.expectComplete()).failed).toEqual([]);
});

it('a session token that expires stops the run at once; a new one goes on', async () => {
  const given = await givenPhotos(60);
  const { migration, invariants } = given;
  const { script } = migration.source;
  const token = 'first-session-token';
  script.on('GetObject').skip(20).where(isSignedWith(token)).status(400, EXPIRED);
  const flags = { threads: 4, cores: 1, 'src-session-token': token };
  const ended = await migration.run(flags);
  expectStopped(
    ended,
    /source .*the credentials have expired \(ExpiredToken: The provided token has expired\.\)/,
    /Check --src-key and --src-secret and --src-session-token: new ones are needed\. .*--src-credentials/,
  );
  expect(ended.stderr).not.toContain(token);
  const { migrate, failed } = await invariants.expectSound();
  expect(failed).toEqual([]);
  expect(migrate).toHaveLength(20);
  await expectCompletedBySameCommand(given, { ...flags, 'src-session-token': 'second' });
});

function isSignedWith(token: string): (seen: SeenRequest) => boolean {
  return ({ headers }) => headers.get('x-amz-security-token') === token;
}

const MiB = 1024 ** 2;

/** A profile whose credential_process hands out `NAME-token-1`, `NAME-token-2` and so on. */
class TokenIssuer {
  readonly name: string;
  readonly #counter: string;

  constructor(migration: Migration, name: string) {
    this.name = name;
    this.#counter = migration.path(`${name}.issued`);
  }

  async profile(migration: Migration, { accessKey, secret }: Side): Promise<string> {
    const script = migration.path(`${this.name}.sh`);
    const answer = `{"Version":1,"AccessKeyId":"${accessKey}","SecretAccessKey":"${secret}","SessionToken":"${this.name}-token-%d"}`;
    await writeFile(
      script,
      `#!/bin/sh\nn=$(($(cat '${this.#counter}') + 1))\nif [ -e '${migration.path('broken')}' ]; then echo s3cret of the process >&2; exit 1; fi\necho $n > '${this.#counter}'\nprintf '${answer}' $n\n`,
    );
    await chmod(script, 0o700);
    await writeFile(this.#counter, '0\n');
    return `[profile ${this.name}]\ncredential_process = ${script}\n`;
  }

  async issued(): Promise<number> {
    return Number(await readFile(this.#counter, 'utf8'));
  }
}

/** Both sides by profiles; each side refuses a token after so many requests that it has signed. */
async function givenIssuers(migration: Migration, requestsAToken: number) {
  const source = new TokenIssuer(migration, 'old');
  const destination = new TokenIssuer(migration, 'new');
  const config = migration.path('aws-config');
  await writeFile(
    config,
    (await source.profile(migration, migration.source)) +
      (await destination.profile(migration, migration.destination)),
  );
  for (const { script } of [migration.source, migration.destination]) {
    const used = new Map<string, number>();
    const isWornOut = ({ headers }: SeenRequest): boolean => {
      const token = headers.get('x-amz-security-token') ?? '';
      used.set(token, (used.get(token) ?? 0) + 1);
      return (used.get(token) as number) > requestsAToken;
    };
    for (const method of ['GET', 'PUT', 'POST', 'HEAD'] as const) {
      script.on(method).where(isWornOut).status(400, EXPIRED);
    }
  }
  const keys = ['src-key', 'src-secret', 'dest-key', 'dest-secret'];
  return {
    source,
    destination,
    env: { AWS_CONFIG_FILE: config, AWS_SHARED_CREDENTIALS_FILE: '/dev/null' },
    flags: {
      ...Object.fromEntries(keys.map((flag) => [flag, undefined])),
      'src-credentials': 'profile=old',
      'dest-credentials': 'profile=new',
    },
  };
}

describe.each(CORES)('tokens that last for fifty requests, with $cores cores', (cores) => {
  it('are renewed by their provider, and nothing fails', { timeout: 60_000 }, async () => {
    const migration = await prepareMigration();
    for (let i = 0; i < 200; i++) migration.source.put(photo(i), `bytes of ${photo(i)}`);
    // Of one that passes through, the PUT cannot be sent again by itself.
    for (let i = 200; i < 260; i++) migration.source.put(photo(i), Buffer.alloc(300 * 1024, i));
    // In parts, of the source's own lengths.
    migration.source.put(photo(260), Buffer.alloc(33 * MiB, 'parts'));
    await migration.listKeys();
    const invariants = new Invariants(migration);
    const { source, destination, env, flags } = await givenIssuers(migration, 50);
    const all = { ...flags, ...cores, 'multipart-threshold': '16MiB', 'part-size': '5MiB' };
    const ended = await migration.run(all, { env });
    expect(ended).toMatchObject({ exitCode: 0 });
    expect((await invariants.expectComplete()).failed).toEqual([]);
    // About 261 GETs, as many PUTs and some more: one token for each fifty of them, and no more than that.
    for (const issuer of [source, destination]) {
      const issued = await issuer.issued();
      expect(issued).toBeGreaterThanOrEqual(5);
      expect(issued).toBeLessThanOrEqual(12);
    }
    expect(
      ended.stderr + (await readFile(`${migration.logFolder}/migrate.run.json`, 'utf8')),
    ).not.toMatch(/s3cret|-token-/);
  });
});

it('a provider without credentials keeps the run from starting', async () => {
  const { migration } = await givenPhotos(1);
  const { env, flags } = await givenIssuers(migration, 50);
  await writeFile(migration.path('broken'), '');
  const { exitCode, stderr } = await migration.run(flags, { env });
  expect(stderr).toMatch(
    /^s3migrate: no credentials from --src-credentials profile=old: its credential_process has failed\n {2}\S.*\n$/,
  );
  expect(exitCode).toBe(3);
  expect(migration.source.script.requests).toEqual([]);
});

it('T13: a destination that denies all from the first key on stops the run, and nothing is recorded', async () => {
  const given = await givenPhotos(60);
  const { migration, invariants } = given;
  migration.destination.script.on('PutObject').status(403, { code: 'SignatureDoesNotMatch' });
  expectStopped(
    await migration.run(TWO_CORES),
    /destination http:\S+\/archive: access denied: the first 10 objects .*SignatureDoesNotMatch/,
    /Check --dest-key and --dest-secret, that this user may write objects/,
  );
  expect(await invariants.expectSound()).toEqual({ migrate: [], failed: [] });
  await expectCompletedBySameCommand(given, TWO_CORES);
});

it('--max-failures stops the run, and what was under way is recorded', async () => {
  const { migration, invariants } = await givenPhotos(100);
  const { script } = migration.destination;
  script.on('PutObject').skip(5).status(400, { code: 'KeyTooLongError', message: 'too long' });
  const limited = { ...TWO_CORES, 'max-failures': 7 };
  expectStopped(
    await migration.run(limited),
    /7 objects failed \(--max-failures 7\); last: photos\/\d+\.jpg: KeyTooLongError too long/,
    /--failed-to-folder/,
  );
  const { failed } = await invariants.expectSound();
  expect(failed.length).toBeGreaterThanOrEqual(7);
  expect(failed.length).toBeLessThan(7 + 3 * TWO_CORES.threads);
  script.clear();
  expect((await migration.run(limited)).exitCode).toBe(1);
  expect((await invariants.expectComplete()).failed).toEqual(failed);
});

it('a provider that fails in the middle stops the run, and the same command goes on', {
  timeout: 60_000,
}, async () => {
  const given = await givenPhotos(120);
  const { migration, invariants } = given;
  const { env, flags } = await givenIssuers(migration, 50);
  migration.source.script
    .on('GetObject', photo(30))
    .before(() => writeFile(migration.path('broken'), ''))
    .times(1);
  const all = { ...flags, ...TWO_CORES };
  const ended = await migration.run(all, { env });
  expectStopped(
    ended,
    /no credentials from --src-credentials profile=old: its credential_process has failed/,
    /run its credential_process by hand/,
  );
  expect((await invariants.expectSound()).failed).toEqual([]);
  await rm(migration.path('broken'));
  await expectCompletedBySameCommand(given, all, { env });
});

/**
 * S6 to S9: the source refuses an object, for good or for now. What is missing is skipped and told, what is
 * forbidden or archived fails at once, and what is only not to be had now is asked for again when the store says so.
 */
import { performance } from 'node:perf_hooks';
import { describe, expect, test } from 'vitest';
import { type Migration, photo, prepareMigration } from '../cli/migration.ts';
import { finish, finished } from './finished-run.ts';
import { Invariants } from './invariants.ts';
import { copiedAs, giveObject, onContent, WAYS, type Way } from './ways.ts';

async function givenObjects(ways: readonly Way[] = WAYS): Promise<Migration> {
  const migration = await prepareMigration();
  for (const way of ways) giveObject(migration, `sound/${way}`, way);
  return migration;
}

const SOUND = Object.fromEntries(WAYS.map((way) => [`sound/${way}`, copiedAs(way)]));

describe.each([1, 2])('with --cores %i', (cores) => {
  test('S6: 404 is skipped, listed with its key and counted; the exit code stays 0', async () => {
    const migration = await givenObjects();
    const { script } = migration.source;
    const keys = ['gone/by S3', 'gone/without a body', 'gone/while its parts are read'];
    for (const key of keys) giveObject(migration, key, key.endsWith('read') ? 'parts' : 'small');
    await migration.listKeys();
    migration.source.bucket.delete('gone/by S3' as never);
    script
      .on('GET', 'gone/without a body')
      .alter(() => ({ status: 404, headers: {}, body: Buffer.alloc(0) }));
    onContent(migration, 'gone/while its parts are read', 'parts').status(404, {
      code: 'NoSuchKey',
    });

    const run = await finish(migration, new Invariants(migration), { cores });

    expect(run.outcomes).toEqual({
      ...SOUND,
      'gone/by S3': 'skipped-download NoSuchKey',
      'gone/without a body': 'skipped-download HTTP 404',
      'gone/while its parts are read': 'skipped-download NoSuchKey',
    });
    expect(run.exitCode).toBe(0);
    expect(run.stderr).toContain('skip 3 (dn 3, up 0)');
    expect(run.stderr).toContain('NOT FOUND 3 listed objects not in the source (404)');
    for (const key of keys) {
      expect(run.stderr).toContain(`      ${key}\n`);
      expect(script.count('GetObject', key)).toBe(key.endsWith('read') ? 3 : 1);
      expect(migration.destination.script.count('PutObject', key)).toBe(0);
    }
  });

  test('S7: 403 and 401 fail the object alone, at once', async () => {
    const migration = await givenObjects();
    const { script } = migration.source;
    const refusals = [
      [403, 'AccessDenied'],
      [403, 'AllAccessDisabled'],
      [403, 'SignatureDoesNotMatch'],
      [401, 'Unauthorized'],
      [405, 'MethodNotAllowed'],
      [400, 'InvalidRequest'],
      [301, 'PermanentRedirect'],
      [307, 'TemporaryRedirect'],
    ] as const;
    const wanted: Record<string, string> = { ...SOUND };
    for (const [status, code] of refusals) {
      for (const way of WAYS) {
        const key = `${code}/${way}`;
        giveObject(migration, key, way);
        // Not the first answers of all: those could mean that the credentials are wrong.
        onContent(migration, key, way)
          .before(() => migration.destination.script.seen('PutObject', 2))
          .status(status, { code });
        wanted[key] = `failed ${code}`;
      }
    }
    for (const status of [304, 403, 410, 451]) {
      const key = `${status} without a body`;
      giveObject(migration, key, 'small');
      script.on('GET', key).alter(() => ({ status, headers: {}, body: Buffer.alloc(0) }));
      wanted[key] = `failed HTTP ${status}`;
    }
    await migration.listKeys();

    const run = await finish(migration, new Invariants(migration), { cores });

    expect(run.exitCode).toBe(1);
    expect(run.outcomes).toEqual(wanted);
    for (const [key, { status, attempts }] of run.failures) {
      const way = key.split('/')[1];
      expect([key, attempts]).toEqual([key, '1']);
      const refused = script.requests.filter(
        (seen) => seen.key === key && String(seen.status) === status,
      );
      expect([key, refused.length]).toEqual([key, way === 'parts' ? 2 : 1]);
      expect([key, migration.destination.script.count('PutObject', key)]).toEqual([key, 0]);
    }
  });

  test('S8: an archived object fails, and is asked for once', async () => {
    const migration = await givenObjects();
    giveObject(migration, 'archived', 'small');
    const message = "The operation is not valid for the object's storage class";
    const { script } = migration.source;
    script.on('GetObject', 'archived').status(403, { code: 'InvalidObjectState', message });
    await migration.listKeys();

    const run = await finish(migration, new Invariants(migration), { cores });

    expect(run.exitCode).toBe(1);
    expect(run.outcomes).toEqual({ ...SOUND, archived: 'failed InvalidObjectState' });
    expect(run.failures.get('archived')).toMatchObject({ status: '403', attempts: '1', message });
    expect(script.count('GetObject', 'archived')).toBe(1);
  });

  test('S9: 500, 502, 503, 504 and 429 that pass are waited out', async () => {
    const migration = await givenObjects();
    const refusals = [
      [500, 'InternalError'],
      [502, 'BadGateway'],
      [503, 'SlowDown'],
      [503, 'ServiceUnavailable'],
      [504, 'GatewayTimeout'],
      [429, 'TooManyRequests'],
    ] as const;
    for (const [status, code] of refusals) {
      for (const way of WAYS) {
        const key = `${code}/${way}`;
        giveObject(migration, key, way);
        onContent(migration, key, way).status(status, { code }).times(3);
      }
    }
    await migration.listKeys();

    const run = await finish(migration, new Invariants(migration), { cores });

    const keys = migration.source.bucket.keys();
    expect(run.exitCode).toBe(0);
    expect(run.outcomes).toEqual(
      Object.fromEntries(keys.map((key) => [key, copiedAs(key.split('/')[1] as Way)])),
    );
    expect(run.stderr).toContain(`  retries   ${3 * 3 * refusals.length}\n`);
  });

  test('S9: a run has no budget of retries that a storm of refusals could use up', async () => {
    const migration = await prepareMigration();
    const keys = await migration.givenPhotos(700);
    for (const key of keys) migration.source.script.on('GetObject', key).status(503).times(1);

    const run = await finish(migration, new Invariants(migration), { cores, threads: 256 });

    expect(run.exitCode).toBe(0);
    expect(Object.values(run.outcomes)).toEqual(keys.map(() => 'copied md5'));
    expect(run.stderr).toContain('  retries   700\n');
  });

  test('S9: Retry-After, in seconds or as a date, is waited for', async () => {
    const migration = await prepareMigration();
    const { script } = migration.source;
    const asked: Record<string, number[]> = { seconds: [], date: [] };
    for (const key of Object.keys(asked)) {
      giveObject(migration, key, 'small');
      script
        .on('GetObject', key)
        .alter((answer) => {
          // A Date of HTTP counts whole seconds: in two to three from now.
          const date = new Date(Math.ceil(Date.now() / 1000) * 1000 + 2000).toUTCString();
          const retryAfter = key === 'date' ? date : '2';
          return { ...answer, status: 503, headers: { 'retry-after': retryAfter } };
        })
        .after(() => asked[key]?.push(performance.now()))
        .times(1);
      script.on('GetObject', key).before(() => asked[key]?.push(performance.now()));
    }
    await migration.listKeys();

    const run = await finish(migration, new Invariants(migration), { cores });

    expect(run.outcomes).toEqual({ seconds: 'copied md5', date: 'copied md5' });
    for (const [refusedAt = 0, askedAt = 0, ...more] of Object.values(asked)) {
      expect(askedAt - refusedAt).toBeGreaterThan(1_950);
      expect(more).toEqual([]);
    }
  });
});

test('S6: --fail-on-missing makes the exit code 1, says so, and does so again when the run is complete', async () => {
  const migration = await prepareMigration();
  const keys = await migration.givenPhotos(3);
  migration.source.bucket.delete(photo(1) as never);
  const invariants = new Invariants(migration);

  const run = await finish(migration, invariants, { 'fail-on-missing': true });

  expect(run.exitCode).toBe(1);
  expect(run.outcomes[keys[1] as string]).toBe('skipped-download NoSuchKey');
  expect(await migration.failedLog()).toEqual([]);
  expect(run.stderr).toMatch(/^s3migrate: complete in \S+, with 1 NOT FOUND$/m);
  expect(run.stderr).toMatch(/NOT FOUND 1 listed object .*\(--fail-on-missing\)$/m);
  const again = await migration.run({ 'fail-on-missing': true });
  expect(again.exitCode).toBe(1);
  expect(again.stderr).toContain('complete already: 2 objects copied, 0 failed, 1 NOT FOUND');
  expect(await migration.run()).toMatchObject({ exitCode: 0 });
});

test('S6: --fail-on-missing does not mind what was not there before either', async () => {
  const migration = await prepareMigration();
  await migration.givenPhotos(3);
  const run = await finish(migration, new Invariants(migration), { 'fail-on-missing': true });
  expect(run.exitCode).toBe(0);
});

test('S7: 403 from the first request on stops the run before anything is written, with a hint', async () => {
  for (const code of ['AccessDenied', 'SignatureDoesNotMatch', 'InvalidAccessKeyId']) {
    const migration = await prepareMigration();
    await migration.givenPhotos(3);
    migration.source.script.on('HEAD').status(403, { code });
    migration.source.script.on('GET').status(403, { code });
    const { exitCode, stderr } = await migration.run();
    expect(exitCode).toBe(3);
    expect(stderr).toMatch(/^s3migrate: source http.*access denied/);
    expect(stderr).toContain('--src-key and --src-secret');
    expect(migration.writesSeen()).toBe(0);
    await new Invariants(migration).expectSound();
  }
});

test('S9: whoever presses Ctrl-C does not sit out a Retry-After of thirty years', async () => {
  const migration = await prepareMigration();
  await migration.givenPhotos(2);
  const { script } = migration.source;
  script.on('GetObject', photo(0)).status(503, { retryAfter: 1_000_000_000 }).times(1);
  const invariants = new Invariants(migration);
  const program = migration.start();
  await program.reaches(
    script.until((seen) => seen.some(({ key, status }) => key === photo(0) && status === 503)),
  );
  await program.reaches(migration.destination.script.seen('PutObject', 1));
  program.kill('SIGINT');

  const { exitCode } = await program.ended;

  expect(exitCode).toBe(130);
  await invariants.expectSound();
  expect(await finish(migration, invariants)).toMatchObject({ exitCode: 0 });
  expect(migration.destination.contents()).toEqual(migration.source.contents());
});

test('S12: the bucket itself goes in the middle: the run stops, and goes on when it is back', async () => {
  const migration = await prepareMigration();
  await migration.givenPhotos(200);
  const { script } = migration.source;
  script.on('GetObject').skip(50).status(404, { code: 'NoSuchBucket' });
  const invariants = new Invariants(migration);

  const { exitCode, stderr } = await migration.run();

  expect(exitCode).toBe(3);
  expect(stderr).toContain('the source says that the bucket does not exist');
  await invariants.expectSound();
  script.clear();
  expect(await finished(migration, invariants, await migration.run())).toMatchObject({
    exitCode: 0,
  });
  expect(migration.destination.contents()).toEqual(migration.source.contents());
});

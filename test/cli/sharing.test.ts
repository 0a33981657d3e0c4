/**
 * Several hosts share a migration: `--hash-count` and `--hash-value`.
 */
import { expect, it } from 'vitest';
import { keysIn, prepareMigration } from './migration.ts';

it('gives every key to exactly one of the hosts; together they copy all', async () => {
  const migration = await prepareMigration();
  const { source, destination } = migration;
  const keys = await migration.givenPhotos(200);
  await migration.listKeys('dest', keys.slice(0, 20));
  const hosts = 3;

  const ended = await Promise.all(
    Array.from({ length: hosts }, (_, host) =>
      migration.run({
        'hash-count': hosts,
        'hash-value': host,
        'log-folder': migration.path(`host-${host}`),
      }),
    ),
  );

  const logged = await Promise.all(
    ended.map(async (_, host) =>
      keysIn(await migration.migrateLog(migration.path(`host-${host}`))),
    ),
  );
  expect(ended.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0]);
  expect(logged.every((share) => share.length > 20)).toBe(true);
  expect(logged.flat().toSorted()).toEqual(keys.slice(20));
  expect(source.script.count('GetObject')).toBe(180);
  expect(destination.bucket.keys()).toEqual(keys.slice(20));
  for (const [host, { stderr }] of ended.entries()) {
    const [, ignored, exist] = /obj 200 = ign (\d+) \+ exist (\d+)/.exec(stderr) ?? [];
    expect(Number(ignored) + Number(exist) + (logged[host]?.length ?? 0)).toBe(200);
  }
});

it('gives a host its keys again on every run', async () => {
  const migration = await prepareMigration();
  await migration.givenPhotos(50);
  const share = { 'hash-count': 5, 'hash-value': 3, 'dry-run': true } as const;
  const [once, again] = [await migration.run(share), await migration.run(share)];
  expect(once.stdout).not.toBe('');
  expect(again.stdout).toBe(once.stdout);
});

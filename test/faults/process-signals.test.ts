/**
 * P2: asked to end, once or twice, whatever the run is just doing. What it was asked for decides the exit code, the
 * logs are sound, and nothing is left behind at the destination.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, watch, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { gate, type Migration, photo, prepareMigration } from '../cli/migration.ts';
import type { RunningProgram } from '../support/run-s3migrate.ts';
import { Invariants } from './invariants.ts';

const MIB = 1024 ** 2;

async function givenPhotos(): Promise<{ migration: Migration; invariants: Invariants }> {
  const migration = await prepareMigration();
  await migration.givenPhotos(12);
  return { migration, invariants: new Invariants(migration) };
}

async function givenLargeObjects(): Promise<{ migration: Migration; invariants: Invariants }> {
  const migration = await prepareMigration();
  for (const key of ['film-1', 'film-2']) {
    migration.source.put(key, Buffer.alloc(13 * MIB, key), { partBytes: 5 * MIB });
  }
  await migration.listKeys();
  return { migration, invariants: new Invariants(migration) };
}

async function expectContinues(migration: Migration, invariants: Invariants): Promise<void> {
  await invariants.expectSound();
  migration.source.script.clear();
  migration.destination.script.clear();
  expect(await migration.run()).toMatchObject({ exitCode: 0 });
  await invariants.expectComplete();
  expect(migration.destination.contents()).toEqual(migration.source.contents());
  expect(migration.destination.bucket.uploads()).toEqual([]);
}

function told(program: RunningProgram, text: string): Promise<void> {
  return program.until('stderr', (printed) => printed.includes(text));
}

test('P2: while lists of the failed keys are written, none is left', async () => {
  const migration = await prepareMigration();
  const folder = migration.path('retry');
  await mkdir(folder);
  const rows = Array.from({ length: 300_000 }, (_, i) => {
    return `photos/${String(i).padStart(7, '0')},2026-01-01T00:00:00.000Z,AccessDenied,403,1,no\n`;
  });
  await mkdir(migration.logFolder);
  const log = migration.path('logs', 'failed.log');
  await writeFile(log, `key,at,code,status,attempts,message\n${rows.join('')}`);
  const changes = watch(folder)[Symbol.asyncIterator]();
  const program = migration.start({ 'failed-to-folder': folder });
  // Its first list is begun.
  await changes.next();
  program.kill('SIGINT');
  const { exitCode, stderr } = await program.ended;
  expect(stderr).toBe(
    's3migrate: interrupted; no list was written. Give the same command again.\n',
  );
  expect(exitCode).toBe(130);
  expect(await readdir(folder)).toEqual([]);
  const { stderr: again } = await migration.run({ 'failed-to-folder': folder });
  expect(again).toContain(`300000 failed keys in 3 list files in ${folder}`);
});

const SIGNALS = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const;

describe.each(SIGNALS)('%s', (signal, code) => {
  test('P2: once finishes and records what is under way', async () => {
    const { migration, invariants } = await givenPhotos();
    const { opened, open } = gate();
    migration.destination.script.on('PutObject').before(() => opened);
    const program = migration.start({ threads: 3, cores: 1 });
    await program.reaches(migration.destination.script.seen('PutObject', 3));
    program.kill(signal);
    await told(program, 'stopping: 3 objects under way');
    open();
    expect(await program.ended).toMatchObject({ exitCode: code });
    const { migrate } = await invariants.expectSound();
    expect(migrate.map(({ key }) => key)).toEqual([photo(0), photo(1), photo(2)]);
    expect(existsSync(migration.path('logs', 'migrate.lock'))).toBe(false);
    await expectContinues(migration, invariants);
  });

  test('P2: once lets a large object come to its end, with no upload left', async () => {
    const { migration, invariants } = await givenLargeObjects();
    const { opened, open } = gate();
    migration.destination.script
      .on('UploadPart')
      .before(() => opened)
      .times(1);
    const program = migration.start({ threads: 1, cores: 1 });
    await program.reaches(migration.destination.script.seen('UploadPart', 1));
    program.kill(signal);
    await told(program, 'stopping:');
    open();
    expect(await program.ended).toMatchObject({ exitCode: code });
    expect(migration.destination.bucket.keys()).toEqual(['film-1']);
    expect(migration.destination.bucket.uploads()).toEqual([]);
    await expectContinues(migration, invariants);
  });

  test('P2: once while the probe is under way removes what it wrote, and has nothing started', async () => {
    const { migration, invariants } = await givenPhotos();
    const { script, bucket } = migration.destination;
    const { opened, open } = gate();
    script
      .seeProbe()
      .on('PUT')
      .skip(20)
      .before(() => opened);
    const program = migration.start();
    await program.reaches(script.seen('PUT', 21));
    program.kill(signal);
    // Other requests of the probe go on; the next thing that it does is to remove.
    open();
    expect(await program.ended).toMatchObject({ exitCode: code });
    expect(bucket.keys()).toEqual([]);
    expect(bucket.uploads()).toEqual([]);
    expect(await readdir(migration.logFolder)).not.toContain('migrate.lock');
    await expectContinues(migration, invariants);
  });

  test('P2: twice leaves at once; what the kill left the next start puts right', async () => {
    const { migration, invariants } = await givenPhotos();
    const { opened } = gate();
    migration.destination.script
      .on('PutObject')
      .skip(2)
      .before(() => opened);
    const program = migration.start({ threads: 3, cores: 1 });
    await program.reaches(migration.destination.script.seen('PutObject', 5));
    program.kill(signal);
    await told(program, 'stopping:');
    program.kill(signal);
    expect(await program.ended).toMatchObject({ exitCode: code });
    await expectContinues(migration, invariants);
  });

  test('P2: twice while the probe is under way leaves at once; the next start removes what it wrote', async () => {
    const { migration, invariants } = await givenPhotos();
    const { script, bucket } = migration.destination;
    const { opened } = gate();
    script
      .seeProbe()
      .on('PUT')
      .skip(20)
      .before(() => opened);
    const program = migration.start();
    await program.reaches(script.seen('PUT', 21));
    program.kill(signal);
    await told(program, 'stopping: the probe removes what it wrote first');
    program.kill(signal);
    expect(await program.ended).toMatchObject({ exitCode: code });
    expect(bucket.keys()).not.toEqual([]);
    await expectContinues(migration, invariants);
  });

  test('P2: while the run is ending anyway changes nothing of it', async () => {
    const { migration, invariants } = await givenPhotos();
    const { opened, open } = gate();
    const last = photo(11);
    migration.destination.script.on('PutObject', last).before(() => opened);
    const program = migration.start({ cores: 1 });
    await program.reaches(
      migration.destination.script.until((seen) => seen.some(({ key }) => key === last)),
    );
    program.kill(signal);
    await told(program, 'stopping: 1 objects under way');
    open();
    const { exitCode } = await program.ended;
    expect(exitCode).toBe(code);
    const { migrate } = await invariants.expectComplete();
    expect(migrate).toHaveLength(12);
    await expectContinues(migration, invariants);
  });
});

/**
 * Ctrl-C and its kin: the first one lets what is under way come to its end, the second leaves at once, and
 * the same command goes on after both.
 */
import { describe, expect, it } from 'vitest';
import type { RequestCutError } from '../../src/s3-server/payload.ts';
import { gate, keysIn, type Migration, photo, prepareMigration } from './migration.ts';

const isPhoto = ({ key }: { key: string }): boolean => key.startsWith('photos/');

function putsSeen({ destination: { script } }: Migration, count: number): Promise<void> {
  return script.until(
    (requests) => requests.filter((seen) => seen.method === 'PUT' && isPhoto(seen)).length >= count,
  );
}

async function expectContinued(migration: Migration): Promise<void> {
  const { exitCode, stderr } = await migration.run();
  expect(stderr).toContain('s3migrate: complete in');
  expect(exitCode).toBe(0);
  expect(migration.destination.contents()).toEqual(migration.source.contents());
  expect(keysIn(await migration.migrateLog())).toEqual(migration.source.bucket.keys());
}

describe('once', () => {
  it.each([
    ['SIGINT', 130, 'interrupted by Ctrl-C'],
    ['SIGTERM', 143, 'interrupted by SIGTERM'],
    ['SIGHUP', 143, 'interrupted by SIGTERM'],
  ] as const)(
    '%s: finishes and records what is under way, begins nothing more, and exits with %i',
    async (signal, code, said) => {
      const migration = await prepareMigration();
      await migration.givenPhotos(7);
      const { opened, open } = gate();
      migration.destination.script
        .on('PutObject')
        .where(isPhoto)
        .before(() => opened);
      const program = migration.start({ threads: 2 });
      await program.reaches(putsSeen(migration, 2));
      program.kill(signal);
      await program.until('stderr', (printed) => printed.includes('stopping: 2 objects under way'));
      open();

      const { exitCode, stderr } = await program.ended;

      expect(exitCode).toBe(code);
      expect(stderr).toContain('Ctrl-C again leaves at once');
      expect(stderr).toContain(said);
      expect(stderr).toContain('next      give the same command again');
      expect(migration.destination.bucket.keys()).toEqual([photo(0), photo(1)]);
      expect(keysIn(await migration.migrateLog())).toEqual([photo(0), photo(1)]);
      await expectContinued(migration);
      expect(migration.source.script.count('GetObject')).toBe(7);
    },
  );

  it('lets an object that has to be tried again come to its end too', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(3);
    const { opened, open } = gate();
    migration.destination.script
      .on('PutObject', photo(0))
      .before(() => opened)
      .status(503, { code: 'SlowDown' })
      .times(1);
    const program = migration.start({ threads: 1 });
    await program.reaches(putsSeen(migration, 1));
    program.kill('SIGINT');
    await program.until('stderr', (printed) => printed.includes('stopping:'));
    open();
    expect(await program.ended).toMatchObject({ exitCode: 130 });
    expect(migration.destination.bucket.keys()).toEqual([photo(0)]);
    await expectContinued(migration);
  });
});

describe('twice', () => {
  it('leaves at once: uploads under way are reset and leave nothing behind', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    // More than the system's socket buffers take, so that both are in the middle of their bodies.
    const body = Buffer.alloc(16 * 1024 ** 2, 'x');
    for (const number of [0, 1]) source.put(photo(number), body);
    await migration.listKeys();
    destination.script.keepTruncated();
    const left = gate();
    const bothCut = gate();
    const cuts: string[] = [];
    destination.script
      .on('PutObject')
      .where(isPhoto)
      .before(async ({ readBody }) => {
        await left.opened;
        cuts.push(
          await readBody().then(
            () => 'whole',
            (error: RequestCutError) => error.cut,
          ),
        );
        if (cuts.length === 2) bothCut.open();
      });
    const program = migration.start();
    await program.reaches(putsSeen(migration, 2));
    program.kill('SIGINT');
    await program.until('stderr', (printed) => printed.includes('stopping:'));
    program.kill('SIGINT');

    expect(await program.ended).toMatchObject({ exitCode: 130, signal: undefined });

    left.open();
    await bothCut.opened;
    expect(cuts).toEqual(['reset', 'reset']);
    expect(destination.bucket.keys()).toEqual([]);
    destination.script.clear();
    await expectContinued(migration);
  });

  it('exits with the code of the second signal', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(2);
    const { opened } = gate();
    migration.source.script
      .on('GetObject')
      .before(() => opened)
      .times(2);
    const program = migration.start();
    await program.reaches(migration.source.script.seen('GetObject', 2));
    program.kill('SIGINT');
    await program.until('stderr', (printed) => printed.includes('stopping:'));
    program.kill('SIGTERM');
    expect(await program.ended).toMatchObject({ exitCode: 143 });
    await expectContinued(migration);
  });
});

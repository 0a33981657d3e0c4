/**
 * `--cores`: worker threads share the objects, and the parts of large ones; what comes out is what one
 * core makes of it.
 */
import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { commandLine, runProgram, startCommand } from '../support/run-s3migrate.ts';
import { digestsOf, gate, keysIn, type Migration, photo, prepareMigration } from './migration.ts';

const MIB = 1024 ** 2;

/** Runs in each thread before the program; a worker thread is told from the main one by its argument. */
async function preload(migration: Migration, inWorkers: string): Promise<Record<string, string>> {
  const path = migration.path('preload.mjs');
  await writeFile(
    path,
    `import { isMainThread } from 'node:worker_threads';\nif (!isMainThread) { ${inWorkers} }\n`,
  );
  return { NODE_OPTIONS: `--import ${path}` };
}

describe('--cores 2', () => {
  it('leaves buckets and logs as one core does: copied, missing, there already and failed', async () => {
    const logs: string[][] = [];
    for (const cores of [1, 2]) {
      const migration = await prepareMigration();
      const { source, destination } = migration;
      const keys = await migration.givenPhotos(1_500);
      source.put('films/long', Buffer.alloc(40 * MIB, 'film'), { partBytes: 16 * MIB });
      source.put('films/short', Buffer.alloc(3 * MIB, 'film'));
      source.put('comma, "quotes"', 'odd');
      await migration.listKeys();
      source.bucket.delete(photo(3) as never);
      destination.put(photo(4), 'theirs');
      source.script.on('GetObject', photo(5)).status(403, { code: 'AccessDenied' });

      const { exitCode, stderr } = await migration.run({ cores, threads: 8 });

      expect(exitCode).toBe(1);
      expect(stderr).toContain(
        'obj 1,503 = ign 0 + exist 0 + skip 2 (dn 1, up 1) + fail 1 + upld 1,500',
      );
      expect(stderr).toContain('1 AccessDenied (source)');
      expect(keysIn(await migration.failedLog())).toEqual([photo(5)]);
      const there = digestsOf(destination);
      expect(Object.keys(there)).toHaveLength(keys.length + 3 - 2);
      expect(destination.contents()[photo(4)]).toBe('theirs');
      const wrong = Object.entries(digestsOf(source)).filter(
        ([key, digest]) => there[key] !== digest && key !== photo(4) && key !== photo(5),
      );
      expect(wrong).toEqual([]);
      expect(destination.bucket.uploads()).toEqual([]);
      logs.push(await migration.migrateLog());
    }
    expect(logs[1]).toEqual(logs[0]);
  });

  it('lets both copy parts of one large object', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    source.put('films/long', Buffer.alloc(64 * MIB, 'film'), { partBytes: 16 * MIB });
    await migration.listKeys();
    // Two places each: four parts at once are of two workers. None is answered before all are asked for.
    const all = gate();
    destination.script.on('UploadPart').before(({ request }) => {
      if (request.headers.get('content-length') !== String(16 * MIB)) return undefined;
      waiting++;
      if (waiting === 4) all.open();
      return all.opened;
    });
    let waiting = 0;

    expect(await migration.run({ cores: 2, threads: 4 })).toMatchObject({ exitCode: 0 });

    expect(waiting).toBe(4);
    expect(digestsOf(destination)).toEqual(digestsOf(source));
  });

  it.each([1, 2])(
    'prints nothing but its own lines while many objects and parts wait for one signal (--cores %i)',
    async (cores) => {
      const migration = await prepareMigration();
      const { source, destination } = migration;
      await migration.givenPhotos(40);
      source.put('films/long', Buffer.alloc(64 * MIB, 'film'), { partBytes: 5 * MIB });
      await migration.listKeys();
      destination.script.on('PutObject').status(503, { code: 'SlowDown' }).times(30);

      const { exitCode, stderr } = await migration.run({ cores });

      expect(exitCode).toBe(0);
      for (const line of stderr.trimEnd().split('\n')) {
        expect(line).toMatch(/^(s3migrate: |obj=| {2})/);
      }
    },
  );

  it('ends with what made every object fail, whichever thread met it', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(500);
    migration.destination.script.on('PutObject').skip(100).status(404, { code: 'NoSuchBucket' });

    const { exitCode, stderr } = await migration.run({ cores: 2 });

    expect(exitCode).toBe(3);
    expect(stderr).toContain('the destination says that the bucket does not exist');
    migration.destination.script.clear();
    expect(await migration.run({ cores: 2 })).toMatchObject({ exitCode: 0 });
    expect(keysIn(await migration.migrateLog())).toEqual(migration.source.bucket.keys());
    expect(digestsOf(migration.destination)).toEqual(digestsOf(migration.source));
  });

  it('finishes and records what is under way at Ctrl-C, in all threads', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(2_000);
    const running = migration.start({ cores: 2, threads: 8 });
    await migration.destination.script.seen('PutObject', 300);
    running.kill('SIGINT');

    expect(await running.ended).toMatchObject({ exitCode: 130 });

    const { script, bucket } = migration.destination;
    expect(script.count('PutObject')).toBe(bucket.keys().length);
    expect(keysIn(await migration.migrateLog())).toEqual(bucket.keys());
    expect(await migration.run({ cores: 2, threads: 8 })).toMatchObject({ exitCode: 0 });
    expect(script.count('PutObject')).toBe(2_000);
    expect(keysIn(await migration.migrateLog())).toEqual(migration.source.bucket.keys());
  });

  it('leaves at once at the second Ctrl-C, and ends what it was sending by resets', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(20);
    const { script, bucket } = migration.destination;
    script.keepTruncated();
    const never = gate();
    script.on('PutObject').before(() => never.opened);
    const running = migration.start({ cores: 2, threads: 8 });
    await script.seen('PutObject', 8);
    running.kill('SIGINT');
    await running.until('stderr', (printed) => printed.includes('stopping'));
    running.kill('SIGINT');

    expect(await running.ended).toMatchObject({ exitCode: 130 });

    never.open();
    script.clear();
    expect(await migration.run({ cores: 2 })).toMatchObject({ exitCode: 0 });
    expect(bucket.keys()).toEqual(migration.source.bucket.keys());
    expect(digestsOf(migration.destination)).toEqual(digestsOf(migration.source));
  });
});

describe('a worker thread that dies', () => {
  it.each([
    ['of an error nobody caught', "throw new Error('out of luck')", 'out of luck'],
    ['by ending', 'process.exit(7)', 'it ended with code 7'],
  ])(
    '%s ends the run; what others had under way is recorded, and the same command goes on',
    async (_how, death, reason) => {
      const migration = await prepareMigration();
      await migration.givenPhotos(3_000);
      // The first worker, when it has told of outcomes three times.
      const env = await preload(
        migration,
        `const { threadId, parentPort } = await import('node:worker_threads');
       const post = parentPort.postMessage.bind(parentPort);
       let told = 0;
       if (threadId === 1) parentPort.postMessage = (message) => {
         post(message);
         if (message.kind === 'progress' && ++told === 3) setImmediate(() => { ${death} });
       };`,
      );

      const { exitCode, stderr } = await migration.run({ cores: 2, threads: 16 }, { env });

      expect(exitCode).toBe(3);
      expect(stderr).toContain(`a worker thread has died: ${reason}`);
      expect(stderr).toContain('Give the same command again');
      const recorded = keysIn(await migration.migrateLog());
      expect(recorded.length).toBeGreaterThan(0);
      expect(recorded.length).toBeLessThan(3_000);

      expect(await migration.run({ cores: 2, threads: 16 })).toMatchObject({ exitCode: 0 });
      expect(keysIn(await migration.migrateLog())).toEqual(migration.source.bucket.keys());
      expect(digestsOf(migration.destination)).toEqual(digestsOf(migration.source));
    },
  );

  it('at its start ends the run', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(10);
    const env = await preload(migration, "throw new Error('no room for a thread')");

    const { exitCode, stderr } = await migration.run({ cores: 2 }, { env });

    expect(exitCode).toBe(3);
    expect(stderr).toContain('a worker thread has died: no room for a thread');
    expect(migration.writesSeen()).toBe(0);
  });
});

describe('no thread is started', () => {
  it.each([
    ['with --cores 1', { cores: 1 }],
    ['with --threads 1', { threads: 1, cores: 4 }],
    ['with --threads 4 by default', { threads: 4 }],
    ['when --memory is enough for one core only', { memory: '16MiB', cores: 2 }],
  ])('%s', async (_when, flags) => {
    const migration = await prepareMigration();
    await migration.givenPhotos(10);
    const env = await preload(migration, "throw new Error('a thread was started')");
    expect(await migration.run(flags, { env })).toMatchObject({ exitCode: 0 });
  });

  it('by default where the process may run on one core only', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(10);
    const env = await preload(migration, "throw new Error('a thread was started')");
    const pinned = ['taskset', '-c', '0', ...commandLine(migration.args(), 's3migrate')];
    expect(await startCommand(pinned, { cwd: migration.root, env }).ended).toMatchObject({
      exitCode: 0,
    });
  });
});

it.each(['0', '-1', '1.5', 'all', '257'])('--cores %s is refused', async (cores) => {
  const migration = await prepareMigration();
  await migration.givenPhotos(1);
  const { exitCode, stderr } = await runProgram(migration.args({ cores }));
  expect(exitCode).toBe(2);
  expect(stderr).toContain('--cores');
});
